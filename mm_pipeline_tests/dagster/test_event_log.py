"""The event log with kept connections: the same files as Dagster's own, and no more of them open than a few."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from mm_pipeline.event_log import _KEPT, SqliteEventLog
from mm_pipeline.operations.dagster_home import open_instance
from mm_pipeline_tests.support.pipeline import settings_for


@dg.asset(check_specs=[dg.AssetCheckSpec("looked_at", asset="thing")])
def thing() -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    yield dg.MaterializeResult(metadata={"rows": 7})
    yield dg.AssetCheckResult(check_name="looked_at", passed=True)


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    with open_instance(settings_for(tmp_path)) as instance:
        yield instance


def log_of(instance: dg.DagsterInstance) -> SqliteEventLog:
    assert isinstance(instance.event_log_storage, SqliteEventLog)
    return instance.event_log_storage


def events(storage: SqliteEventLogStorage, run_id: str) -> list[tuple[str, str]]:
    entries = storage.get_logs_for_run(run_id)
    return [
        (entry.get_dagster_event().event_type_value, entry.user_message) for entry in entries if entry.is_dagster_event
    ]


def test_a_new_installation_has_it(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    run = dg.materialize([thing], instance=instance)
    assert (tmp_path / "dagster" / "history" / "runs" / f"{run.run_id}.db").is_file()
    assert log_of(instance).alembic_version()[0]


def test_dagsters_own_class_reads_it_and_goes_on(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """What an operator gets who takes the block out of dagster.yaml; and the other way round."""
    run = dg.materialize([thing], instance=instance)
    ours = log_of(instance)
    theirs = SqliteEventLogStorage(str(tmp_path / "dagster" / "history" / "runs"))
    assert "ASSET_MATERIALIZATION" in dict(events(ours, run.run_id))
    assert events(ours, run.run_id) == events(theirs, run.run_id)
    last = ours.get_logs_for_run(run.run_id)[-1]
    theirs.store_event(last)
    assert len(ours.get_logs_for_run(run.run_id)) == len(theirs.get_logs_for_run(run.run_id))
    key = dg.AssetCheckKey(thing.key, "looked_at")
    for storage in (ours, theirs):
        assert len(storage.get_asset_check_execution_history(key, limit=5)) == 1
        assert storage.get_latest_materialization_events([thing.key])[thing.key] is not None


def test_few_databases_stay_open_and_all_answer(instance: dg.DagsterInstance) -> None:
    runs = [dg.materialize([thing], instance=instance).run_id for _ in range(_KEPT + 2)]
    expected = [len(events(log_of(instance), run)) for run in runs]
    assert len(set(expected)) == 1
    assert expected[0] > 5
    assert len(log_of(instance)._engines) <= _KEPT


def test_threads_take_turns(instance: dg.DagsterInstance) -> None:
    """As in the web server: the connections are shared by all threads."""
    runs = [dg.materialize([thing], instance=instance).run_id for _ in range(_KEPT + 1)]
    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(lambda run: len(events(log_of(instance), run)), runs * 20))
    assert len(set(counts)) == 1


def test_wiped(instance: dg.DagsterInstance) -> None:
    run = dg.materialize([thing], instance=instance).run_id
    log_of(instance).wipe()
    assert events(log_of(instance), run) == []
    assert dg.materialize([thing], instance=instance).success


def test_what_a_run_intends_is_stored_whole_or_not_at_all(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, log = dg.materialize([thing], instance=instance).run_id, log_of(instance)
    planned = [entry for entry in log.get_logs_for_run(run) if "PLANNED" in str(entry.dagster_event)]
    assert len(planned) == 2
    checks = dg.AssetCheckKey(thing.key, "looked_at")
    before = len(log.get_logs_for_run(run)), len(log.get_asset_check_execution_history(checks, limit=9))
    store = SqliteEventLogStorage.store_event

    def fails_at_the_second(self: SqliteEventLogStorage, event: dg.EventLogEntry) -> None:
        store(self, event)
        if event is planned[1]:
            raise OSError("the disk is full")

    monkeypatch.setattr(SqliteEventLogStorage, "store_event", fails_at_the_second)
    for storing in (lambda: log.store_event_batch(planned), lambda: log.store_event(planned[1])):
        with pytest.raises(OSError, match="full"):
            storing()
        assert (len(log.get_logs_for_run(run)), len(log.get_asset_check_execution_history(checks, limit=9))) == before
    monkeypatch.undo()
    log.store_event_batch(planned)
    assert len(log.get_logs_for_run(run)) == before[0] + 2


KILLED = """
import os, signal, dagster as dg
from mm_pipeline.event_log import SqliteEventLog

@dg.asset
def thing():
    os.kill(os.getpid(), signal.SIGKILL)

with dg.DagsterInstance.get() as instance:
    assert isinstance(instance.event_log_storage, SqliteEventLog)
    dg.materialize([thing], instance=instance)
"""


def test_a_killed_process_loses_no_event(instance: dg.DagsterInstance) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED], env=os.environ, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    (run,) = instance.get_runs()
    assert [kind for kind, _ in events(log_of(instance), run.run_id)][-1] == "STEP_START"


def test_two_write_at_once(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """The index is of all runs: each waits for the other's transaction."""
    other = SqliteEventLog(str(tmp_path / "dagster" / "history" / "runs"))
    run = dg.materialize([thing], instance=instance).run_id
    entries = [each for each in log_of(instance).get_logs_for_run(run) if "CHECK" not in str(each.dagster_event)]
    before = len(log_of(instance).get_logs_for_run(run))

    def store(storage: SqliteEventLog) -> None:
        for _ in range(10):
            storage.store_event_batch(entries)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(store, (log_of(instance), other)))
    assert len(log_of(instance).get_logs_for_run(run)) == before + 20 * len(entries)
    other.dispose()


def test_a_commit_does_not_wait_for_the_disk(instance: dg.DagsterInstance) -> None:
    run = dg.materialize([thing], instance=instance).run_id
    for shard in ("index", run):
        with log_of(instance)._connect(shard) as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 1
