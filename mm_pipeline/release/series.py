"""The folder of all years, ``series/``: their tables in one, workbooks, metadata, changelog and checksums.

Here: which files it has, made from the folders of the years. Not here: what is in them (the other modules), where it lies,
and that it is switched in one step (the assets).
"""

import datetime
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mm_pipeline.catalogue import Table
from mm_pipeline.errors import ReleaseError
from mm_pipeline.release.codelists import over_years, read_area_codes, write_codelists
from mm_pipeline.release.files import write_checksums, write_table
from mm_pipeline.release.history import History, Release, changelog_files, next_release
from mm_pipeline.release.metadata.citation import citation
from mm_pipeline.release.metadata.datapackage import datapackage
from mm_pipeline.release.metadata.dcat import NAME as DCAT
from mm_pipeline.release.metadata.dcat import dcat
from mm_pipeline.release.metadata.fiche import fiche, fiche_files
from mm_pipeline.release.metadata.provenance import provenance
from mm_pipeline.release.year import AREAS, SOURCES, TABLES

WORKBOOKS = {
    "en": "stat_003_007.xlsx",
    "fr": "stat_003_007.fr.xlsx",
    "nl": "stat_003_007.nl.xlsx",
    "de": "stat_003_007.de.xlsx",
}


@dataclass(frozen=True)
class About:
    """What a release says of how it was made. ``code_versions``: part of the program -> hash of its code."""

    threshold: int
    disclosure_threshold: int
    code_versions: Mapping[str, str]
    base_url: str


def write_series(
    folder: Path, years: Mapping[int, Path], *, earlier: Path, about: About, today: datetime.date
) -> History:
    """Fill an empty folder with the release of all years, from the folders of the years; return its history.

    ``earlier``: the folder that was released before, or a place where none is: what changed against it is counted, and
    where nothing did the release keeps its number and date. ReleaseError where there is no year, or one lacks a file.
    """
    if not years:
        raise ReleaseError("No year has been released. Materialise published_year for a year first.")
    for year, of_year in years.items():
        for name in (*(f"{table.name}.parquet" for table in TABLES), AREAS, SOURCES):
            if not (of_year / name).is_file():
                raise ReleaseError(
                    f"{of_year.name}/{name} is not there: {year} was released by an earlier version of the program, or "
                    f"somebody removed it. Materialise published_year for {year} again."
                )
    for table in TABLES:
        write_table(folder, table, _parts(table, years))
    write_codelists(folder / "codelists", over_years(read_area_codes(of_year / AREAS) for of_year in years.values()))

    tables = [_read(folder, table) for table in TABLES]
    synthetic = any(tables[0]["synthetic"].unique().to_pylist())
    rates, standard, sensitivity = tables
    history = next_release(earlier, rates, sensitivity, years=years, synthetic=synthetic, today=today)
    release, fiches = history.release, fiche(history.release, about.threshold, about.disclosure_threshold)
    # Its libraries take a second to import, which only the series should wait for.
    from mm_pipeline.release.workbook import write_workbook

    for language, name in WORKBOOKS.items():
        write_workbook(
            folder / name,
            rates=rates,
            standardised=standard,
            sensitivity=sensitivity,
            fiche=fiches,
            release=release,
            language=language,
        )
    _write(
        folder,
        {
            **changelog_files(history),
            **fiche_files(fiches),
            "CITATION.cff": citation(release, fiches["en"]),
            "provenance.json": _provenance(release, years, about),
        },
    )
    # These two tell the sizes of what is there.
    version = str(release.number)
    package = datapackage(folder, TABLES, years=list(years), synthetic=synthetic, version=version)
    _write(folder, {"datapackage.json": package, DCAT: dcat(folder, release, fiches, base_url=about.base_url)})
    write_checksums(folder)
    return history


def _read(folder: Path, table: Table) -> pa.Table:
    return pq.ParquetFile(folder / f"{table.name}.parquet").read()


def _parts(table: Table, years: Mapping[int, Path]) -> Iterator[pa.Table]:
    return (_read(of_year, table) for of_year in years.values())


def _provenance(release: Release, years: Mapping[int, Path], about: About) -> str:
    sources = {year: json.loads((of_year / SOURCES).read_text(encoding="utf-8")) for year, of_year in years.items()}
    return provenance(
        release,
        code_versions=about.code_versions,
        thresholds={"forfaits": about.threshold, "disclosure": about.disclosure_threshold},
        deliveries={year: of_year["deliveries"] for year, of_year in sources.items()},
        references={year: of_year["references"] for year, of_year in sources.items()},
    )


def _write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
