"""The primary rule on both sides of each bound."""

import numpy as np
import pytest

from mm_pipeline.disclosure.primary_rule import sensitive
from mm_pipeline.disclosure.small_numbers import is_small

T = 5


def is_sensitive(n: int, people: int, threshold: int = T) -> bool:
    return bool(sensitive(np.array([n]), np.array([people]), threshold)[0])


@pytest.mark.parametrize(
    ("n", "people", "expected"),
    [
        (0, 100, False),  # a zero may be shown
        (1, 100, True),
        (4, 100, True),
        (5, 100, False),
        (95, 100, False),
        (96, 100, True),  # 4 are not affiliated
        (99, 100, True),
        (100, 100, True),  # everybody is
        (0, 0, False),  # nobody lives there
        (0, 1, True),
        (0, 4, True),
        (0, 5, False),
        (5, 5, True),
        (5, 9, True),
        (5, 10, False),
    ],
)
def test_bounds_at_five(n, people, expected):
    assert is_sensitive(n, people) is expected


@pytest.mark.parametrize("threshold", [2, 3, 5, 10])
def test_the_threshold_moves_the_bounds(threshold):
    assert is_sensitive(threshold - 1, 1000, threshold)
    assert not is_sensitive(threshold, 1000, threshold)
    assert is_sensitive(1000 - threshold + 1, 1000, threshold)
    assert not is_sensitive(1000 - threshold, 1000, threshold)


@pytest.mark.parametrize("threshold", [5, 10])
def test_one_number_and_several_are_small_alike(threshold):
    counts = [0, 1, threshold - 1, threshold]
    assert is_small(np.array(counts), threshold).tolist() == [is_small(count, threshold) for count in counts]
    assert [is_small(count, threshold) for count in counts] == [False, True, True, False]
