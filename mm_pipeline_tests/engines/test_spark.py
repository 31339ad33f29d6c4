"""Spark as the engine: what it needs, what it may write, and that wrong or missing rows are refused."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import duckdb
import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ibis.backends.duckdb import Backend

from mm_pipeline.defs.resources.engine import DuckDBEngine, chosen
from mm_pipeline.errors import LakeError, SettingsError
from mm_pipeline.schemas import FORFAITS_PER_PATIENT, RAW_DMG, Table
from mm_pipeline.settings import Settings
from mm_pipeline.storage import spark_requirements
from mm_pipeline.storage.lake import Engine, Lake, Provenance
from mm_pipeline_tests.engines.spark import assert_same_partition, emptied, needs_spark
from mm_pipeline_tests.support.paths import REPOSITORY
from mm_pipeline_tests.support.pipeline import settings_for

YEAR = 2019
MADE_UP = Provenance(synthetic=True)
OR_DUCKDB = "or unset MM_ENGINE to compute with DuckDB."


# --- what is missing --------------------------------------------------------------------------------------------------


def test_duckdb_computes_by_itself(tmp_path: Path) -> None:
    with DuckDBEngine.of(settings_for(tmp_path)).session() as backend:
        assert chosen(settings_for(tmp_path), backend) is backend


@pytest.mark.parametrize("code", ["import mm_pipeline.definitions", "import mm_pipeline_tests.support.pipeline"])
def test_who_uses_duckdb_never_imports_pyspark(code: str) -> None:
    code += "; import sys; sys.exit('pyspark' in sys.modules or 'py4j' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_pyspark_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("pyspark", "ibis.backends.pyspark"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "mm_pipeline.storage.spark", raising=False)
    monkeypatch.delattr("mm_pipeline.storage.spark", raising=False)
    monkeypatch.setitem(sys.modules, "pyspark", None)
    settings = settings_for(tmp_path, engine="spark")
    with DuckDBEngine.of(settings).session() as backend, pytest.raises(SettingsError) as raised:
        chosen(settings, backend)
    assert "Run: pip install 'mm-pipeline[spark]', or unset MM_ENGINE" in str(raised.value)


def java(folder: Path, says: str, exit_code: int = 0) -> Path:
    """A Java home whose java says this."""
    program = folder / "bin" / "java"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho '{says}' >&2\nexit {exit_code}\n")
    program.chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("says", "exit_code", "found"),
    [
        ('java version "1.8.0_402"', 0, "is version 8."),
        ('openjdk version "11.0.22" 2024-01-16', 0, "is version 11."),
        ("what?", 0, "is version unknown."),
        ("", 1, "cannot be run."),
    ],
)
def test_java_is_too_old_or_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, exit_code: int, found: str
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(java(tmp_path, says, exit_code)))
    with pytest.raises(SettingsError) as raised:
        spark_requirements.assert_met(Settings(tmp_path))
    for part in (f"{tmp_path}/bin/java {found}", "Install Java 17", "openjdk-17-jre-headless", "JAVA_HOME", OR_DUCKDB):
        assert part in str(raised.value)


@pytest.mark.parametrize("version", ["17.0.15", "21", "25.0.1"])
def test_java_is_new_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setenv("JAVA_HOME", str(java(tmp_path, f'openjdk version "{version}" 2025-04-15')))
    spark_requirements.assert_met(Settings(tmp_path))


def test_there_is_no_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingsError, match=r"and java cannot be run\. Install Java 17"):
        spark_requirements.assert_met(Settings(tmp_path))


def test_too_little_memory(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"MM_MEMORY_LIMIT is '400MB'; Spark needs at least 512MiB\. Raise it, or"):
        spark_requirements.assert_met(Settings(tmp_path, memory_limit="400MB"))


@pytest.mark.parametrize(
    ("limit", "size"),
    [("4GB", 4 * 10**9), ("4g", 4 * 10**9), ("1.5 GiB", 3 * 2**29), ("800m", 8 * 10**8), ("1TB", 10**12)],
)
def test_sizes_are_those_of_duckdb(limit: str, size: int) -> None:
    assert spark_requirements.size(limit) == size


# --- what the tests on Spark call the same ----------------------------------------------------------------------------

ROWS = "SELECT 1 AS a, 'x' AS b, [1.50::DECIMAL(12, 2)] AS c UNION ALL SELECT 2, NULL, NULL"
UNLIKE = {
    "another cell": ROWS.replace("1.50", "1.51"),
    "NULL or empty": ROWS.replace("NULL,", "'',"),
    "another order": f"FROM ({ROWS}) ORDER BY a DESC",
    "a wider integer": f"SELECT a::BIGINT AS a, b, c FROM ({ROWS})",
    "another scale in a list": ROWS.replace("(12, 2)", "(12, 3)"),
    "another name": ROWS.replace("AS b", "AS B"),
    "another footer": ROWS,
}


def parquet(path: Path, query: str, footer: str = "one") -> Path:
    with duckdb.connect() as con:
        con.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet, KV_METADATA {{mm: '{footer}'}})")
    return path


@pytest.mark.parametrize("which", UNLIKE)
def test_what_is_not_the_same_is_seen(tmp_path: Path, which: str) -> None:
    footer = "other" if which == "another footer" else "one"
    one, other = parquet(tmp_path / "one", ROWS), parquet(tmp_path / "other", UNLIKE[which], footer)
    with pytest.raises(AssertionError):
        assert_same_partition(one, other)


def test_whether_a_column_is_required_is_no_difference(tmp_path: Path) -> None:
    one = parquet(tmp_path / "one", ROWS)
    other = parquet(tmp_path / "other", f"SELECT nullif(a, 9 - a) AS a, b, c FROM ({ROWS})")
    assert [pq.read_metadata(path).schema.column(0).max_definition_level for path in (one, other)] == [0, 1]
    assert_same_partition(one, other)


# --- rows from Spark to the lake --------------------------------------------------------------------------------------


@pytest.fixture
def settings(spark_root: Path) -> Settings:
    return emptied(spark_root)


@pytest.fixture
def engines(settings: Settings) -> Iterator[tuple[Backend, Engine]]:
    with DuckDBEngine.of(settings).session() as backend:
        yield backend, chosen(settings, backend)


@pytest.fixture
def lake(settings: Settings, engines: tuple[Backend, Engine]) -> Lake:
    """With one partition, of two rows."""
    lake = Lake(settings.lake_dir)
    put(lake, engines[0], RAW_DMG, {"patient_key": [2, 1], "practice_id": ["G2", None]})
    return lake


def put(lake: Lake, backend: Backend, table: Table, columns: dict[str, list[object]]) -> None:
    lake.write(backend, table, YEAR, ibis.memtable(pa.table(columns, schema=table.schema)), MADE_UP)


def left_in(lake: Lake) -> set[str]:
    """Parquet files in the spill folder."""
    return {path.name for path in lake.spill_dir().rglob("*.parquet")}


@needs_spark
class TestRows:
    def test_missing_values_in_memory_and_in_files(self, lake: Lake, engines: tuple[Backend, Engine]) -> None:
        on_duckdb, spark = engines
        more = pa.table({"patient_key": [1, 2, None], "practice_id": ["NaN", None, ""]}, schema=RAW_DMG.schema)
        rows = ibis.union(lake.read(spark, RAW_DMG, YEAR), ibis.memtable(more))
        lake.write(spark, RAW_DMG, YEAR + 1, rows, MADE_UP)
        found = lake.read(on_duckdb, RAW_DMG, YEAR + 1).to_pyarrow().to_pylist()
        assert sorted(map(str, found)) == sorted(
            str({"patient_key": key, "practice_id": practice})
            for key, practice in ((2, "G2"), (1, None), (1, "NaN"), (2, None), (None, ""))
        )
        assert not left_in(lake)

    @pytest.mark.parametrize(
        ("column", "type_", "found"),
        [
            ("patient_key", "int32", "patient_key: int32"),
            ("patient_key", "float64", "patient_key: double"),
            ("patient_key", "decimal(18,0)", "patient_key: decimal128(18, 0)"),
            ("practice_id", "int64", "practice_id: int64"),
        ],
    )
    def test_another_type_is_refused(
        self, lake: Lake, engines: tuple[Backend, Engine], column: str, type_: str, found: str
    ) -> None:
        _, spark = engines
        before = lake.path(RAW_DMG, YEAR).read_bytes()
        rows = lake.read(spark, RAW_DMG, YEAR).filter(ibis._.practice_id.isnull())
        with pytest.raises(LakeError) as raised:
            lake.write(spark, RAW_DMG, YEAR, rows.mutate(**{column: rows[column].cast(type_)}), MADE_UP)
        for part in ("raw_dmg: what Spark computed is not of the declared columns", "is untouched", found):
            assert part in str(raised.value)
        assert lake.path(RAW_DMG, YEAR).read_bytes() == before
        assert not left_in(lake)

    def test_another_type_within_a_list_is_refused(self, lake: Lake, engines: tuple[Backend, Engine]) -> None:
        on_duckdb, spark = engines
        row = {name: [None] for name in FORFAITS_PER_PATIENT.column_names} | {"patient_key": [1]}
        put(lake, on_duckdb, FORFAITS_PER_PATIENT, row)
        rows = lake.read(spark, FORFAITS_PER_PATIENT, YEAR)
        lake.write(spark, FORFAITS_PER_PATIENT, YEAR, rows.mutate(houses=ibis.array(["H"])), MADE_UP)
        with pytest.raises(LakeError, match="houses: list<element: int64"):
            lake.write(spark, FORFAITS_PER_PATIENT, YEAR, rows.mutate(houses=ibis.array([rows.patient_key])), MADE_UP)

    def test_rows_that_do_not_arrive_are_missed(
        self, lake: Lake, engines: tuple[Backend, Engine], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As on a worker that has another folder at the path of the lake."""
        _, spark = engines
        rows, write = lake.read(spark, RAW_DMG, YEAR), type(spark)._write

        def elsewhere(self: Engine, rows: ibis.Table, folder: Path) -> int:
            computed: int = write(self, rows, folder)
            assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
            for part in folder.glob("*.parquet"):
                pq.write_table(pq.read_table(part).slice(0, 0), part)
            return computed

        monkeypatch.setattr(type(spark), "_write", elsewhere)
        with pytest.raises(LakeError, match="raw_dmg: not all rows that Spark computed are in the lake"):
            lake.write(spark, RAW_DMG, YEAR, rows, MADE_UP)
        assert not left_in(lake)

    def test_each_step_has_views_of_its_own(self, lake: Lake, settings: Settings) -> None:
        with DuckDBEngine.of(settings).session() as backend:
            one, other = chosen(settings, backend), chosen(settings, backend)
            lake.read(one, RAW_DMG, YEAR)
            assert len(one.backend.list_tables()) == 1
            assert other.backend.list_tables() == []

    def test_it_is_bounded_by_the_settings_and_closed_to_others(
        self, settings: Settings, engines: tuple[Backend, Engine]
    ) -> None:
        conf = engines[1].backend._session.sparkContext.getConf()
        assert conf.get("spark.driver.memory") == "953m"  # 1 GB
        assert conf.get("spark.master") == "local[2]"
        assert conf.get("spark.driver.bindAddress") == conf.get("spark.driver.host") == "127.0.0.1"
        assert conf.get("spark.ui.enabled") == "false"
        own = Path(conf.get("spark.local.dir"))
        assert own.parent == Lake(settings.lake_dir).spill_dir()
        assert stat.S_IMODE(own.stat().st_mode) == 0o700


# --- a process of its own ---------------------------------------------------------------------------------------------

STEP = """
import sys
from pathlib import Path
import ibis
from mm_pipeline.schemas import RAW_DMG
from mm_pipeline.defs.resources.engine import chosen, DuckDBEngine
from mm_pipeline.storage.lake import Lake, Provenance
from mm_pipeline_tests.support.pipeline import settings_for

def step(fails):
    settings = settings_for(Path(sys.argv[1]), engine="spark", spark_master=sys.argv[3])
    lake = Lake(settings.lake_dir)
    with DuckDBEngine.of(settings).session() as backend:
        spark = chosen(settings, backend)
        rows = lake.read(spark, RAW_DMG, 2019).group_by("practice_id").agg(patient_key=ibis._.patient_key.sum())
        if fails:
            rows = rows.mutate(patient_key=ibis._.patient_key + ibis.literal(2**63 - 1, "int64"))
        lake.write(spark, RAW_DMG, 2020, rows, Provenance(True))

if __name__ == "__main__":
    step(sys.argv[2] == "fails")
"""


@pytest.fixture
def installation(tmp_path: Path) -> Path:
    """A data folder with a partition, and empty folders to run in."""
    for name in ("cwd", "tmp"):
        (tmp_path / name).mkdir()
    (tmp_path / "step.py").write_text(STEP)
    with DuckDBEngine.of(settings_for(tmp_path / "the data")).session() as backend:
        lake = Lake(tmp_path / "the data" / "lake")
        put(lake, backend, RAW_DMG, {"patient_key": [1, 2, 3], "practice_id": ["SECRET1", "SECRET1", "SECRET2"]})
    return tmp_path


def run(installation: Path, program: str, how: str, master: str = "local[2]") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, installation / program, str(installation / "the data"), how, master],
        cwd=installation / "cwd",
        env={**os.environ, "TMPDIR": str(installation / "tmp"), "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )


def traces(installation: Path) -> list[Path]:
    folders = (installation / "cwd", installation / "tmp", installation / "the data" / "lake" / ".spill")
    return [path for folder in folders for path in folder.iterdir()]


@needs_spark
class TestProcess:
    def test_it_leaves_nothing_behind_and_says_nothing(self, installation: Path) -> None:
        """As in the daemon: a year is run in a child process of multiprocessing, in which atexit does nothing."""
        (installation / "child.py").write_text(
            "import multiprocessing, step\n"
            "if __name__ == '__main__':\n"
            "    child = multiprocessing.get_context('spawn').Process(target=step.step, args=(False,))\n"
            "    child.start(); child.join(); raise SystemExit(child.exitcode)\n"
        )
        done = run(installation, "child.py", "succeeds")
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert done.stderr in ("", "WARNING: Using incubator modules: jdk.incubator.vector\n"), "Java's own line"
        path = Lake(installation / "the data" / "lake").path(RAW_DMG, 2020)
        assert pq.read_table(path, partitioning=None).num_rows == 2
        assert traces(installation) == []

    def test_neither_when_it_fails(self, installation: Path) -> None:
        """In the main process, as ``mm-pipeline backfill`` runs its years."""
        done = run(installation, "step.py", "fails")
        assert done.returncode == 1
        assert "ARITHMETIC_OVERFLOW" in done.stderr, "an overflow is an error, not an empty cell"
        assert "SECRET" not in done.stderr
        assert not Lake(installation / "the data" / "lake").has(RAW_DMG, 2020)
        assert traces(installation) == []

    def test_a_master_that_cannot_be_started(self, installation: Path) -> None:
        done = run(installation, "step.py", "succeeds", "local[0]")
        assert done.returncode == 1
        last = done.stderr.strip().splitlines()[-1]
        assert "SettingsError: Spark cannot be started on local[0] (MM_SPARK_MASTER): org.apache.spark.Spark" in last
        assert last.endswith("or unset MM_ENGINE to compute with DuckDB.")
        assert traces(installation) == []


@pytest.mark.skipif(find_spec("pyspark") is not None, reason="PySpark is installed here")
def test_the_tests_on_spark_are_skipped_with_a_reason() -> None:
    assert "pip install" in needs_spark.kwargs["reason"]
