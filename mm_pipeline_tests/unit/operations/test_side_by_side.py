"""Who may go on when, and what becomes of an error; the whole, in processes, is in dagster/test_side_by_side.py."""

import errno
import multiprocessing
import os
import signal
import threading
import time
from contextlib import contextmanager
from multiprocessing.connection import Connection
from types import SimpleNamespace

import dagster as dg
import pytest

from mm_pipeline.errors import OperatorError
from mm_pipeline.operations import side_by_side as module
from mm_pipeline.operations.side_by_side import SideBySide, _work, _Worker
from mm_pipeline.settings import Settings

STEPS = ("raw", "houses", "rates")


def tells(connection: Connection) -> None:
    connection.send(("error", "There is no space left. Make room."))


def fails(connection: Connection) -> None:
    raise AssertionError("nobody foresaw this")


def is_killed(connection: Connection) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("process", "kind", "text"),
    [
        (tells, OperatorError, r"There is no space left\. Make room\."),
        (fails, RuntimeError, "The process that built 2007 failed; its error is above"),
        (is_killed, OperatorError, "The process that built 2007 was killed, mostly for want of memory"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_an_error_of_a_process_is_told(tmp_path, process, kind, text):
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    with SideBySide(Settings(data_dir=tmp_path), 2, builder=None) as side_by_side:
        started = context.Process(target=process, args=(theirs,), daemon=True)
        started.start()
        theirs.close()
        side_by_side._workers.append(_Worker(started, ours, year=2007))
        with pytest.raises(kind, match=text):
            list(side_by_side.rest(on_wait=print, on_step=print))


# --- the order of the steps, with threads in the place of processes ---------------------------------------------------


def event(kind: dg.DagsterEventType, step: str) -> SimpleNamespace:
    return SimpleNamespace(dagster_event_type=kind, step_key=step)


class Thread(threading.Thread):
    """As much of a process as is needed, with an end of the pipe of its own; it ends when nobody talks to it any more."""

    exitcode = 0

    def __init__(self, target, args, daemon):
        theirs, *others = args
        super().__init__(target=target, args=(Connection(os.dup(theirs.fileno())), *others), daemon=daemon)

    def terminate(self) -> None:
        pass


class Story:
    """A builder whose years take their steps and tell them here, in the order in which they happened."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, str]] = []

    @contextmanager
    def __call__(self, settings: Settings):
        def build(year, *, force, on_wait, on_event):
            on_wait(f"{year} waits")
            for step in STEPS:
                on_event(event(dg.DagsterEventType.STEP_START, step))
                self.told.append(("begins", year, step))
                time.sleep(0.02 * (year % 2))  # the year after it would overtake it
                self.told.append(("ends", year, step))
                on_event(event(dg.DagsterEventType.STEP_SUCCESS, step))
            return year, force

        yield build

    def __reduce__(self):
        return _story, ()


_STORIES: list[Story] = []


def _story() -> Story:
    return _STORIES[-1]


@pytest.fixture
def story(monkeypatch):
    _STORIES.append(Story())
    monkeypatch.setattr(
        module.multiprocessing,
        "get_context",
        lambda method: SimpleNamespace(Pipe=multiprocessing.Pipe, Process=Thread) if method == "spawn" else None,
    )
    monkeypatch.setattr(module.os, "setsid", lambda: None)
    monkeypatch.setattr(module, "raising_on_signals", contextmanager(lambda: (yield)))  # of the main thread only
    return _STORIES[-1]


@pytest.mark.parametrize("processes", [2, 3, 5])
def test_a_step_begins_when_that_of_the_years_before_has_ended(tmp_path, story, processes):
    years, waits, steps, results = range(2003, 2013), [], [], []
    with SideBySide(Settings(data_dir=tmp_path), processes, story) as side_by_side:
        for year in years:
            results += side_by_side.until_free_for(year, waits.append, lambda *step: steps.append(step))
            # Whether the year is up to date depends on these.
            assert all(("ends", before, "houses") in story.told for before in range(2003, year - 1))
            side_by_side.build(year, force=year == 2005)
        results += side_by_side.rest(waits.append, lambda *step: steps.append(step))
    assert sorted(results) == [(year, year == 2005) for year in years]
    assert sorted(waits) == [f"{year} waits" for year in years]
    assert sorted(steps) == sorted((str(year), step) for year in years for step in STEPS)
    for place, (what, year, step) in enumerate(story.told):
        if what == "begins":
            assert all(("ends", before, step) in story.told[:place] for before in range(2003, year))


def test_memory_and_threads_are_divided(tmp_path):
    settings = Settings(data_dir=tmp_path, threads=8, memory_limit="4GB")
    shared = SideBySide(settings, 3, builder=None)._settings
    assert (shared.threads, shared.memory_limit) == (2, "1333MB")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OperatorError("The file is bad. Mend it."), "The file is bad. Mend it."),
        (OSError(errno.ENOSPC, "No space left on device"), "space"),
        (AssertionError("nobody foresaw this"), None),
    ],
)
def test_a_process_tells_the_errors_that_an_operator_can_mend(tmp_path, story, monkeypatch, error, told):
    (ours, theirs), said = multiprocessing.Pipe(), []

    @contextmanager
    def breaking(self, settings):
        def build(year, **_):
            raise error

        yield build

    monkeypatch.setattr(Story, "__call__", breaking)
    ours.send(story)
    ours.send((2007, False))
    if told is None:
        with pytest.raises(AssertionError, match="nobody foresaw this"):
            _work(theirs, Settings(data_dir=tmp_path))
    else:
        listener = threading.Thread(target=lambda: (said.append(ours.recv()), ours.close()))
        listener.start()
        _work(theirs, Settings(data_dir=tmp_path))
        listener.join()
        [(kind, text)] = said
        assert kind == "error"
        assert told in text
