"""The sensor that makes a year public once it is signed."""

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from mm_pipeline.automation import YEARLY_JOB
from mm_pipeline.operations.sign_off import awaited, years_awaiting
from mm_pipeline.settings import Settings

PUBLISHED_YEAR = dg.AssetKey("published_year")

SIGNED_TAG = "mm_pipeline/signed"
"""Tag of a run that publishes a signed year: the manifest that was signed."""


@dg.sensor(
    job_name=YEARLY_JOB,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="With MM_SIGN_OFF on: makes a year public (published_year alone) once two people have signed its content.",
)
def signed_releases(
    context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]
) -> list[dg.RunRequest] | dg.SkipReason:
    assert context.repository_def is not None
    checks = [key for key in context.repository_def.asset_graph.asset_check_keys if key.asset_key == PUBLISHED_YEAR]
    requests, skipped = [], []
    for year in years_awaiting(settings):
        waiting = awaited(settings, year)
        if waiting is None or not waiting.is_complete:
            skipped.append(f"{year}: awaits its signatures")
        elif reason := _why_not_now(context.instance, year, waiting.manifest):
            skipped.append(f"{year}: {reason}")
        else:
            requests.append(
                dg.RunRequest(
                    partition_key=str(year),
                    asset_selection=[PUBLISHED_YEAR],
                    asset_check_keys=checks,
                    tags={SIGNED_TAG: waiting.manifest[:16]},
                )
            )
    return requests or dg.SkipReason("; ".join(skipped) or "No year awaits a signature")


def _why_not_now(instance: dg.DagsterInstance, year: int, manifest: str) -> str:
    of_year = {"dagster/partition": str(year)}
    for run in instance.get_runs(dg.RunsFilter(tags=of_year, statuses=NOT_FINISHED_STATUSES), limit=1):
        return f"run {run.run_id[:8]} works on it"
    tried = dg.RunsFilter(tags={**of_year, SIGNED_TAG: manifest[:16]})
    for run in instance.get_runs(tried, limit=1):
        if run.status == dg.DagsterRunStatus.FAILURE:
            return f"its release failed in run {run.run_id[:8]}; see that run, then build the year again (job year)"
    return ""
