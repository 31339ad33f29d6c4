"""What runs by itself: the jobs, the Q3 schedule, the sensor of new deliveries, and the end of runs that were killed."""

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from mm_pipeline.assets.common import PUBLICATION
from mm_pipeline.assets.deliveries import observe
from mm_pipeline.checks.series import STATUS_CHECKS
from mm_pipeline.clock import LAG_YEARS
from mm_pipeline.errors import OperatorError
from mm_pipeline.files.locks import SERIES, Locks
from mm_pipeline.ingest.delivery import trace
from mm_pipeline.operations.recovery import remove_stale_files
from mm_pipeline.operations.staleness import Ledger, YearState
from mm_pipeline.partitions import YEARS, all_years
from mm_pipeline.settings import Settings

YEARLY_JOB, CHECKS_JOB, SERIES_JOB, STATUS_JOB = "year", "checks", "series", "status"
SERIES_ASSETS = ("published_series", "atlas_page")

INPUTS_TAG = "mm_pipeline/inputs"
"""Tag of a scheduled run: the fingerprint of what it was requested for (delivery, reference data, settings, code)."""

_UNMARKED = 600
"""Seconds for which no living run is without its mark and says nothing, however busy the machine is."""

_YEAR_TAG = "dagster/partition"
_RANGE_TAGS = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"

series_job = dg.define_asset_job(
    SERIES_JOB,
    selection=dg.AssetSelection.assets(*SERIES_ASSETS),
    description="The tables of all years in one, and the page. Runs by itself after a year was rebuilt.",
    tags={"group": PUBLICATION.group},
)

yearly_job = dg.define_asset_job(
    YEARLY_JOB,
    selection=dg.AssetSelection.all() - dg.AssetSelection.assets(*SERIES_ASSETS),
    partitions_def=YEARS,
    description="One year from its deliveries to its published tables, with all checks.",
)


def checks_job(checks: Iterable[dg.AssetChecksDefinition]) -> Any:
    """The job of these yearly checks: in the UI a partitioned check cannot be executed by itself."""
    return dg.define_asset_job(
        CHECKS_JOB,
        selection=dg.AssetSelection.checks(*checks),
        # Of a job without assets Dagster forgets the partitions, unless its configuration has them.
        config=dg.PartitionedConfig(YEARS, run_config_for_partition_key_fn=lambda _year: {}),
        description="Looks at a year anew with its checks, by tolerances and suites as they are now; makes no table. "
        "The checks that are part of making their asset come with that.",
    )


@dg.schedule(
    job=yearly_job,
    cron_schedule="0 7 * 7-9 *",
    execution_timezone="Europe/Brussels",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every morning of Q3 (1 July to 30 September, 07:00 in Brussels): builds year t-2 once it is delivered.",
)
def q3_schedule(
    context: dg.ScheduleEvaluationContext, settings: dg.ResourceParam[Settings]
) -> dg.RunRequest | dg.SkipReason:
    year = context.scheduled_execution_time.year - LAG_YEARS
    ledger = _ledger(context, settings)
    state = ledger.state(year)
    if not state.delivery.is_complete:
        return dg.SkipReason(f"{year}: waiting for {', '.join(state.delivery.missing)}")
    if state.is_up_to_date:
        return dg.SkipReason(state.awaits or f"{year}: already built from this delivery")
    if run_id := _going_on(context.instance, year):
        return dg.SkipReason(f"{year}: being built in run {run_id}")
    return _request(context.instance, ledger, state)


def _ledger(context: dg.ScheduleEvaluationContext | dg.SensorEvaluationContext, settings: Settings) -> Ledger:
    assert context.repository_def is not None
    return Ledger(context.instance, context.repository_def.asset_graph, settings)


def _going_on(instance: dg.DagsterInstance, year: int) -> str | None:
    """Short id of a run of the year that has not ended, whoever started it."""
    of_the_year = dg.RunsFilter(tags={_YEAR_TAG: str(year)}, statuses=NOT_FINISHED_STATUSES)
    return next((run.run_id[:8] for run in instance.get_runs(of_the_year, limit=1)), None)


def _request(instance: dg.DagsterInstance, ledger: Ledger, state: YearState) -> dg.RunRequest | dg.SkipReason:
    """Ask for a run of the year, unless the same inputs were tried and failed."""
    year, tags = state.year, {INPUTS_TAG: ledger.inputs(state.delivery)}
    for run in instance.get_runs(dg.RunsFilter(tags={**tags, _YEAR_TAG: str(year)}), limit=1):
        if run.status == dg.DagsterRunStatus.FAILURE:
            return dg.SkipReason(
                f"{year}: this delivery was tried in run {run.run_id[:8]} and failed; see its checks. It is tried again "
                "when a file or a setting changes, or when you press Materialize"
            )
    # Without a run key: Dagster would silently drop a second request for the same inputs, which is right when a table
    # was made anew by hand or its file was lost in between.
    return dg.RunRequest(partition_key=str(year), tags=tags)


@dataclass
class Arrivals:
    """What the sensor remembers from tick to tick: of each year the trace of its folder as it was seen last, and as it was
    when something came of it (a run, or nothing to do)."""

    seen: dict[str, str] = field(default_factory=dict)
    settled: dict[str, str] = field(default_factory=dict)

    @property
    def cursor(self) -> str:
        """As Dagster keeps it; a year without a folder needs no place."""
        return json.dumps({name: {year: of for year, of in each.items() if of} for name, each in asdict(self).items()})


@dg.sensor(
    job=yearly_job,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Every minute: is there a delivery of which no file has changed for a minute, and which is not the one its "
    "year was built from (by its contents, not its times)? Then that year is built. Code and settings start nothing.",
)
def new_deliveries(context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]) -> dg.SensorResult:
    before, now = Arrivals(**json.loads(context.cursor or "{}")), Arrivals()
    requests, said, ledger = [], [], _ledger(context, settings)
    for year in all_years():
        key, found = str(year), trace(settings, year)
        now.seen[key] = found
        if before.settled.get(key, "") == found:
            now.settled[key] = found
        elif before.seen.get(key, "") != found:
            said.append(f"{year}: files are arriving; waiting until none has changed for a minute")
        elif run_id := _going_on(context.instance, year):
            said.append(f"{year}: being built in run {run_id}")
        else:
            try:
                answer = _answer(context.instance, settings, ledger, year)
            except (OperatorError, OSError) as error:  # of this year: the others go on
                said.append(f"{year}: cannot be looked at: {error}")
                continue
            now.settled[key] = found
            if isinstance(answer, dg.RunRequest):
                requests.append(answer)
            elif answer:
                said.append(answer)
    skip = None if requests else "; ".join(said) or "Nothing new in data/raw."
    return dg.SensorResult(run_requests=requests, skip_reason=skip, cursor=now.cursor)


def _answer(instance: dg.DagsterInstance, settings: Settings, ledger: Ledger, year: int) -> dg.RunRequest | str:
    """A request for a year whose files are at rest; or what there is to say of it, if anything."""
    observe(instance, settings, year)
    state = ledger.state(year)
    if state.is_new_delivery:
        answer = _request(instance, ledger, state)
        return answer if isinstance(answer, dg.RunRequest) else str(answer.skip_message)
    if state.delivery.missing and not state.delivery.is_empty:
        return f"{year}: {'; '.join(state.reasons)}" if state.reasons else ""
    return ""


status_job = dg.define_asset_job(
    STATUS_JOB,
    selection=dg.AssetSelection.checks(
        *(dg.AssetCheckKey(dg.AssetKey("published_series"), name) for name in STATUS_CHECKS)
    ),
    description="Looks whether every delivered year is built and released as it should be, and whether the newest one is "
    "overdue; changes nothing. The same as `mm-pipeline status`.",
    tags={"group": PUBLICATION.group},
)


@dg.schedule(
    job=status_job,
    cron_schedule="30 7 * * *",
    execution_timezone="Europe/Brussels",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every morning at 07:30 in Brussels: is every year up to date, and none overdue?",
)
def daily_status() -> dg.RunRequest:
    return dg.RunRequest()


def assert_has_a_year(run: dg.DagsterRun) -> None:
    """Raise OperatorError where a run of yearly assets or checks was started without a year of the statistic."""
    first, last = _RANGE_TAGS
    tagged = [run.tags[tag] for tag in (_YEAR_TAG, first, last) if tag in run.tags]
    keys = [*(run.asset_selection or ()), *(key.asset_key for key in run.asset_check_selection or ())]
    is_yearly = run.job_name in (YEARLY_JOB, CHECKS_JOB) or any(
        key.to_user_string() not in SERIES_ASSETS for key in keys
    )
    known = YEARS.get_partition_keys()
    if is_yearly and (not tagged or not set(tagged) <= set(known)):
        found = f"the year {' to '.join(tagged)}" if tagged else "no year"
        raise OperatorError(
            f"This run was started with {found}; expected one from {known[0]} to {known[-1]}. Nothing was written. Choose a "
            "partition in the launchpad, or start it with Materialize, which asks for one; checks alone with the job checks."
        )


def locks_of(run: dg.DagsterRun) -> list[str]:
    """The locks a run needs: its year or years, and that of the series if it may make something from all years."""
    tags, (first, last) = run.tags, _RANGE_TAGS
    if run.job_name == STATUS_JOB:
        return []
    if _YEAR_TAG in tags:
        years = [tags[_YEAR_TAG]]
    elif first in tags and last in tags:
        years = [str(year) for year in range(int(tags[first]), int(tags[last]) + 1)]
    else:
        return [SERIES]
    selected = {key.to_user_string() for key in run.asset_selection or ()}
    only_years = run.job_name in (YEARLY_JOB, CHECKS_JOB) or (selected and selected.isdisjoint(SERIES_ASSETS))
    return years if only_years else [*years, SERIES]


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Marks runs as failed whose process was killed: they would hold a place in the queue for ever. Removes "
    "the temporary files that it left.",
)
def abandoned_runs(context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]) -> dg.SkipReason:
    ended = end_abandoned_runs(context.instance, settings)
    return dg.SkipReason(
        f"Marked as failed: {', '.join(ended)}" if ended else "Every run that goes on has its process."
    )


def end_abandoned_runs(instance: dg.DagsterInstance, settings: Settings) -> list[str]:
    """Mark runs of this instance as failed whose process is gone, and remove what it left; returns their short ids.

    Dagster itself notices only a process that it started and that its code server outlives. A run that it takes for
    running counts in the queue, and the schedule waits for it.
    """
    locks = Locks(settings.lake_dir)
    ended = _unmarked(instance, locks)
    for unmarked in ended:
        _end(instance, unmarked)
    for run_id, had_begun in locks.abandoned():
        run = instance.get_run_by_id(run_id)
        if run is None and had_begun:
            continue  # of an installation with another history over the same data
        if run is not None and not run.is_finished:
            _end(instance, run)
            ended.append(run)
        locks.forget(run_id)  # only now: who is killed here leaves it to the next one
    remove_stale_files(settings, locks)
    return [run.run_id[:8] for run in ended]


def _end(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    instance.report_run_failed(
        run, "The process of this run is gone: it was killed, or the machine stopped. Start the run again."
    )


def _unmarked(instance: dg.DagsterInstance, locks: Locks) -> list[dg.DagsterRun]:
    """Runs that have no mark and said nothing for long: those from the UI take it a moment after Dagster has noted their
    begin, and give it back a moment before it notes their end. Those that never began are ended by Dagster."""
    begun = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]))
    return [run for run in begun if not locks.is_marked(run.run_id) and _silent_since(instance, run) > _UNMARKED]


def _silent_since(instance: dg.DagsterInstance, run: dg.DagsterRun) -> float:
    """Seconds since the newest entry in the log of the run."""
    newest = instance.event_log_storage.get_logs_for_run(run.run_id, limit=1, ascending=False)
    return time.time() - newest[0].timestamp if newest else 0
