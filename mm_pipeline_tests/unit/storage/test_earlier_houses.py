"""Earlier years of ``houses``: read once, and anew when a file was touched."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mm_pipeline.schemas import HOUSES
from mm_pipeline.storage import earlier_houses as module
from mm_pipeline.storage.earlier_houses import earlier_houses
from mm_pipeline.storage.lake import Lake


def test_a_year_is_read_once_and_again_when_it_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, read = Lake(tmp_path), []

    def put(year: int, month: int) -> None:
        path = lake.path(HOUSES, year)
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        pq.write_table(pa.table({"house_id": ["a"], "first_month": pa.array([month], pa.int32())}), new)
        new.replace(path)

    read_table = pq.read_table
    monkeypatch.setattr(module.pq, "read_table", lambda path, **how: read.append(path) or read_table(path, **how))
    put(2010, 3)
    put(2011, 1)
    before = earlier_houses(lake, 2013)
    assert earlier_houses(lake, 2014).rows.equals(before.rows)
    assert len(read) == 2
    put(2010, 4)
    assert earlier_houses(lake, 2013).rows["first_month"].to_pylist() == [4, 1]
    assert len(read) == 3
