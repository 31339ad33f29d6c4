"""What a process spends before it begins."""

import gc

import pytest

from mm_pipeline.operations.start_up import without_collector


def test_the_collector_goes_on_whatever_happens() -> None:
    def fails() -> None:
        assert not gc.isenabled()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), without_collector():
        fails()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0
    gc.unfreeze()
