"""(a) Attribution, cells and roll-up: the product, the best SQL by hand, polars, pandas, and a plain scan of the columns."""

from collections.abc import Callable

import pyarrow as pa

from benchmarks.material import YEAR, ingested, settings_at
from benchmarks.rates.in_pandas import rates_in_pandas
from benchmarks.rates.in_polars import rates_in_polars
from benchmarks.rates.in_sql import rates_in_sql, scan
from benchmarks.rates.product import rates_by_product
from benchmarks.timing import in_turn, median_table
from mm_pipeline import catalogue
from mm_pipeline.settings import Settings
from mm_pipeline.storage.engine import session
from mm_pipeline.storage.lake import Lake

SOURCES = (catalogue.RAW_FORFAITS, catalogue.RAW_DMG, catalogue.RAW_BENEFICIARIES, catalogue.GEOGRAPHY)
SQL = "SQL by hand"


def contenders(settings: Settings, lake: Lake) -> dict[str, Callable[[], pa.Table]]:
    """Each makes ``sector_rates`` of :data:`YEAR` from the raw tables in the lake."""
    files = {table.name: lake.path(table, YEAR) for table in SOURCES}

    def in_sql() -> pa.Table:
        with session(settings) as backend:
            return rates_in_sql(backend.con, files, YEAR)

    return {
        "the product": lambda: rates_by_product(settings, lake),
        SQL: in_sql,
        "polars": lambda: rates_in_polars(files, YEAR),
        "pandas": lambda: rates_in_pandas(files, YEAR),
    }


def compare(tables: dict[str, pa.Table]) -> int:
    """The cells of the tables; SystemExit if they are not all equal to the first."""
    (first, expected), *others = tables.items()
    for name, table in others:
        if not table.cast(catalogue.SECTOR_RATES.schema).equals(expected.cast(catalogue.SECTOR_RATES.schema)):
            raise SystemExit(f"{name} and {first} differ: nothing is measured")
    return len(expected)


def report(scale: float, rounds: int) -> str:
    """Markdown: the medians of each, after all outputs were found equal."""
    settings = settings_at(scale)
    lake = ingested(settings, scale)
    runs = contenders(settings, lake)
    cells = compare({name: run() for name, run in runs.items()})
    files = {table.name: lake.path(table, YEAR) for table in SOURCES}

    def plain_scan() -> None:
        with session(settings) as backend:
            scan(backend.con, files)

    seconds = in_turn({**runs, "plain scan": plain_scan}, rounds)
    return f"All four tables are equal: {cells:,} cells.\n\n{median_table(seconds, SQL, 'from the raw tables to the rates')}"
