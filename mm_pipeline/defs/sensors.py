"""What runs when something happens: a delivery, a signature, a rebuilt year, a run that was killed."""

import json

import dagster as dg

from mm_pipeline.clock import all_years
from mm_pipeline.defs.assets.release import published_year
from mm_pipeline.defs.jobs import yearly_job
from mm_pipeline.defs.observations import observe
from mm_pipeline.defs.requests import failed_run, ledger_of, request_of, run_of
from mm_pipeline.errors import OperatorError
from mm_pipeline.ingest.delivery import trace
from mm_pipeline.operations.recovery import end_abandoned_runs
from mm_pipeline.operations.runs import SERIES_ASSETS, YEARLY_JOB
from mm_pipeline.operations.sign_off import awaited, years_awaiting
from mm_pipeline.operations.staleness import Ledger
from mm_pipeline.settings import Settings

refresh_series = dg.AutomationConditionSensorDefinition(
    "refresh_series",
    target=dg.AssetSelection.assets(*SERIES_ASSETS),
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    description="Makes the tables of all years and the page again after a year was rebuilt.",
)


@dg.sensor(
    job=yearly_job,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Every minute: is there a delivery of which no file has changed for a minute, and which is not the one its "
    "year was built from (by its contents, not its times)? Then that year is built. Code and settings start nothing.",
)
def new_deliveries(context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]) -> dg.SensorResult:
    # Remembered from tick to tick: of each year the trace of its folder as it was seen last, and as it was when something
    # came of it (a run, or nothing to do).
    before = {"seen": {}, "settled": {}} | json.loads(context.cursor or "{}")
    seen, settled = {}, {}
    requests, said, ledger = [], [], ledger_of(context, settings)
    for year in all_years():
        key, found = str(year), trace(settings, year)
        seen[key] = found
        if before["settled"].get(key, "") == found:
            settled[key] = found
        elif before["seen"].get(key, "") != found:
            said.append(f"{year}: files are arriving; waiting until none has changed for a minute")
        elif run_id := run_of(context.instance, year):
            said.append(f"{year}: being built in run {run_id}")
        else:
            try:
                answer = _answer(context.instance, settings, ledger, year)
            except (OperatorError, OSError) as error:  # of this year: the others go on
                said.append(f"{year}: cannot be looked at: {error}")
                continue
            settled[key] = found
            if isinstance(answer, dg.RunRequest):
                requests.append(answer)
            elif answer:
                said.append(answer)
    skip = None if requests else "; ".join(said) or "Nothing new in data/raw."
    # A year without a folder, and so without a trace, needs no place.
    kept = {
        name: {year: of for year, of in each.items() if of} for name, each in (("seen", seen), ("settled", settled))
    }
    return dg.SensorResult(run_requests=requests, skip_reason=skip, cursor=json.dumps(kept))


def _answer(instance: dg.DagsterInstance, settings: Settings, ledger: Ledger, year: int) -> dg.RunRequest | str:
    """A request for a year whose files are at rest; or what there is to say of it, if anything."""
    observe(instance, settings, year)
    state = ledger.state(year)
    if state.is_new_delivery:
        answer = request_of(instance, ledger, state)
        return answer if isinstance(answer, dg.RunRequest) else str(answer.skip_message)
    if state.delivery.missing and not state.delivery.is_empty:
        return f"{year}: {'; '.join(state.reasons)}" if state.reasons else ""
    return ""


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


SIGNED_TAG = "mm_pipeline/signed"
"""Tag of a run that publishes a signed year: the manifest that was signed."""


@dg.sensor(
    job_name=YEARLY_JOB,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Makes a year that waited public (published_year alone): once a person has released what was held, and with "
    "MM_SIGN_OFF on two people have signed its content.",
)
def signed_releases(
    context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]
) -> list[dg.RunRequest] | dg.SkipReason:
    assert context.repository_def is not None
    checks = [
        key for key in context.repository_def.asset_graph.asset_check_keys if key.asset_key in published_year.keys
    ]
    requests, skipped = [], []
    for year in years_awaiting(settings):
        waiting = awaited(settings, year)
        if waiting is None or not waiting.is_complete:
            skipped.append(f"{year}: {waiting.in_short}" if waiting else f"{year}: awaits nothing any more")
            continue
        tags, assets = {SIGNED_TAG: waiting.manifest[:16]}, sorted(published_year.keys)
        if run_id := run_of(context.instance, year):
            skipped.append(f"{year}: run {run_id} works on it")
        elif run_id := failed_run(context.instance, year, tags):
            skipped.append(
                f"{year}: its release failed in run {run_id}; see that run, then build the year again (job year)"
            )
        else:
            requests.append(
                dg.RunRequest(partition_key=str(year), asset_selection=assets, asset_check_keys=checks, tags=tags)
            )
    return requests or dg.SkipReason("; ".join(skipped) or "No year awaits anybody")
