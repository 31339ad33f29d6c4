"""The sensor of new deliveries: what it waits for, what it asks for, and that it asks once."""

import json
import os
from datetime import datetime

import dagster as dg
import pytest
import time_machine
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from mm_pipeline.clock import BRUSSELS
from mm_pipeline.definitions import build_definitions
from mm_pipeline.defs.requests import INPUTS_TAG
from mm_pipeline.defs.sensors import new_deliveries
from mm_pipeline.operations.runs import YEARLY_JOB
from mm_pipeline.settings import Settings
from mm_pipeline_tests.support.installation import Installation, change_a_byte, deliver
from mm_pipeline_tests.support.pipeline import settings_for

NOTHING_NEW = "Nothing new in data/raw."
IN_2009 = datetime(2009, 2, 1, 12, 0, tzinfo=BRUSSELS)
"""When 2007 is the newest year; the sensor looks all year round."""


class Sensor:
    """The sensor of an installation, tick by tick."""

    def __init__(self, installation: Installation) -> None:
        self.installation, self.cursor = installation, ""

    def tick(self, settings: Settings | None = None, when: datetime = IN_2009) -> list[str] | str:
        """The years that are asked for, or why none is."""
        self.requests = []
        settings = settings or self.installation.settings
        with time_machine.travel(when), self.installation.instance() as instance:
            context = dg.build_sensor_context(
                instance=instance,
                cursor=self.cursor,
                repository_def=build_definitions(settings=settings).get_repository_def(),
                resources={"settings": settings},
            )
            data = new_deliveries.evaluate_tick(context)
        self.cursor = data.cursor
        self.requests = data.run_requests or []
        for request in self.requests:
            assert request.tags[INPUTS_TAG]
            assert request.tags["dagster/partition"] == request.partition_key
        return [request.partition_key for request in self.requests] or data.skip_message


@pytest.fixture
def sensor(copy: Installation) -> Sensor:
    """One that has looked at what is built, and found nothing to do."""
    sensor = Sensor(copy)
    assert "2005: files are arriving" in sensor.tick()
    assert sensor.tick() == NOTHING_NEW
    return sensor


def test_a_year_that_is_up_to_date_is_not_asked_for(sensor):
    assert [sensor.tick() for _ in range(3)] == [NOTHING_NEW] * 3


def test_a_new_year_is_asked_for_once_nothing_arrives_any_more(sensor):
    deliver(sensor.installation.settings, [2007])
    assert sensor.tick() == "2007: files are arriving; waiting until none has changed for a minute"
    forfaits = sensor.installation.raw(2007) / "forfaits.csv.gz"
    with forfaits.open("ab") as file:
        file.write(b"\0")
    assert sensor.tick().startswith("2007: files are arriving"), "it still grows"
    forfaits.write_bytes(forfaits.read_bytes()[:-1])
    assert sensor.tick().startswith("2007: files are arriving")
    assert sensor.tick() == ["2007"]
    assert sensor.tick() == NOTHING_NEW, "it has been asked for"


def test_a_delivery_that_is_not_complete_is_waited_for(sensor):
    deliver(sensor.installation.settings, [2007])
    dmg = sensor.installation.raw(2007) / "dmg.parquet"
    elsewhere = dmg.rename(sensor.installation.root / "dmg.parquet")
    sensor.tick()
    assert sensor.tick() == "2007: waiting for dmg"
    assert sensor.tick() == NOTHING_NEW
    elsewhere.rename(dmg)
    sensor.tick()
    assert sensor.tick() == ["2007"]


def test_a_correction_makes_just_its_year_be_asked_for(sensor):
    change_a_byte(sensor.installation.raw(2005))
    assert sensor.tick().startswith("2005: files are arriving")
    assert sensor.tick() == ["2005"]


def test_other_times_of_the_same_bytes_are_no_new_delivery(sensor):
    for path in sensor.installation.raw(2005).iterdir():
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
    assert sensor.tick().startswith("2005: files are arriving")
    assert sensor.tick() == NOTHING_NEW


def test_other_bytes_with_the_times_of_before_are_a_new_delivery(sensor):
    """Whoever copies with the times of the original."""
    folder = sensor.installation.raw(2005)
    times = {path: path.stat() for path in folder.iterdir()}
    change_a_byte(folder)
    for path, stat in times.items():
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    sensor.tick()
    assert sensor.tick() == ["2005"]


def test_what_was_withdrawn_again_is_no_new_delivery(sensor):
    folder = sensor.installation.raw(2005)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    change_a_byte(folder)
    sensor.tick()
    for path, content in before.items():
        path.write_bytes(content)
    sensor.tick()
    assert sensor.tick() == NOTHING_NEW


def test_settings_and_code_ask_for_nothing(sensor):
    """An update of the program does not build twenty years unasked."""
    other = settings_for(sensor.installation.root / "data", minimum_forfaits=5)
    fresh = Sensor(sensor.installation)
    fresh.tick(other)
    assert fresh.tick(other) == NOTHING_NEW


def test_a_year_that_is_being_built_is_asked_for_after_that(sensor):
    change_a_byte(sensor.installation.raw(2005))
    sensor.tick()
    with sensor.installation.instance() as instance:
        job = build_definitions(settings=sensor.installation.settings).resolve_job_def(YEARLY_JOB)
        run = instance.create_run_for_job(job, tags={"dagster/partition": "2005"}, status=dg.DagsterRunStatus.STARTED)
    assert sensor.tick() == f"2005: being built in run {run.run_id[:8]}"
    with sensor.installation.instance() as instance:
        instance.report_run_failed(run)
    assert sensor.tick() == ["2005"]


def test_a_delivery_that_failed_is_not_tried_again(sensor):
    change_a_byte(sensor.installation.raw(2005))
    sensor.tick()
    assert sensor.tick() == ["2005"]
    with sensor.installation.instance() as instance:
        job = build_definitions(settings=sensor.installation.settings).resolve_job_def(YEARLY_JOB)
        instance.create_run_for_job(job, tags=sensor.requests[0].tags, status=dg.DagsterRunStatus.FAILURE)
    fresh = Sensor(sensor.installation)  # its cursor was lost
    fresh.tick()
    assert "2005: this delivery was tried in run" in fresh.tick()


def test_the_cursor_says_nothing_of_the_files(sensor):
    cursor = json.loads(sensor.cursor)
    assert set(cursor) == {"seen", "settled"}
    assert set(cursor["seen"]) == {"2004", "2005", "2006"}
    assert {len(found) for found in cursor["seen"].values()} == {16}


def test_a_folder_that_vanishes_is_looked_at_like_any_change(sensor):
    for path in sensor.installation.raw(2005).iterdir():
        path.unlink()
    sensor.installation.raw(2005).rmdir()
    assert sensor.tick().startswith("2005: files are arriving")
    assert sensor.tick() == NOTHING_NEW


def test_runs_by_default():
    assert new_deliveries.default_status == dg.DefaultSensorStatus.RUNNING
    assert new_deliveries.minimum_interval_seconds == 60


class TestStale:
    """What the UI shows as out of date, by Dagster's own reckoning."""

    def statuses(self, installation: Installation) -> dict[str, StaleStatus]:
        with installation.backfill() as (backfill, instance):
            resolver = CachingStaleStatusResolver(instance, backfill._graph, LoadingContextForTest(instance))
            names = [*backfill.ledger().yearly_assets]
            return {name: resolver.get_status(dg.AssetKey(name), "2005") for name in names}

    def stale(self, installation: Installation) -> set[str]:
        return {name for name, status in self.statuses(installation).items() if status != StaleStatus.FRESH}

    def test_is_nothing_of_what_was_just_built(self, sensor):
        assert self.stale(sensor.installation) == set()

    @pytest.mark.slow
    def test_is_what_is_read_from_a_delivery_that_changed(self, sensor):
        change_a_byte(sensor.installation.raw(2005))
        sensor.tick()
        assert self.stale(sensor.installation) == set(), "nobody has looked at its content yet"
        assert sensor.tick() == ["2005"]
        assert self.stale(sensor.installation) == {"raw_forfaits", "raw_dmg", "raw_beneficiaries", "raw_contributions"}
        with sensor.installation.backfill() as (backfill, _instance):
            backfill.years([2005])
        assert self.stale(sensor.installation) == set()

    @pytest.mark.slow
    def test_is_nothing_after_a_run_that_came_before_the_sensor(self, sensor):
        change_a_byte(sensor.installation.raw(2005))
        with sensor.installation.backfill() as (backfill, _instance):
            backfill.years([2005])
        sensor.tick()
        assert sensor.tick() == NOTHING_NEW
        assert self.stale(sensor.installation) == set()
