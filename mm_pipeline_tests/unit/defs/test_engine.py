"""The engine: bounded by the settings, alone in its database and its spill folder, and gone afterwards."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
from ibis.backends.duckdb import Backend

from mm_pipeline.defs.resources.engine import DuckDBEngine
from mm_pipeline.storage.lake import Lake
from mm_pipeline_tests.support.paths import REPOSITORY
from mm_pipeline_tests.support.pipeline import settings_for


def setting(backend: Backend, name: str) -> str:
    return str(backend.con.execute(f"SELECT current_setting('{name}')").fetchall()[0][0])


def spill_folder(backend: Backend) -> Path:
    return Path(setting(backend, "temp_directory"))


def test_spilling_is_bounded(tmp_path: Path) -> None:
    with DuckDBEngine.of(settings_for(tmp_path, largest_delivery="1MB")).session() as backend:
        assert backend.raw_sql("SELECT current_setting('max_temp_directory_size')").fetchall() == [("2.8 MiB",)]


def test_it_is_bounded_by_the_settings(tmp_path: Path) -> None:
    with DuckDBEngine.of(settings_for(tmp_path, threads=3, memory_limit="512MiB")).session() as backend:
        assert setting(backend, "threads") == "3"
        assert setting(backend, "memory_limit") == "512.0 MiB"
        assert setting(backend, "autoinstall_known_extensions") == "False"


def test_writes_wait_for_no_other_thread(tmp_path: Path) -> None:
    """Regression: a write that failed half-way now and then never ended (``test_writes_that_fail_end``)."""
    with DuckDBEngine.of(settings_for(tmp_path)).session() as backend:
        assert setting(backend, "async_threads") == "0"


_WRITES_THAT_FAIL = """
import sys
from pathlib import Path
from mm_pipeline.defs.resources.engine import DuckDBEngine
from mm_pipeline_tests.support.paths import REPOSITORY
from mm_pipeline_tests.support.pipeline import settings_for

rows = "SELECT i, CASE WHEN i = 299999 THEN error('no') ELSE 'G' || i END FROM range(300000) t(i)"
with DuckDBEngine.of(settings_for(Path(sys.argv[1]))).session() as backend:
    for _ in range(50):
        try:
            backend.con.execute(f"COPY ({rows}) TO '{sys.argv[1]}/x.parquet' (FORMAT PARQUET, COMPRESSION ZSTD)")
        except Exception as error:
            assert "no" in str(error)
print("ended")
"""


@pytest.mark.slow
def test_writes_that_fail_end(tmp_path: Path) -> None:
    """With asynchronous writes, one of the first forty waited for ever."""
    command = [sys.executable, "-c", _WRITES_THAT_FAIL, str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, env=environment)
    assert done.stdout == "ended\n", done.stderr


def test_the_spill_folder_goes_with_the_session(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    with DuckDBEngine.of(settings).session() as backend:
        own = spill_folder(backend)
        assert own.parent == Lake(settings.lake_dir).spill_dir()
        assert stat.S_IMODE(own.stat().st_mode) == 0o700
        (own / "duckdb_temp_storage").write_text("persons")
    assert not own.exists()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_also_after_an_exception(tmp_path: Path, error: type[BaseException]) -> None:
    backends = []

    def fail() -> None:
        with DuckDBEngine.of(settings_for(tmp_path)).session() as backend:
            backends.append((backend, spill_folder(backend)))
            (backends[0][1] / "duckdb_temp_storage").write_text("persons")
            raise error

    with pytest.raises(error):
        fail()
    [(backend, own)] = backends
    assert not own.exists()
    with pytest.raises(Exception, match=r"[Cc]losed"):
        backend.con.execute("SELECT 1")


def test_also_when_it_cannot_be_opened(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, memory_limit="nonsense")
    with pytest.raises(Exception, match=r"[Mm]emory"), DuckDBEngine.of(settings).session():
        pass
    assert list(Lake(settings.lake_dir).spill_dir().iterdir()) == []


def test_two_sessions_share_nothing(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    with DuckDBEngine.of(settings).session() as one, DuckDBEngine.of(settings).session() as two:
        assert spill_folder(one) != spill_folder(two)
        one.raw_sql("CREATE TABLE t AS SELECT 1 AS x").fetchall()
        assert two.con.execute("SHOW ALL TABLES").fetchall() == []
    with DuckDBEngine.of(settings).session() as again:
        assert again.con.execute("SHOW ALL TABLES").fetchall() == []


def test_what_does_not_fit_is_spilled_there(tmp_path: Path) -> None:
    with DuckDBEngine.of(settings_for(tmp_path, memory_limit="60MB", threads=1)).session() as backend:
        backend.con.execute("SET preserve_insertion_order = false")
        backend.con.execute("CREATE TEMP TABLE t AS SELECT md5(i::VARCHAR) AS x, i FROM range(1500000) r(i)")
        own = spill_folder(backend)
        assert any(own.glob("duckdb_temp*"))
    assert not own.exists()


def test_sessions_of_a_run_share_a_database_and_nothing_in_it(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    with DuckDBEngine.of(settings).yield_for_execution(dg.build_init_resource_context()) as engine:
        with engine.session() as one, engine.session() as two:
            own = spill_folder(one)
            assert spill_folder(two) == own
            one.con.execute("CREATE TEMP TABLE t AS SELECT 1 AS x")
            one.con.register("registered", pa.table({"x": [1]}))
            assert two.con.execute("SHOW ALL TABLES").fetchall() == []
        with engine.session() as again:
            assert spill_folder(again) == own
            assert again.con.execute("SHOW ALL TABLES").fetchall() == []
    assert not own.exists()
    with pytest.raises(Exception, match=r"[Cc]losed"):
        one.con.execute("SELECT 1")


def test_after_an_error_the_next_session_has_another_database(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    with DuckDBEngine.of(settings).yield_for_execution(dg.build_init_resource_context()) as engine:
        folders = []

        def fail() -> None:
            with engine.session() as broken:
                folders.append(spill_folder(broken))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        [own] = folders
        assert not own.exists()
        with engine.session() as next_one:
            assert spill_folder(next_one) != own
    assert list(Lake(settings.lake_dir).spill_dir().iterdir()) == []
