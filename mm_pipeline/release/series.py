"""The folder of all years, ``series/``, made from their folders: tables, workbooks, metadata, changelog and checksums.

Not here: what is in them (the other modules), where the folder is, and switching it in one step (the assets).
"""

import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mm_pipeline.errors import ReleaseError
from mm_pipeline.release.codelists import over_years, read_area_codes, write_codelists
from mm_pipeline.release.files import CHECKSUMS, broken_checksums, write_checksums, write_table
from mm_pipeline.release.history import History, changelog_files, next_release, span
from mm_pipeline.release.metadata.citation import citation
from mm_pipeline.release.metadata.datapackage import datapackage
from mm_pipeline.release.metadata.dcat import NAME as DCAT
from mm_pipeline.release.metadata.dcat import dcat
from mm_pipeline.release.metadata.fiche import fiche, fiche_files
from mm_pipeline.release.metadata.provenance import Made, causes, provenance
from mm_pipeline.release.year import AREAS, SOURCES, TABLES
from mm_pipeline.schemas import RELEASED_REVISIONS, Table

PROVENANCE = "provenance.json"
WORKBOOKS = {"en": "stat_003_007.xlsx"} | {other: f"stat_003_007.{other}.xlsx" for other in ("fr", "nl", "de")}


def write_series(
    folder: Path,
    years: Mapping[int, Path],
    *,
    earlier: Path,
    today: datetime.date,
    code: Mapping[str, str],
    base_url: str,
) -> History:
    """Write the release of all years, made from their folders, into an empty folder. Returns its history.

    ``earlier``: the folder released before, which may be missing; changes against it are counted, and without any the
    release keeps its number and date. ``code``: part of the program -> hash of its code. ``base_url``: the address where the
    folder will be served, or empty.

    Raises ReleaseError if there is no year, a year is not whole or has other thresholds, or one is switched meanwhile.
    """
    before = whole(years)
    made = {year: Made(**_json(of_year / SOURCES)) for year, of_year in years.items()}
    _assert_common_thresholds(made)
    for table in TABLES:
        write_table(folder, table, (_read(of_year, table) for of_year in years.values()))
    write_codelists(folder / "codelists", over_years(read_area_codes(of_year / AREAS) for of_year in years.values()))
    if whole(years) != before:
        raise ReleaseError(
            "A year was released anew while the series was being made. Materialise published_series again."
        )

    rates, standard, sensitivity = (_read(folder, table) for table in TABLES)
    synthetic = any(rates["synthetic"].unique().to_pylist())
    why = causes(earlier / PROVENANCE, made)
    history = next_release(earlier, rates, sensitivity, years=years, synthetic=synthetic, today=today, causes=why)
    write_table(folder, RELEASED_REVISIONS, [history.revisions])
    release = history.release
    _write(folder, {**changelog_files(history), PROVENANCE: provenance(release, made, code=code)})
    fiches = fiche(release, *thresholds_of(folder))

    # Its libraries take a second to import, which only the series should wait for.
    from mm_pipeline.release.workbook import write_workbook

    tables = {"rates": rates, "standardised": standard, "sensitivity": sensitivity}
    for language, name in WORKBOOKS.items():
        write_workbook(folder / name, **tables, fiche=fiches, release=release, language=language)
    _write(folder, {**fiche_files(fiches), "CITATION.cff": citation(release, fiches["en"])})
    # These two tell the sizes of what is there.
    described = (*TABLES, RELEASED_REVISIONS)
    package = datapackage(folder, described, years=list(years), synthetic=synthetic, version=str(release.number))
    _write(folder, {"datapackage.json": package, DCAT: dcat(folder, release, fiches, base_url=base_url)})
    write_checksums(folder)
    return history


def whole(years: Mapping[int, Path]) -> dict[int, str]:
    """The text of ``SHA256SUMS`` of each year's folder. Raises ReleaseError if a folder does not match it."""
    for year, folder in years.items():
        needed = [*(f"{table.name}.parquet" for table in TABLES), AREAS, SOURCES]
        missing = [name for name in needed if not (folder / name).is_file()]
        if broken := missing or broken_checksums(folder):
            raise ReleaseError(
                f"data/published/{folder.name}: {', '.join(broken)} not there or not as in SHA256SUMS. An earlier version "
                f"of the program released the year, or somebody changed the folder. Build {year} again (job year)."
            )
    return {year: (folder / CHECKSUMS).read_text(encoding="utf-8") for year, folder in years.items()}


def _assert_common_thresholds(made: Mapping[int, Made]) -> None:
    by_value: dict[str, list[int]] = {}
    for year, of_year in made.items():
        by_value.setdefault(json.dumps(of_year.thresholds, sort_keys=True), []).append(year)
    if not by_value:
        raise ReleaseError("No year has been released. Build a year first (job year).")
    if len(by_value) > 1:
        said = "; ".join(f"{span(years)} with {value}" for value, years in sorted(by_value.items()))
        raise ReleaseError(
            f"The years were made with different thresholds ({said}). Set MM_THRESHOLD and MM_DISCLOSURE_THRESHOLD and "
            "build the years again that were made with others."
        )


def thresholds_of(series: Path) -> tuple[int, int]:
    """The minimum number of forfaits and the disclosure threshold of a released series."""
    thresholds = _json(series / PROVENANCE)["thresholds"]
    return thresholds["threshold"], thresholds["disclosure_threshold"]


def _read(folder: Path, table: Table) -> pa.Table:
    return pq.ParquetFile(folder / f"{table.name}.parquet").read()


def _json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def _write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
