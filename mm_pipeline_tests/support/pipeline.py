"""A year from its deliveries to its rates without Dagster: the functions that the assets call, in the same order."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa

from mm_pipeline import schemas
from mm_pipeline.defs.resources.engine import DuckDBEngine, chosen
from mm_pipeline.ingest.contract import DATASETS
from mm_pipeline.ingest.ingest import Account, ingest
from mm_pipeline.reference.areas import reference_sources
from mm_pipeline.settings import Settings
from mm_pipeline.statistic import attribution, cells, forfaits, houses, registrations, sensitivity
from mm_pipeline.statistic import rates as rates_
from mm_pipeline.storage.earlier_houses import earlier_houses
from mm_pipeline.storage.lake import Lake, Provenance

MADE_UP = Provenance(synthetic=True)


def settings_for(data_dir: Path, **changes: Any) -> Settings:
    """In a country of a few hundred people every change tells of single persons: a revision that waits has its own tests."""
    settings = Settings(
        data_dir=data_dir,
        memory_limit="1GB",
        threads=2,
        id_key="test secret",
        disclosure_threshold=5,
        revision_may_hide="country",
    )
    return replace(settings, **changes)


def geography_table(areas: list[dict[str, str]]) -> pa.Table:
    """An area table from (level, area_code, parent_code); names are the codes."""
    names = ("name_fr", "name_nl", "name_de")
    rows = [{**area, **dict.fromkeys(names, area["area_code"])} for area in areas]
    return pa.Table.from_pylist(rows, schema=schemas.GEOGRAPHY.schema)


def build_year(settings: Settings, year: int, geography: pa.Table) -> dict[str, Account]:
    """Deliveries of ``year`` in ``settings.raw_dir`` -> every table up to ``sector_rates`` in the lake."""
    lake = Lake(settings.lake_dir)
    of_files = replace(MADE_UP, details={"files": []}, sources=reference_sources(settings.reference_dir, year))
    with DuckDBEngine.of(settings).session() as backend:
        accounts = {name: ingest(backend, lake, settings, name, year) for name in DATASETS}
        lake.write(backend, schemas.GEOGRAPHY, year, ibis.memtable(geography), of_files)
    derive(settings, year)
    return accounts


def derive(settings: Settings, year: int, *, rates: bool = True) -> None:
    """Raw tables and geography of the lake -> every table up to ``sector_rates``, or up to ``houses`` only."""
    lake = Lake(settings.lake_dir)
    with DuckDBEngine.of(settings).session() as backend:
        engine = chosen(settings, backend)

        def read(table: schemas.Table) -> ibis.Table:
            return lake.read(engine, table, year)

        def write(table: schemas.Table, rows: ibis.Table) -> None:
            lake.write(engine, table, year, rows, MADE_UP)

        has_sectors = bool(
            lake.read(backend, schemas.GEOGRAPHY, year).filter(ibis._.level == "sector").count().execute()
        )
        write(schemas.REGISTRATIONS, registrations.registrations(read(schemas.RAW_FORFAITS)))
        write(schemas.FORFAITS_PER_PATIENT, forfaits.forfaits_per_patient(read(schemas.REGISTRATIONS)))
        attributed = attribution.attributed_patients(
            read(schemas.FORFAITS_PER_PATIENT), read(schemas.RAW_DMG), settings.minimum_forfaits
        )
        located = attribution.with_residence(attributed, read(schemas.RAW_BENEFICIARIES))
        write(schemas.ATTRIBUTED_PATIENTS, located)
        earlier = earlier_houses(lake, year)
        write(
            schemas.HOUSES,
            houses.houses(
                read(schemas.REGISTRATIONS),
                read(schemas.RAW_FORFAITS),
                read(schemas.ATTRIBUTED_PATIENTS),
                read(schemas.RAW_BENEFICIARIES),
                read(schemas.GEOGRAPHY),
                ibis.memtable(earlier.rows),
                year,
                sample=Account.of(lake, schemas.RAW_FORFAITS, year).sample,
                two_years_before_is_built=earlier.has_two_years_before,
                disclosure_threshold=settings.disclosure_threshold,
            ),
        )
        if not rates:
            return
        write(
            schemas.BENEFICIARY_COUNTS,
            cells.beneficiary_counts(
                read(schemas.RAW_BENEFICIARIES), read(schemas.GEOGRAPHY), year, has_sector_table=has_sectors
            ),
        )
        counts = read(schemas.BENEFICIARY_COUNTS)
        patients = cells.patient_counts(read(schemas.ATTRIBUTED_PATIENTS), counts, year)
        write(schemas.SECTOR_RATES, rates_.sector_rates(counts, patients, read(schemas.GEOGRAPHY), year))
        write(
            schemas.THRESHOLD_COUNTS,
            sensitivity.threshold_counts(
                read(schemas.FORFAITS_PER_PATIENT),
                read(schemas.RAW_DMG),
                read(schemas.RAW_BENEFICIARIES),
                read(schemas.GEOGRAPHY),
                counts,
                year,
            ),
        )


def rates_of(settings: Settings, year: int) -> dict[tuple[str, str, str, str], tuple[str, int, int]]:
    """``sector_rates`` as the oracle writes it: (level, area, dimension, category) -> (parent, beneficiaries, patients)."""
    rows = table_of(settings, schemas.SECTOR_RATES, year).to_pylist()
    result = {
        (row["level"], row["area_code"], row["dimension"], row["category"]): (
            row["parent_code"],
            row["beneficiaries"],
            row["patients"],
        )
        for row in rows
    }
    assert len(result) == len(rows), "a cell is there twice"
    return result


def table_of(settings: Settings, table: schemas.Table, year: int) -> pa.Table:
    with DuckDBEngine.of(settings).session() as backend:
        return Lake(settings.lake_dir).read(backend, table, year).to_pyarrow()
