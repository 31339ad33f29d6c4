"""What runs by itself: the job of a year, the job of the series, and the Q3 schedule."""

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from mm_pipeline.assets.common import PUBLICATION
from mm_pipeline.clock import LAG_YEARS
from mm_pipeline.partitions import YEARS
from mm_pipeline.settings import Settings
from mm_pipeline.state import Ledger

YEARLY_JOB, SERIES_JOB = "year", "series"
SERIES_ASSETS = ("published_series", "atlas_page")

INPUTS_TAG = "mm_pipeline/inputs"
"""Tag of a scheduled run: the fingerprint of what it was requested for (delivery, reference data, settings, code)."""

_YEAR_TAG = "dagster/partition"

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
    assert context.repository_def is not None
    ledger = Ledger(context.instance, context.repository_def.asset_graph, settings)
    state = ledger.state(year)
    if not state.delivery.is_complete:
        return dg.SkipReason(f"{year}: waiting for {', '.join(state.delivery.missing)}")
    if state.is_up_to_date:
        return dg.SkipReason(f"{year}: already built from this delivery")
    going_on = dg.RunsFilter(tags={_YEAR_TAG: str(year)}, statuses=NOT_FINISHED_STATUSES)
    for run in context.instance.get_runs(going_on, limit=1):
        return dg.SkipReason(f"{year}: being built in run {run.run_id[:8]}")
    tags = {INPUTS_TAG: ledger.inputs(state.delivery)}
    for run in context.instance.get_runs(dg.RunsFilter(tags={**tags, _YEAR_TAG: str(year)}), limit=1):
        if run.status == dg.DagsterRunStatus.FAILURE:
            return dg.SkipReason(
                f"{year}: this delivery was tried in run {run.run_id[:8]} and failed; see its checks. It is tried again "
                "when a file or a setting changes, or when you press Materialize"
            )
    # Without a run key: Dagster would silently drop a second request for the same inputs, which is right when a table
    # was made anew by hand or its file was lost in between.
    return dg.RunRequest(partition_key=str(year), tags=tags)
