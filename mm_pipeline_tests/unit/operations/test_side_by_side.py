"""What becomes of an error in a process that builds years; the whole is in dagster/test_side_by_side.py."""

import multiprocessing
import os
import signal
from multiprocessing.connection import Connection

import pytest

from mm_pipeline.errors import OperatorError
from mm_pipeline.operations.side_by_side import SideBySide, _Worker
from mm_pipeline.settings import Settings


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
