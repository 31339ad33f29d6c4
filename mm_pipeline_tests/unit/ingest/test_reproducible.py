"""The same delivery gives the same bytes: on a rerun, and with another number of threads."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mm_pipeline.defs.resources.engine import DuckDBEngine
from mm_pipeline.ingest.ingest import ingest
from mm_pipeline.schemas import LAKE_TABLES
from mm_pipeline.settings import Settings
from mm_pipeline.storage.lake import Lake
from mm_pipeline_tests.support.ingestion import YEAR, header
from mm_pipeline_tests.support.pipeline import settings_for

ROWS = 200_000


def content_of(name: str) -> str:
    """Two hundred thousand rows, one in a thousand of them bad in one of two ways; persons with several rows."""
    people = [i * 7919 % 150_000 for i in range(ROWS)]
    lines = {
        "forfaits": [f"{p},H{p % 190},2019{1 + p % 12:02}01,109616,{1 - 2 * (p % 97 == 0)},3{p % 9}.5" for p in people],
        "beneficiaries": [f"{p},{1930 + p % 90},{'MF'[p % 2]},{p % 5 // 4},{21001 + p % 19},," for p in people],
        "dmg": [f"{p},G{p % 8000}" for p in people],
        "contributions": [f"{p},{p // 3},H{p % 190},{p % 4 - 1}.5" for p in people],
    }[name]
    lines[500::2000] = ["," + line.partition(",")[2] for line in lines[500::2000]]
    lines[1500::2000] = [line + ",?" for line in lines[1500::2000]]
    return "\n".join([header(name), *lines]) + "\n"


def written(settings: Settings, name: str) -> tuple[list[str], list[Path]]:
    """Ingest in an engine of its own; the SHA-256 of the partition and of its quarantine."""
    lake, table = Lake(settings.lake_dir), LAKE_TABLES[f"raw_{name}"]
    with DuckDBEngine.of(settings).session() as backend:
        account = ingest(backend, lake, settings, name, YEAR)
    assert (account.delivered, account.quarantined) == (ROWS, ROWS // 1000)
    paths = [lake.path(table, YEAR), lake.quarantine_path(table, YEAR)]
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths], paths


@pytest.mark.parametrize("name", ["forfaits", "beneficiaries", "dmg", "contributions"])
def test_the_same_bytes(tmp_path: Path, name: str) -> None:
    settings = settings_for(tmp_path)
    path = settings.raw_dir / str(YEAR) / f"{name}.csv"
    path.parent.mkdir(parents=True)
    path.write_text(content_of(name))

    two, paths = written(replace(settings, threads=2), name)
    assert written(replace(settings, threads=2), name)[0] == two
    rows = pq.read_table(paths[0], partitioning=None)
    assert written(replace(settings, threads=4), name)[0] == two

    # One thread cuts the row groups elsewhere (DuckDB writes them in another way): the same rows in the same order.
    one, paths = written(replace(settings, threads=1), name)
    assert pq.read_table(paths[0], partitioning=None) == rows
    assert one[1] == two[1]
