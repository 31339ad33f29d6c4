"""Alternatives: that they are possible, that they go as far as they must, and that they are the cheapest."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from mm_pipeline.disclosure import alternatives
from mm_pipeline.disclosure.alternatives import Block, room_of
from mm_pipeline.disclosure.suppression import apply_rules
from mm_pipeline.disclosure.system import FIGURES, TOTAL_WORTH, system_of
from mm_pipeline_tests.support.systems import at, line_of, names, pattern_of, table

MOST = 40


def square_of(men, women):
    """The same by sex."""
    both = [("M", men), ("F", women), ("total", [(a + c, b + d) for (a, b), (c, d) in zip(men, women, strict=True)])]
    rows = []
    for category, counts in both:
        rows.append((f"arrondissement 11000 10000 {category}", *np.sum(counts, axis=0)))
        rows += [(f"municipality 1100{number} 11000 {category}", *count) for number, count in enumerate(counts, 1)]
    return table(*rows)


class Case:
    """The whole table as a block."""

    def __init__(self, rates, *hidden, joint=False):
        self.system = system_of(rates)
        self.pattern = pattern_of(self.system, *hidden)
        apply_rules(self.system, self.pattern)
        self.cells = np.arange(len(self.system))
        self.room = room_of(self.system, self.pattern, self.cells, MOST, self.system.before.is_past)
        self.block = Block(self.system, self.cells, joint=joint)
        self.joint = joint

    def cheapest(self, name, target, by, *, room=None, free=False, along=None):
        """What moves, by "n level area category"; None where there is no alternative. Checked before it is given."""
        alternative = self.block.cheapest(at(self.system, name), target, by, room or self.room, free=free, along=along)
        if alternative is None:
            return None
        self.check(alternative, at(self.system, name), target, by, room or self.room, free)
        self.cost = alternative.cost
        return {
            f"{letter} {each}": int(change)
            for letter, figure in (("N", "beneficiaries"), ("n", "patients"))
            for each, change in zip(names(self.system), alternative.change.get(figure, self.cells * 0), strict=True)
            if change
        }

    def check(self, alternative, cell, target, by, room, free):
        system, change = self.system, alternative.change
        assert set(change) == (set(FIGURES) if self.joint else {"patients"})
        n = change["patients"]
        people = change.get("beneficiaries", np.zeros_like(n))
        went = {"beneficiaries": people, "patients": n, "others": people - n}[target][cell]
        assert (went >= by) if by > 0 else (went <= by)
        assert (system.patients + n <= system.beneficiaries + people).all()
        for figure, moved in change.items():
            assert not np.bincount(system.line, system.sign * moved[system.cell]).any(), "a line is off"
            assert (moved <= room.up[figure]).all()
            assert (-moved <= room.down[figure]).all()
            assert not free or not moved[~self.pattern[figure]].any()
        hides = sum(
            room.cost[figure][moved.astype(bool) & ~room.is_hidden[figure] & ~self.taken_along(moved)].sum()
            for figure, moved in change.items()
        )
        assert alternative.cost == pytest.approx(hides)

    def taken_along(self, moved):
        """R1: the breakdowns of a total that moves."""
        return (moved[self.system.total] != 0) & (self.system.total != self.cells)

    def least_cost(self, name, by, reach):
        """The cost of the cheapest of all alternatives of n of the municipalities' cells by -``reach`` ... ``reach``."""
        system, level = self.system, self.system.cells["level"]
        inner = [k for k in self.cells if level[k] == "municipality" and system.total[k] != k]
        # Each cell is the sum of the inner ones that lie in it.
        area, category = system.cells["area_code"], system.cells["category"]
        holds = [
            [area[k] in (area[j], "11000") and category[k] in (category[j], "total") for k in self.cells] for j in inner
        ]
        moved = np.array(list(itertools.product(range(-reach, reach + 1), repeat=len(inner)))) @ np.array(holds)
        others = system.beneficiaries - system.patients
        can_be = moved[:, at(system, name)] >= by
        can_be &= (moved <= np.minimum(self.room.up["patients"], others)).all(axis=1)
        can_be &= (-moved <= self.room.down["patients"]).all(axis=1)
        moved = moved[can_be]
        along = (moved[:, system.total] != 0) & (system.total != self.cells)
        pays = (moved != 0) & ~self.pattern.patients & ~along
        return min(pays @ self.room.cost["patients"], default=None)


# --- the room --------------------------------------------------------------------------------------------------------


def test_the_room_of_shown_and_of_hidden_cells():
    case = Case(
        line_of((40, 9), (40, 3), (30, 0), (60, 50)), "n municipality 11002 total", "N municipality 11004 total"
    )
    place = {name: k for k, name in enumerate(names(case.system))}
    down, up = case.room.down, case.room.up

    def of(name, figure):
        return int(down[figure][place[name]]), int(up[figure][place[name]])

    assert of("municipality 11001 total", "patients") == (8, MOST), "shown: hidden, it would be at least 1"
    assert of("municipality 11002 total", "patients") == (2, MOST), "hidden: at least 1"
    assert of("municipality 11003 total", "patients") == (0, 0), "a zero is shown"
    assert of("municipality 11004 total", "patients") == (MOST, MOST), (
        "its N is hidden: from 0; not more than asked for"
    )
    assert of("municipality 11003 total", "beneficiaries") == (29, MOST)
    assert case.room.is_hidden["patients"].nonzero()[0].tolist() == [
        place["municipality 11002 total"],
        place["municipality 11004 total"],
    ]


def test_the_price_of_hiding_rises_with_level_people_and_companions():
    case = Case(
        table(
            ("arrondissement 11000 10000 total", 1100, 110),
            ("municipality 11001 11000 total", 100, 10),
            ("municipality 11002 11000 total", 1000, 100),
            ("municipality 11002 11000 M", 500, 40),
            ("municipality 11002 11000 F", 500, 60),
        ),
        "n municipality 11001 total",
    )
    cost = {name: case.room.cost["patients"][k] for k, name in enumerate(names(case.system))}
    assert cost["municipality 11001 total"] == pytest.approx(0.001, rel=0.01), "hidden already: next to nothing"
    assert 1 < cost["municipality 11002 M"] < 1.2
    # Two more cells are hidden with the total of the municipality, of which the breakdowns cost nothing besides.
    both = 2 * (1 + 0.02 * np.log(501))
    assert cost["municipality 11002 total"] == pytest.approx(TOTAL_WORTH * (1 + 0.02 * np.log(1001)) + both, rel=0.01)
    assert cost["arrondissement 11000 total"] == pytest.approx(3 * TOTAL_WORTH * (1 + 0.02 * np.log(1101)), rel=0.01)
    assert len(set(cost.values())) == len(cost)
    # Hidden beneficiaries take the patients along, where these are shown.
    n, people = case.room.cost["patients"], case.room.cost["beneficiaries"]
    first, second = at(case.system, "municipality 11001 total"), at(case.system, "municipality 11002 M")
    assert people[second] == pytest.approx(2 * n[second])
    assert TOTAL_WORTH < people[first] < 1.1 * TOTAL_WORTH


def test_what_an_earlier_release_showed_and_what_is_past_stays():
    case = Case(line_of((40, 9), (40, 8), (40, 7)), "n municipality 11001 total")
    before = case.system.before
    known = np.zeros(len(case.system), dtype=bool)
    past = known.copy()
    known[at(case.system, "municipality 11001 total")] = past[at(case.system, "municipality 11002 total")] = True
    before = replace(before, is_past=past, known={**before.known, "patients": known})
    room = room_of(replace(case.system, before=before), case.pattern, case.cells, MOST, before.is_past)
    stays = [at(case.system, f"municipality 1100{k} total") for k in (1, 2)]
    assert not room.up["patients"][stays].any()
    assert not room.down["patients"][stays].any()
    assert room.up["patients"][at(case.system, "municipality 11003 total")] == MOST


# --- one figure ------------------------------------------------------------------------------------------------------


def test_a_line_moves_two_cells():
    case = Case(line_of((400, 1), (400, 50), (800, 60)), "n municipality 11001 total")
    moved = case.cheapest("municipality 11001 total", "patients", 4)
    assert moved == {"n municipality 11001 total": 4, "n municipality 11002 total": -4}, "the smaller of the two"


def test_hidden_cells_come_before_shown_ones():
    case = Case(line_of((400, 1), (400, 50), (800, 60)), "n municipality 11001 total", "n municipality 11003 total")
    moved = case.cheapest("municipality 11001 total", "patients", 4)
    assert moved == {"n municipality 11001 total": 4, "n municipality 11003 total": -4}
    assert case.cost == 0


def test_down_and_the_others():
    case = Case(line_of((400, 396), (400, 50)), "n municipality 11001 total")
    down = {"n municipality 11001 total": -3, "n municipality 11002 total": 3}
    assert case.cheapest("municipality 11001 total", "patients", -3) == down
    assert case.cheapest("municipality 11001 total", "others", 3) == down
    up = {"n municipality 11001 total": 2, "n municipality 11002 total": -2}
    assert case.cheapest("municipality 11001 total", "others", -2) == up
    assert case.cheapest("municipality 11001 total", "patients", 5) is None, "there are 4 others only"


def test_by_sex_it_takes_a_rectangle():
    men, women = [(640, 1), (900, 18), (1500, 28)], [(700, 19), (950, 22), (1560, 32)]
    case = Case(square_of(men, women), "n municipality 11001 M")
    assert case.cheapest("municipality 11001 M", "patients", 4) == {
        "n municipality 11001 M": 4,
        "n municipality 11001 F": -4,
        "n municipality 11002 M": -4,
        "n municipality 11002 F": 4,
    }


def test_none_where_nothing_can_make_up_for_it():
    # The other one has a single patient, who must stay as zeros are shown; and the arrondissement has none to spare.
    rates = line_of((400, 1), (400, 1))
    case = Case(rates, "n municipality 11001 total", "n municipality 11002 total")
    assert case.cheapest("municipality 11001 total", "patients", 1, free=True) is None
    assert case.cheapest("municipality 11001 total", "patients", 1) == {
        "n municipality 11001 total": 1,
        "n arrondissement 11000 total": 1,
    }
    assert case.cheapest("municipality 11001 total", "patients", -1) is None


def test_an_answer_does_not_depend_on_the_questions_before():
    rates = line_of((400, 3), (400, 50), (800, 60))
    fresh = Case(rates, "n municipality 11001 total").cheapest("municipality 11001 total", "patients", 2)
    case = Case(rates, "n municipality 11001 total")
    for target, by in (("patients", -2), ("others", 3), ("patients", 60), ("others", -500)):
        case.cheapest("municipality 11001 total", target, by)
        assert case.cheapest("municipality 11001 total", "patients", 2) == fresh
    shown = at(case.system, "municipality 11002 total")
    narrow = {**case.room.up, "patients": case.room.up["patients"] * (case.cells == 99)}
    assert case.cheapest("municipality 11001 total", "patients", 2, room=replace(case.room, up=narrow)) is None
    assert case.cheapest("municipality 11001 total", "patients", 2, free=True) is None
    assert case.cheapest("municipality 11001 total", "patients", 2) == fresh
    assert case.block.place[shown] == shown


def test_free_moves_hidden_cells_only():
    hidden = [f"n municipality 1100{k} total" for k in (1, 3)]
    case = Case(line_of((400, 1), (400, 50), (800, 3)), *hidden)
    assert case.cheapest("municipality 11001 total", "patients", 2, free=True) == {hidden[0]: 2, hidden[1]: -2}
    assert case.cheapest("municipality 11001 total", "patients", 4, free=True) is None
    assert case.cheapest("municipality 11001 total", "patients", 4) is not None


def test_one_cell_by_four_rather_than_two_by_two():
    """By the unit the two are cheaper, being of fewer people; but hiding costs by the cell."""
    case = Case(line_of((400, 1), (10, 3), (10, 3), (90000, 50)), "n municipality 11001 total")
    moved = case.cheapest("municipality 11001 total", "patients", 4)
    assert moved == {"n municipality 11001 total": 4, "n municipality 11004 total": -4}


def test_a_total_takes_its_breakdowns_along():
    """R1: by way of the total of 11002 three cells are hidden but one is paid for, with its companions."""
    men, women = [(640, 1), (900, 18)], [(700, 19), (950, 22)]
    case = Case(square_of(men, women), "n municipality 11001 M", "n municipality 11001 F", "n municipality 11001 total")
    moved = case.cheapest("municipality 11001 total", "patients", 4)
    assert moved["n municipality 11002 total"] == -4
    assert case.cost == pytest.approx(case.room.cost["patients"][at(case.system, "municipality 11002 total")])


def test_mostly_no_alternative_is_cheaper():
    """Against all alternatives by up to 2 of three municipalities by sex. Prices per unit miss some by a cell or two."""
    ratios = []
    for seed in range(12):
        dice = np.random.default_rng(seed)
        people = dice.integers(9, 60, size=(2, 3))
        patients = np.minimum(dice.integers(0, 7, size=(2, 3)), people - 3)
        men, women = (list(zip(people[k].tolist(), patients[k].tolist(), strict=True)) for k in range(2))
        men[0] = (men[0][0], 2)
        case = Case(square_of(men, women), "n municipality 11001 M", *["n municipality 11002 F"][: seed % 2])
        found = case.cheapest("municipality 11001 M", "patients", 2)
        best = case.least_cost("municipality 11001 M", 2, 2)
        if best is not None:
            assert found is not None
            ratios.append(case.cost / best if best else 1 + case.cost)
    assert min(ratios) == pytest.approx(1)
    assert max(ratios) < 1.5
    assert 3 * sum(ratio < 1 + 1e-9 for ratio in ratios) >= 2 * len(ratios)


def test_others_move_along_where_that_costs_nothing():
    names_of = [f"n municipality 1100{k} total" for k in range(1, 6)]
    case = Case(line_of((400, 1), (400, 8), (400, 3), (400, 9), (400, 50)), *names_of[:4])
    asked = []

    def along():
        asked.append(1)
        return {"patients": np.isin(case.cells, [at(case.system, "municipality 11003 total")]).astype(int)}

    alone = case.cheapest("municipality 11001 total", "patients", 4, along=None)
    assert alone == {names_of[0]: 4, names_of[1]: -4}
    moved = case.cheapest("municipality 11001 total", "patients", 4, along=along)
    # Of 7 + 8 persons the two can spare, the one takes what it must and the other all that is left.
    assert moved == {names_of[0]: 4, names_of[1]: -7, names_of[2]: 11, names_of[3]: -8}
    assert case.cost == 0
    assert case.cheapest("municipality 11001 total", "patients", 4) == alone, "and nothing is left of it"
    # What costs something is as cheap as without, and nobody is asked what could move along.
    asked.clear()
    dear = case.cheapest("municipality 11001 total", "patients", 20, along=along)
    assert dear == case.cheapest("municipality 11001 total", "patients", 20)
    assert case.cost > 0
    assert not asked


def test_bounds_of_lines_tell_nothing_that_the_solver_would_not(monkeypatch):
    """Answers with and without their propagation; with it, most of what is impossible needs no solver."""
    questions = [
        (f"municipality 1100{k} {sex}", target, by)
        for k in (1, 2, 3)
        for sex in "MF"
        for target in ("patients", "others")
        for by in (-3, 1, 4, 9)
    ]
    spared = impossible = 0
    for seed in range(6):
        dice = np.random.default_rng(seed)
        people = dice.integers(9, 60, size=(2, 3))
        patients = np.minimum(dice.integers(0, 7, size=(2, 3)), people - 3)
        men, women = (list(zip(people[k].tolist(), patients[k].tolist(), strict=True)) for k in range(2))
        hidden = [f"n municipality 1100{k} {sex}" for k in (1, 2) for sex in "MF"]
        for free in (True, False):
            found = []
            for rounds in (alternatives.ROUNDS_OF_BOUNDS, 0):
                monkeypatch.setattr(alternatives, "ROUNDS_OF_BOUNDS", rounds)
                case = Case(square_of(men, women), *hidden, joint=seed % 2 == 1)
                asked = []
                solve = case.block._solved
                monkeypatch.setattr(
                    case.block, "_solved", lambda *a, _f=solve, _n=asked, **k: _n.append(1) or _f(*a, **k)
                )
                found.append([])
                for question in questions:
                    asked.clear()
                    answer = case.cheapest(*question, free=free)
                    found[-1].append(None if answer is None else pytest.approx(case.cost))
                    if rounds and answer is None:
                        impossible += 1
                        spared += not asked
            monkeypatch.undo()
            assert found[0] == found[1]
    assert spared > 0.8 * impossible > 0


# --- N and n together ------------------------------------------------------------------------------------------------


def test_patients_cannot_be_more_than_beneficiaries():
    hidden = [f"{figure} municipality 1100{k} total" for figure in "Nn" for k in (1, 2)]
    rates = line_of((3, 3), (100, 50))
    alone = Case(rates, *hidden)
    assert alone.cheapest("municipality 11001 total", "patients", 2) is None
    joint = Case(rates, *hidden, joint=True)
    assert joint.cheapest("municipality 11001 total", "patients", 2) == {
        **{"n municipality 11001 total": 2, "n municipality 11002 total": -2},
        **{"N municipality 11001 total": 2, "N municipality 11002 total": -2},
    }
    assert joint.cheapest("municipality 11001 total", "beneficiaries", 2) == {
        **{"N municipality 11001 total": 2, "N municipality 11002 total": -2}
    }
    # One must stay, and that one is a patient or not.
    moved = joint.cheapest("municipality 11001 total", "beneficiaries", -2)
    assert moved["N municipality 11001 total"] == -2
    assert moved["n municipality 11001 total"] <= -2
    assert joint.cheapest("municipality 11001 total", "beneficiaries", -3) is None
    assert joint.cheapest("municipality 11001 total", "patients", -3) is not None


def test_the_others_of_hidden_beneficiaries_move_by_either_figure():
    hidden = [f"{figure} municipality 1100{k} total" for figure in "Nn" for k in (1, 2)]
    case = Case(line_of((3, 2), (100, 50)), *hidden, joint=True)
    assert sum(map(abs, case.cheapest("municipality 11001 total", "others", 1).values())) == 2
    assert case.cheapest("municipality 11001 total", "others", 30) is not None
    assert sum(map(abs, case.cheapest("municipality 11001 total", "others", -1).values())) == 2
    assert case.cheapest("municipality 11001 total", "others", -2) is None, "there is one only"
    assert case.cheapest("municipality 11001 total", "others", 51) is None, "the municipality beside has 50 only"


def test_a_shown_number_of_beneficiaries_can_be_hidden_with_its_patients():
    case = Case(
        line_of((3, 0), (100, 50), (300, 60)), "N municipality 11001 total", "n municipality 11001 total", joint=True
    )
    moved = case.cheapest("municipality 11001 total", "beneficiaries", 2)
    assert moved == {"N municipality 11001 total": 2, "N municipality 11002 total": -2}
    both = case.room.cost["patients"] + case.room.cost["patients"]
    assert case.cost == pytest.approx(both[at(case.system, "municipality 11002 total")])


# --- whole numbers ---------------------------------------------------------------------------------------------------


def twice(most):
    """A system in which 11001 is twice 11002: of the arrondissement's two parts one equals the other."""
    case = Case(line_of((200, 20), (100, 10), (100, 10)), *[f"n municipality 1100{k} total" for k in (1, 2, 3)])
    y, a, b = (at(case.system, f"municipality 1100{k} total") for k in (1, 2, 3))
    case.system = replace(
        case.system,
        line=np.array([0, 0, 0, 1, 1]),
        cell=np.array([y, a, b, a, b]),
        sign=np.array([1, -1, -1, 1, -1]),
    )
    case.block = Block(case.system, case.cells, joint=False)
    case.room.up["patients"][y] = most
    return case


def test_a_corner_that_is_not_whole_is_not_taken():
    moved = twice(most=2).cheapest("municipality 11001 total", "patients", 1)
    assert moved == {f"n municipality 1100{k} total": change for k, change in ((1, 2), (2, 1), (3, 1))}


def test_none_where_only_fractions_would_do():
    case = twice(most=1)
    assert case.cheapest("municipality 11001 total", "patients", 1) is None
    # And the solver is back at fractions, and at the bounds from before.
    assert case.cheapest("municipality 11001 total", "patients", -2)["n municipality 11001 total"] == -2


# --- a part of the table ---------------------------------------------------------------------------------------------


def test_everything_outside_a_block_stands_still():
    system = system_of(
        table(
            ("arrondissement 11000 10000 total", 500, 100),
            ("municipality 11001 11000 total", 200, 40),
            ("municipality 11002 11000 total", 300, 60),
            ("sector 11001A00- 11001 total", 100, 2),
            ("sector 11001A01- 11001 total", 90, 38),
        )
    )
    sector = at(system, "sector 11001A00- total")
    pattern = pattern_of(system, "n sector 11001A00- total")
    cells = np.flatnonzero(system.cells["level"] == "sector")
    block, room = Block(system, cells, joint=False), room_of(system, pattern, cells, MOST, system.before.is_past)
    alternative = block.cheapest(sector, "patients", 20, room)
    assert alternative is not None
    assert alternative.cells is cells
    assert alternative.change["patients"].sum() == 0
    # All the 40 patients of the municipality, less the one that must stay.
    assert block.cheapest(sector, "patients", 38, room) is None


def test_a_question_about_the_others_leaves_nothing_behind():
    hidden = [f"{figure} municipality 1100{k} total" for figure in "Nn" for k in (1, 2)]
    rates = line_of((30, 20), (100, 50))
    fresh = Case(rates, *hidden, joint=True).cheapest("municipality 11001 total", "patients", 2)
    for by in (30, -8):
        case = Case(rates, *hidden, joint=True)
        assert case.cheapest("municipality 11001 total", "others", by) is not None
        assert case.cheapest("municipality 11001 total", "patients", 2) == fresh
