"""Years built side by side: each in a process of its own, and each step after the same step of the years before.

A year reads tables of earlier years: checks compare with the year before, ``houses`` looks further back. So a step of a year
waits until the same step of every earlier year that is being built has ended; it then finds what it would have found had the
years been built one after the other, and the results are the same to the byte. The process that starts the others does no
work of its own: it tells them who may go on, and passes on what they say.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess, parent_process
from typing import Any, Generic, Protocol, TypeVar

import dagster as dg

from mm_pipeline.errors import OperatorError, storage_error
from mm_pipeline.operations.signals import raising_on_signals
from mm_pipeline.operations.start_up import without_collector
from mm_pipeline.settings import Settings

_HOUSES = "houses"
"""The step that reads the tables of two years before and earlier, as they are when its run begins."""

_BEGINS, _ENDS, _WAITS, _RESULT, _ERROR = "begins", "ends", "waits", "result", "error"
_GO_ON = "go on"

_ENDED = {dg.DagsterEventType.STEP_SUCCESS, dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.STEP_SKIPPED}

OnStep = Callable[[str, str], None]
"""Called with the year, or the job of all years, and its step that begins."""
OnWait = Callable[[str], None]
"""Called with a message when another process works on a year."""
OnEvent = Callable[[dg.EventLogEntry], None]
"""Called with every event of a run, which goes on when it returns."""

Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)


class BuildYear(Protocol[Result_co]):
    """Builds a year in the process that calls it."""

    def __call__(self, year: int, *, force: bool, on_wait: OnWait, on_event: OnEvent) -> Result_co: ...


Builder = Callable[[Settings], AbstractContextManager[BuildYear[Result]]]
"""Makes ready to build years; another process must be able to import it."""


@dataclass
class _Worker:
    """A process that builds one year at a time. ``year``: the one it is at, 0 while it has none."""

    process: BaseProcess
    connection: Connection
    year: int = 0
    ended: set[str] = field(default_factory=set)
    wants: str = ""
    """The step that it may not begin yet."""


class SideBySide(Generic[Result]):
    """At most ``processes`` processes that build years with ``builder``, started when needed; ended with the block."""

    def __init__(self, settings: Settings, processes: int, builder: Builder[Result]) -> None:
        self._processes, self._builder = processes, builder
        self._settings = replace(
            settings,
            threads=max(1, settings.threads // processes),
            memory_limit=f"{settings.memory_limit_bytes // processes // 1_000_000}MB",
        )
        self._workers: list[_Worker] = []

    def __enter__(self) -> "SideBySide[Result]":
        return self

    def __exit__(self, *error: Any) -> None:
        """End the processes as a signal would end this one, and wait for them."""
        for worker in self._workers:
            if worker.year:
                worker.process.terminate()
            worker.connection.close()
        for worker in self._workers:
            worker.process.join()

    def until_free_for(self, year: int, on_wait: OnWait, on_step: OnStep) -> Iterator[Result]:
        """Listen until a process is free and the year may be looked at. Yields the results that come meanwhile.

        Of years being built, only the earliest may wait for the lock of another process, lest two wait for each other: so
        the year before must have begun. Whether a year is up to date depends on ``houses`` of two years before.
        """
        while len(busy := [worker for worker in self._workers if worker.year]) == self._processes or any(
            _HOUSES not in worker.ended if worker.year <= year - 2 else not worker.ended for worker in busy
        ):
            yield from self._listen(on_wait, on_step)

    def build(self, year: int, force: bool) -> None:
        """Give the year to a process that is free."""
        worker = next((each for each in self._workers if not each.year), None) or self._started()
        worker.year, worker.ended = year, set()
        worker.connection.send((year, force))

    def rest(self, on_wait: OnWait, on_step: OnStep) -> Iterator[Result]:
        """The results of the years that are still being built."""
        while any(worker.year for worker in self._workers):
            yield from self._listen(on_wait, on_step)

    def _started(self) -> _Worker:
        # Spawned, not forked: a copy of this process would hold its locks and its database connections.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, self._settings), daemon=True)
        process.start()
        theirs.close()
        # Not as an argument: the process would keep it, and all modules it needs, beyond its end, which DuckDB reports.
        ours.send(self._builder)
        self._workers.append(_Worker(process, ours))
        return self._workers[-1]

    def _listen(self, on_wait: OnWait, on_step: OnStep) -> Iterator[Result]:
        """Take in what the processes say, and let those go on that may."""
        by_connection = {worker.connection: worker for worker in self._workers if worker.year}
        for ready in wait(list(by_connection)):
            worker = by_connection[ready]  # type: ignore[index]  # connections are all that was waited for
            try:
                said, what = worker.connection.recv()
            except EOFError:
                worker.process.join()
                if worker.process.exitcode == 1:  # by an error that nobody foresaw
                    raise RuntimeError(f"The process that built {worker.year} failed; its error is above.") from None
                raise OperatorError(
                    f"The process that built {worker.year} was killed, mostly for want of memory. Years that are done "
                    "stay. Start the command again, with a lower MM_PROCESSES if it happens again."
                ) from None
            if said == _BEGINS:
                worker.wants = what
                on_step(str(worker.year), what)
            elif said == _ENDS:
                worker.ended.add(what)
            elif said == _WAITS:
                on_wait(what)
            elif said == _ERROR:
                raise OperatorError(what)
            else:
                worker.year = 0
                yield what
        for worker in self._workers:
            if worker.wants and not self._is_ahead(worker):
                worker.wants = ""
                worker.connection.send(_GO_ON)

    def _is_ahead(self, worker: _Worker) -> bool:
        return any(
            other.year and other.year < worker.year and worker.wants not in other.ended for other in self._workers
        )


def _work(connection: Connection, settings: Settings) -> None:
    """The process: years come in, what happens and what became of them goes out. It ends when nobody listens any more."""
    # A Ctrl+C reaches all processes of a terminal; only the first one acts on it, and ends the others.
    os.setsid()
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def on_wait(said: str) -> None:
        connection.send((_WAITS, said))

    def on_event(event: dg.EventLogEntry) -> None:
        kind, step = event.dagster_event_type, event.step_key
        if kind in _ENDED:
            connection.send((_ENDS, step))
        elif kind is dg.DagsterEventType.STEP_START:
            connection.send((_BEGINS, step))
            try:
                connection.recv()
            except EOFError:
                raise KeyboardInterrupt from None

    gone = contextlib.suppress(EOFError, KeyboardInterrupt, BrokenPipeError)
    with gone, raising_on_signals():
        with without_collector():
            builder: Builder[Any] = connection.recv()  # imports what a year needs
        with builder(settings) as build:
            while True:
                year, force = connection.recv()
                try:
                    connection.send((_RESULT, build(year, force=force, on_wait=on_wait, on_event=on_event)))
                except Exception as error:
                    told = error if isinstance(error, OperatorError) else storage_error(error, settings.data_dir)
                    if told is None:
                        raise
                    connection.send((_ERROR, str(told)))


def _end_with_parent() -> None:
    """A process whose parent was killed ends like one that was asked to."""
    if (parent := parent_process()) is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
