"""What lies in ``data/raw/<year>/``, without reading it: is the year complete, and which files is it?"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from mm_pipeline.ingest import files, manifest
from mm_pipeline.ingest.contract import DATASETS, OPTIONAL
from mm_pipeline.settings import Settings


@dataclass(frozen=True)
class Delivery:
    """The files of a year's delivery; ``missing`` are the datasets that are not there and not optional."""

    year: int
    present: dict[str, Path]
    missing: tuple[str, ...]
    misnamed: tuple[str, ...] = ()
    """Files that are probably an optional dataset, under a name that is not read."""

    @property
    def is_complete(self) -> bool:
        return not self.missing

    @property
    def is_empty(self) -> bool:
        return not self.present

    def sha256(self, name: str) -> str:
        """Of the dataset's file as it lies there; empty, as in its account, for an optional one that is not.

        A misnamed file is no absent one: it makes the table out of date, so that its run says what is wrong.
        """
        if name in OPTIONAL and name not in self.present:
            return ", ".join(self.misnamed)
        return files.fingerprint(self.present[name])


def delivery(settings: Settings, year: int) -> Delivery:
    folder = settings.raw_dir / str(year)
    found = {name: files.candidates(folder, name) for name in DATASETS}
    present = {name: paths[0] for name, paths in found.items() if paths}
    missing = tuple(name for name in DATASETS if name not in present and name not in OPTIONAL)
    misnamed = tuple(alike for name in sorted(OPTIONAL - present.keys()) for alike in files.lookalikes(folder, name))
    return Delivery(year, present, missing, misnamed)


def trace(settings: Settings, year: int) -> str:
    """What changes when anything in the year's folder is written, renamed or removed, without reading it; empty when there
    is no folder. Equal traces a minute apart: nobody is copying there any more."""
    folder = settings.raw_dir / str(year)
    if not folder.is_dir():
        return ""
    entries = [(path.name, *files.identity(path)) for path in sorted(folder.iterdir()) if path.is_file()]
    return hashlib.sha256(repr(entries).encode()).hexdigest()[:16]


def fingerprints(settings: Settings, year: int) -> dict[str, str]:
    """Name -> SHA-256 of the files that a run of the year would read: datasets, and the manifest."""
    announced = settings.raw_dir / str(year) / manifest.NAME
    read = [*delivery(settings, year).present.values(), *([announced] if announced.is_file() else [])]
    return {path.name: files.fingerprint(path) for path in read}


def years_delivered(settings: Settings) -> list[int]:
    """Every year of which at least one dataset is there, be it an optional one: somebody has begun to deliver it."""
    folders = settings.raw_dir.glob("[12][0-9][0-9][0-9]") if settings.raw_dir.is_dir() else ()
    return sorted(year for folder in folders if not delivery(settings, year := int(folder.name)).is_empty)


def data_version(settings: Settings, year: int, name: str, sha256: str) -> str:
    """What the raw table of a dataset depends on: the file's bytes (``sha256`` empty: no file), the manifest, and the
    settings."""
    folder = settings.raw_dir / str(year)
    announced = folder / manifest.NAME
    parts = [sha256, files.fingerprint(announced) if announced.is_file() else "", settings.fingerprint(), name]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
