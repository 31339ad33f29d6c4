"""What Dagster 1.13 has no public API for: every import of its private modules is here, with what it is for.

Each can go when Dagster offers the same in public; ``unit/operations/test_dagster_workarounds.py`` notices when one breaks.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NoReturn

import dagster as dg

# The graph of a code location is given by Definitions.resolve_asset_graph(), whose type has no public name.
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph as AssetGraph
from dagster._core.definitions.assets.graph.asset_graph import AssetNode as AssetNode

# The tags of a materialisation from which the UI tells what is out of date. In public they can be set, and not read.
from dagster._core.definitions.data_version import CODE_VERSION_TAG as CODE_VERSION_TAG
from dagster._core.definitions.data_version import DATA_VERSION_TAG as DATA_VERSION_TAG
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.events import RunFailureReason
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

# The event log of an installation is a class that dagster.yaml names; a class of one's own has no public base.
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage as SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData as ConfigurableClassData

_HAS_LOOKED = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}
_LOOKED_BACK = 20
"""Results of a check that are looked at: as many runs of a year may wait for each other."""


def newest_results(
    instance: dg.DagsterInstance, keys: Iterable[dg.AssetCheckKey], year: int
) -> dict[dg.AssetCheckKey, list[dg.AssetCheckEvaluation]]:
    """The newest results of each of these checks for the year: that of the run planned last, and the latest by the clock.

    Mostly one and the same, but Dagster notes a check when its run is planned: what looked last is not always what was
    planned last, what waits in the queue has not looked, and a clock may have been put back. Those that never looked are not
    there. In public there is no way to read the results of a check.
    """
    found = {}
    for key in keys:
        records = instance.event_log_storage.get_asset_check_execution_history(
            key, _LOOKED_BACK, status=_HAS_LOOKED, partition_filter=PartitionKeyFilter(key=str(year))
        )
        events = [each.event for each in records if each.event and each.event.dagster_event]
        if events:
            newest = events[0], max(events, key=lambda event: event.timestamp)
            found[key] = [each.dagster_event.asset_check_evaluation_data for each in newest if each.dagster_event]
    return found


def recorded_results(
    instance: dg.DagsterInstance, keys: Iterable[dg.AssetCheckKey], year: int
) -> dict[dg.AssetCheckKey, dg.AssetCheckEvaluation]:
    """The result of each of these checks that was planned last: in one query, of which a page of all years needs 22."""
    planned_last = instance.event_log_storage.get_latest_asset_check_execution_by_key(
        list(keys), partition_filter=PartitionKeyFilter(key=str(year))
    )
    found, have_not_looked = {}, []
    for key, record in planned_last.items():
        event = record.event.dagster_event if record.event else None
        if event and event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            found[key] = event.asset_check_evaluation_data
        else:
            have_not_looked.append(key)
    return found | {key: results[0] for key, results in newest_results(instance, have_not_looked, year).items()}


def newest_materializations(instance: dg.DagsterInstance, key: dg.AssetKey) -> Sequence[dg.EventLogRecord]:
    """The newest materialisation of each partition. In public they can only be asked for one by one."""
    newest = instance.event_log_storage.get_latest_storage_id_by_partition(
        key, dg.DagsterEventType.ASSET_MATERIALIZATION
    )
    if not newest:
        return []
    wanted = dg.AssetRecordsFilter(asset_key=key, storage_ids=list(newest.values()))
    return instance.fetch_materializations(wanted, limit=len(newest)).records


def last_heard_of(instance: dg.DagsterInstance, run_id: str) -> float | None:
    """Time of the newest event of a run, in seconds since 1970; None without one. In public all its events are read."""
    newest = instance.event_log_storage.get_logs_for_run(run_id, limit=1, ascending=False)
    return newest[0].timestamp if newest else None


def was_interrupted(run: dg.ExecuteInProcessResult) -> bool:
    """Whether a signal ended the run: Dagster marks it as failed, and would let the next one begin."""
    return any(
        event.event_type is dg.DagsterEventType.PIPELINE_FAILURE
        and event.job_failure_data.failure_reason is RunFailureReason.UNEXPECTED_TERMINATION
        for event in run.all_events
    )


@contextmanager
def runs_of(instance: dg.DagsterInstance, code_location: str, job: str) -> Iterator[None]:
    """Runs of this process that begin meanwhile are of a job of a code location: so the UI has them on its timeline.

    In public that is known only of runs that the web server or the daemon launches.
    """
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(code_location), SINGLETON_REPOSITORY_NAME)
    of_this_job = partial(instance.create_run_for_job, remote_job_origin=RemoteJobOrigin(repository, job))
    instance.create_run_for_job = of_this_job  # type: ignore[method-assign]
    try:
        yield
    finally:
        del instance.create_run_for_job  # that of its class again


def run_dagster_dev(webserver: str) -> NoReturn:
    """``dagster dev`` with the arguments of this process and another module as its web server. It has no option for it."""
    from dagster._cli import dev

    start = dev.open_ipc_subprocess

    def with_this_webserver(parts: Sequence[str], **arguments: Any) -> Any:
        return start([webserver if part == "dagster_webserver" else part for part in parts], **arguments)

    dev.open_ipc_subprocess = with_this_webserver
    dev.dev_command()
    raise AssertionError("the command ends the process")
