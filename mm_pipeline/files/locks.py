"""Locks: one run of a year at a time, across all processes and containers that share the data folder.

A lock is a file in ``data/lake/.locks`` that a process has locked (``flock``). The kernel releases it when the process
ends, however it ends, so nothing stays locked. ``docs/decisions/0013-one-run-a-year-at-a-time.md`` says why this is not
done with Dagster's pools or tag limits.
"""

import fcntl
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import ClassVar

FOLDER = ".locks"
"""Folder of the locks, in the lake."""

SERIES = "series"  # of everything that is made from all years
DELIVERIES = "deliveries"  # for making synthetic deliveries
ID_KEY = "id.key"  # for making the secret of the pseudonymisation keys
SIGN_OFF = "sign-off"  # of the signature files
UI = "ui"  # of the web server that runs together with a daemon
_PUBLISHED, _RUN = "published", "run-"

Say = Callable[[str], None]
"""Called once, with a message, when a lock has to be waited for."""


class Locks:
    """The locks of one data folder. A lock that this object holds can be taken again."""

    _lent: ClassVar["ContextVar[Locks]"] = ContextVar("lent")

    def __init__(self, lake_dir: Path) -> None:
        self._folder = lake_dir / FOLDER
        self._held: dict[str, int] = {}
        self._marked: dict[str, int] = {}

    @contextmanager
    def lent(self) -> Iterator[None]:
        """What is run inside the block need not wait for what this object holds."""
        token = self._lent.set(self)
        try:
            yield
        finally:
            self._lent.reset(token)

    @classmethod
    def of_caller(cls, lake_dir: Path) -> "Locks":
        """The locks that were lent by whoever runs this, or else new ones."""
        return cls._lent.get(None) or cls(lake_dir)

    @contextmanager
    def held(self, names: Iterable[str], *, by: str, say: Say) -> Iterator[bool]:
        """Hold these locks (years, ``SERIES``). Yields whether it had to wait. ``by``: the holder, as others are told.

        Locks are always taken in the same order, so that two holders of several never wait for each other.
        """
        waited = False
        with ExitStack() as stack:
            for name in sorted(names):
                if name in self._held:
                    _write(self._held[name], by)
                else:
                    descriptor, had_to_wait = stack.enter_context(locked(self._folder / name, say))
                    waited |= had_to_wait
                    _write(descriptor, by)
                    stack.callback(_write, descriptor, "")
                    stack.callback(self._held.pop, name)
                    self._held[name] = descriptor
            yield waited

    @contextmanager
    def held_if_free(self, name: str) -> Iterator[bool]:
        """Hold this lock if nobody does, not even this object. Yields whether it is held."""
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(self._folder / name, wait=False))
            except BlockingIOError:
                yield False
            else:
                yield True

    @contextmanager
    def held_by_run(self, run_id: str, names: Iterable[str], *, say: Say) -> Iterator[None]:
        """Hold these locks and the mark of a Dagster run."""
        by = f"run {run_id[:8]} ({_process()})"
        with self.marked(run_id):
            _write(self._marked[run_id], by)
            with self.held(names, by=by, say=say):
                yield

    @contextmanager
    def marked(self, run_id: str, *, beyond_errors: bool = False) -> Iterator[None]:
        """Hold the mark of a Dagster run, which tells :meth:`abandoned` that its process is alive.

        A process that creates a run takes the mark before the run is in Dagster's history, and releases it when its end is.
        ``beyond_errors``: after an error the mark stays, like that of a killed run, as Dagster may not know the end.
        """
        if run_id in self._marked:
            yield
            return
        with locked(self._folder / f"{_RUN}{run_id}") as (descriptor, _waited):
            self._marked[run_id] = descriptor
            ended = not beyond_errors
            try:
                yield
                ended = True
            finally:
                if ended:
                    self.forget(run_id)  # while it is still locked
                del self._marked[run_id]

    def abandoned(self) -> Iterator[tuple[str, bool]]:
        """The ids of runs whose process died before they ended, and whether they had begun; each until :meth:`forget`."""
        for mark in sorted(self._folder.glob(f"{_RUN}*")):
            # BlockingIOError: the process is alive.
            with suppress(BlockingIOError, FileNotFoundError), mark.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if lies_at(mark, file.fileno()):  # else the run ended as it should
                    yield mark.name.removeprefix(_RUN), bool(file.read(1))

    def is_marked(self, run_id: str) -> bool:
        return (self._folder / f"{_RUN}{run_id}").exists()

    def forget(self, run_id: str) -> None:
        (self._folder / f"{_RUN}{run_id}").unlink(missing_ok=True)


def switching_a_year(lake_dir: Path, say: Say) -> AbstractContextManager[object]:
    """Lock for switching the folder of a released year: others may switch theirs, but nobody reads all years."""
    return locked(lake_dir / FOLDER / _PUBLISHED, say, shared=True)


def reading_all_years(lake_dir: Path, say: Say) -> AbstractContextManager[object]:
    """Lock for reading the folders of all released years: none is switched meanwhile."""
    return locked(lake_dir / FOLDER / _PUBLISHED, say)


def command_line() -> str:
    """The name of the command line as a holder of locks."""
    return f"mm-pipeline ({_process()})"


def _process() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


@contextmanager
def locked(
    path: Path, say: Say = lambda said: None, *, shared: bool = False, wait: bool = True
) -> Iterator[tuple[int, bool]]:
    """Lock a file. Yields its descriptor and whether it had to wait. A signal that raises an exception ends the wait.

    Without ``wait``, raises BlockingIOError when another process holds the lock. The file and the two folders it is in are
    made if they are missing, for their owner only.
    """
    path.parent.parent.parent.mkdir(parents=True, exist_ok=True)
    for folder in (path.parent.parent, path.parent):
        folder.mkdir(mode=0o700, exist_ok=True)
    kind, waited = fcntl.LOCK_SH if shared else fcntl.LOCK_EX, False
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                if not wait:
                    raise
                holder = os.pread(descriptor, 500, 0).decode(errors="replace") or "another process"
                say(f"{path.name}: {holder} is working on it; this waits until that has ended.")
                fcntl.flock(descriptor, kind)
                waited = True
            if lies_at(path, descriptor):  # else it was removed before it was locked
                yield descriptor, waited
                return
        finally:
            os.close(descriptor)


def hold_until_exit(lake_dir: Path, name: str) -> None:
    """Hold a lock until this process ends, even through ``exec``. Raises BlockingIOError when another one holds it."""
    with locked(lake_dir / FOLDER / name, wait=False) as (descriptor, _):
        # The lock belongs to the open file, so it lasts until this copy of the descriptor is closed as well.
        os.set_inheritable(os.dup(descriptor), True)


def lies_at(path: Path, descriptor: int) -> bool:
    """Whether the open file is the one at ``path``, and was not removed or replaced."""
    with suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    return False


def _write(descriptor: int, text: str) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)
