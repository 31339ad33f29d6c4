"""A signal ends a process, whenever it comes."""

import os
import signal
import time
from contextlib import suppress

import pytest

from mm_pipeline.operations.signals import raising_on_signals, was_asked_to_end


def test_a_signal_that_comes_while_garbage_is_collected_is_not_lost():
    class Garbage:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0)  # here the signal raises what Python drops

    def collect() -> None:
        Garbage()
        time.sleep(30)

    with pytest.raises(KeyboardInterrupt), raising_on_signals():
        collect()


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_somebody_swallows_is_known(which):
    with raising_on_signals():
        assert not was_asked_to_end()
        with suppress(BaseException):
            os.kill(os.getpid(), which)
            time.sleep(30)
        assert was_asked_to_end()
    with raising_on_signals():
        assert not was_asked_to_end()
