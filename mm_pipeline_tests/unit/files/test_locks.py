"""The locks of a data folder, between real processes."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dagster as dg
import pytest

from mm_pipeline.defs.resources.year_lock import locks_of
from mm_pipeline.files.locks import SERIES, Locks, reading_all_years, switching_a_year
from mm_pipeline.settings import Settings

PATIENCE = 60

HOLDER = """
import signal, sys, time
from pathlib import Path
from mm_pipeline.files.locks import Locks
from mm_pipeline.settings import Settings
signal.signal(signal.SIGTERM, signal.SIG_DFL)  # ignored if whoever started the tests ignores SIGINT, as in the background
locks = Locks(Settings(Path(sys.argv[1])).lake_dir)
with locks.held_by_run(sys.argv[2], sys.argv[3:], say=lambda said: print(said, flush=True)):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path / "data")


@contextmanager
def holding(settings: Settings, *names: str, run_id: str = "0123456789ab") -> Iterator[subprocess.Popen[str]]:
    """Another process that is about to hold these locks for a run."""
    command = [sys.executable, "-c", HOLDER, str(settings.data_dir), run_id, *names]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def said_by(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def never(said: str) -> None:
    raise AssertionError(said)


def test_who_comes_second_waits_and_says_for_whom(settings):
    with holding(settings, "2004") as first:
        assert said_by(first) == "held"
        heard: list[str] = []

        def hear(said: str) -> None:
            heard.append(said)
            threading.Timer(1, first.kill).start()

        before = time.process_time()
        with Locks(settings.lake_dir).held(["2004"], by="the test", say=hear) as waited:
            assert waited
        assert time.process_time() - before < 0.5, "it slept meanwhile"
        (said,) = heard
        assert said.startswith(f"2004: run 01234567 (process {first.pid} on ")
        assert said.endswith("is working on it; this waits until that has ended.")


def test_another_year_does_not_wait(settings):
    with holding(settings, "2004") as first:
        assert said_by(first) == "held"
        with Locks(settings.lake_dir).held(["2003", "2005", SERIES], by="the test", say=never) as waited:
            assert not waited


def test_a_lock_goes_with_its_holder_killed_outright(settings):
    with holding(settings, "2004") as first:
        assert said_by(first) == "held"
        os.kill(first.pid, signal.SIGKILL)
        first.wait(PATIENCE)
        with Locks(settings.lake_dir).held(["2004"], by="the test", say=never) as waited:
            assert not waited


def test_who_waits_can_be_ended(settings):
    with Locks(settings.lake_dir).held(["2004"], by="the test", say=never), holding(settings, "2004") as second:
        assert "2004: the test is working on it" in said_by(second)
        second.send_signal(signal.SIGTERM)
        assert second.wait(PATIENCE) == -signal.SIGTERM


def test_what_is_held_is_not_waited_for_by_its_holder(settings):
    locks, path = Locks(settings.lake_dir), settings.lake_dir / ".locks" / "2004"
    with locks.held(["2004"], by="outer", say=never):
        with locks.held_by_run("abcdefgh-1", ["2004"], say=never):
            assert path.read_text().startswith("run abcdefgh (process ")
        with holding(settings, "2004") as second:
            assert "is working on it" in said_by(second), "the inner one did not give it away"
    with locks.held(["2004"], by="again", say=never) as waited:
        assert not waited


def test_several_are_taken_in_one_order(settings):
    """Two that want the same two the other way round would wait for each other for ever."""
    with holding(settings, "2004") as first:
        assert said_by(first) == "held"
        with holding(settings, SERIES, "2004", run_id="b") as second:
            assert said_by(second).startswith("2004: ")
            with Locks(settings.lake_dir).held([SERIES], by="the test", say=never):
                pass


def test_folders_are_private(settings):
    with Locks(settings.lake_dir).held(["2004"], by="the test", say=never):
        folder = settings.lake_dir / ".locks"
        modes = [path.stat().st_mode & 0o777 for path in (settings.lake_dir, folder, folder / "2004")]
    assert modes == [0o700, 0o700, 0o600]


def test_years_are_switched_side_by_side_but_not_while_all_are_read(settings):
    heard: list[str] = []
    with switching_a_year(settings.lake_dir, never), switching_a_year(settings.lake_dir, never):
        reader = threading.Thread(
            target=lambda: reading_all_years(settings.lake_dir, heard.append).__enter__(), daemon=True
        )
        reader.start()
        end = time.monotonic() + PATIENCE
        while not heard and time.monotonic() < end:
            time.sleep(0.05)
        assert heard
        assert reader.is_alive()
    reader.join(PATIENCE)
    assert not reader.is_alive()


class TestAbandonedRuns:
    def test_only_what_was_killed_is_abandoned(self, settings):
        locks = Locks(settings.lake_dir)
        with holding(settings, "2004", run_id="killed") as first, holding(settings, "2005", run_id="lives") as second:
            assert said_by(first) == said_by(second) == "held"
            assert list(locks.abandoned()) == []
            first.kill()
            first.wait(PATIENCE)
            with locks.held_by_run("ended", ["2006"], say=never):
                pass
            assert list(locks.abandoned()) == [("killed", True)]
            locks.forget("killed")
            assert list(locks.abandoned()) == []

    def test_who_was_killed_while_it_waited_is_abandoned_too(self, settings):
        with (
            Locks(settings.lake_dir).held(["2004"], by="the test", say=never),
            holding(settings, "2004", run_id="k") as second,
        ):
            assert said_by(second)
            second.kill()
            second.wait(PATIENCE)
            assert list(Locks(settings.lake_dir).abandoned()) == [("k", True)]

    def test_the_mark_of_who_makes_a_run_is_there_before_and_after_it(self, settings):
        locks, mark = Locks(settings.lake_dir), settings.lake_dir / ".locks" / "run-abc"
        with locks.marked("abc"):
            assert mark.read_text() == ""
            with locks.held_by_run("abc", ["2004"], say=never):
                assert mark.read_text().startswith("run abc (")
            assert mark.exists()
            assert list(Locks(settings.lake_dir).abandoned()) == []
        assert not mark.exists()

    @pytest.mark.parametrize("beyond_errors", [True, False])
    def test_an_error_leaves_a_mark_only_if_its_end_may_be_unknown(self, settings, beyond_errors):
        locks = Locks(settings.lake_dir)

        def fail() -> None:
            with (
                locks.marked("a", beyond_errors=beyond_errors),
                locks.held_by_run("a", ["2004"], say=never),
            ):
                raise OSError

        with pytest.raises(OSError):  # noqa: PT011 - no other can come
            fail()
        assert list(Locks(settings.lake_dir).abandoned()) == ([("a", True)] if beyond_errors else [])

    def test_who_was_killed_before_it_began(self, settings):
        with Locks(settings.lake_dir).marked("a"):
            pass
        mark = settings.lake_dir / ".locks" / "run-a"
        mark.touch()
        assert list(Locks(settings.lake_dir).abandoned()) == [("a", False)]

    def test_who_ends_while_it_is_asked_for_is_not_abandoned(self, settings, monkeypatch):
        """Its mark was opened before it was removed, and is free after that."""
        locks, flock = Locks(settings.lake_dir), fcntl.flock
        with ExitStack() as run:
            run.enter_context(locks.held_by_run("abc", [], say=never))

            def ended_meanwhile(file, kind):
                run.close()
                flock(file, kind)

            monkeypatch.setattr(fcntl, "flock", ended_meanwhile)
            assert list(Locks(settings.lake_dir).abandoned()) == []

    def test_where_nothing_ever_ran_there_is_none(self, settings):
        assert list(Locks(settings.lake_dir).abandoned()) == []


@pytest.mark.parametrize(
    ("job", "tags", "selection", "expected"),
    [
        ("year", {"dagster/partition": "2004"}, None, ["2004"]),
        ("year", {"dagster/partition": "2004"}, {"houses"}, ["2004"]),
        ("series", {}, None, [SERIES]),
        ("__ASSET_JOB", {"dagster/partition": "2004"}, {"houses"}, ["2004"]),
        ("__ASSET_JOB", {"dagster/partition": "2004"}, {"published_year", "published_series"}, ["2004", SERIES]),
        ("__ASSET_JOB", {"dagster/partition": "2004"}, None, ["2004", SERIES]),
        ("__ASSET_JOB", {}, {"atlas_page"}, [SERIES]),
        (
            "__ASSET_JOB",
            {"dagster/asset_partition_range_start": "2004", "dagster/asset_partition_range_end": "2006"},
            {"houses"},
            ["2004", "2005", "2006"],
        ),
    ],
)
def test_what_a_run_holds(job, tags, selection, expected):
    keys = None if selection is None else {dg.AssetKey(name) for name in selection}
    assert locks_of(dg.DagsterRun(job_name=job, tags=tags, asset_selection=keys)) == expected
