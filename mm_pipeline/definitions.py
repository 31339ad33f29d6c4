"""The one place where the Dagster objects are put together."""

import dagster as dg

from mm_pipeline.assets import deliveries, houses, patients, publication, rates
from mm_pipeline.automation import q3_schedule, series_job, yearly_job
from mm_pipeline.checks import capitation as capitation_checks
from mm_pipeline.checks import contributions as contribution_checks
from mm_pipeline.checks import deliveries as delivery_checks
from mm_pipeline.checks import patients as patient_checks
from mm_pipeline.checks import publication as publication_checks
from mm_pipeline.checks import rates as rate_checks
from mm_pipeline.settings import Settings, from_environment


def build_definitions(*, settings: Settings | None = None) -> dg.Definitions:
    """Assets, checks, jobs and schedule over these settings (default: from the environment).

    The in-process executor runs a year's steps one after the other: each keeps both cores busy, and a process a step
    costs three times the orchestration (``docs/decisions/0003-runs.md``).
    """
    stages = [deliveries, patients, houses, rates, publication]
    return dg.Definitions(
        assets=dg.with_source_code_references([asset for stage in stages for asset in stage.ASSETS]),
        asset_checks=[
            *delivery_checks.CHECKS,
            *contribution_checks.CHECKS,
            *patient_checks.CHECKS,
            *capitation_checks.CHECKS,
            *rate_checks.CHECKS,
            *publication_checks.CHECKS,
        ],
        jobs=[yearly_job, series_job],
        schedules=[q3_schedule],
        sensors=[
            dg.AutomationConditionSensorDefinition(
                "refresh_series",
                target=dg.AssetSelection.assets("published_series", "atlas_page"),
                default_status=dg.DefaultSensorStatus.RUNNING,
                minimum_interval_seconds=30,
                description="Makes the tables of all years and the page again after a year was rebuilt.",
            )
        ],
        resources={"settings": dg.ResourceDefinition.hardcoded_resource(settings or from_environment())},
        executor=dg.in_process_executor,
    )


defs = build_definitions()
