"""Deliveries in ``data/raw/<year>/``: which files are there, and whether they are complete. Tables are not read."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from mm_pipeline.files import fingerprint
from mm_pipeline.ingest import files, manifest
from mm_pipeline.ingest.contract import DATASETS, OPTIONAL
from mm_pipeline.settings import Settings


@dataclass(frozen=True)
class Delivery:
    """The files of a year's delivery. ``missing``: the datasets, other than optional ones, that are not there."""

    year: int
    present: dict[str, Path]
    missing: tuple[str, ...]
    misnamed: tuple[str, ...] = ()
    """Files probably meant as an optional dataset, under names that are not read."""
    hindrance: str = ""
    """Why the year's folder is not read ("a symbolic link"); empty if it is."""
    largest: int = files.LARGEST

    @property
    def is_complete(self) -> bool:
        return not self.missing

    @property
    def is_empty(self) -> bool:
        return not self.present

    def sha256(self, name: str) -> str:
        """SHA-256 of the dataset's file; empty, as in its account, for an optional one that is not there.

        For a misnamed file its name, and for what is no file or too large the reason: so the table is out of date, and its
        run says what is wrong.
        """
        if name in OPTIONAL and name not in self.present:
            return ", ".join(self.misnamed)
        return files.state_of(self.present[name], self.largest)


def delivery(settings: Settings, year: int) -> Delivery:
    """The delivery of a year as it is on disk."""
    folder = settings.raw_dir / str(year)
    found = {name: files.candidates(folder, name) for name in DATASETS}
    present = {name: paths[0] for name, paths in found.items() if paths}
    missing = tuple(name for name in DATASETS if name not in present and name not in OPTIONAL)
    misnamed = tuple(alike for name in sorted(OPTIONAL - present.keys()) for alike in files.lookalikes(folder, name))
    return Delivery(year, present, missing, misnamed, files.hindrance(folder), settings.largest_delivery_bytes)


def trace(settings: Settings, year: int) -> str:
    """Hash of the state of the year's folder, which changes when anything in it is written, renamed or removed.

    Empty without a folder. Reads no file. Equal traces a minute apart mean that copying has ended.
    """
    folder = settings.raw_dir / str(year)
    if not folder.is_dir() or files.hindrance(folder):
        return ""
    return hashlib.sha256(repr(fingerprint.trace(folder)).encode()).hexdigest()[:16]


def fingerprints(settings: Settings, year: int) -> dict[str, str]:
    """SHA-256 of the files that a run of the year would read, by name: datasets, and the manifest."""
    there = delivery(settings, year)
    announced = settings.raw_dir / str(year) / manifest.NAME
    read = [*there.present.values(), *([] if there.hindrance else [announced])]
    found = {path.name: files.state_of(path, there.largest) for path in read}
    return {name: sha256 for name, sha256 in found.items() if sha256}


def years_delivered(settings: Settings) -> list[int]:
    """The years whose delivery has begun: at least one dataset is there, optional ones included.

    A link in place of the folder counts as well, though nothing is read through it.
    """
    folders = settings.raw_dir.glob("[12][0-9][0-9][0-9]") if settings.raw_dir.is_dir() else ()
    found = (delivery(settings, int(folder.name)) for folder in folders if re.fullmatch("[0-9]{4}", folder.name))
    return sorted(there.year for there in found if not there.is_empty or there.hindrance)


def data_version(settings: Settings, year: int, name: str, sha256: str, announced: str | None = None) -> str:
    """Data version of the raw table of a dataset: a hash over the file, the manifest and the settings.

    ``sha256``: of the file; empty: no file. ``announced``: SHA-256 of the manifest; None: of the one that is there.
    """
    if announced is None:
        folder = settings.raw_dir / str(year)
        announced = "" if files.hindrance(folder) else files.state_of(folder / manifest.NAME)
    parts = [sha256, announced, settings.fingerprint(), name]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
