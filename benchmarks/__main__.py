"""The product's expressions against hand-written SQL for the same table, in turn, on the same year."""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import ibis
import pyarrow as pa

from benchmarks.handwritten import rates_in_sql
from mm_pipeline import catalogue
from mm_pipeline.demo import synthesize
from mm_pipeline.ingest.contract import DATASETS, OPTIONAL
from mm_pipeline.ingest.ingest import ingest
from mm_pipeline.reference.areas import areas
from mm_pipeline.settings import Settings
from mm_pipeline.statistic import attribution, cells, forfaits, rates, registrations
from mm_pipeline.storage.engine import session
from mm_pipeline.storage.lake import Lake, Provenance

YEAR = 2024
DATA = Path(__file__).parent / ".data"


def deliver(settings: Settings, scale: float) -> None:
    """One synthetic year; made once per scale."""
    if not (settings.raw_dir / str(YEAR)).is_dir():
        print(f"making a synthetic year at scale {scale:g} …", flush=True)
        synthesize(
            settings.raw_dir, [YEAR], scale=scale, seed=1, areas=lambda year: areas(settings.reference_dir, year)
        )


def prepare(settings: Settings, scale: float) -> Lake:
    """The raw tables and the geography of the year."""
    lake = Lake(settings.lake_dir)
    deliver(settings, scale)
    for name in DATASETS.keys() - OPTIONAL:
        with session(settings) as backend:
            started = time.perf_counter()
            account = ingest(backend, lake, settings, name, YEAR)
            print(f"ingest {name:14} {account.delivered:>11,} rows {time.perf_counter() - started:7.2f} s", flush=True)
    with session(settings) as backend:
        table = areas(settings.reference_dir, YEAR)
        lake.write(backend, catalogue.GEOGRAPHY, YEAR, ibis.memtable(table), Provenance(synthetic=True))
    return lake


def product(settings: Settings, lake: Lake) -> pa.Table:
    """As the assets do it: every table in between is written to Parquet and read again."""
    made_up = Provenance(synthetic=True)

    def step(table: catalogue.Table, rows_of: Callable[[Callable[[catalogue.Table], ibis.Table]], ibis.Table]) -> None:
        with session(settings) as backend:
            lake.write(backend, table, YEAR, rows_of(lambda source: lake.read(backend, source, YEAR)), made_up)

    step(catalogue.REGISTRATIONS, lambda read: registrations.registrations(read(catalogue.RAW_FORFAITS)))
    step(catalogue.FORFAITS_PER_PATIENT, lambda read: forfaits.forfaits_per_patient(read(catalogue.REGISTRATIONS)))
    step(
        catalogue.ATTRIBUTED_PATIENTS,
        lambda read: attribution.with_residence(
            attribution.attributed_patients(read(catalogue.FORFAITS_PER_PATIENT), read(catalogue.RAW_DMG)),
            read(catalogue.RAW_BENEFICIARIES),
        ),
    )
    step(
        catalogue.BENEFICIARY_COUNTS,
        lambda read: cells.beneficiary_counts(
            read(catalogue.RAW_BENEFICIARIES), read(catalogue.GEOGRAPHY), YEAR, has_sector_table=False
        ),
    )
    step(
        catalogue.SECTOR_RATES,
        lambda read: rates.sector_rates(
            read(catalogue.BENEFICIARY_COUNTS),
            cells.patient_counts(read(catalogue.ATTRIBUTED_PATIENTS), read(catalogue.BENEFICIARY_COUNTS), YEAR),
            read(catalogue.GEOGRAPHY),
            YEAR,
        ),
    )
    with session(settings) as backend:
        return lake.read(backend, catalogue.SECTOR_RATES, YEAR).to_pyarrow()


def handwritten(settings: Settings, lake: Lake) -> pa.Table:
    sources = (catalogue.RAW_FORFAITS, catalogue.RAW_DMG, catalogue.RAW_BENEFICIARIES, catalogue.GEOGRAPHY)
    with session(settings) as backend:
        return rates_in_sql(backend.con, {table.name: lake.path(table, YEAR) for table in sources}, YEAR)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--scale", type=float, default=0.1, help="1 is the country (default: 0.1)")
    parser.add_argument("--rounds", type=int, default=5, help="counted runs of each, after one warm-up (default: 5)")
    arguments = parser.parse_args()
    settings = Settings(data_dir=DATA / f"{arguments.scale:g}", id_key="benchmark")
    lake = prepare(settings, arguments.scale)

    contenders = {"product": product, "hand-written SQL": handwritten}
    ours, theirs = (run(settings, lake) for run in contenders.values())
    if not ours.equals(theirs):
        raise SystemExit("the two tables differ: nothing was measured")
    print(f"both tables are equal: {len(ours):,} cells")
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(arguments.rounds):
        for name, run in contenders.items():
            started = time.perf_counter()
            run(settings, lake)
            seconds[name].append(time.perf_counter() - started)
    for name, values in seconds.items():
        print(f"{name:18} median {statistics.median(values):6.2f} s   min {min(values):6.2f}   max {max(values):6.2f}")
    medians = [statistics.median(values) for values in seconds.values()]
    print(f"ratio of the medians: {medians[0] / medians[1]:.2f}")


if __name__ == "__main__":
    main()
