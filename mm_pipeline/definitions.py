"""The one place where the Dagster objects are put together."""

import dagster as dg

from mm_pipeline.defs import assets, jobs, schedules, sensors
from mm_pipeline.defs.assets.common import CODE_REFERENCES
from mm_pipeline.defs.assets.deliveries import OBSERVED
from mm_pipeline.defs.checks import capitation, contributions, deliveries, patients, publication, rates
from mm_pipeline.defs.checks.framework import checks_in, steps_of
from mm_pipeline.defs.checks.series import checks_of_all_years
from mm_pipeline.defs.resources import resources
from mm_pipeline.errors import SettingsError
from mm_pipeline.files.safe_names import short
from mm_pipeline.settings import Settings, from_environment

_YEARLY = checks_in(deliveries, contributions, patients, capitation, rates, publication)
TOLERANCES = {check.name: check.tolerance for check in _YEARLY if check.tolerance is not None}
"""Of the checks that count cases which break a rule; ``MM_TOLERANCES`` changes single ones."""
HOLD_LIMITS = {check.name: check.hold_limit for check in _YEARLY if check.hold_limit is not None}
"""Of the checks that hold a year back; ``MM_HOLD_LIMITS`` changes single ones."""


def build_definitions(*, settings: Settings | None = None) -> dg.Definitions:
    """Assets, checks, jobs and schedule over these settings (default: from the environment).

    The in-process executor runs a year's steps one after the other: each keeps both cores busy, and a process a step
    costs three times the orchestration (``docs/decisions/0003-runs.md``). It makes the resources once a run, before the
    first step, and ends them after the last: so the run holds its year through the settings that every step asks for.
    """
    settings = settings or from_environment()
    assert_checks_known(settings)
    yearly_checks = steps_of(_YEARLY)
    made = [asset for asset in dg.load_assets_from_package_module(assets) if isinstance(asset, dg.AssetsDefinition)]
    referred = [asset for asset in made if any(CODE_REFERENCES in each for each in asset.metadata_by_key.values())]
    others = [asset for asset in made if asset not in referred]
    return dg.Definitions(
        assets=[*OBSERVED, *referred, *dg.with_source_code_references(others)],
        asset_checks=[
            *yearly_checks,
            checks_of_all_years(lambda over: build_definitions(settings=over).resolve_asset_graph()),
        ],
        jobs=[jobs.yearly_job, jobs.checks_job(yearly_checks), jobs.series_job, jobs.status_job],
        schedules=[schedules.q3_schedule, schedules.daily_status],
        sensors=[sensors.refresh_series, sensors.new_deliveries, sensors.abandoned_runs, sensors.signed_releases],
        resources=resources(
            settings,
            {
                "MM_TOLERANCES": TOLERANCES | dict(settings.tolerances),
                "MM_HOLD_LIMITS": HOLD_LIMITS | dict(settings.hold_limits),
            },
        ),
        executor=dg.in_process_executor,
    )


def assert_checks_known(settings: Settings) -> None:
    """SettingsError where a check that ``MM_TOLERANCES`` or ``MM_HOLD_LIMITS`` changes is none, or has none to change."""
    for variable, what, named, known in (
        ("MM_TOLERANCES", "tolerance", settings.tolerances, TOLERANCES),
        ("MM_HOLD_LIMITS", "hold limit", settings.hold_limits, HOLD_LIMITS),
    ):
        if unknown := named.keys() - known.keys():
            raise SettingsError(
                f"{variable} names {short(', '.join(sorted(unknown)))}; expected checks that have a {what}: "
                f"{', '.join(known)}. Correct it, or unset it for the defaults."
            )


defs = build_definitions()
