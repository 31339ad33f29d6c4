"""What runs at a time of the day: the Q3 build of the newest year, and the daily look at all years."""

import dagster as dg

from mm_pipeline.clock import LAG_YEARS
from mm_pipeline.defs.jobs import status_job, yearly_job
from mm_pipeline.defs.requests import ledger_of, request_of, run_of
from mm_pipeline.settings import Settings


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
    ledger = ledger_of(context, settings)
    state = ledger.state(year)
    if not state.delivery.is_complete:
        return dg.SkipReason(f"{year}: waiting for {', '.join(state.delivery.missing)}")
    if state.is_up_to_date:
        return dg.SkipReason(state.awaits.sentence if state.awaits else f"{year}: already built from this delivery")
    if run_id := run_of(context.instance, year):
        return dg.SkipReason(f"{year}: being built in run {run_id}")
    return request_of(context.instance, ledger, state)


@dg.schedule(
    job=status_job,
    cron_schedule="30 7 * * *",
    execution_timezone="Europe/Brussels",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every morning at 07:30 in Brussels: is every year up to date, and none overdue?",
)
def daily_status() -> dg.RunRequest:
    return dg.RunRequest()
