"""What the tests on Spark share: when they are skipped, one lake for all of them, and what "the same partition" means."""

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from mm_pipeline import schemas
from mm_pipeline.errors import SettingsError
from mm_pipeline.settings import Settings
from mm_pipeline.storage import spark_requirements
from mm_pipeline_tests.support.pipeline import settings_for

COMPUTED = (
    schemas.REGISTRATIONS,
    schemas.FORFAITS_PER_PATIENT,
    schemas.ATTRIBUTED_PATIENTS,
    schemas.HOUSES,
    schemas.BENEFICIARY_COUNTS,
    schemas.SECTOR_RATES,
    schemas.THRESHOLD_COUNTS,
)
"""The tables that the engine of the settings computes."""


def _missing() -> str:
    if find_spec("pyspark") is None:
        return "PySpark is not installed: pip install 'mm-pipeline[spark]'"
    try:
        spark_requirements.assert_met(Settings(Path()))
    except SettingsError as error:
        return str(error)
    return ""


_MISSING = _missing()
needs_spark = pytest.mark.skipif(bool(_MISSING), reason=_MISSING)


def emptied(root: Path, **changes: Any) -> Settings:
    """The settings of a data folder on Spark with nothing in it but what the running Spark needs."""
    settings = settings_for(root / "data", engine="spark", spark_master="local[2]", **changes)
    kept = {root / "data", settings.lake_dir, settings.lake_dir / ".spill"}
    for folder in (root, root / "data", settings.lake_dir):
        for path in folder.iterdir() if folder.is_dir() else ():
            if path not in kept:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    return settings


def assert_same_partition(one: Path, other: Path) -> None:
    """Columns, physical and logical types, footer, and every cell in its row.

    Whether a column is "required" is the optimiser's guess; one writer that sees the same cells guesses the same, so the
    two files, each written again by DuckDB, must be equal byte for byte.
    """
    columns, footers, bytes_ = zip(*(_content(path) for path in (one, other)), strict=True)
    assert columns[0] == columns[1], one
    assert footers[0] == footers[1], one
    assert bytes_[0] == bytes_[1], one


def _content(path: Path) -> tuple[list[tuple[str, str, str, int]], dict[bytes, bytes], bytes]:
    metadata = pq.read_metadata(path)
    columns = [metadata.schema.column(i) for i in range(len(metadata.schema))]
    types = [(c.path, c.physical_type, str(c.logical_type), c.max_repetition_level) for c in columns]
    again = path.with_name("again")
    try:
        with duckdb.connect() as con:
            con.execute(f"COPY (FROM read_parquet('{path}', hive_partitioning = false)) TO '{again}' (FORMAT parquet)")
        return types, metadata.metadata or {}, again.read_bytes()
    finally:
        again.unlink(missing_ok=True)
