"""The tables of all years and the page are made again by themselves, once, after the last year in progress."""

from pathlib import Path

import dagster as dg
import pytest

from mm_pipeline.definitions import build_definitions
from mm_pipeline.operations.runs import YEARLY_JOB
from mm_pipeline_tests.support.pipeline import settings_for

SERIES = {dg.AssetKey("published_series"), dg.AssetKey("atlas_page")}


class Ticks:
    """The sensor's evaluations, one after the other, over an instance on which events are reported by hand."""

    def __init__(self, root: Path) -> None:
        self.instance = dg.DagsterInstance.ephemeral()
        self.definitions = build_definitions(settings=settings_for(root))
        self.cursor = None
        assert self.requested() == set(), "the first look, before anything happened"

    def requested(self) -> set[dg.AssetKey]:
        result = dg.evaluate_automation_conditions(self.definitions, self.instance, cursor=self.cursor)
        self.cursor = result.cursor
        return {key for key in SERIES if result.get_requested_partitions(key)}

    def published(self, year: int) -> None:
        self.instance.report_runless_asset_event(dg.AssetMaterialization("published_year", partition=str(year)))

    def refreshed(self) -> None:
        for name in ("published_series", "atlas_page"):
            self.instance.report_runless_asset_event(dg.AssetMaterialization(name))

    def started(self, year: int) -> dg.DagsterRun:
        job = self.definitions.resolve_job_def(YEARLY_JOB)
        tags = {"dagster/partition": str(year)}
        return self.instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED)

    def ended(self, run: dg.DagsterRun, *, success: bool) -> None:
        if success:
            self.instance.report_dagster_event(
                dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, run.job_name), run.run_id
            )
        else:
            self.instance.report_run_failed(run)


@pytest.fixture
def ticks(tmp_path: Path) -> Ticks:
    return Ticks(tmp_path)


def test_follows_a_year_once(ticks):
    ticks.published(2005)
    assert ticks.requested() == SERIES, "both, in one run"
    ticks.refreshed()
    assert ticks.requested() == set()
    assert ticks.requested() == set()


def test_rests_while_nothing_happens(ticks):
    assert ticks.requested() == set()


def test_waits_for_the_other_years_in_progress(ticks):
    run = ticks.started(2006)
    ticks.published(2005)
    assert ticks.requested() == set()
    ticks.published(2006)
    ticks.ended(run, success=True)
    assert ticks.requested() == SERIES


def test_does_not_forget_a_year_when_the_last_one_fails(ticks):
    run = ticks.started(2006)
    ticks.published(2005)
    assert ticks.requested() == set()
    ticks.ended(run, success=False)
    assert ticks.requested() == SERIES
    ticks.refreshed()
    assert ticks.requested() == set()


@pytest.mark.parametrize("refreshed_after", [True, False])
def test_a_year_that_comes_during_the_refresh_is_not_lost(ticks, refreshed_after):
    """It may have read the folder before, and ended after it."""
    ticks.published(2005)
    assert ticks.requested() == SERIES
    ticks.published(2006)
    if refreshed_after:
        ticks.refreshed()
    assert ticks.requested() == SERIES
    ticks.refreshed()
    assert ticks.requested() == set()


def test_the_page_follows_a_series_made_by_hand(ticks):
    ticks.instance.report_runless_asset_event(dg.AssetMaterialization("published_series"))
    assert ticks.requested() == {dg.AssetKey("atlas_page")}


def test_the_sensor_runs_by_default():
    sensor = build_definitions().resolve_sensor_def("refresh_series")
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
