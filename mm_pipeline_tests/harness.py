"""A year from its deliveries to its rates without Dagster: the same functions that the assets call, in the same order."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import ibis
import pyarrow as pa
from ibis.backends.duckdb import Backend

from mm_pipeline import catalogue
from mm_pipeline.ingest.contract import DATASETS
from mm_pipeline.ingest.ingest import Account, ingest
from mm_pipeline.settings import Settings
from mm_pipeline.statistic import attribution, cells, forfaits, rates
from mm_pipeline.storage.engine import session
from mm_pipeline.storage.lake import Lake, Provenance

MADE_UP = Provenance(synthetic=True)


def settings_for(data_dir: Path, **changes: object) -> Settings:
    return replace(Settings(data_dir=data_dir, memory_limit="1GB", threads=2, id_key="test secret"), **changes)  # type: ignore[arg-type]


def geography_table(areas: list[dict[str, str]]) -> pa.Table:
    """An area table from (level, area_code, parent_code); names are the codes."""
    names = ("name_fr", "name_nl", "name_de")
    rows = [{**area, **dict.fromkeys(names, area["area_code"])} for area in areas]
    return pa.Table.from_pylist(rows, schema=catalogue.GEOGRAPHY.schema)


def build_year(settings: Settings, year: int, geography: pa.Table) -> dict[str, Account]:
    """Deliveries of ``year`` in ``settings.raw_dir`` -> every table up to ``sector_rates`` in the lake."""
    lake = Lake(settings.lake_dir)
    accounts = {}
    for name in DATASETS:
        with session(settings) as backend:
            accounts[name] = ingest(backend, lake, settings, name, year)
    has_sectors = "sector" in geography["level"].to_pylist()

    def write(
        table: catalogue.Table, rows_of: Callable[[Backend, Callable[[catalogue.Table], ibis.Table]], ibis.Table]
    ) -> None:
        with session(settings) as backend:
            lake.write(backend, table, year, rows_of(backend, lambda read: lake.read(backend, read, year)), MADE_UP)

    write(catalogue.GEOGRAPHY, lambda _backend, _read: ibis.memtable(geography))
    write(
        catalogue.FORFAITS_PER_PATIENT,
        lambda _backend, read: forfaits.forfaits_per_patient(read(catalogue.RAW_FORFAITS)),
    )
    write(
        catalogue.ATTRIBUTED_PATIENTS,
        lambda _backend, read: attribution.with_residence(
            attribution.attributed_patients(
                read(catalogue.FORFAITS_PER_PATIENT), read(catalogue.RAW_DMG), settings.threshold
            ),
            read(catalogue.RAW_BENEFICIARIES),
        ),
    )
    write(
        catalogue.BENEFICIARY_COUNTS,
        lambda _backend, read: cells.beneficiary_counts(
            read(catalogue.RAW_BENEFICIARIES), read(catalogue.GEOGRAPHY), year, has_sector_table=has_sectors
        ),
    )

    def all_rates(_backend: Backend, read: Callable[[catalogue.Table], ibis.Table]) -> ibis.Table:
        counts = read(catalogue.BENEFICIARY_COUNTS)
        patients = cells.patient_counts(read(catalogue.ATTRIBUTED_PATIENTS), counts, year)
        return rates.sector_rates(counts, patients, read(catalogue.GEOGRAPHY), year)

    write(catalogue.SECTOR_RATES, all_rates)
    return accounts


def rates_of(settings: Settings, year: int) -> dict[tuple[str, str, str, str], tuple[str, int, int]]:
    """``sector_rates`` as the oracle writes it: (level, area, dimension, category) -> (parent, beneficiaries, patients)."""
    rows = table_of(settings, catalogue.SECTOR_RATES, year).to_pylist()
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


def table_of(settings: Settings, table: catalogue.Table, year: int) -> pa.Table:
    with session(settings) as backend:
        return Lake(settings.lake_dir).read(backend, table, year).to_pyarrow()
