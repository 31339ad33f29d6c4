"""Signals: how a process that builds years is asked to end, and that it is not asked in vain."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_ENDING = (signal.SIGINT, signal.SIGTERM)
_arrived: list[int] = []
"""The end of a pipe into which the kernel's handler writes each signal, whatever becomes of it in Python."""


@contextmanager
def raising_on_signals() -> Iterator[None]:
    """SIGINT and SIGTERM raise KeyboardInterrupt, also where whoever started the process ignores them.

    Python drops what is raised while it collects garbage: a signal that comes just then comes once more.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Only the main thread of a process may ask for signals; a command in another one leaves them to it.
        return
    before = {number: signal.signal(number, signal.default_int_handler) for number in _ENDING}
    tell, again = sys.unraisablehook, list[threading.Timer]()

    def send_again(dropped: Any) -> None:
        if isinstance(dropped.exc_value, Exception | GeneratorExit | SystemExit | None):
            tell(dropped)
        else:
            again.append(threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)))
            again[-1].start()

    sys.unraisablehook = send_again
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    wakeup = signal.set_wakeup_fd(ends[1], warn_on_full_buffer=False)
    _arrived.append(ends[0])
    try:
        yield
    finally:
        _arrived.pop()
        signal.set_wakeup_fd(wakeup)
        for end in ends:
            os.close(end)
        sys.unraisablehook = tell
        for timer in again:
            timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


def was_asked_to_end() -> bool:
    """Whether a signal to end has come since :func:`raising_on_signals` began, even if a library has swallowed it."""
    try:
        return bool(_arrived) and not set(_ENDING).isdisjoint(os.read(_arrived[-1], 1000))
    except BlockingIOError:
        return False
