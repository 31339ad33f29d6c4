"""The one place where the Dagster objects are put together."""

import dagster as dg

from mm_pipeline.defs import jobs, schedules, sensors
from mm_pipeline.defs.assets import deliveries, houses, patients, protection, rates, release
from mm_pipeline.defs.checks import capitation as capitation_checks
from mm_pipeline.defs.checks import contributions as contribution_checks
from mm_pipeline.defs.checks import deliveries as delivery_checks
from mm_pipeline.defs.checks import patients as patient_checks
from mm_pipeline.defs.checks import publication as publication_checks
from mm_pipeline.defs.checks import rates as rate_checks
from mm_pipeline.defs.checks import series as series_checks
from mm_pipeline.defs.resources import resources
from mm_pipeline.operations.dagster_workarounds import AssetGraph
from mm_pipeline.settings import Settings, from_environment


def build_definitions(*, settings: Settings | None = None) -> dg.Definitions:
    """Assets, checks, jobs and schedule over these settings (default: from the environment).

    The in-process executor runs a year's steps one after the other: each keeps both cores busy, and a process a step
    costs three times the orchestration (``docs/decisions/0003-runs.md``). It makes the resources once a run, before the
    first step, and ends them after the last: so the run holds its year through the settings that every step asks for.
    """
    stages = [deliveries, patients, houses, rates, protection, release]
    yearly_checks = [
        *delivery_checks.CHECKS,
        *contribution_checks.CHECKS,
        *patient_checks.CHECKS,
        *capitation_checks.CHECKS,
        *rate_checks.CHECKS,
        *publication_checks.CHECKS,
    ]
    assets = [asset for stage in stages for asset in stage.ASSETS]
    return dg.Definitions(
        assets=[*deliveries.OBSERVED, *dg.with_source_code_references(assets)],
        asset_checks=[*yearly_checks, *series_checks.checks_of_all_years(_graph_of)],
        jobs=[jobs.yearly_job, jobs.checks_job(yearly_checks), jobs.series_job, jobs.status_job],
        schedules=[schedules.q3_schedule, schedules.daily_status],
        sensors=[sensors.refresh_series, sensors.new_deliveries, sensors.abandoned_runs, sensors.signed_releases],
        resources=resources(settings or from_environment()),
        executor=dg.in_process_executor,
    )


def _graph_of(settings: Settings) -> AssetGraph:
    return build_definitions(settings=settings).resolve_asset_graph()


defs = build_definitions()
