"""Provenance differences: how files and settings differ now from those a table was built from, in words.

Not here: whether a year is up to date (:mod:`mm_pipeline.operations.staleness`).
"""

from collections.abc import Container, Iterator, Mapping
from contextlib import suppress

from mm_pipeline.errors import LakeError
from mm_pipeline.ingest import manifest
from mm_pipeline.ingest.contract import OPTIONAL
from mm_pipeline.ingest.delivery import Delivery, fingerprints
from mm_pipeline.reference.areas import reference_sources
from mm_pipeline.schemas import GEOGRAPHY, LAKE_TABLES, SECTOR_RATES
from mm_pipeline.settings import Settings
from mm_pipeline.storage.lake import Lake, Provenance

_DELIVERIES = "deliveries/"

OTHER_SECRET = "MM_ID_KEY is not the one it was built with"


def is_read(name: str) -> bool:
    """Whether the asset is read from files rather than made from other assets."""
    return name == GEOGRAPHY.name or name.startswith("raw_")


def changed_files(settings: Settings, name: str, lies_there: Delivery) -> list[str]:
    """The differences between the files that the asset is read from and those it was built from, in words."""
    if (made := _provenance(settings, name, lies_there.year)) is None:
        return []
    if name == GEOGRAPHY.name:
        return list(_differences(made.sources, reference_sources(settings.reference_dir, lies_there.year)))
    return list(_differences(made.sources, _delivered(settings, name, lies_there, made)))


def changed_settings(settings: Settings, name: str, year: int) -> list[str]:
    """The differences between the settings that change a figure, or the secret, and those of a raw table, in words."""
    if not name.startswith("raw_") or (made := _provenance(settings, name, year)) is None:
        return []
    was, now = made.details.get("settings", {}), settings.of_figures
    found = [
        f"{each} was {was[each] or 'not set'}, now {now[each] or 'not set'}"
        for each in now
        if was.get(each, now[each]) != now[each]
    ]
    secrets = {settings.key_check(), made.key_check} - {""}
    return [*found, OTHER_SECRET] if len(secrets) > 1 else found


def changes_since_purged(settings: Settings, lies_there: Delivery) -> list[str]:
    """The differences between the delivery of a purged year and what its rates were made from, in words.

    A dataset that is no longer there is no change: it was purged too, or could have been.
    """
    if (made := _provenance(settings, SECTOR_RATES.name, lies_there.year)) is None:
        return []
    read = {path.name for name, path in lies_there.present.items() if name not in OPTIONAL}
    if _DELIVERIES + manifest.NAME in made.sources:
        read.add(manifest.NAME)
    now = _found(settings, lies_there, read)
    return list(_differences({file: sha256 for file, sha256 in made.sources.items() if file in now}, now))


def _delivered(settings: Settings, name: str, lies_there: Delivery, made: Provenance) -> dict[str, str]:
    """The files that a raw table would be read from, as in its provenance; a misnamed one has no fingerprint."""
    dataset = name.removeprefix("raw_")
    path = lies_there.present.get(dataset)
    read = {path.name} if path else set()
    if "settings" in made.details:  # earlier versions of the program did not record the manifest
        read.add(manifest.NAME)
    misnamed = lies_there.misnamed if dataset in OPTIONAL and not path else ()
    return _found(settings, lies_there, read) | {_DELIVERIES + file: "" for file in misnamed}


def _found(settings: Settings, lies_there: Delivery, read: Container[str]) -> dict[str, str]:
    """The fingerprints of the delivered files with these names, as in a provenance."""
    there = fingerprints(settings, lies_there.year)
    return {_DELIVERIES + file: sha256 for file, sha256 in there.items() if file in read}


def _provenance(settings: Settings, name: str, year: int) -> Provenance | None:
    """The provenance of a table; None if it is lost or damaged, which is reported elsewhere."""
    with suppress(LakeError, OSError, ValueError, KeyError, TypeError):
        return Lake(settings.lake_dir).provenance(LAKE_TABLES[name], year)
    return None


def _differences(was: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """The differences of two sets of files (kind/name -> SHA-256) in words; the manifest, which changes with all, last."""
    for key in sorted(was.keys() | now.keys(), key=lambda key: (key.endswith(manifest.NAME), key)):
        name, before, after = key.partition("/")[2], was.get(key), now.get(key)
        if before is None:
            yield f"{name} is new" + (f" (SHA-256 {after[:12]}...)" if after else " and cannot be read under this name")
        elif after is None:
            yield f"{name} is not there any more (SHA-256 was {before[:12]}...)"
        elif before != after:
            yield f"{name} has changed (SHA-256 was {before[:12]}..., now {after[:12]}...)"


def is_of_manifest(change: str) -> bool:
    """Whether a difference, in words, is that of the manifest."""
    return change.startswith(manifest.NAME)
