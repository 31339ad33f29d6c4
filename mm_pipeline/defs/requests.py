"""Runs that schedules and sensors ask for: of a year, if its inputs were not tried before."""

from collections.abc import Mapping

import dagster as dg

from mm_pipeline.operations.runs import UNFINISHED, YEAR_TAG
from mm_pipeline.operations.staleness import Ledger, YearState
from mm_pipeline.settings import Settings

INPUTS_TAG = "mm_pipeline/inputs"
"""Tag of a scheduled run: the fingerprint of what it was requested for (delivery, reference data, settings, code)."""


def ledger_of(context: dg.ScheduleEvaluationContext | dg.SensorEvaluationContext, settings: Settings) -> Ledger:
    assert context.repository_def is not None
    return Ledger(context.instance, context.repository_def.asset_graph, settings)


def run_of(instance: dg.DagsterInstance, year: int) -> str | None:
    """Short id of a run of the year that has not ended, whoever started it."""
    of_the_year = dg.RunsFilter(tags={YEAR_TAG: str(year)}, statuses=UNFINISHED)
    return next((run.run_id[:8] for run in instance.get_runs(of_the_year, limit=1)), None)


def failed_run(instance: dg.DagsterInstance, year: int, tags: Mapping[str, str]) -> str | None:
    """Short id of the newest run of the year with these tags, if it failed."""
    runs = instance.get_runs(dg.RunsFilter(tags={**tags, YEAR_TAG: str(year)}), limit=1)
    return next((run.run_id[:8] for run in runs if run.status == dg.DagsterRunStatus.FAILURE), None)


def request_of(instance: dg.DagsterInstance, ledger: Ledger, state: YearState) -> dg.RunRequest | dg.SkipReason:
    """Ask for a run of the year, unless the same inputs were tried and failed."""
    year, tags = state.year, {INPUTS_TAG: ledger.inputs(state.delivery)}
    if run_id := failed_run(instance, year, tags):
        return dg.SkipReason(
            f"{year}: this delivery was tried in run {run_id} and failed; see its checks. It is tried again when a file or "
            "a setting changes, or when you press Materialize"
        )
    # Without a run key: Dagster would silently drop a second request for the same inputs, which is right when a table
    # was made anew by hand or its file was lost in between.
    return dg.RunRequest(partition_key=str(year), tags=tags)
