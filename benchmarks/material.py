"""What is measured on: synthetic deliveries, made once per scale and kept in ``benchmarks/.data``."""

import json
import time
from collections.abc import Iterable
from pathlib import Path

import duckdb
import ibis

from mm_pipeline import schemas
from mm_pipeline.defs.resources.engine import DuckDBEngine
from mm_pipeline.demo import synthesize
from mm_pipeline.ingest.contract import DATASETS, OPTIONAL
from mm_pipeline.ingest.ingest import ingest
from mm_pipeline.reference.areas import areas
from mm_pipeline.settings import Settings
from mm_pipeline.storage.lake import Lake, Provenance

YEAR = 2024
DATA = Path(__file__).parent / ".data"


def settings_at(scale: float) -> Settings:
    """Settings with the data folder of a scale; 1 is the country."""
    return Settings(data_dir=DATA / f"{scale:g}", id_key="benchmark")


def deliver(settings: Settings, scale: float, years: Iterable[int] = (YEAR,)) -> None:
    """The deliveries of these years, where they are not there yet."""
    missing = [year for year in years if not (settings.raw_dir / str(year)).is_dir()]
    if missing:
        print(f"making {len(missing)} synthetic year(s) at scale {scale:g} …", flush=True)
        synthesize(
            settings.raw_dir, missing, scale=scale, seed=1, areas=lambda year: areas(settings.reference_dir, year)
        )


def deliver_copies(settings: Settings, times: int) -> None:
    """The country so many times over, each person of a copy another one; the demonstration goes no further than one."""
    folder = settings.raw_dir / str(YEAR)
    if folder.is_dir():
        return
    one = settings_at(1)
    deliver(one, 1)
    print(f"copying the country {times} times …", flush=True)
    unfinished = folder.with_suffix(".tmp")
    unfinished.mkdir(parents=True, exist_ok=True)
    for file in sorted((one.raw_dir / str(YEAR)).glob("*.*")):
        target = unfinished / file.name
        if file.name == "manifest.json":
            target.write_text(json.dumps({**json.loads(file.read_text()), "files": {}}))
            continue
        is_parquet = file.suffix == ".parquet"
        source = f"'{file}'" if is_parquet else f"read_csv('{file}', all_varchar=true, ignore_errors=true)"
        kind = "FORMAT parquet" if is_parquet else "FORMAT csv, COMPRESSION gzip"
        with duckdb.connect() as connection:
            connection.execute("SET enable_progress_bar = false")
            names = [row[0] for row in connection.execute(f"DESCRIBE FROM {source}").fetchall()]
            pseudonyms = [name for name in names if name in ("patient_id", "SS00010", "PP0010", "household_id")]
            other = ", ".join(f"{name} || '-' || copy AS {name}" for name in pseudonyms)
            rows = f"SELECT * EXCLUDE copy REPLACE ({other}) FROM range({times}) AS copies(copy), {source}"
            connection.execute(f"COPY ({rows}) TO '{target}' ({kind})")
    unfinished.rename(folder)


def ingested(settings: Settings, scale: float) -> Lake:
    """The lake with the raw tables and the geography of :data:`YEAR`."""
    lake = Lake(settings.lake_dir)
    deliver(settings, scale)
    for name in DATASETS.keys() - OPTIONAL:
        with DuckDBEngine.of(settings).session() as backend:
            started = time.perf_counter()
            account = ingest(backend, lake, settings, name, YEAR)
            print(f"ingest {name:14} {account.delivered:>11,} rows {time.perf_counter() - started:7.2f} s", flush=True)
    with DuckDBEngine.of(settings).session() as backend:
        table = areas(settings.reference_dir, YEAR)
        lake.write(backend, schemas.GEOGRAPHY, YEAR, ibis.memtable(table), Provenance(synthetic=True))
    return lake
