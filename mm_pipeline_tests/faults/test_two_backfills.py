"""Two backfills of the same years at once, in processes of their own: neither fails, and what they make is not mixed."""

import fcntl
import os
import re
import signal
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from mm_pipeline.definitions import build_definitions
from mm_pipeline.defs.sensors import abandoned_runs
from mm_pipeline.files.locks import SERIES, Locks, reading_all_years
from mm_pipeline.files.locks import command_line as command_line_itself
from mm_pipeline.operations import recovery
from mm_pipeline.operations.backfill import BUILT, UP_TO_DATE
from mm_pipeline.operations.recovery import end_abandoned_runs
from mm_pipeline.operations.runs import SERIES_JOB, YEARLY_JOB
from mm_pipeline.release.files import broken_checksums
from mm_pipeline_tests.support.installation import YEARS, Installation, deliver
from mm_pipeline_tests.support.server import (
    PATIENCE,
    Server,
    command_line,
    served,
)

OF_STEPS = {
    dg.DagsterEventType.STEP_START,
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.STEP_SUCCESS,
    dg.DagsterEventType.STEP_FAILURE,
}

TERMINATE = """
mutation Terminate($id: String!) {
  terminateRun(runId: $id) { __typename ... on TerminateRunFailure { message } }
}"""


def never(said: str) -> None:
    raise AssertionError(said)


def year_of(run: dg.DagsterRun) -> str:
    return run.tags.get("dagster/partition", SERIES)


def steps_by_year(instance: dg.DagsterInstance, known: set[str] = frozenset()) -> dict[str, list[tuple[float, float]]]:
    """Year -> when the steps of each of its runs began and ended, in the order of time; without the runs known before."""
    spans = defaultdict(list)
    for run in instance.get_runs():
        if run.run_id in known:
            continue
        times = [
            entry.timestamp
            for entry in instance.all_logs(run.run_id)
            if entry.dagster_event and entry.dagster_event.event_type in OF_STEPS
        ]
        if times:
            spans[year_of(run)].append((min(times), max(times)))
    return {year: sorted(of_year) for year, of_year in spans.items()}


def assert_one_after_the_other(spans: dict[str, list[tuple[float, float]]]) -> None:
    for year, of_year in spans.items():
        for (_begun, ended), (begun, _ended) in pairwise(of_year):
            assert ended <= begun, f"two runs of {year} at the same time"


def assert_release_is_consistent(installation: Installation) -> None:
    for folder in ("series", "atlas", *map(str, YEARS)):
        assert broken_checksums(installation.settings.published_dir / folder) == []
    left = [path.name for path in installation.settings.published_dir.iterdir() if path.name.startswith(".")]
    assert left == [], "a folder that was never put in its place"


def failures(instance: dg.DagsterInstance) -> dict[str, str]:
    return {run.run_id: year_of(run) for run in instance.get_runs() if run.status is not dg.DagsterRunStatus.SUCCESS}


# --- From the UI and from the command line


@pytest.fixture(scope="module")
def ui(built_in_belgium: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("both")
    with served(built_in_belgium.copied_to(folder / "installation"), folder / "log") as server:
        yield server


def test_the_ui_and_the_command_line_build_the_same_years(ui, tmp_path):
    installation = ui.installation
    before = installation.results()
    with installation.backfill() as (backfill, instance):
        yearly = backfill.ledger().yearly_assets
        known = {run.run_id for run in instance.get_runs()}

    with ExitStack() as stack:
        # Both are brought to wait for one year, so that they do meet, whatever the machine is busy with.
        meeting = stack.enter_context(ExitStack())
        meeting.enter_context(Locks(installation.settings.lake_dir).held(["2005"], by="the test", say=never))
        arguments = ("backfill", "--years", f"{YEARS[0]}:{YEARS[-1]}", "--force")
        cli = stack.enter_context(command_line(installation, tmp_path / "cli.log", *arguments))
        backfill_id = ui.launch_backfill(yearly, YEARS)
        waits = "2005: the test is working on it; this waits until that has ended."

        def waiting_run() -> str | None:
            with installation.instance() as instance:
                for run in instance.get_runs(dg.RunsFilter(tags={"dagster/partition": "2005"})):
                    if run.run_id not in known and any(waits in e.user_message for e in instance.all_logs(run.run_id)):
                        return run.run_id
            return None

        run_that_waited = ui.wait_for("the run from the UI waits", waiting_run, PATIENCE)
        cli.wait_for("the command line waits", lambda: waits in cli.said)
        meeting.close()
        assert cli.has_succeeded()
        state = ui.wait_for("the backfill", lambda: ui.ended_backfill(backfill_id), PATIENCE)
    assert state["status"] == "COMPLETED_SUCCESS", state
    assert run_that_waited in {run["id"] for run in state["runs"]}

    def settled() -> bool | None:
        """The sensor makes the series again after the last year."""
        with installation.backfill() as (backfill, instance):
            going_on = instance.get_runs(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES))
            return (not going_on and backfill.ledger().is_series_up_to_date()) or None

    ui.wait_for("the series", settled, PATIENCE)
    with installation.backfill() as (backfill, instance):
        assert failures(instance) == {}
        spans = steps_by_year(instance, known)
        assert {year: len(spans[str(year)]) for year in YEARS} == dict.fromkeys(YEARS, 2), "one from each"
        assert_one_after_the_other(spans)
        assert [said.user_message for said in instance.all_logs(run_that_waited)].count(waits) == 1, "said once"
        assert all(backfill.ledger().state(year).is_up_to_date for year in YEARS)
    assert installation.results() == before, "as when nobody else was building"
    assert_release_is_consistent(installation)
    for log in (cli.said, ui.log.read_text()):
        assert "database is locked" not in log


def test_a_run_that_waits_can_be_ended_from_the_ui(ui):
    installation = ui.installation
    before = installation.results()
    with Locks(installation.settings.lake_dir).held(["2004"], by="the test", say=never):
        backfill_id = ui.launch_backfill(["published_year"], [2004])  # one asset by itself, as its page launches it

        def waiting() -> str | None:
            with installation.instance() as instance:
                for run in ui.backfill(backfill_id)["runs"]:
                    if any("2004: the test is working on it" in e.user_message for e in instance.all_logs(run["id"])):
                        return run["id"]
            return None

        run_id = ui.wait_for("the run waits", waiting, PATIENCE)
        answer = ui.query(TERMINATE, id=run_id)["terminateRun"]
        assert answer["__typename"] == "TerminateRunSuccess", answer

        def ended() -> dg.DagsterRunStatus | None:
            with installation.instance() as instance:
                run = instance.get_run_by_id(run_id)
                return run.status if run.is_finished else None

        assert ui.wait_for("the run ends", ended, PATIENCE) is dg.DagsterRunStatus.CANCELED
    assert installation.results() == before
    assert list(Locks(installation.settings.lake_dir).abandoned()) == []


# --- Two command lines


def test_two_command_lines_build_each_year_once(built, tmp_path):
    """On a new machine: also the history, the secret and the folders are made by both."""
    installation = Installation.of_small_country(tmp_path / "new")
    deliver(installation.settings, YEARS)
    arguments = ("backfill", "--years", f"{YEARS[0]}:{YEARS[-1]}")
    with ExitStack() as stack:
        both = [stack.enter_context(command_line(installation, tmp_path / f"{n}.log", *arguments)) for n in range(2)]
        assert all(one.has_succeeded() for one in both)
    with installation.instance() as instance:
        assert failures(instance) == {}
        spans = steps_by_year(instance)
        assert {year: len(of_year) for year, of_year in spans.items()} == dict.fromkeys([*map(str, YEARS), SERIES], 1)
    rows = [re.findall(rf"^ (20\d\d) .*({BUILT}|{UP_TO_DATE})\s*$", one.said, re.MULTILINE) for one in both]
    for year in map(str, YEARS):
        assert sorted(what for of_one in rows for of, what in of_one if of == year) == [BUILT, UP_TO_DATE]
    assert installation.results() == built.results()
    assert_release_is_consistent(installation)


def test_a_year_that_was_built_while_it_was_waited_for_is_up_to_date(copy, tmp_path):
    (copy.settings.published_dir / "2005" / "rates.parquet").unlink()
    waits = "2005: mm-pipeline (process "
    with copy.backfill() as (backfill, _instance), ExitStack() as stack:
        assert not backfill.ledger().state(2005).is_up_to_date
        with backfill._locks.held(["2005"], by=command_line_itself(), say=never):
            other = stack.enter_context(command_line(copy, tmp_path / "log", "backfill", "--years", "2005"))
            other.wait_for("the command line waits", lambda: waits in other.said)
            (result,) = backfill.years([2005])
        assert result.outcome == BUILT
        assert other.has_succeeded()
    assert "1 of 1 years were up to date and were skipped." in other.said


def test_no_year_is_switched_while_the_series_reads_them(copy, tmp_path):
    """It used to notice a year that was released anew meanwhile, and to fail."""
    published = {path: content for path, content in copy.results().items() if "published" in path.parts}
    with ExitStack() as stack:
        reading = stack.enter_context(ExitStack())
        reading.enter_context(reading_all_years(copy.settings.lake_dir, never))
        cli = stack.enter_context(command_line(copy, tmp_path / "log", "backfill", "--years", "2005", "--force"))
        folder = copy.settings.published_dir / "2005"
        inode = folder.stat().st_ino

        def waits() -> bool:
            with copy.instance() as instance:
                (newest,) = instance.get_runs(dg.RunsFilter(tags={"dagster/partition": "2005"}), limit=1)
                return any(e.user_message.startswith("published: ") for e in instance.all_logs(newest.run_id))

        cli.wait_for("published_year waits", waits)
        assert folder.stat().st_ino == inode
        reading.close()
        assert cli.has_succeeded()
        assert folder.stat().st_ino != inode, "it was switched after that"
    assert {path: content for path, content in copy.results().items() if "published" in path.parts} == published


# --- A process that is killed


def test_a_command_line_that_is_killed_leaves_nothing_behind(copy, tmp_path):
    lock = copy.settings.lake_dir / ".locks" / "2005"
    arguments = ("backfill", "--years", "2005", "--force")
    with command_line(copy, tmp_path / "killed.log", *arguments) as killed:
        killed.wait_for("a run of 2005", lambda: lock.read_text().startswith("run "))
        os.kill(killed.process.pid, signal.SIGKILL)
        killed.process.wait(PATIENCE)

    with copy.backfill() as (backfill, instance):
        (left,) = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        assert year_of(left) == "2005", "Dagster believes that it goes on"

        # The daemon's sensor does the same; it is what frees the place in the queue.
        context = dg.build_sensor_context(instance=instance, resources={"settings": copy.settings})
        assert abandoned_runs(context).skip_message == f"Marked as failed: {left.run_id[:8]}"
        assert instance.get_run_by_id(left.run_id).status is dg.DagsterRunStatus.FAILURE
        assert abandoned_runs(context).skip_message == "Every run that goes on has its process."

        (result,) = backfill.years([2005], force=True, on_wait=never)
        assert (result.outcome, result.problems, backfill.series_problems) == (BUILT, [], [])


def test_the_next_command_line_ends_the_run_of_a_killed_one(copy):
    with copy.backfill() as (backfill, instance):
        run = instance.create_run_for_job(backfill._yearly, status=dg.DagsterRunStatus.STARTED)
        mark = copy.settings.lake_dir / ".locks" / f"run-{run.run_id}"
        mark.write_text("as a process that was killed leaves it")
        unknown = mark.with_name("run-of-another-history")
        unknown.write_text("as such a one of an installation with another history over the same data")
        backfill.years([])
        assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.FAILURE
        assert (mark.exists(), unknown.exists()) == (False, True)


@pytest.mark.parametrize("moment", ["before its mark is written", "before its end is noted"])
def test_a_run_that_was_killed_where_it_holds_no_lock_is_ended(copy, monkeypatch, moment):
    """It used to be going on for ever: nothing new that was delivered for its year was built."""
    child = os.fork()
    if child == 0:
        with copy.backfill() as (backfill, instance):

            def die(*_given: object, **_named: object) -> None:
                os.kill(os.getpid(), signal.SIGKILL)

            if moment == "before its mark is written":
                monkeypatch.setattr(Locks, "held_by_run", die)
            else:
                handle = instance.handle_new_event
                monkeypatch.setattr(
                    instance,
                    "handle_new_event",
                    lambda event, **rest: die() if event.dagster_event.is_job_success else handle(event, **rest),
                )
            backfill.years([2005], force=True)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    with copy.instance() as instance:
        (left,) = instance.get_runs(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES))
        assert end_abandoned_runs(instance, copy.settings) == [left.run_id[:8]]
        assert instance.get_run_by_id(left.run_id).status is dg.DagsterRunStatus.FAILURE
    assert list(Locks(copy.settings.lake_dir).abandoned()) == []


def test_who_is_killed_while_it_ends_a_run_leaves_that_to_the_next_one(copy, monkeypatch):
    with copy.backfill() as (backfill, instance):
        run = instance.create_run_for_job(backfill._yearly, status=dg.DagsterRunStatus.STARTED)
        (copy.settings.lake_dir / ".locks" / f"run-{run.run_id}").write_text("as a killed one leaves it")
        with monkeypatch.context() as patched:
            patched.setattr(instance, "report_run_failed", interrupted)
            with pytest.raises(KeyboardInterrupt):
                end_abandoned_runs(instance, copy.settings)
        assert end_abandoned_runs(instance, copy.settings) == [run.run_id[:8]]


def interrupted(*_given: object) -> None:
    raise KeyboardInterrupt


def test_a_run_without_a_mark_is_ended_once_it_said_nothing_for_long(copy, monkeypatch):
    """As one from the UI whose machine stopped just then."""
    with copy.backfill() as (backfill, instance):
        run = instance.create_run_for_job(backfill._yearly, status=dg.DagsterRunStatus.STARTED)
        instance.report_engine_event("Executing steps", run)
        assert end_abandoned_runs(instance, copy.settings) == []
        monkeypatch.setattr(recovery, "_UNMARKED", -1)
        with backfill._locks.marked(run.run_id):
            assert end_abandoned_runs(instance, copy.settings) == [], "it lives"
        assert end_abandoned_runs(instance, copy.settings) == [run.run_id[:8]]


def test_one_that_waits_goes_on_when_the_other_is_killed(copy, tmp_path):
    before, lock = copy.results(), copy.settings.lake_dir / ".locks" / "2005"
    arguments = ("backfill", "--years", "2005", "--force")
    with ExitStack() as stack:
        killed = stack.enter_context(command_line(copy, tmp_path / "killed.log", *arguments))
        killed.wait_for("a run of 2005", lambda: lock.read_text().startswith("run "))
        killed.process.send_signal(signal.SIGSTOP)  # so that it is met at work, however quick it is
        other = stack.enter_context(command_line(copy, tmp_path / "other.log", *arguments))
        other.wait_for("the other waits", lambda: "2005: run " in other.said)
        killed.process.send_signal(signal.SIGKILL)
        assert other.has_succeeded()
    assert copy.results() == before
    with copy.backfill() as (backfill, instance):
        backfill.years([])
        assert instance.get_runs(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES)) == []


# --- Held from the first step to the last


HOUSES = dg.AssetKey("houses")


@pytest.mark.parametrize(
    ("subset", "partition", "name"),
    [
        (lambda found: found.resolve_job_def(YEARLY_JOB), "2006", "2006"),
        (lambda found: found.resolve_job_def(SERIES_JOB), None, SERIES),
        (
            lambda found: found.resolve_implicit_global_asset_job_def().get_subset(asset_selection={HOUSES}),
            "2006",
            "2006",
        ),
        (
            lambda found: found.resolve_implicit_global_asset_job_def().get_subset(
                asset_selection=set(), asset_check_selection=checks_of(HOUSES, found)
            ),
            "2006",
            "2006",
        ),
    ],
    ids=["year", "series", "one asset", "checks alone"],
)
def test_a_run_holds_its_lock_at_every_step(copy, monkeypatch, subset, partition, name):
    path, held = copy.settings.lake_dir / ".locks" / name, []
    with copy.instance() as instance:
        handle = instance.handle_new_event

        def watched(event, **rest):
            if event.dagster_event and event.dagster_event.event_type in OF_STEPS:
                held.append(is_locked(path))
            return handle(event, **rest)

        monkeypatch.setattr(instance, "handle_new_event", watched)
        job = subset(build_definitions(settings=copy.settings))
        assert job.execute_in_process(partition_key=partition, instance=instance).success
    assert len(held) >= 3
    assert all(held)
    assert not is_locked(path)


def checks_of(asset: dg.AssetKey, definitions: dg.Definitions) -> set[dg.AssetCheckKey]:
    return {key for key in definitions.resolve_asset_graph().asset_check_keys if key.asset_key == asset}


def is_locked(path: Path) -> bool:
    """Also from within the process that holds it: a lock is of the opened file."""
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
