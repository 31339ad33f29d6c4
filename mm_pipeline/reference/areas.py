"""The area table of a year: every area of the statistic, its parent and its names.

Not here: how the files are read (``refnis``, ``sectors``), and joining people to areas (``mm_pipeline.statistic``).
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa

from mm_pipeline.dimensions import FIRST_SECTOR_YEAR, LEVELS
from mm_pipeline.errors import ReferenceDataError
from mm_pipeline.files.fingerprint import fingerprint
from mm_pipeline.reference import geojson, refnis, sectors
from mm_pipeline.reference.refnis import BRUSSELS, refusal

SCHEMA = pa.schema(dict.fromkeys(("level", "area_code", "parent_code", "name_fr", "name_nl", "name_de"), pa.string()))

COUNTRY = ("country", "BE", "", "Belgique", "België", "Belgien")

#: Number of municipalities from a year on: the mergers of 1 January 2019 and 2025.
MUNICIPALITIES_SINCE = {1983: 589, 2019: 581, 2025: 565}


def areas(reference_dir: Path, year: int) -> pa.Table:
    """The areas of a year: those in force on its 31 December.

    Columns, all strings: ``level`` (of ``LEVELS``), ``area_code``, ``parent_code`` (the area one level up; empty for
    the country ``BE``), ``name_fr``, ``name_nl``, ``name_de``; sorted by level in that order, then by code. Brussels
    ``04000`` is there twice, as a region and as the province under it, so that every chain has the same length.
    Sectors are there from 2005 on, where a sector table is not after the year, and where the municipality that the
    table gives is of the year's vintage: a table older than a merger has no sectors for the merged municipalities.

    Raises ReferenceDataError where a file cannot be used, or is probably meant under a name that is not read; nothing is
    raised for a hierarchy that stops before the year, which a file cannot tell: compare with ``expected_counts``.
    """
    for _path, error in _misnamed(reference_dir, year):
        raise error
    rows = [COUNTRY]
    for unit in refnis.units_of(year, refnis_file(reference_dir)):
        names = (unit.name_fr, unit.name_nl, unit.name_de)
        rows.append((unit.level, unit.code, unit.parent_code or COUNTRY[1], *names))
        if unit.code == BRUSSELS:
            rows.append(("province", BRUSSELS, BRUSSELS, *names))
    if path := _sector_file(reference_dir, year):
        municipalities = {row[1] for row in rows if row[0] == "municipality"}
        found = sectors.read_sectors(path)
        rows += [("sector", *sector) for sector in found if sector.municipality_code in municipalities]
    return in_order(pa.table([list(column) for column in zip(*rows, strict=True)], schema=SCHEMA))


def in_order(table: pa.Table) -> pa.Table:
    """The areas sorted by level, from the country down, then by code."""
    levels, codes = table["level"].to_pylist(), table["area_code"].to_pylist()
    return table.take(sorted(range(len(table)), key=lambda row: (LEVELS.index(levels[row]), codes[row])))


def sector_vintage(files: Iterable[str]) -> int | None:
    """Year of the sector table among the names of the files that an area table was made from; None without one."""
    matches = filter(None, map(geojson.FILE_NAME.fullmatch, files))
    return next((int(match[2]) for match in matches if match[1] == "sectors"), None)


def reference_files(reference_dir: Path, year: int) -> list[Path]:
    """The files that ``areas`` reads or refuses for the year: hierarchy, any sector table, misnamed ones.

    Raises ReferenceDataError where two files claim the same place.
    """
    table = _sector_file(reference_dir, year)
    refused = [path for path, _error in _misnamed(reference_dir, year)]
    return [refnis_file(reference_dir), *([table] if table else []), *refused]


def _sector_file(reference_dir: Path, year: int) -> Path | None:
    return sectors.file_for(reference_dir, year) if year >= FIRST_SECTOR_YEAR else None


def _misnamed(reference_dir: Path, year: int) -> Iterator[tuple[Path, ReferenceDataError]]:
    """Files probably meant as the hierarchy or the sector table of the year, each with its error."""
    yield from refnis.misnamed(reference_dir)
    if year >= FIRST_SECTOR_YEAR:
        yield from geojson.misnamed(reference_dir, "sectors", year)


def refnis_file(reference_dir: Path) -> Path:
    """The hierarchy file of a reference folder.

    A Statbel ``TU_COM_REFNIS*.txt`` takes the place of ``refnis.csv``; a folder with neither uses the ``refnis.csv``
    that comes with the package. Several Statbel files are refused (ReferenceDataError): their names do not tell
    which is the newest (``TU_COM_REFNIS.txt`` is today's on the day it was fetched), and figures would depend on it.
    """
    names = refnis.statbel_files(reference_dir)
    if len(names) > 1:
        found = f"several Statbel hierarchies ({', '.join(path.name for path in names)})"
        todo = "Keep the newest and remove the others."
        raise refusal(reference_dir, "", found, "at most one TU_COM_REFNIS*.txt", todo)
    for path in (*names, reference_dir / "refnis.csv", *_shipped()):
        if path.exists():
            return path
    raise refusal(reference_dir, "", "no refnis.csv", "the hierarchy of areas", "Install the package again.")


def expected_counts(year: int) -> dict[str, int]:
    """The number of areas per level in a complete table of the year, without sectors. Before 1983 it is that of 1983."""
    since = max((first for first in MUNICIPALITIES_SINCE if first <= year), default=min(MUNICIPALITIES_SINCE))
    municipalities = MUNICIPALITIES_SINCE[since]
    # The provinces are ten and Brussels.
    return {"country": 1, "region": 3, "province": 11, "arrondissement": 43, "municipality": municipalities}


def _shipped() -> tuple[Path, Path]:
    """The package's own ``refnis.csv``: inside a wheel, or in the repository of an editable install."""
    here = Path(__file__).resolve()
    return here.parent / "refnis.csv", here.parents[2] / "data" / "reference" / "refnis.csv"


def geography_version(reference_dir: Path, year: int) -> str:
    """Data version of the geography of a year: a hash over the reference files it is read from."""
    return hashlib.sha256("".join(reference_sources(reference_dir, year).values()).encode()).hexdigest()[:16]


def reference_sources(reference_dir: Path, year: int) -> dict[str, str]:
    """The reference files of a year for its provenance: ``references/<file>`` -> SHA-256."""
    return {f"references/{path.name}": fingerprint(path) for path in reference_files(reference_dir, year)}
