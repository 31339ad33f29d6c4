"""The engine: an in-memory DuckDB behind Ibis, bounded by the settings.

One session, one database: nothing is shared between processes, so runs of several years never wait for a lock
(``docs/decisions/0002-parquet-lake.md``).
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ibis
from ibis.backends.duckdb import Backend

from mm_pipeline.errors import SettingsError
from mm_pipeline.settings import Settings
from mm_pipeline.storage.lake import Engine, Lake
from mm_pipeline.storage.scratch import scratch


@contextmanager
def session(settings: Settings) -> Iterator[Backend]:
    """An Ibis backend on an empty in-memory DuckDB, closed at the end of the block whatever happens.

    What does not fit in ``memory_limit`` is spilled to a folder of this session inside the lake (restricted like the
    lake itself) that goes with the session: DuckDB names its spill files alike in every process.
    """
    with scratch(Lake(settings.lake_dir)) as own:
        backend = ibis.duckdb.connect(
            memory_limit=settings.memory_limit,
            threads=settings.threads,
            temp_directory=str(own),
            max_temp_directory_size=f"{_most_spilled(settings, own)}B",
            autoinstall_known_extensions=False,
            # With asynchronous threads, DuckDB 2.0 may deadlock when a write fails half-way (duckdb/duckdb#23885).
            async_threads=0,
        )
        try:
            yield backend
        finally:
            backend.disconnect()


def _most_spilled(settings: Settings, folder: Path) -> int:
    """The most that may be spilled, in bytes: several times the largest delivery, and never all that is free."""
    return min(3 * settings.largest_delivery_bytes, shutil.disk_usage(folder).free * 9 // 10)


def chosen(settings: Settings, backend: Backend) -> Engine:
    """The engine of the statistic (``MM_ENGINE``): this DuckDB, or Spark, which hands its rows to this DuckDB."""
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
