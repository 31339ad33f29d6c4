"""Apache Spark as the engine of the ``statistic/`` expressions. Imported only if chosen (``MM_ENGINE=spark``).

Spark reads the partitions of the lake and computes rows; DuckDB writes every partition, so that there is one writer
(``docs/decisions/0012-spark.md``). There is one Spark session a process.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq
import sqlglot as sg
import sqlglot.expressions as sge
from ibis.backends.duckdb import Backend as DuckDB
from ibis.backends.pyspark import Backend
from ibis.backends.sql.compilers.pyspark import PySparkCompiler
from ibis.common.exceptions import UnsupportedOperationError
from pyspark import SparkConf, SparkContext
from pyspark.sql import Observation, SparkSession
from pyspark.sql.functions import count, lit

from mm_pipeline.errors import LakeError, SettingsError
from mm_pipeline.schemas import Table
from mm_pipeline.settings import Settings
from mm_pipeline.storage import spark_requirements
from mm_pipeline.storage.lake import Lake
from mm_pipeline.storage.scratch import Scratch, scratch

_LOGGING = """
rootLogger.level = off
rootLogger.appenderRef.stderr.ref = stderr
logger.shell.name = org.apache.spark.api.python.PythonGatewayServer
logger.shell.level = off
logger.scheduler.name = org.apache.spark.scheduler.TaskSchedulerImpl
logger.scheduler.level = warn
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = Spark: %m%n
"""
"""Configuration of Spark's log, which may quote rows: all off, as failures raise exceptions, but the scheduler's waits."""


class _Compiler(PySparkCompiler):
    """Ibis' compiler for Spark, with the expressions of ``statistic/`` that Ibis 12 cannot translate to Spark 4."""

    def visit_ArrayCollect(self, op: ops.ArrayCollect, *, arg: Any, where: Any, order_by: Any, **more: Any) -> Any:  # noqa: N802
        """Translate ``collect(order_by=...)``, ascending: sort pairs of keys and value, and take the values.

        The result for no rows is NULL, as on DuckDB.
        """
        if not order_by:
            return super().visit_ArrayCollect(op, arg=arg, where=where, order_by=order_by, **more)
        if any(more.values()) or any(key.args.get("desc") for key in order_by):
            raise UnsupportedOperationError(
                "on Spark, collect(order_by=...) is for ascending keys, without missing values"
            )
        keys = [part for number, key in enumerate(order_by) for part in (sge.convert(f"key{number}"), key.this)]
        pair = self.f.named_struct(*keys, sge.convert("value"), arg)
        there = sg.and_(arg.is_(sg.not_(sge.Null())), *([where] if where is not None else []))
        taken = self.if_(there, pair, sge.Null())
        value = sge.Dot(this=sge.to_identifier("pair"), expression=sge.to_identifier("value"))
        take = sge.Lambda(this=value, expressions=[sge.to_identifier("pair")])
        pairs = self.f.collect_list(taken)
        return self.if_(self.f.size(pairs) > 0, self.f.transform(self.f.array_sort(pairs), take), sge.Null())

    def visit_ArrayIndex(self, op: ops.ArrayIndex, *, arg: Any, index: Any) -> Any:  # noqa: N802
        return self.f.element_at(arg, self.cast(index + 1, dt.int32))


class _Backend(Backend):
    """Ibis on Spark, with tables in memory converted here: by way of pandas 3, PySpark 4.0 turns missing values into NaN."""

    compiler = _Compiler()

    def _register_in_memory_table(self, op: ops.InMemoryTable) -> None:
        self._session.createDataFrame(op.data.to_pyarrow(op.schema)).createOrReplaceTempView(op.name)


@dataclass(frozen=True)
class Spark:
    """The engine of one step: its own views in the Spark session of the process, and the DuckDB that writes."""

    backend: Backend
    duckdb: DuckDB
    lake: Lake

    def read_parquet(self, path: Path, **_: Any) -> ir.Table:
        """A Parquet file as an expression, without partition columns from its folders."""
        return self.backend.read_parquet(_uri(path))

    @contextmanager
    def handed_over(self, rows: ir.Table, table: Table) -> Iterator[tuple[DuckDB, ir.Table]]:
        """DuckDB and the rows as a table of it, by way of temporary Parquet files in the lake.

        The files are removed at the end of the block. Raises :class:`LakeError` if columns or types differ from the schema
        of ``table``, or rows are missing.
        """
        with scratch(self.lake) as folder:
            computed = self._write(rows, folder / "parts")
            files = sorted((folder / "parts").glob("*.parquet"))
            for file in files:
                _assert_declared(pq.read_schema(file), table)
            if sum(pq.read_metadata(file).num_rows for file in files) != computed:
                raise LakeError(
                    f"{table.name}: not all rows that Spark computed are in the lake; the earlier partition is untouched. "
                    "See that all workers have data/lake at the same path (docs/scaling.md), and materialise it again."
                )
            yield self.duckdb, self.duckdb.read_parquet([str(file) for file in files])

    def _write(self, rows: ir.Table, folder: Path) -> int:
        """Write the rows as Parquet files. Returns their number."""
        self.backend._run_pre_execute_hooks(rows)
        counted = Observation()
        frame = self.backend.raw_sql(self.backend.compile(rows)).observe(counted, count(lit(1)).alias("rows"))
        frame.write.parquet(_uri(folder))
        return int(counted.get["rows"])


def _uri(path: Path) -> str:
    """The path as a URI with its scheme, since the default file system of a cluster may be another."""
    return f"file://{path}"


def _assert_declared(found: pa.Schema, table: Table) -> None:
    if [(f.name, _type(f)) for f in found] != [(f.name, _type(f)) for f in table.schema]:
        raise LakeError(
            f"{table.name}: what Spark computed is not of the declared columns. This is a fault of the program; the earlier "
            f"partition is untouched.\nexpected: {table.schema}\nfound: {found.remove_metadata()}"
        )


def _type(field: pa.Field) -> pa.DataType:
    """The type of a field. Whether the elements of a list may be empty is ignored: Spark only guesses it."""
    return pa.list_(field.type.value_type) if pa.types.is_list(field.type) else field.type


def engine(settings: Settings, duckdb: DuckDB) -> Spark:
    """Spark for one step. The first step of a process starts it; it ends with the process."""
    session = _session_of_process(settings)
    _Backend.register_options()
    return Spark(_Backend().connect(session.newSession()), duckdb, Lake(settings.lake_dir))


# --- the session of the process ---------------------------------------------------------------------------------------

_running: tuple[tuple[Any, ...], SparkSession, Finalize] | None = None


def _session_of_process(settings: Settings) -> SparkSession:
    """The running session, or a new one in another Java process if its options have changed."""
    global _running
    wanted = settings.lake_dir, settings.spark_master, settings.memory_limit, settings.threads
    if _running is None or _running[0] != wanted:
        if _running is not None:
            _running[2]()
            _running = None
        spark_requirements.assert_met(settings)
        own = Scratch(Lake(settings.lake_dir))
        # Unlike atexit's, this runs also at the end of the processes that Dagster's daemon starts for a run.
        end = Finalize(None, _end, (own,), exitpriority=1)
        try:
            _running = wanted, _start(settings, own.path), end
        except BaseException:
            end()
            raise
    return _running[1]


def _start(settings: Settings, own: Path) -> SparkSession:
    (own / "log4j2.properties").write_text(_LOGGING)
    conf = SparkConf().setAll(list(options(settings, own).items()))
    try:
        return SparkSession(SparkContext(conf=conf))
    except Exception as error:
        lines = [*str(error).strip().splitlines(), type(error).__name__]
        # Of an exception in Java, the first line says only which call failed.
        reason = next((line[2:] for line in lines if line.startswith(": ")), lines[0]).rstrip(".")
        raise SettingsError(
            f"Spark cannot be started on {settings.spark_master} (MM_SPARK_MASTER): {reason}. See that this master runs and "
            f"can be reached from here, that Java is version {spark_requirements.JAVA}, and that the machine has the memory "
            "of MM_MEMORY_LIMIT; or unset MM_ENGINE to compute with DuckDB."
        ) from None


def options(settings: Settings, own: Path) -> dict[str, str]:
    """Spark's configuration. ``own``: the folder of all that it writes here. ``spark-defaults.conf`` may set the rest."""
    java = (f"-Djava.io.tmpdir={own}", f"-Dlog4j2.configurationFile={own / 'log4j2.properties'}", "-XX:-UsePerfData")
    chosen = {
        "spark.app.name": "mm-pipeline",
        "spark.master": settings.spark_master,
        "spark.driver.memory": f"{spark_requirements.size(settings.memory_limit) // 2**20}m",
        "spark.driver.extraJavaOptions": " ".join(f'"{option}"' for option in java),
        "spark.local.dir": str(own),
        "spark.sql.warehouse.dir": str(own / "warehouse"),
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "true",  # an overflow is an error and not an empty cell
        "spark.hadoop.fs.permissions.umask-mode": "077",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    if settings.spark_master.startswith("local"):
        loopback = dict.fromkeys(("spark.driver.host", "spark.driver.bindAddress"), "127.0.0.1")
        # 200 by default, each a task.
        return {**chosen, **loopback, "spark.sql.shuffle.partitions": str(4 * settings.threads)}
    return chosen


def _end(own: Scratch) -> None:
    """Stop Spark and its Java process, and remove their folder."""
    with suppress(Exception):
        if SparkSession._instantiatedSession is not None:
            SparkSession._instantiatedSession.stop()
    if (gateway := SparkContext._gateway) is not None:
        with suppress(Exception):
            gateway.shutdown()
            gateway.proc.stdin.close()
            gateway.proc.wait(timeout=60)
        SparkContext._gateway = SparkContext._jvm = None
    own.remove()
