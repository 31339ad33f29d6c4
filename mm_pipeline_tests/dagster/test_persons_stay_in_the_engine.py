"""A country is too large for pandas: whatever leaves the engine for Python has no row for each person."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from ibis.backends.duckdb import Backend

from mm_pipeline import schemas
from mm_pipeline_tests.support.installation import YEARS, Installation, deliver

OF_PERSONS = {table.name for table in schemas.LAKE_TABLES.values() if schemas.PATIENT_KEY.name in table.column_names}


def without_persons(original: Callable[..., Any], looked_at: list[str]) -> Callable[..., Any]:
    def run(backend: Backend, expr: Any, *args: Any, **kwargs: Any) -> Any:
        columns = set(expr.as_table().columns)
        looked_at.append(" ".join(sorted(columns)))
        assert not columns & {"patient_key", "household_key", "row"}, f"persons leave the engine: {columns}"
        return original(backend, expr, *args, **kwargs)

    return run


def test_a_year_takes_no_person_out_of_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Assets and checks of a year with all its deliveries, through Ibis and through Arrow's reader of files."""
    looked_at: list[str] = []
    for name in ("execute", "to_pandas", "to_pyarrow", "to_pyarrow_batches", "to_polars"):
        monkeypatch.setattr(Backend, name, without_persons(getattr(Backend, name), looked_at))
    read_table = pq.read_table

    def read(source: Any, *args: Any, columns: list[str] | None = None, **kwargs: Any) -> Any:
        table = Path(str(source)).parent.parent.name
        assert table not in OF_PERSONS, f"{table} is read whole into memory"
        return read_table(source, *args, columns=columns, **kwargs)

    monkeypatch.setattr(pq, "read_table", read)
    installation = Installation.of_small_country(tmp_path)
    deliver(installation.settings, [YEARS[-1]])
    with installation.backfill() as (backfill, _instance):
        [result] = backfill.years([YEARS[-1]])
    assert not result.problems
    assert len(looked_at) > 50
    assert len(OF_PERSONS) == 7


@pytest.mark.slow
def test_it_would_be_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Backend, "execute", without_persons(Backend.execute, []))
    installation = Installation.of_small_country(tmp_path)
    deliver(installation.settings, [YEARS[-1]])
    monkeypatch.setattr(
        "mm_pipeline.defs.assets.patients._distribution_plot",
        lambda written: written.execute(),
    )
    with installation.backfill() as (backfill, _instance):
        [result] = backfill.years([YEARS[-1]])
    assert result.problems
    (details,) = (installation.settings.lake_dir / ".errors").iterdir()  # what was said is nowhere else
    assert "persons leave the engine" in details.read_text()
