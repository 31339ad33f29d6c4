"""Feasible alternatives: other tables that look the same to the reader.

A feasible alternative changes hidden cells by whole numbers, such that every line still adds up and every cell stays
within what the reader knows of it. The release does not tell the changed table from the true one. A cell whose value
differs is said to *move*. A hidden figure is protected when alternatives move it far enough.

:class:`Block` looks for an alternative that needs few further cells hidden, among the cells of an area; everything outside
stands still. It carries bounds through the lines first, and asks a linear programme (HiGHS) for what these leave open.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np
from numpy.typing import NDArray

from mm_pipeline.disclosure.primary_rule import Counts, Flags
from mm_pipeline.disclosure.suppression import SuppressionPattern, lower_bounds
from mm_pipeline.disclosure.system import FIGURES, Figure, Positions, System, Target

ROUNDS = 4
"""Number of times that an alternative is sought, each time at prices closer to the true ones."""
ROUNDS_OF_BOUNDS = 20
"""Rounds of propagation before the solver is asked: along a cycle, bounds may creep by one a round for long."""
WHOLE = 1e-6
"""Tolerance within which a number of the solver counts as whole."""
ORDER: tuple[Figure, ...] = ("patients", "beneficiaries")
"""The figures as a block numbers them."""
_CERTAIN = (highspy.HighsModelStatus.kOptimal, highspy.HighsModelStatus.kInfeasible)
LITTLE = 1e-3
"""Price per unit of a cell that is hidden already: too low to make hiding another cell worthwhile."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Room:
    """The room of the cells of a block: how far each may move and at what cost, per figure.

    ``down`` and ``up``: persons, at least 0. ``cost``: the cost of hiding the cell; where it ``is_hidden`` already, next to
    nothing per person.
    """

    down: dict[Figure, Counts]
    up: dict[Figure, Counts]
    cost: dict[Figure, Floats]
    is_hidden: dict[Figure, Flags]


def room_of(system: System, pattern: SuppressionPattern, cells: Positions, most: int, stays_shown: Flags) -> Room:
    """The room of a block under a suppression pattern; no cell needs to go further than ``most`` persons.

    ``stays_shown``: cells that must not be hidden if they are not hidden yet.

    Hiding costs 1 a cell, more on higher levels, and slightly more the more people it is about. A total takes its
    breakdowns along (R1), hidden beneficiaries the patients. Hidden cells cost so little that this only decides between
    alternatives that are equal otherwise. Every cell has a cost of its own, so that as little as possible is left to the
    solver's choice between equal optima.
    """
    lower = lower_bounds(system, pattern, cells)
    own, weight = system.own_price[cells], system.price[cells]
    down, up, cost = {}, {}, {}
    for figure in FIGURES:
        value, is_shown = system.value(figure)[cells], ~pattern[figure][cells]
        along = np.where(is_shown & system.is_breakdown[cells], weight, 0)
        companions = np.bincount(system.total[cells], along, len(system))[cells]
        # A zero is shown, so it stays where it is; and so does what an earlier release has shown.
        stays = (is_shown & ((value == 0) | stays_shown[cells])) | system.before.known[figure][cells]
        down[figure] = np.where(stays, 0, np.minimum(value - np.where(is_shown, 1, lower[figure]), most))
        up[figure] = np.where(stays, 0, most)
        cost[figure] = np.where(is_shown, weight + companions, LITTLE * own)
    cost["beneficiaries"] += np.where(pattern.patients[cells], 0, cost["patients"])
    return Room(down, up, cost, {figure: pattern[figure][cells] for figure in FIGURES})


@dataclass(frozen=True)
class Alternative:
    """A feasible alternative: the changes at ``cells``, and the cost of hiding those that are shown.

    ``change``: persons by which each cell moves, per figure. ``total``: position of a total that must be hidden as well,
    so that its breakdowns have the room.
    """

    cells: Positions
    change: dict[Figure, Counts]
    cost: float
    total: int | None = None


@dataclass(frozen=True)
class Goal:
    """The figure that must move, and by how much at least; ``of_others``: N - n of the cell at this place instead."""

    number: int
    by: int
    of_others: bool = False


@dataclass(frozen=True)
class Lines:
    """The lines of a block: entry i is ``sign[i]`` times ``figure[i]`` in line ``row[i]`` of ``count``."""

    row: Positions
    figure: Positions
    sign: Positions
    count: int

    def ways(self, figures: int) -> tuple[Positions, Positions]:
        """Of each entry the way of its figure that adds to the line, and the one that takes from it: up, then down."""
        up, down = self.figure, self.figure + figures
        return np.where(self.sign > 0, up, down), np.where(self.sign > 0, down, up)


class Block:
    """The cells that may move together, and the lines between them.

    ``joint``: N moves too, not only n. A *figure* is numbered by which of the two it is (``ORDER``), then by its cell's
    place in ``cells``.
    """

    def __init__(self, system: System, cells: Positions, *, joint: bool) -> None:
        self.cells = cells
        self.place = {int(cell): place for place, cell in enumerate(cells)}
        """Of each cell its place in ``cells``."""
        self._joint = joint
        self._names = ORDER[: 1 + joint]
        self._others = system.others[cells]
        size = len(cells)
        place = np.full(len(system), -1)
        place[cells] = np.arange(size)
        first = size * np.arange(len(self._names))[:, None]
        total = place[system.total[cells]]
        self._total: Positions = (first + np.where(total < 0, np.arange(size), total)).ravel()
        """Of each figure that of its area's total, or itself where that is not in the block."""
        self._is_breakdown = self._total != np.arange(len(self._total))
        # What is outside stands still, so the lines of the block are all there are.
        rows, figures, signs, count = [], [], [], 0
        for number, name in enumerate(self._names):
            line, cell, sign = system.equations[name]
            entry = place[cell] >= 0
            own, row = np.unique(line[entry], return_inverse=True)
            rows.append(row + count)
            figures.append(place[cell[entry]] + size * number)
            signs.append(sign[entry])
            count += len(own)
        self._lines = Lines(np.concatenate(rows), np.concatenate(figures), np.concatenate(signs), count)
        # One programme where shown cells move as well and one where they do not: each starts from its last solution.
        self._programmes: dict[bool, Programme] = {}
        self._reached: dict[bool, tuple[Room, Floats]] = {}

    def cheapest(
        self,
        cell: int,
        target: Target,
        by: int,
        room: Room,
        *,
        free: bool = False,
        along: Callable[[], dict[Figure, Counts]] | None = None,
    ) -> Alternative | None:
        """A cheap alternative that moves the ``target`` of ``cell`` by at least ``by`` (down, if negative), or None.

        ``free``: move only cells that are hidden already. ``along``: figures to move too (1 up, -1 down, 0 neither) if that
        costs nothing.
        """
        goal = self._goal(self.place[cell], target, by)
        cost = self._flat(room.cost)
        if self._is_within_reach(goal, room, free=True):
            prices = np.tile(cost, 2)
            if along is not None:
                way = self._flat(along())
                prices[np.concatenate([way > 0, way < 0])] = -1
            change = self._solved(goal, room, prices, free=True)
            if change is not None:
                return Alternative(self.cells, self._by_name(change), 0.0)
        if free or not self._is_within_reach(goal, room, free=False):
            return None
        is_shown = ~self._flat(room.is_hidden)
        # Hiding a cell costs the same however far it moves, but a linear programme charges by the unit. So it is solved
        # again with the cost of a cell spread over the units that it moved by the time before.
        best, price = None, cost / np.where(is_shown, abs(by), 1)
        for _ in range(ROUNDS):
            change = self._solved(goal, room, np.tile(price, 2), free=False)
            if change is None:
                break
            moves = change != 0
            is_along = moves[self._total] & self._is_breakdown  # R1 hides it anyway, at no further cost
            paid = float(cost[moves & is_shown & ~is_along].sum())
            if best is not None and paid >= best.cost:
                break
            best = Alternative(self.cells, self._by_name(change), paid)
            spread = np.where(is_along, LITTLE, cost / np.maximum(np.abs(change), 1))
            before, price = price, np.where(is_shown & moves, spread, price)
            if (price == before).all():
                break
        return best

    def _flat(self, values: dict[Figure, NDArray[Any]]) -> NDArray[Any]:
        return np.concatenate([values[name] for name in self._names])

    def _by_name(self, change: Counts) -> dict[Figure, Counts]:
        return dict(zip(self._names, change.reshape(len(self._names), -1), strict=True))

    def _goal(self, place: int, target: Target, by: int) -> Goal:
        if target == "others":
            return Goal(place, by, of_others=True) if self._joint else Goal(place, -by)
        return Goal(place + len(self.cells) * self._names.index(target), by)

    def _is_within_reach(self, goal: Goal, room: Room, *, free: bool) -> bool:
        way = goal.number if goal.by > 0 else goal.number + len(self._total)
        return goal.of_others or bool(self._reach(room, free)[way] >= abs(goal.by))

    def _solved(self, goal: Goal, room: Room, prices: Floats, *, free: bool) -> Counts | None:
        """By how much each figure changes in the alternative of the lowest price; None if there is none."""
        if free not in self._programmes:
            others = self._others[: len(self.cells) * self._joint]
            self._programmes[free] = Programme(self._lines, len(self._total), others)
        programme, reach = self._programmes[free], self._reach(room, free)
        programme.bound(reach)
        ways = programme.optimum(prices, goal)
        if ways is not None and (np.abs(ways - np.rint(ways)).max() >= WHOLE or not self._is_alternative(ways, reach)):
            # The optimum of the linear programme is not whole: solve in whole numbers.
            ways = programme.optimum(np.maximum(prices, LITTLE), goal, whole=True)
            assert ways is None or self._is_alternative(ways, reach), "an alternative does not add up"
        if ways is None:
            return None
        change = np.rint(ways).astype("int64")
        gone = (
            change[goal.number] if not goal.of_others else change[len(self.cells) + goal.number] - change[goal.number]
        )
        assert gone >= goal.by if goal.by > 0 else gone <= goal.by, "an alternative does not go as far as it must"
        return change

    def _reach(self, room: Room, free: bool) -> Floats:
        """How far each figure can go up, then how far down, as its lines tell: no further than the others of a line answer.

        This only spares the solver, which finds what else there is.
        """
        if free in self._reached and self._reached[free][0] is room:
            return self._reached[free][1]
        size, others, ways = len(self.cells), self._others, self._total.size
        reach = np.concatenate([self._flat(room.up), self._flat(room.down)]).astype(float)
        up, down = reach[:ways], reach[ways:]
        if not self._joint:
            np.minimum(up, others, out=up)
        if free:
            reach *= np.tile(self._flat(room.is_hidden), 2)
        row, (forth, back) = self._lines.row, self._lines.ways(ways)
        for _ in range(ROUNDS_OF_BOUNDS):
            before, most_forth, most_back = reach.copy(), reach[forth], reach[back]
            np.minimum.at(reach, forth, np.bincount(row, most_back)[row] - most_back)
            np.minimum.at(reach, back, np.bincount(row, most_forth)[row] - most_forth)
            if self._joint:
                # Of a change between releases n can be more than N; then it cannot rise, but can fall.
                np.minimum(up[:size], np.maximum(others + up[size:], 0), out=up[:size])
                np.minimum(down[size:], np.maximum(others + down[:size], 0), out=down[size:])
            if (reach == before).all():
                break
        self._reached[free] = room, reach
        return reach

    def _is_alternative(self, ways: Floats, reach: Floats) -> bool:
        """Whether bounds, n <= N and every line hold in whole numbers, beyond the solver's tolerance."""
        whole = np.rint(ways)
        if (np.concatenate([whole, -whole]) > reach).any():
            return False
        if self._joint and (np.subtract(*whole.reshape(2, -1)) > self._others).any():
            return False
        return not np.bincount(self._lines.row, self._lines.sign * whole[self._lines.figure]).any()


class Programme:
    """A linear programme over the lines of a block. Each figure has two columns: how far it goes up, and how far down.

    ``others``: where N moves too, N - n of each cell: n goes up no further than N and these.
    """

    def __init__(self, lines: Lines, figures: int, others: Counts) -> None:
        links, size = np.arange(len(others)), len(others)
        # The lines, each with the ways up (+) and down (-); then a link n - N for each cell where N moves.
        rows = [lines.row, lines.row, *[lines.count + links] * 4]
        columns = [lines.figure, lines.figure + figures, links, links + figures, links + size, links + size + figures]
        values = [lines.sign, -lines.sign, *(np.full(size, sign) for sign in (1, -1, -1, 1))]
        self._rows, self._columns, self._values = map(np.concatenate, (rows, columns, values))
        order = np.argsort(self._rows, kind="stable")
        self._rows, self._columns, self._values = self._rows[order], self._columns[order], self._values[order]
        self._lines, self._others, self._figures = lines.count, others.astype(float), figures
        self._reach: Floats | None = None
        self._solver = highspy.Highs()
        self._solver.silent()
        self._solver.setOptionValue("presolve", "off")
        self._solver.setOptionValue("threads", 1)
        self._solver.setOptionValue("mip_rel_gap", 0.0)

    def bound(self, reach: Floats) -> None:
        """Take over how far each figure can go, if it is not what it was. The solver has only what can move."""
        if reach is self._reach:
            return
        self._reach = reach
        self._moving = np.flatnonzero(reach)
        self._upper = reach[self._moving]
        self._column = np.full(len(reach), -1)
        self._column[self._moving] = np.arange(len(self._moving))
        column = self._column[self._columns]
        entry = column >= 0
        rows = self._rows[entry]
        start = np.flatnonzero(np.diff(rows, prepend=-1))
        self._used = rows[start]
        is_link = self._used >= self._lines
        model = highspy.HighsLp()
        model.num_col_, model.num_row_ = len(self._moving), len(self._used)
        self._prices = np.zeros(len(self._moving))
        model.col_cost_ = model.col_lower_ = self._prices
        model.col_upper_ = self._upper
        model.row_lower_ = np.where(is_link, -highspy.kHighsInf, 0.0)
        self._row_upper = np.zeros(len(self._used))
        self._row_upper[is_link] = self._others[self._used[is_link] - self._lines]
        model.row_upper_ = self._row_upper
        model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        model.a_matrix_.start_ = np.append(start, len(rows)).astype(np.int32)
        model.a_matrix_.index_ = column[entry].astype(np.int32)
        model.a_matrix_.value_ = self._values[entry].astype(float)
        self._solver.passModel(model)

    def optimum(self, prices: Floats, goal: Goal, *, whole: bool = False) -> Floats | None:
        """How far each figure goes up (+) or down (-) at the lowest price if it reaches the goal; None if infeasible.

        ``whole``: in whole numbers.
        """
        solver, columns = self._solver, np.arange(len(self._moving), dtype=np.int32)
        prices = prices[self._moving]
        changed = np.flatnonzero(prices != self._prices).astype(np.int32)
        if len(changed):
            solver.changeColsCost(len(changed), changed, prices[changed])
        self._prices = prices
        undo = self._require(goal)
        if undo is None:
            return None
        if whole:
            solver.changeColsIntegrality(len(columns), columns, np.full(len(columns), highspy.HighsVarType.kInteger))
        solver.run()
        if solver.getModelStatus() not in _CERTAIN:
            # The warm start from the last solution failed: solve once more from scratch.
            solver.clearSolver()
            solver.run()
        status, solution = solver.getModelStatus(), np.array(solver.getSolution().col_value)
        if whole:
            solver.changeColsIntegrality(len(columns), columns, np.full(len(columns), highspy.HighsVarType.kContinuous))
        undo()
        if status == highspy.HighsModelStatus.kInfeasible:
            return None
        assert status == highspy.HighsModelStatus.kOptimal, status
        ways = np.zeros(2 * self._figures)
        ways[self._moving] = solution
        return ways[: self._figures] - ways[self._figures :]

    def _require(self, goal: Goal) -> Callable[[], object] | None:
        """Require that a goal is reached. Returns the function that undoes it, or None if it is out of reach."""
        solver, by = self._solver, abs(goal.by)
        if goal.of_others:
            row = int(np.searchsorted(self._used, self._lines + goal.number))
            if row == len(self._used) or self._used[row] != self._lines + goal.number:
                return None
            # A link row is n - N: others that go up take it down.
            low, high = (-highspy.kHighsInf, -by) if goal.by > 0 else (by, self._row_upper[row])
            if low > high:
                return None
            solver.changeRowBounds(row, low, high)
            return lambda: solver.changeRowBounds(row, -highspy.kHighsInf, self._row_upper[row])
        ways = (goal.number, goal.number + self._figures)
        wanted, against = self._column[list(ways if goal.by > 0 else reversed(ways))].tolist()
        if wanted < 0 or self._upper[wanted] < by:
            return None
        solver.changeColBounds(wanted, by, self._upper[wanted])
        if against >= 0:
            solver.changeColBounds(against, 0.0, 0.0)

        def undo() -> None:
            for column in (wanted, against):
                if column >= 0:
                    solver.changeColBounds(column, 0.0, self._upper[column])

        return undo
