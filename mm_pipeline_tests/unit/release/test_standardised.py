"""Age-standardised rates: against a plain calculation, and the properties that define them."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_pipeline.release.interval import wilson
from mm_pipeline.release.standardised import STANDARD_POPULATION, direct, standardised
from mm_pipeline.schemas import RELEASED_STANDARDISED
from mm_pipeline_tests.support.protected import released, row

EUROPEAN_STANDARD_POPULATION_2013 = {
    0: 1000, 1: 4000, 5: 5500, 10: 5500, 15: 5500, 20: 6000, 25: 6000, 30: 6500, 35: 7000, 40: 7000, 45: 7000,
    50: 7000, 55: 6500, 60: 6000, 65: 5500, 70: 5000, 75: 4000, 80: 2500, 85: 1500, 90: 800, 95: 200,
}  # fmt: skip
"""As Eurostat publishes it: first age of the group -> persons."""


def test_the_standard_is_eurostats():
    by_age = {}
    for first, after in pairwise([*EUROPEAN_STANDARD_POPULATION_2013, 100]):
        for age in range(first, after):
            by_age[age] = EUROPEAN_STANDARD_POPULATION_2013[first] / (after - first)
    bounds = {"0-17": (0, 17), "18-24": (18, 24), "25-44": (25, 44), "45-64": (45, 64)}
    bounds |= {"65-74": (65, 74), "75-84": (75, 84), "85+": (85, 99)}
    for age_class, (first, last) in bounds.items():
        assert STANDARD_POPULATION[age_class] == pytest.approx(sum(by_age[age] for age in range(first, last + 1)))
    assert sum(STANDARD_POPULATION.values()) == 100_000


def area(level: str, code: str, cells: dict[str, tuple[int | None, int]], year: int = 2024) -> list[dict]:
    total = sum(patients or 0 for patients, _ in cells.values()), sum(people for _, people in cells.values())
    rows = [row(level, code, patients=total[0], people=total[1], year=year)]
    rows += [
        row(level, code, "age_class", age_class, patients=patients, people=people, year=year)
        for age_class, (patients, people) in cells.items()
    ]
    return rows


CELLS = dict(
    zip(
        STANDARD_POPULATION,
        [(400, 5000), (90, 2000), (500, 9000), (250, 8000), (60, 3000), (20, 1500), (5, 700)],
        strict=True,
    )
)


def test_by_hand():
    (cell,) = standardised(released(*area("province", "10000", CELLS))).to_pylist()
    expected = sum(STANDARD_POPULATION[age] / 100_000 * patients / people for age, (patients, people) in CELLS.items())
    assert cell["standardised_per_10000"] == pytest.approx(10_000 * expected)
    variance = sum(
        (STANDARD_POPULATION[age] / 100_000) ** 2 * (n / people) * (1 - n / people) / people
        for age, (n, people) in CELLS.items()
    )
    # Nearly normal with so many patients.
    assert cell["standardised_per_10000_lower"] == pytest.approx(
        10_000 * (expected - 1.96 * math.sqrt(variance)), rel=0.01
    )
    assert cell["standardised_per_10000_upper"] == pytest.approx(
        10_000 * (expected + 1.96 * math.sqrt(variance)), rel=0.01
    )
    assert cell["rate_per_10000"] == pytest.approx(10_000 * 1325 / 29_200)
    assert cell["status"] == "published"


def test_an_area_with_a_hidden_class_has_none():
    hidden = CELLS | {"85+": (None, 700)}
    rows = [*area("province", "10000", CELLS), *area("province", "04000", hidden), *area("country", "BE", CELLS, 2023)]
    table = standardised(released(*rows))
    assert table.schema == RELEASED_STANDARDISED.schema
    cells = {(cell["year"], cell["area_code"]): cell for cell in table.to_pylist()}
    assert set(cells) == {(2024, "10000"), (2024, "04000"), (2023, "BE")}
    assert cells[2024, "04000"]["status"] == "suppressed"
    for name in ("standardised_per_10000", "standardised_per_10000_lower", "standardised_per_10000_upper"):
        assert cells[2024, "04000"][name] is None
        assert cells[2024, "10000"][name] == cells[2023, "BE"][name] is not None


def test_it_uses_published_cells_only():
    """What is hidden beside the age classes makes no difference, and nothing below the arrondissement is there."""
    rows = area("province", "10000", CELLS)
    rows[0] = row("province", "10000", patients=None, people=29_200)
    table = standardised(released(*rows, *area("municipality", "11002", CELLS)))
    (cell,) = table.to_pylist()
    assert cell["standardised_per_10000"] is not None
    assert cell["rate_per_10000"] is None


def test_a_class_that_is_missing_counts_as_hidden():
    cells = {age: counts for age, counts in CELLS.items() if age != "18-24"}
    (cell,) = standardised(released(*area("province", "10000", cells))).to_pylist()
    assert cell["status"] == "suppressed"


@given(
    st.lists(st.integers(0, 1000), min_size=7, max_size=7).filter(lambda shares: sum(shares) > 0), st.integers(1, 50)
)
def test_with_the_standards_own_ages_it_is_the_crude_rate(shares, size):
    """The interval too, as far as the classes share one rate."""
    people = np.array([[size * weight for weight in STANDARD_POPULATION.values()]], dtype=float)
    patients = np.floor(people * np.array(shares) / 1000)
    value, lower, upper = direct(patients, people)
    assert value[0] == pytest.approx(patients.sum() / people.sum())
    if patients.sum() > 0:
        low, high = wilson(patients.sum(axis=1), people.sum(axis=1))
        assert (lower[0], upper[0]) == pytest.approx((low[0], high[0]), abs=1e-9) or np.isnan(lower[0])


@given(st.lists(st.tuples(st.integers(1, 10_000), st.integers(0, 10_000)), min_size=7, max_size=7))
def test_the_interval_holds_the_rate_and_lies_on_the_scale(cells):
    people = np.array([[people for people, _ in cells]], dtype=float)
    patients = np.minimum(people, np.array([[patients for _, patients in cells]], dtype=float))
    value, lower, upper = direct(patients, people)
    assert min(patients[0] / people[0]) - 1e-12 <= value[0] <= max(patients[0] / people[0]) + 1e-12
    assert np.isnan(lower[0]) or 0 <= lower[0] <= value[0] + 1e-12
    assert np.isnan(upper[0]) or value[0] - 1e-12 <= upper[0] <= 1
