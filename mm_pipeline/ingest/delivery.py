"""What lies in ``data/raw/<year>/``, without reading it: is the year complete, and which files is it?"""

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
    """The files of a year's delivery; ``missing`` are the datasets that are not there and not optional."""

    year: int
    present: dict[str, Path]
    missing: tuple[str, ...]
    misnamed: tuple[str, ...] = ()
    """Files that are probably an optional dataset, under a name that is not read."""
    hindrance: str = ""
    """Why nothing in the year's folder is read ("a symbolic link"); empty: it is read."""
    largest: int = files.LARGEST

    @property
    def is_complete(self) -> bool:
        return not self.missing

    @property
    def is_empty(self) -> bool:
        return not self.present

    def sha256(self, name: str) -> str:
        """Of the dataset's file as it lies there; empty, as in its account, for an optional one that is not.

        A misnamed file is no absent one, and what is no file, or too large, is not read: these make the table out of date,
        so that its run says what is wrong.
        """
        if name in OPTIONAL and name not in self.present:
            return ", ".join(self.misnamed)
        return files.state_of(self.present[name], self.largest)


def delivery(settings: Settings, year: int) -> Delivery:
    folder = settings.raw_dir / str(year)
    found = {name: files.candidates(folder, name) for name in DATASETS}
    present = {name: paths[0] for name, paths in found.items() if paths}
    missing = tuple(name for name in DATASETS if name not in present and name not in OPTIONAL)
    misnamed = tuple(alike for name in sorted(OPTIONAL - present.keys()) for alike in files.lookalikes(folder, name))
    return Delivery(year, present, missing, misnamed, files.hindrance(folder), settings.largest_delivery_bytes)


def trace(settings: Settings, year: int) -> str:
    """What changes when anything in the year's folder is written, renamed or removed, without reading it; empty when there
    is no folder. Equal traces a minute apart: nobody is copying there any more."""
    folder = settings.raw_dir / str(year)
    if not folder.is_dir() or files.hindrance(folder):
        return ""
    return hashlib.sha256(repr(fingerprint.trace(folder)).encode()).hexdigest()[:16]


def fingerprints(settings: Settings, year: int) -> dict[str, str]:
    """Name -> SHA-256 of the files that a run of the year would read: datasets, and the manifest."""
    there = delivery(settings, year)
    announced = settings.raw_dir / str(year) / manifest.NAME
    read = [*there.present.values(), *([] if there.hindrance else [announced])]
    found = {path.name: files.state_of(path, there.largest) for path in read}
    return {name: sha256 for name, sha256 in found.items() if sha256}


def years_delivered(settings: Settings) -> list[int]:
    """Every year of which at least one dataset is there, be it an optional one: somebody has begun to deliver it.

    So has who put a link in the place of the folder, through which nothing is read.
    """
    folders = settings.raw_dir.glob("[12][0-9][0-9][0-9]") if settings.raw_dir.is_dir() else ()
    found = (delivery(settings, int(folder.name)) for folder in folders if re.fullmatch("[0-9]{4}", folder.name))
    return sorted(there.year for there in found if not there.is_empty or there.hindrance)


def data_version(settings: Settings, year: int, name: str, sha256: str, announced: str | None = None) -> str:
    """What the raw table of a dataset depends on: the file's bytes (``sha256`` empty: no file), the manifest (SHA-256;
    None: as it lies there), and the settings."""
    if announced is None:
        folder = settings.raw_dir / str(year)
        announced = "" if files.hindrance(folder) else files.state_of(folder / manifest.NAME)
    parts = [sha256, announced, settings.fingerprint(), name]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
