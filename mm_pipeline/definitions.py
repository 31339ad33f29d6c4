"""The one place where the Dagster objects are put together."""

from collections.abc import Iterator
from contextlib import suppress

import dagster as dg

from mm_pipeline.assets import deliveries, houses, patients, publication, rates
from mm_pipeline.assets.common import contained
from mm_pipeline.assets.deliveries import OBSERVED, observe
from mm_pipeline.automation import (
    abandoned_runs,
    assert_has_a_year,
    checks_job,
    daily_status,
    locks_of,
    new_deliveries,
    q3_schedule,
    series_job,
    status_job,
    yearly_job,
)
from mm_pipeline.checks import capitation as capitation_checks
from mm_pipeline.checks import contributions as contribution_checks
from mm_pipeline.checks import deliveries as delivery_checks
from mm_pipeline.checks import patients as patient_checks
from mm_pipeline.checks import publication as publication_checks
from mm_pipeline.checks import rates as rate_checks
from mm_pipeline.checks import series as series_checks
from mm_pipeline.errors import OperatorError
from mm_pipeline.files.locks import Locks
from mm_pipeline.operations.recovery import clean_up_under
from mm_pipeline.settings import Settings, from_environment
from mm_pipeline.signed_releases import signed_releases


def build_definitions(*, settings: Settings | None = None, locks: Locks | None = None) -> dg.Definitions:
    """Assets, checks, jobs and schedule over these settings (default: from the environment).

    ``locks``: those of the caller, which its runs need not wait for.

    The in-process executor runs a year's steps one after the other: each keeps both cores busy, and a process a step
    costs three times the orchestration (``docs/decisions/0003-runs.md``). It makes the resources once a run, before the
    first step, and ends them after the last: so the run holds its year through the settings that every step asks for.
    """
    settings = settings or from_environment()

    @dg.resource
    def settings_under_lock(context: dg.InitResourceContext) -> Iterator[Settings]:
        if context.run is None:  # a schedule or a sensor
            yield settings
        else:
            say = context.log.info if context.log else print
            names = locks_of(context.run)
            held = (locks or Locks(settings.lake_dir)).held_by_run(context.run.run_id, names, say=say)
            try:
                assert_has_a_year(context.run)
            except OperatorError as error:  # one of Dagster's own is shown as it is, and not wrapped
                raise dg.DagsterInvariantViolationError(str(error)) from None
            with contained(settings, "locks"), held:
                clean_up_under(settings, names)
                for year in filter(str.isdigit, names):
                    _observe(context.instance, settings, int(year))
                yield settings

    stages = [deliveries, patients, houses, rates, publication]
    yearly_checks = [
        *delivery_checks.CHECKS,
        *contribution_checks.CHECKS,
        *patient_checks.CHECKS,
        *capitation_checks.CHECKS,
        *rate_checks.CHECKS,
        *publication_checks.CHECKS,
    ]
    return dg.Definitions(
        assets=[*OBSERVED, *dg.with_source_code_references([asset for stage in stages for asset in stage.ASSETS])],
        asset_checks=[*yearly_checks, *series_checks.CHECKS],
        jobs=[yearly_job, checks_job(yearly_checks), series_job, status_job],
        schedules=[q3_schedule, daily_status],
        sensors=[
            dg.AutomationConditionSensorDefinition(
                "refresh_series",
                target=dg.AssetSelection.assets("published_series", "atlas_page"),
                default_status=dg.DefaultSensorStatus.RUNNING,
                minimum_interval_seconds=30,
                description="Makes the tables of all years and the page again after a year was rebuilt.",
            ),
            new_deliveries,
            abandoned_runs,
            signed_releases,
        ],
        resources={"settings": settings_under_lock},
        executor=dg.in_process_executor,
    )


def _observe(instance: dg.DagsterInstance | None, settings: Settings, year: int) -> None:
    """So that Dagster knows from which delivery the tables of this run are made."""
    if instance is not None:
        with suppress(OperatorError, OSError):  # the step that reads the file says what is wrong with it
            observe(instance, settings, year)


defs = build_definitions()
