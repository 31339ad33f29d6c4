"""The engine: DuckDB in memory, of the dagster-duckdb integration, behind Ibis and bounded by the settings.

A run has one database, and each session is a connection of its own to it: what a step makes is temporary and ends with its
session. Nothing is shared between runs, so several years never wait for a lock (``docs/decisions/0002-parquet-lake.md``).
"""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import dagster as dg
import duckdb
import ibis
from dagster_duckdb import DuckDBResource
from ibis.backends.duckdb import Backend
from pydantic import Field, PrivateAttr

from mm_pipeline.errors import SettingsError
from mm_pipeline.settings import Settings
from mm_pipeline.storage.lake import Engine, Lake
from mm_pipeline.storage.scratch import scratch

# DuckDB merges nested queries itself, in less time than Ibis takes for it.
ibis.options.sql.fuse_selects = False

CHANGED_IN_LAUNCHPAD = (
    "The settings were changed in the launchpad; expected those that the program was started with. Nothing was written. Set "
    "the variable MM_... where the UI is started, and start it again."
)
"""The sensors and the command line would not know of it, and a spill folder elsewhere would not be restricted."""


class DuckDBEngine(DuckDBResource):
    """DuckDB in memory; a connection is closed and its spill folder removed at the end, whatever happens."""

    database: str = Field(default=":memory:", description="Always in memory: tables are kept in the lake.")
    memory_limit: str = Field(description="Upper bound of its memory (MM_MEMORY_LIMIT); beyond it, it spills to disk.")
    threads: int = Field(description="Threads it computes with (MM_THREADS).")
    lake_dir: str = Field(
        description="It spills to a folder of its own in .spill of the lake, as restricted as the lake."
    )
    most_spilled: int = Field(
        description="Bytes it may spill, at most nine tenths of what is free: three times MM_LARGEST_DELIVERY, which no "
        "year of this country needs."
    )

    @classmethod
    def of(cls, settings: Settings) -> "DuckDBEngine":
        return cls(
            memory_limit=settings.memory_limit,
            threads=settings.threads,
            lake_dir=str(settings.lake_dir),
            most_spilled=3 * settings.largest_delivery_bytes,
        )

    _of_run: ExitStack | None = PrivateAttr(default=None)
    _database: duckdb.DuckDBPyConnection | None = PrivateAttr(default=None)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["DuckDBEngine"]:
        """For a run: its sessions share a database, which is opened by the first. Opening takes longer than most queries."""
        with ExitStack() as self._of_run:
            try:
                yield self
            finally:
                self._database = None
        self._of_run = None

    @contextmanager
    def get_connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of its own. The one it inherits stays open after an error (dagster-duckdb 0.29)."""
        if self._of_run is None:
            with self._opened() as connection:
                yield connection
            return
        if self._database is None:
            self._database = self._of_run.enter_context(self._opened())
        try:
            with closing(self._database.cursor()) as connection:
                yield connection
        except BaseException:
            # What broke one step must not reach the next: that opens another database.
            self._database = None
            self._of_run.close()
            raise

    @contextmanager
    def _opened(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """An empty database, closed and its spill folder removed at the end, whatever happens."""
        # DuckDB names its spill files alike in every process.
        with scratch(Lake(Path(self.lake_dir))) as own:
            most_spilled = min(self.most_spilled, shutil.disk_usage(own).free * 9 // 10)
            bounds: dict[str, str | int | float | list[str]] = {
                "memory_limit": self.memory_limit,
                "threads": self.threads,
                "temp_directory": str(own),
                "max_temp_directory_size": f"{most_spilled}B",
                "autoinstall_known_extensions": False,
                # With some, DuckDB 2.0 may wait for itself for ever when a write fails half-way (duckdb/duckdb#23885).
                "async_threads": 0,
            }
            with closing(duckdb.connect(self.database, config={**self.connection_config, **bounds})) as database:
                yield database

    @contextmanager
    def session(self) -> Iterator[Backend]:
        """The same, as an Ibis backend."""
        with self.get_connection() as connection:
            yield ibis.duckdb.from_connection(connection)


def chosen(settings: Settings, backend: Backend) -> Engine:
    """What the statistic is computed on (``MM_ENGINE``): this DuckDB, or Spark, which hands its rows to it."""
    if settings.engine == "duckdb":
        return backend
    try:
        from mm_pipeline.storage import spark
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"MM_ENGINE is spark, and PySpark is not installed ({error}). Run: pip install 'mm-pipeline[spark]', or unset "
            "MM_ENGINE to compute with DuckDB."
        ) from None
    return spark.engine(settings, backend)
