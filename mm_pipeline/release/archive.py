"""The archive of earlier releases of the series, each whole and with its checksums: ``releases/<number>/``."""

import json
import os
import shutil
from pathlib import Path

from mm_pipeline.errors import ReleaseError
from mm_pipeline.files.atomic import replacing_folder
from mm_pipeline.release.files import CHECKSUMS, broken_checksums, manifest_of
from mm_pipeline.release.history import History, read_history

RELEASES = "releases"


def archive_release(series: Path, history: History, releases: Path) -> str:
    """Archive the release in ``series`` before that of ``history`` replaces it. Returns the archived folder, or why none.

    Atomic, and without effect when repeated. The same release made again (same number and date) is not archived. Only files
    that match its ``SHA256SUMS`` are archived: anything else there was not released. They are linked where the file system
    can, as a released file is never written again. Where another release of the same number is archived already (numbers
    began anew), the folder's name also has the beginning of the SHA-256 of ``SHA256SUMS``.
    """
    try:
        before = read_history(series).release
        number: int | None = before.number
    except ReleaseError:
        before, number = None, _number_in_provenance(series)
    if not series.is_dir() or before == history.release:
        return "nothing: no other release was there before"
    digest = manifest_of(series)
    if number is None or not digest:
        return "nothing: the release before has no number or no SHA256SUMS any more"
    place = releases / str(number)
    if place.is_dir() and manifest_of(place) != digest:
        place = releases / f"{number}-{digest[:12]}"
    if not place.is_dir():
        broken = set(broken_checksums(series))
        with replacing_folder(place) as folder:
            for path in sorted(series.rglob("*")):
                name = path.relative_to(series).as_posix()
                if path.is_file() and name not in broken:
                    _link(path, folder / name)
    return f"{RELEASES}/{place.name}"


def archived_releases(releases: Path) -> list[Path]:
    """The folders of archived releases. A name that begins with a point is a folder being written."""
    return sorted(folder for folder in releases.glob("[!.]*") if folder.is_dir())


def broken_releases(releases: Path, history: History) -> list[str]:
    """The faults of archived releases, in words: against their own checksums, and against the newest changelog."""
    broken = {folder: broken_checksums(folder) for folder in archived_releases(releases)}
    there = {manifest_of(folder) for folder in broken}
    return [
        *(f"{folder.name}: {', '.join(names)} not as in {CHECKSUMS}" for folder, names in broken.items() if names),
        *(
            f"{entry.release.number}: no folder has the {CHECKSUMS} of this release"
            for entry in history.entries
            if entry.manifest and entry.manifest not in there
        ),
    ]


def _number_in_provenance(series: Path) -> int | None:
    try:
        return int(json.loads((series / "provenance.json").read_text(encoding="utf-8"))["release"]["number"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _link(path: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, place)
    except OSError:  # a file system without links
        shutil.copyfile(path, place)
