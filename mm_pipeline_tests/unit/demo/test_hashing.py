import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mm_pipeline.demo.hashing import INCREMENT, POINTS, Dice, finalise

INDEX = np.arange(100_000)


def test_finaliser_is_that_of_splitmix64() -> None:
    states = np.arange(1, 4, dtype=np.uint64) * INCREMENT
    # The first numbers of the generator with seed 0, as its authors publish them.
    assert finalise(states).tolist() == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


def test_a_draw_depends_on_seed_purpose_index_and_time_only() -> None:
    draw = Dice(1).roll("birth", INDEX, 2020)
    assert np.array_equal(draw[500:600], Dice(1).roll("birth", INDEX[500:600], 2020))
    for other in (Dice(2).roll("birth", INDEX, 2020), Dice(1).roll("death", INDEX, 2020), Dice(1).roll("birth", INDEX)):
        assert not np.any(draw == other)
    assert len(np.unique(draw)) == len(INDEX)


@given(st.integers(0, 2**63 - 1), st.integers(1, 2**31 - 1))
def test_below_stays_below(seed: int, limit: int) -> None:
    draws = Dice(seed).below("anything", np.arange(50), limit)
    assert draws.min() >= 0
    assert draws.max() < limit


def test_below_takes_a_limit_for_each() -> None:
    limits = np.array([1, 2, 1000])
    assert np.all(Dice(1).below("anything", np.arange(3), limits) < limits)
    assert Dice(1).below("anything", np.arange(3), 1).tolist() == [0, 0, 0]


def test_draws_are_even() -> None:
    counts = np.bincount(Dice(1).below("anything", INDEX, 10))
    # Six standard deviations of a count of 10 000.
    assert np.all(np.abs(counts - 10_000) < 570)
    assert abs(Dice(1).chance("anything", INDEX, 300).mean() - 0.03) < 0.003


def test_spread_is_more_even_than_chance() -> None:
    points = Dice(1).spread("home", INDEX)
    counts = np.bincount(points * 1000 // POINTS, minlength=1000)
    assert counts.min() >= 97
    assert counts.max() <= 103
