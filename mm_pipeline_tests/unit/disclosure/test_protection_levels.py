"""How far a figure must be able to move, which have been seen to, and what is plain to see without asking."""

import numpy as np
import pytest

from mm_pipeline.disclosure.protection_levels import ProtectionLevels, plainly_known
from mm_pipeline.disclosure.proved_ranges import ProvedRanges
from mm_pipeline.disclosure.suppression import primary_pattern
from mm_pipeline.disclosure.system import system_of
from mm_pipeline_tests.support.systems import at, line_of, names, pattern_of, table

FIRST = "municipality 11001 total"


def by_name(system, flags):
    return dict(zip(names(system), flags.tolist(), strict=True))


def test_how_many_others_a_cell_must_be_able_to_have():
    """t = 5, but one patient at least where N is shown; where N is hidden, N may be larger."""
    system = system_of(line_of((3, 1), (5, 5), (6, 6), (100, 100)))
    pattern = primary_pattern(system, 5)
    cap = by_name(system, ProtectionLevels(system, 5).cap("others", pattern))
    assert [cap[f"municipality 1100{k} total"] for k in (1, 2, 3, 4)] == [5, 4, 5, 5]
    assert set(ProtectionLevels(system, 5).cap("patients", pattern)) == {5}


@pytest.mark.parametrize(("patients", "unmet"), [(1, True), (4, True), (5, True), (7, True), (8, False), (50, False)])
def test_a_hidden_figure_from_twice_t_less_two_on_cannot_be_taken_for_a_small_one(patients, unmet):
    system = system_of(line_of((100, patients), (100, 20)))
    pattern = pattern_of(system, f"n {FIRST}")
    assert (
        by_name(system, ProtectionLevels(system, 5).unmet("patients", pattern, ProvedRanges.initial(system)))[FIRST]
        is unmet
    )


def test_a_shown_figure_needs_nothing():
    system = system_of(line_of((100, 3), (100, 20)))
    assert not ProtectionLevels(system, 5).unmet("patients", pattern_of(system), ProvedRanges.initial(system)).any()


@pytest.mark.parametrize(("lowest", "highest", "unmet"), [(1, 4, True), (2, 5, True), (1, 5, False), (3, 7, False)])
def test_up_to_t_and_over_t_values(lowest, highest, unmet):
    system = system_of(line_of((100, 3), (100, 20)))
    pattern, proved = pattern_of(system, f"n {FIRST}"), ProvedRanges.initial(system)
    cell = np.array([at(system, FIRST)])
    for there in (lowest, highest):
        proved.add(cell, np.array([[0], [there - 3], [3 - there]]))
    assert ProtectionLevels(system, 5).unmet("patients", pattern, proved, cell).tolist() == [unmet]


def test_what_follows_at_once():
    """A single hidden number of a line; and all numbers of a line that are at their minimum together."""
    system = system_of(line_of((100, 20), (100, 30), (100, 40)))
    assert plainly_known(system, pattern_of(system, f"n {FIRST}"))["patients"].all()
    two = pattern_of(system, f"n {FIRST}", "n municipality 11002 total")
    known = by_name(system, plainly_known(system, two)["patients"])
    assert [name for name, is_known in known.items() if not is_known] == [FIRST, "municipality 11002 total"]

    ones = system_of(line_of((100, 1), (100, 1), (100, 40)))
    assert plainly_known(ones, pattern_of(ones, f"n {FIRST}", "n municipality 11002 total"))["patients"].all()


def test_the_order_is_from_above_and_totals_first():
    system = system_of(
        table(
            ("arrondissement 11000 10000 total", 9, 3),
            ("arrondissement 11000 10000 F", 4, 2),
            ("arrondissement 11000 10000 M", 5, 1),
            ("municipality 11001 11000 total", 9, 3),
            ("municipality 11001 11000 F", 4, 2),
            ("municipality 11001 11000 M", 5, 1),
        )
    )
    ordered = [names(system)[cell] for cell in ProtectionLevels(system, 5).order]
    assert ordered[0] == "arrondissement 11000 total"
    assert ordered[3] == FIRST
