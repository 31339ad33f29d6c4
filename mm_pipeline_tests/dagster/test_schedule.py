"""The years as partitions, and the Q3 schedule, with a clock standing before, in and after Q3 and in other years."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import takewhile
from pathlib import Path

import dagster as dg
import pytest
import time_machine
from dagster._utils.schedules import schedule_execution_time_iterator

from mm_pipeline.clock import BRUSSELS, all_years, newest_year
from mm_pipeline.definitions import build_definitions
from mm_pipeline.defs.partitions import YEARS
from mm_pipeline.defs.requests import INPUTS_TAG
from mm_pipeline.defs.schedules import q3_schedule
from mm_pipeline.operations.runs import YEARLY_JOB
from mm_pipeline.settings import Settings
from mm_pipeline_tests.support.installation import Installation, change_a_byte, deliver
from mm_pipeline_tests.support.paths import REFERENCE
from mm_pipeline_tests.support.pipeline import settings_for


def at(year: int, month: int, day: int, hour: int = 7, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=BRUSSELS)


class TestYears:
    @pytest.mark.parametrize("day", [(5, 15), (7, 1), (8, 15), (9, 30), (10, 1), (1, 1), (12, 31)], ids=str)
    @pytest.mark.parametrize("year", [2026, 2027, 2030])
    def test_end_two_years_ago(self, year, day):
        with time_machine.travel(at(year, *day), tick=False):
            expected = [str(each) for each in range(2003, year - 1)]
            assert YEARS.get_partition_keys() == expected
            assert [str(each) for each in all_years()] == expected
            assert newest_year() == year - 2

    def test_turn_with_the_year_in_brussels(self):
        """Half past midnight on New Year's Day in Brussels is still the old year in London."""
        with time_machine.travel(at(2027, 1, 1, 0, 30), tick=False):
            assert YEARS.get_last_partition_key() == "2025"
        with time_machine.travel(at(2026, 12, 31, 23, 30), tick=False):
            assert YEARS.get_last_partition_key() == "2024"


class TestTicks:
    @pytest.mark.parametrize("year", [2026, 2027, 2030])
    def test_are_every_morning_of_q3(self, year):
        ticks = list(takewhile(lambda tick: tick < at(year + 1, 1, 1), _ticks_after(at(year, 1, 1))))
        local = [tick.astimezone(BRUSSELS) for tick in ticks]
        expected = [at(year, 7, 1) + timedelta(days=n) for n in range(92)]
        assert [(tick.date(), tick.hour, tick.minute) for tick in local] == [(day.date(), 7, 0) for day in expected]
        assert (local[0].day, local[0].month, local[-1].day, local[-1].month) == (1, 7, 30, 9)

    @pytest.mark.parametrize(
        ("now", "following"),
        [
            (at(2026, 5, 15), at(2026, 7, 1)),
            (at(2026, 7, 1, 6, 59), at(2026, 7, 1)),
            (at(2026, 8, 15, 8), at(2026, 8, 16)),
            (at(2026, 9, 30, 8), at(2027, 7, 1)),
            (at(2026, 10, 1), at(2027, 7, 1)),
        ],
        ids=str,
    )
    def test_next_one(self, now, following):
        assert next(_ticks_after(now)) == following

    def test_run_by_default(self):
        assert _definition().default_status == dg.DefaultScheduleStatus.RUNNING
        assert _definition().job_name == YEARLY_JOB


def _ticks_after(when: datetime) -> Iterator[datetime]:
    schedule = _definition()
    return schedule_execution_time_iterator(when.timestamp(), schedule.cron_schedule, schedule.execution_timezone)


def _definition() -> dg.ScheduleDefinition:
    return build_definitions().resolve_schedule_def("q3_schedule")


def morning(installation: Installation, when: datetime, settings: Settings | None = None) -> dg.RunRequest | str:
    """What the schedule does on that morning: a request, or the reason of its skip."""
    settings = settings or installation.settings
    with time_machine.travel(when, tick=False), installation.instance() as instance:
        repository = build_definitions(settings=settings).get_repository_def()
        context = dg.build_schedule_context(
            instance=instance,
            scheduled_execution_time=when,
            repository_def=repository,
            resources={"settings": settings},
        )
        data = q3_schedule.evaluate_tick(context)
    if data.skip_message:
        assert not data.run_requests
        return data.skip_message
    (request,) = data.run_requests
    assert request.run_key is None
    assert request.tags["dagster/partition"] == request.partition_key
    return request


@pytest.fixture
def empty(tmp_path: Path) -> Installation:
    return Installation.of_small_country(tmp_path)


@pytest.fixture
def delivered(copy: Installation) -> Installation:
    """2007 is delivered and not built; in 2009 it is t-2."""
    deliver(copy.settings, [2007])
    return copy


def recorded_run(
    installation: Installation, when: datetime, tags: dict[str, str], status: dg.DagsterRunStatus
) -> dg.DagsterRun:
    """A run of the yearly job that has come to this status."""
    with time_machine.travel(when), installation.instance() as instance:
        job = build_definitions(settings=installation.settings).resolve_job_def(YEARLY_JOB)
        return instance.create_run_for_job(job, tags=tags, status=status)


class TestMorning:
    @pytest.mark.parametrize("year", [2026, 2027, 2030])
    def test_waits_for_a_year_of_which_nothing_is_there(self, empty, year):
        assert morning(empty, at(year, 7, 1)) == f"{year - 2}: waiting for forfaits, beneficiaries, dmg"

    def test_waits_in_words_for_what_is_missing(self, empty):
        folder = empty.raw(2024)
        folder.mkdir(parents=True)
        (folder / "forfaits.csv.gz").touch()
        (folder / "beneficiaries.parquet").touch()
        assert morning(empty, at(2026, 8, 15)) == "2024: waiting for dmg"

    def test_knows_what_is_built(self, built):
        """In 2008, 2006 is t-2."""
        for day in (at(2008, 7, 1), at(2008, 8, 15), at(2008, 9, 30)):
            assert morning(built, day) == "2006: already built from this delivery"

    def test_asks_for_a_run_once_all_is_there(self, delivered):
        request = morning(delivered, at(2009, 7, 1))
        assert request.partition_key == "2007"
        assert request.tags[INPUTS_TAG]
        assert morning(delivered, at(2009, 7, 2)).tags == request.tags, "it was not built in between"

    def test_looks_at_no_other_year(self, delivered):
        assert morning(delivered, at(2010, 7, 1)) == "2008: waiting for forfaits, beneficiaries, dmg"
        assert morning(delivered, at(2008, 7, 1)) == "2006: already built from this delivery"

    def test_asks_again_when_the_delivery_changed(self, copy):
        change_a_byte(copy.raw(2006))
        assert morning(copy, at(2008, 8, 15)).partition_key == "2006"

    def test_asks_again_when_a_setting_changed(self, built):
        settings = settings_for(built.root / "data", minimum_forfaits=5)
        assert morning(built, at(2008, 8, 15), settings).partition_key == "2006"

    def test_asks_again_when_a_table_was_lost(self, copy):
        """The inputs are those of an earlier, successful request: a run key would make Dagster drop this one silently."""
        request = morning(copy_without_rates(copy), at(2008, 8, 15))
        assert request.partition_key == "2006"
        recorded_run(copy, at(2008, 8, 15), request.tags, dg.DagsterRunStatus.SUCCESS)
        assert morning(copy, at(2008, 8, 16)).tags == request.tags

    def test_does_not_try_again_what_failed(self, delivered):
        request = morning(delivered, at(2009, 7, 1))
        run = recorded_run(delivered, at(2009, 7, 1), request.tags, dg.DagsterRunStatus.FAILURE)
        skip = morning(delivered, at(2009, 7, 2))
        assert skip.startswith(f"2007: this delivery was tried in run {run.run_id[:8]} and failed; see its checks.")

    @pytest.mark.parametrize("mended", ["delivery", "reference", "setting", "canceled"])
    def test_tries_again_once_something_changed(self, delivered, mended):
        request = morning(delivered, at(2009, 7, 1))
        failed = dg.DagsterRunStatus.CANCELED if mended == "canceled" else dg.DagsterRunStatus.FAILURE
        recorded_run(delivered, at(2009, 7, 1), request.tags, failed)
        settings = delivered.settings
        if mended == "delivery":
            change_a_byte(delivered.raw(2007))
        elif mended == "reference":
            shipped = REFERENCE / "refnis.csv"
            settings.reference_dir.mkdir(exist_ok=True)
            (settings.reference_dir / "refnis.csv").write_bytes(shipped.read_bytes() + b"\n")
        elif mended == "setting":
            settings = settings_for(delivered.root / "data", quarantine_limit=0.05)
        again = morning(delivered, at(2009, 7, 2), settings)
        assert again.partition_key == "2007"
        assert (again.tags[INPUTS_TAG] == request.tags[INPUTS_TAG]) == (mended == "canceled")

    @pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED])
    def test_waits_for_a_run_that_goes_on(self, delivered, status):
        """Whoever started it: a backfill from the UI carries the year and no fingerprint."""
        run = recorded_run(delivered, at(2009, 7, 1), {"dagster/partition": "2007"}, status)
        assert morning(delivered, at(2009, 7, 2)) == f"2007: being built in run {run.run_id[:8]}"


def copy_without_rates(installation: Installation) -> Installation:
    (installation.settings.lake_dir / "sector_rates" / "year=2006" / "part-0.parquet").unlink()
    return installation


@pytest.mark.slow
def test_a_requested_run_builds_the_year(delivered):
    """The request as Dagster would launch it: same job, same tags."""
    request = morning(delivered, at(2009, 7, 1))
    with delivered.instance() as instance, time_machine.travel(at(2009, 7, 1)):
        job = build_definitions(settings=delivered.settings).resolve_job_def(request.job_name or YEARLY_JOB)
        result = job.execute_in_process(
            partition_key=request.partition_key, tags=request.tags, instance=instance, raise_on_error=False
        )
        assert result.success
    assert morning(delivered, at(2009, 7, 2)) == "2007: already built from this delivery"
