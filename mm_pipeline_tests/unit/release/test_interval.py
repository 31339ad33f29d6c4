"""The Wilson interval: by its definition, at the ends of the scale, and against published figures."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_pipeline.release.interval import Z, wilson


def ends(patients: float, people: float) -> tuple[float, float]:
    lower, upper = wilson(np.array([patients]), np.array([people]))
    return float(lower[0]), float(upper[0])


@given(st.integers(1, 12_000_000).flatmap(lambda people: st.tuples(st.integers(0, people), st.just(people))))
def test_each_end_is_the_share_that_is_just_not_rejected(counts):
    """Its definition: the shares p with |x/n - p| <= z sqrt(p (1 - p) / n)."""
    patients, people = counts
    lower, upper = ends(patients, people)
    share = patients / people
    assert 0 <= lower <= share <= upper <= 1
    for end in (lower, upper):
        distance = Z * math.sqrt(end * (1 - end) / people)
        assert abs(share - end) == pytest.approx(distance, rel=1e-6, abs=1e-12)


def test_against_published_figures():
    """Newcombe, Two-sided confidence intervals for the single proportion, Statistics in Medicine 17 (1998), table I."""
    for (patients, people), published in {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }.items():
        assert ends(patients, people) == pytest.approx(published, abs=5e-5)


def test_the_ends_of_the_scale_are_exact():
    assert ends(0, 7)[0] == 0
    assert ends(7, 7)[1] == 1


def test_unknown_or_nobody_gives_nothing():
    for counts in ((np.nan, 10), (3, np.nan), (0, 0)):
        assert np.isnan(ends(*counts)).all()
