"""What is hidden with what, and what a reader knows of a hidden figure."""

from dataclasses import replace

import numpy as np
import pytest

from mm_pipeline.disclosure.suppression import (
    SuppressionPattern,
    apply_rules,
    hide_group,
    lower_bounds,
    primary_pattern,
)
from mm_pipeline.disclosure.system import Before, system_of
from mm_pipeline_tests.support.systems import at, names, pattern_of, table

T = 5
MUNICIPALITY = table(
    ("municipality 11001 11000 total", 60, 20),
    ("municipality 11001 11000 M", 30, 20),
    ("municipality 11001 11000 F", 30, 0),
    ("municipality 11001 11000 0", 60, 20),
    ("municipality 11001 11000 1", 0, 0),
)
SECTORS = table(
    ("municipality 11001 11000 total", 90, 30),
    ("sector 11001A00- 11001 total", 40, 10),
    ("sector 11001A01- 11001 total", 50, 20),
    ("sector 11001A02- 11001 total", 0, 0),
    ("municipality 11002 11000 total", 30, 10),
    ("sector 11002A00- 11002 total", 30, 10),
)


def hidden(system, pattern):
    """The names of what is hidden, the residuals apart."""
    return {
        f"{letter} {name}"
        for letter, flags in (("N", pattern.beneficiaries), ("n", pattern.patients))
        for name, hides, is_residual in zip(names(system), flags, system.is_residual, strict=True)
        if hides and not is_residual
    }


def bounds(system, pattern):
    """(of N, of n) by name: what a hidden figure is at least, None for one that is shown."""
    lowest = lower_bounds(system, pattern)
    return {
        name: tuple(
            int(lowest[figure][place]) if pattern[figure][place] else None for figure in ("beneficiaries", "patients")
        )
        for place, name in enumerate(names(system))
    }


# --- what is hidden --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("people", "patients", "expected"),
    [
        (0, 0, ""),
        (4, 0, "Nn"),
        (5, 0, ""),
        (5, 5, "n"),
        (100, 1, "n"),
        (100, 4, "n"),
        (100, 5, ""),
        (100, 95, ""),
        (100, 96, "n"),
        (100, 100, "n"),
    ],
)
def test_the_primary_rule(people, patients, expected):
    system = system_of(table(("municipality 11001 11000 total", people, patients)))
    pattern = primary_pattern(system, T)
    assert "N" * int(pattern.beneficiaries[0]) + "n" * int(pattern.patients[0]) == expected


def test_residuals_are_hidden_whatever_they_count():
    system = system_of(SECTORS)
    pattern = primary_pattern(system, T)
    assert hidden(system, pattern) == set()
    assert (pattern.beneficiaries == system.is_residual).all()
    assert (pattern.patients == system.is_residual).all()
    assert system.is_residual.sum() == 2


def test_r1_hides_the_patients_of_all_breakdowns_but_where_nobody_lives():
    system = system_of(MUNICIPALITY)
    pattern = pattern_of(system, "n municipality 11001 total")
    apply_rules(system, pattern)
    assert hidden(system, pattern) == {f"n municipality 11001 {category}" for category in ("total", "M", "F", "0")}


def test_r1_hides_the_beneficiaries_of_all_breakdowns_zeros_included_and_the_patients_with_them():
    system = system_of(MUNICIPALITY)
    pattern = pattern_of(system, "N municipality 11001 total")
    apply_rules(system, pattern)
    assert hidden(system, pattern) == {
        f"{figure} municipality 11001 {category}" for figure in "Nn" for category in ("total", "M", "F", "0", "1")
    }


def test_a_hidden_breakdown_hides_neither_its_total_nor_the_other_breakdowns():
    system = system_of(MUNICIPALITY)
    pattern = pattern_of(system, "N municipality 11001 F")
    apply_rules(system, pattern)
    assert hidden(system, pattern) == {"N municipality 11001 F", "n municipality 11001 F"}


def test_r2_for_the_patients_hides_them_in_all_sectors_in_which_somebody_lives():
    system = system_of(SECTORS)
    pattern = pattern_of(system)
    hide_group(system, pattern, int(system.group[at(system, "sector 11001A00- total")]))
    assert hidden(system, pattern) == {"n sector 11001A00- total", "n sector 11001A01- total"}


def test_r2_for_the_patients_takes_a_sector_along_that_hides_its_beneficiaries():
    system = system_of(SECTORS)
    pattern = pattern_of(system, "N sector 11001A02- total")
    hide_group(system, pattern, int(system.group[at(system, "sector 11001A00- total")]))
    assert "n sector 11001A02- total" in hidden(system, pattern)


def test_r2_hides_the_patients_of_all_categories_of_one_breakdown_zeros_included_and_not_the_total():
    system = system_of(MUNICIPALITY)
    pattern = pattern_of(system)
    hide_group(system, pattern, int(system.group[at(system, "municipality 11001 F")]))
    assert hidden(system, pattern) == {"n municipality 11001 M", "n municipality 11001 F"}


def test_no_total_but_that_of_a_sector_is_in_a_group():
    system = system_of(MUNICIPALITY)
    assert system.group[at(system, "municipality 11001 total")] == -1
    system = system_of(SECTORS)
    assert (system.group[system.is_residual] == -1).all()
    groups = {name: group for name, group in zip(names(system), system.group, strict=True) if group >= 0}
    assert len(set(groups.values())) == 2
    assert set(groups) == {name for name in names(system) if name.startswith("sector") and "ZZZZ" not in name}


def test_a_past_cell_is_hidden_where_its_release_hid_it_and_only_there():
    system = system_of(table(("municipality 11001 11000 total", 3, 1), ("municipality 11002 11000 total", 3, 0)))
    yes, no = np.array([True, True]), np.array([False, False])
    first = {"beneficiaries": np.array([False, True]), "patients": np.array([False, True])}
    before = replace(Before.nothing(2), is_past=yes, known={"beneficiaries": no, "patients": no}, hidden=first)
    pattern = primary_pattern(replace(system, before=before), T)
    assert (pattern.beneficiaries.tolist(), pattern.patients.tolist()) == ([False, True], [False, True])


def test_a_copy_is_independent():
    pattern = SuppressionPattern(np.array([False]), np.array([False]))
    other = pattern.copy()
    other["patients"][0] = other["beneficiaries"][0] = True
    assert not pattern.patients[0]
    assert not pattern.beneficiaries[0]


# --- what the reader knows of it -------------------------------------------------------------------------------------


def test_a_hidden_figure_is_at_least_1_as_zeros_are_shown():
    system = system_of(MUNICIPALITY)
    pattern = pattern_of(system, "n municipality 11001 M", "n municipality 11001 total", "N municipality 11001 total")
    pattern.beneficiaries[at(system, "municipality 11001 total")] = False
    found = bounds(system, pattern)
    assert found["municipality 11001 total"] == (None, 1)
    assert found["municipality 11001 F"] == (None, None)


def test_where_the_beneficiaries_are_hidden_the_patients_may_be_none():
    system = system_of(MUNICIPALITY)
    found = bounds(system, pattern_of(system, "N municipality 11001 M", "n municipality 11001 M"))
    assert found["municipality 11001 M"] == (1, 0)


def test_under_r1_a_breakdown_may_be_zero_in_the_figure_that_the_total_hides():
    system = system_of(MUNICIPALITY)
    pattern = pattern_of(system, "n municipality 11001 total")
    apply_rules(system, pattern)
    found = bounds(system, pattern)
    assert found["municipality 11001 total"] == (None, 1)
    assert found["municipality 11001 M"] == (None, 0)

    pattern = pattern_of(system, "n municipality 11001 total", "N municipality 11001 M")
    apply_rules(system, pattern)
    assert bounds(system, pattern)["municipality 11001 M"] == (1, 0), "its N is not hidden in the total"

    pattern = pattern_of(system, "N municipality 11001 total")
    apply_rules(system, pattern)
    found = bounds(system, pattern)
    assert found["municipality 11001 total"] == (1, 0)
    assert found["municipality 11001 1"] == (0, 0)


def test_a_rest_may_be_zero():
    system = system_of(SECTORS)
    assert bounds(system, pattern_of(system))["sector 11001ZZZZ total"] == (0, 0)


def test_under_r2_sectors_may_be_zero_and_a_municipality_says_nothing_of_another():
    system = system_of(SECTORS)
    pattern = pattern_of(system, "n sector 11001A00- total", "n sector 11001A01- total", "n sector 11002A00- total")
    found = bounds(system, pattern)
    # The sector that shows N = 0 shows n = 0 under R2 as well, so it is not among those that count.
    assert found["sector 11001A00- total"] == found["sector 11001A01- total"] == (None, 0)
    assert found["sector 11002A00- total"] == (None, 0)
    pattern.patients[at(system, "sector 11001A01- total")] = False
    found = bounds(system, pattern)
    assert found["sector 11001A00- total"] == (None, 1)
    assert found["sector 11002A00- total"] == (None, 0)


def test_a_hidden_number_of_beneficiaries_of_a_sector_is_at_least_1_whatever_the_others_show():
    """In a year without a sector table a sector has a row only where somebody lives there."""
    system = system_of(SECTORS)
    both = [f"{figure} sector 11001A0{k}- total" for figure in "Nn" for k in (0, 1)]
    assert bounds(system, pattern_of(system, *both))["sector 11001A00- total"] == (1, 0)
    zero = [f"{figure} sector 11001A02- total" for figure in "Nn"]
    assert bounds(system, pattern_of(system, *both, *zero))["sector 11001A00- total"] == (1, 0)


def test_under_r2_the_categories_of_a_breakdown_may_be_zero_and_another_says_nothing_of_it():
    system = system_of(MUNICIPALITY)
    pattern = pattern_of(system, "n municipality 11001 M", "n municipality 11001 F", "n municipality 11001 0")
    found = bounds(system, pattern)
    assert found["municipality 11001 M"] == found["municipality 11001 F"] == (None, 0)
    # Nobody has the preferential tariff, and that shows: of the two categories one counts.
    assert found["municipality 11001 0"] == (None, 0)
    pattern.patients[at(system, "municipality 11001 F")] = False
    assert bounds(system, pattern)["municipality 11001 M"] == (None, 1)


def test_the_bound_of_a_municipality_does_not_depend_on_its_sectors():
    system = system_of(SECTORS)
    found = bounds(system, pattern_of(system, "n municipality 11001 total", "n sector 11001A00- total"))
    assert found["municipality 11001 total"] == (None, 1)


def test_the_bounds_of_some_cells_are_those_that_they_have_among_all():
    system = system_of(SECTORS)
    pattern = pattern_of(system, "n sector 11001A00- total", "n sector 11001A01- total", "N sector 11002A00- total")
    apply_rules(system, pattern)
    of_all = lower_bounds(system, pattern)
    for number in set(system.within["municipality"]):
        cells = np.flatnonzero(system.within["municipality"] == number)
        for figure, expected in of_all.items():
            assert lower_bounds(system, pattern, cells)[figure].tolist() == expected[cells].tolist()


def test_an_earlier_release_can_tell_more_and_of_a_past_cell_it_tells_everything():
    system = system_of(SECTORS)
    first, second = at(system, "sector 11001A00- total"), at(system, "sector 11001A01- total")
    before = Before.nothing(len(system))
    before.is_past[second] = True
    system.group[second] = -1
    at_least = {figure: np.zeros(len(system), dtype="int64") for figure in ("beneficiaries", "patients")}
    at_least["patients"][first], at_least["beneficiaries"][second] = 1, 1
    system = replace(system, before=replace(before, at_least=at_least))
    every = [f"{figure} sector 11001A0{k}- total" for figure in "Nn" for k in range(3)]
    found = bounds(system, pattern_of(system, *every))
    assert found["sector 11001A00- total"] == (1, 1)
    assert found["sector 11001A01- total"] == (1, 0)


def test_of_a_past_cell_only_its_own_release_tells_how_small_it_is():
    """It is not a sector among those of now: it neither has R2 with them, nor does it end it for them."""
    system = system_of(SECTORS)
    past = at(system, "sector 11001A01- total")
    before = Before.nothing(len(system))
    before.is_past[past] = True
    group = int(system.group[past])
    system.group[past] = -1
    system = replace(system, before=before)
    shown = pattern_of(system, "n sector 11001A00- total")
    assert bounds(system, shown)["sector 11001A00- total"] == (None, 0), "the other sectors are past or empty"
    beside = pattern_of(system, "N sector 11001A01- total", "n municipality 11001 total")
    assert bounds(system, beside)["sector 11001A01- total"] == (0, None)
    pattern = pattern_of(system)
    hide_group(system, pattern, group)
    assert hidden(system, pattern) == {"n sector 11001A00- total"}
