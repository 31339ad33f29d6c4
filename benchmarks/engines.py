"""(a) Attribution, cells and roll-up: the product, the best SQL by hand, polars, pandas, and a plain scan of the columns."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.material import YEAR, ingested, settings_at
from benchmarks.rates.in_pandas import in_pandas
from benchmarks.rates.in_polars import in_polars
from benchmarks.rates.in_sql import in_sql, scan
from benchmarks.rates.product import by_product
from benchmarks.timing import in_turn, median_table
from mm_pipeline import schemas
from mm_pipeline.defs.resources.engine import DuckDBEngine
from mm_pipeline.settings import Settings
from mm_pipeline.storage.lake import Lake

SOURCES = (schemas.RAW_FORFAITS, schemas.RAW_DMG, schemas.RAW_BENEFICIARIES, schemas.GEOGRAPHY)
RESULTS = (schemas.ATTRIBUTED_PATIENTS, schemas.BENEFICIARY_COUNTS, schemas.SECTOR_RATES)
EXPLAINED = (schemas.REGISTRATIONS, schemas.FORFAITS_PER_PATIENT)
PRODUCT, SQL = "the product", "SQL by hand"

Files = dict[str, Path]


@contextmanager
def contenders(settings: Settings, lake: Lake) -> Iterator[dict[str, tuple[Callable[[], None], Files]]]:
    """Each makes the tables of :data:`YEAR` from the raw tables of the lake, pandas without those that explain who is
    attributed; and where it puts them."""
    sources = {table.name: lake.path(table, YEAR) for table in SOURCES}

    with tempfile.TemporaryDirectory(dir=settings.data_dir) as folder:

        def files_of(name: str, tables: Sequence[schemas.Table]) -> Files:
            (Path(folder) / name).mkdir()
            return {table.name: Path(folder) / name / f"{table.name}.parquet" for table in tables}

        all_five = EXPLAINED + RESULTS
        sql, polars, pandas = files_of("sql", all_five), files_of("polars", all_five), files_of("pandas", RESULTS)

        def with_sql() -> None:
            with DuckDBEngine.of(settings).session() as backend:
                in_sql(backend.con, sources, YEAR, sql)

        yield {
            PRODUCT: (
                lambda: by_product(settings, lake),
                {table.name: lake.path(table, YEAR) for table in all_five},
            ),
            SQL: (with_sql, sql),
            "polars": (lambda: in_polars(sources, YEAR, polars), polars),
            "pandas": (lambda: in_pandas(sources, YEAR, pandas), pandas),
        }


def compare(results: dict[str, Files]) -> int:
    """The rows of all tables of one; SystemExit if those of another are not the same, cell by cell."""
    rows = 0
    for table in EXPLAINED + RESULTS:
        made = {name: files[table.name] for name, files in results.items() if table.name in files}
        tables = {name: pq.read_table(path, partitioning=None) for name, path in made.items()}
        expected = tables[PRODUCT].cast(table.schema)
        for name, other in tables.items():
            if not other.select(table.column_names).cast(table.schema).equals(expected):
                raise SystemExit(f"{table.name} of {name} is not that of {PRODUCT}: nothing is measured")
        rows += len(expected)
    return rows


def report(scale: float, rounds: int) -> str:
    """Markdown: the medians of each, after all tables were found equal."""
    settings = settings_at(scale)
    lake = ingested(settings, scale)

    def plain_scan() -> None:
        with DuckDBEngine.of(settings).session() as backend:
            scan(backend.con, {table.name: lake.path(table, YEAR) for table in SOURCES})

    with contenders(settings, lake) as all_of_them:
        for run, _files in all_of_them.values():
            run()
        rows = compare({name: files for name, (_run, files) in all_of_them.items()})
        runs = {name: run for name, (run, _files) in all_of_them.items()}
        seconds = in_turn({**runs, "plain scan": plain_scan}, rounds)
    table = median_table(seconds, SQL, "attribution, cells and roll-up")
    return f"All tables are equal: {rows:,} rows.\n\n{table}"
