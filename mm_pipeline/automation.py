"""What runs by itself: the job of a year, the job of the series, and the Q3 schedule."""

import dagster as dg

from mm_pipeline.assets.common import PUBLICATION
from mm_pipeline.clock import LAG_YEARS
from mm_pipeline.partitions import YEARS
from mm_pipeline.settings import Settings
from mm_pipeline.state import Ledger, delivery_fingerprint

YEARLY_JOB, SERIES_JOB = "year", "series"
SERIES_ASSETS = ("published_series", "atlas_page")

DELIVERY_TAG = "mm_pipeline/delivery"
"""Tag of a scheduled run: the fingerprint of the delivery it was requested for."""

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
    state = Ledger(context.instance, context.repository_def.asset_graph, settings).state(year)
    if not state.delivery.is_complete:
        return dg.SkipReason(f"{year}: waiting for {', '.join(state.delivery.missing)}")
    if state.is_up_to_date:
        return dg.SkipReason(f"{year}: already built from this delivery")
    fingerprint = delivery_fingerprint(settings, state.delivery)
    tags = {DELIVERY_TAG: fingerprint, "dagster/partition": str(year)}
    for run in context.instance.get_runs(dg.RunsFilter(tags=tags), limit=1):
        if run.status == dg.DagsterRunStatus.FAILURE:
            return dg.SkipReason(
                f"{year}: this delivery was tried in run {run.run_id[:8]} and failed; see its checks. It is tried again "
                "when a file changes, or when you press Materialize"
            )
        if not run.is_finished:
            return dg.SkipReason(f"{year}: being built in run {run.run_id[:8]}")
    return dg.RunRequest(run_key=f"{year}-{fingerprint}", partition_key=str(year), tags={DELIVERY_TAG: fingerprint})
