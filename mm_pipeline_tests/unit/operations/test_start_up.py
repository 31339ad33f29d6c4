"""What a process spends before it begins."""

import gc

import pytest

from mm_pipeline.operations.start_up import starting, without_collector


def test_the_collector_goes_on_whatever_happens() -> None:
    def fails() -> None:
        assert not gc.isenabled()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), without_collector():
        fails()
    assert gc.isenabled()


def test_the_collector_leaves_alone_what_was_there_at_the_start() -> None:
    with starting():
        before = gc.get_freeze_count()
    assert gc.get_freeze_count() > before
    assert gc.isenabled()
    gc.unfreeze()
