"""What processes that were killed left behind is removed.

Who replaces a file or folder of a year or of the series holds its lock (:mod:`~mm_pipeline.files.locks`). So whoever holds
the lock knows that what lies there half-made is nobody's. Scratch folders have a lock of their own.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from mm_pipeline.files.atomic import clean_up, left_beside
from mm_pipeline.files.locks import ID_KEY, SERIES, SIGN_OFF, Locks
from mm_pipeline.settings import Settings
from mm_pipeline.storage import scratch
from mm_pipeline.storage.lake import Lake


def clean_up_under(settings: Settings, names: Iterable[str]) -> None:
    """Under these locks (years, ``SERIES``): remove what was left, and put back a release that was taken away.

    Scratch folders too: who was killed while this one waited for it held persons there.
    """
    scratch.remove_abandoned(Lake(settings.lake_dir))
    for name in names:
        for place in _places(settings, name):
            clean_up(place)


def remove_stale_files(settings: Settings, locks: Locks) -> None:
    """Everything that no living process owns. Where somebody is at work, it is left to the next one."""
    scratch.remove_abandoned(Lake(settings.lake_dir))
    years = {folder.name.removeprefix("year=") for folder in settings.lake_dir.glob("*/year=*")}
    for name in sorted({*years, SERIES, ID_KEY, SIGN_OFF}):
        if any(left_beside(place) for place in _places(settings, name)):
            with locks.held_if_free(name) as held:
                if held:
                    clean_up_under(settings, [name])


def _places(settings: Settings, name: str) -> Iterator[Path]:
    """What is replaced under this lock."""
    if name == SERIES:
        yield from (settings.published_dir / "series", settings.published_dir / "atlas")
        releases = settings.published_dir / "releases"
        yield from {releases / left.name.split(".")[1] for left in releases.glob(".*.*.tmp")}
    elif name == SIGN_OFF:
        for folder in (settings.sign_off_dir, settings.sign_off_dir / "history"):
            yield from {folder / f"{left.name[1:].partition('.')[0]}.json" for left in folder.glob(".*.json.*.tmp")}
    elif name == ID_KEY:
        yield settings.id_key_path
    else:
        yield from (settings.published_dir / name, settings.awaiting_dir / name)
        for folders in ("*", "quarantine/*"):
            for folder in settings.lake_dir.glob(f"{folders}/year={name}"):
                yield folder / "part-0.parquet"
