"""Years of the capitation system in files and in the lake, and an engine to look at their tables."""

import csv
from collections.abc import Callable
from functools import cache
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis.backends.duckdb import Backend

from mm_pipeline import schemas
from mm_pipeline.defs.resources.engine import DuckDBEngine
from mm_pipeline.settings import Settings
from mm_pipeline.storage.lake import Lake
from mm_pipeline_tests.properties.oracle_capitation import CONTRIBUTION_COLUMNS, Deliveries
from mm_pipeline_tests.properties.strategies import Delivery, write_delivery
from mm_pipeline_tests.support.pipeline import MADE_UP, build_year, geography_table


@cache
def backend() -> Backend:
    return ibis.duckdb.connect(memory_limit="1GB", threads=1)


class Engine:
    """The tables of a year; ``rows`` of them, and of what is ``read_off`` them."""

    def __init__(self) -> None:
        self.con = backend().con

    def put(self, table: schemas.Table, rows: list[dict[str, Any]]) -> None:
        self.con.register("content", pa.Table.from_pylist(rows, schema=table.schema))
        self.make(table, "FROM content")

    def make(self, table: schemas.Table, statement: str) -> None:
        columns = ", ".join(table.column_names)
        self.con.execute(f"CREATE OR REPLACE TABLE {table.name} AS SELECT {columns} FROM ({statement})")

    def rows(self, table: schemas.Table) -> list[dict[str, Any]]:
        return self._query(f"FROM {table.name}")

    def read_off(self, table: schemas.Table, view: Callable[..., ir.Table], *arguments: Any) -> list[dict[str, Any]]:
        return self._query(sql(view, (table,), *arguments))

    def _query(self, statement: str) -> list[dict[str, Any]]:
        return self.con.sql(statement).to_arrow_table().to_pylist()


def named(table: schemas.Table) -> ir.Table:
    return ibis.table(ibis.Schema.from_pyarrow(table.schema), name=table.name)


@cache
def sql(view: Callable[..., ir.Table], tables: tuple[schemas.Table, ...], *arguments: Any) -> str:
    """The expression over these tables as SQL; compiled once, since that takes longer than a small year."""
    return str(ibis.to_sql(view(*map(named, tables), *arguments), dialect="duckdb"))


def in_lake(own: Settings, year: int) -> Engine:
    engine, lake = Engine(), Lake(own.lake_dir)
    for table in (
        schemas.RAW_CONTRIBUTIONS,
        schemas.REGISTRATIONS,
        schemas.FORFAITS_PER_PATIENT,
        schemas.HOUSES,
    ):
        engine.make(table, f"FROM read_parquet('{lake.path(table, year)}')")
    return engine


def build(own: Settings, delivered: Deliveries) -> Engine:
    """The deliveries as files, and every table of the year in the lake."""
    rows = {name: list(map(dict, getattr(delivered, name))) for name in ("forfaits", "beneficiaries", "dmg")}
    folder = own.raw_dir / str(delivered.year)
    write_delivery(folder, Delivery(delivered.year, **rows, areas=[]))
    (folder / "manifest.json").write_text(f'{{"sample": {delivered.sample}}}')
    if delivered.contributions:
        with (folder / "contributions.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, CONTRIBUTION_COLUMNS)
            writer.writeheader()
            writer.writerows(delivered.contributions)
    build_year(own, delivered.year, geography_table(list(map(dict, delivered.areas))))
    return in_lake(own, delivered.year)


def write_earlier(own: Settings, delivered: Deliveries) -> None:
    """Tables of earlier years of which only the first month matters."""
    lake = Lake(own.lake_dir)
    with DuckDBEngine.of(own).session() as backend:
        for year, first_months in delivered.earlier.items():
            rows = [
                dict.fromkeys(schemas.HOUSES.schema.names) | {"house_id": house_id, "first_month": first}
                for house_id, first in first_months.items()
            ]
            table = pa.Table.from_pylist(rows, schema=schemas.HOUSES.schema)
            lake.write(backend, schemas.HOUSES, year, ibis.memtable(table), MADE_UP)
