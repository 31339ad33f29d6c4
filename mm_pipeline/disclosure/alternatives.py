"""Feasible alternatives: other tables that look the same to the reader.

A feasible alternative changes hidden cells by whole numbers, such that every line still adds up and every cell stays
within what the reader knows of it. The release does not tell the changed table from the true one. A cell whose value
differs is said to *move*. A hidden figure is protected when alternatives move it far enough.

:class:`Block` looks for an alternative that needs few further cells hidden. It solves linear programmes (HiGHS) over the
cells of an area; everything outside stands still.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

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
    own = 1 + 1e-3 * cells / len(system)
    weight = system.weight[cells] * (1 + 0.02 * np.log1p(system.beneficiaries[cells])) * own
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


class Block:
    """The linear programme of the cells that may move together.

    ``joint``: N moves too, not only n. A *figure* is numbered by which of the two it is, then by its cell's place in
    ``cells``. Each has two columns: how far it goes up, and how far down.
    """

    def __init__(self, system: System, cells: Positions, *, joint: bool) -> None:
        self.cells = cells
        self.place = {int(cell): place for place, cell in enumerate(cells)}
        """Of each cell its place in ``cells``."""
        self._joint = joint
        self._figures = ORDER[: 1 + joint]
        size, self._others = len(cells), system.others[cells]
        place = np.full(len(system), -1)
        place[cells] = np.arange(size)
        first = size * np.arange(len(self._figures))[:, None]
        self._total: Positions = (first + place[system.total[cells]]).ravel()
        """Of each figure that of its area's total; all cells of an area are in the block, or none."""
        self._is_breakdown = self._total != np.arange(len(self._total))
        # What is outside stands still, so the lines of the block are all there are.
        rows, columns, signs, self._lines = [], [], [], 0
        for number, figure in enumerate(self._figures):
            line, cell, sign = system.equations[figure]
            entry = place[cell] >= 0
            lines, row = np.unique(line[entry], return_inverse=True)
            rows.append(row + self._lines)
            columns.append(place[cell[entry]] + size * number)
            signs.append(sign[entry])
            self._lines += len(lines)
        self._row, self._figure, self._sign = map(np.concatenate, (rows, columns, signs))
        self._room: Room | None = None
        self._free = False
        # Bounds and prices that the solver has: only what differs is sent again.
        self._bounded = self._priced = np.zeros(2 * len(self._total))

    @cached_property
    def _solver(self) -> highspy.Highs:
        size, ups = len(self.cells), len(self._total)
        links = np.arange(size if self._joint else 0)
        # The lines, each with the ways up (+) and down (-); then, if joint, a link n <= N for each cell.
        rows = [self._row, self._row, *[self._lines + links] * 4]
        columns = [self._figure, self._figure + ups, links, links + ups, links + size, links + size + ups]
        values = [self._sign, -self._sign, *(np.full(len(links), sign) for sign in (1, -1, -1, 1))]
        all_rows, all_columns, all_values = map(np.concatenate, (rows, columns, values))
        order = np.argsort(all_rows, kind="stable")
        model = highspy.HighsLp()
        model.num_col_, model.num_row_ = 2 * ups, self._lines + len(links)
        model.col_cost_ = model.col_lower_ = model.col_upper_ = np.zeros(2 * ups)
        model.row_lower_ = np.append(np.zeros(self._lines), np.full(len(links), -highspy.kHighsInf))
        model.row_upper_ = np.append(np.zeros(self._lines), self._others[links].astype(float))
        model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        model.a_matrix_.start_ = np.searchsorted(all_rows[order], np.arange(model.num_row_ + 1)).astype(np.int32)
        model.a_matrix_.index_ = all_columns[order].astype(np.int32)
        model.a_matrix_.value_ = all_values[order].astype(float)
        solver = highspy.Highs()
        solver.silent()
        solver.setOptionValue("presolve", "off")
        solver.setOptionValue("threads", 1)
        solver.setOptionValue("mip_rel_gap", 0.0)
        solver.passModel(model)
        return solver

    def _refresh(self, room: Room, free: bool) -> None:
        """Take over bounds and costs of a room, if it is another one."""
        if self._room is room and self._free == free:
            return
        self._room, self._free = room, free
        self._cost: Floats = np.concatenate([room.cost[figure] for figure in self._figures])
        is_hidden = np.concatenate([room.is_hidden[figure] for figure in self._figures])
        self._is_shown: Flags = ~is_hidden
        up, down = (np.concatenate([ways[figure] for figure in self._figures]) for ways in (room.up, room.down))
        if not self._joint:
            up = np.minimum(up, self._others)
        if free:
            up, down = up * is_hidden, down * is_hidden
        self._up, self._down = self._tightened(up.astype(float), down.astype(float))

    def _tightened(self, up: Floats, down: Floats) -> tuple[Floats, Floats]:
        """How far each figure can go as far as its lines tell: no further than all others of a line go against it.

        This only spares the solver, which finds what else there is.
        """
        row, figure, is_positive = self._row, self._figure, self._sign > 0
        size = len(self.cells)
        for _ in range(ROUNDS_OF_BOUNDS):
            forth = np.where(is_positive, up[figure], down[figure])
            back = np.where(is_positive, down[figure], up[figure])
            most_forth = np.bincount(row, back)[row] - back
            most_back = np.bincount(row, forth)[row] - forth
            before = up, down
            up, down = up.copy(), down.copy()
            np.minimum.at(up, figure, np.where(is_positive, most_forth, most_back))
            np.minimum.at(down, figure, np.where(is_positive, most_back, most_forth))
            if self._joint:
                up[:size] = np.minimum(up[:size], self._others + up[size:])
                down[size:] = np.minimum(down[size:], self._others + down[:size])
            if (up == before[0]).all() and (down == before[1]).all():
                break
        return up, down

    def cheapest(self, cell: int, target: Target, by: int, room: Room, *, free: bool = False) -> Alternative | None:
        """A cheap alternative that moves the ``target`` of ``cell`` by at least ``by`` (down, if negative), or None.

        ``free``: move only cells that are hidden already.
        """
        self._refresh(room, free)
        undo = self._require(self.place[cell], target, by)
        if undo is None:
            return None
        # Hiding a cell costs the same however far it moves, but a linear programme charges by the unit. So it is solved
        # again with the cost of a cell spread over the units that it moved by the time before.
        best, price = None, self._cost / np.where(self._is_shown, abs(by), 1)
        for _ in range(ROUNDS):
            change = self._solve(price)
            cost = np.inf if change is None else self._cost_of(change)
            if change is None or (best is not None and cost >= best.cost):
                break
            of_figures = dict(zip(self._figures, change.reshape(len(self._figures), -1), strict=True))
            best = Alternative(self.cells, of_figures, cost)
            gone = sum(weight * of_figures[figure][self.place[cell]] for figure, weight in self._parts(target))
            assert gone >= by if by > 0 else gone <= by, "an alternative does not go as far as it must"
            before, price = price, self._spread(change, price)
            if cost == 0 or (price == before).all():
                break
        undo()
        return best

    def _spread(self, change: Counts, price: Floats) -> Floats:
        """The price per unit at which each cell of the alternative costs exactly what hiding it costs."""
        moved = np.abs(change)
        spread = np.where(self._taken_along(change), LITTLE, self._cost / np.maximum(moved, 1))
        return np.where(self._is_shown & (moved > 0), spread, price)

    def _cost_of(self, change: Counts) -> float:
        """The cost of hiding the shown cells that move."""
        return float(self._cost[(change != 0) & self._is_shown & ~self._taken_along(change)].sum())

    def _taken_along(self, change: Counts) -> Flags:
        """Whether each figure is of a breakdown of a total that moves: R1 hides it anyway, at no further cost."""
        return (change != 0)[self._total] & self._is_breakdown

    def _parts(self, target: Target) -> list[tuple[Figure, float]]:
        if target != "others":
            return [(target, 1.0)]
        return [("beneficiaries", 1.0), ("patients", -1.0)] if self._joint else [("patients", -1.0)]

    def _require(self, place: int, target: Target, by: int) -> Callable[[], object] | None:
        """Require that ``target`` moves by at least ``by``. Returns the function that undoes it, or None if impossible."""
        parts = self._parts(target)
        if len(parts) == 2:
            link, others = self._lines + place, float(self._others[place])
            # A link row is n - N: others that go up take it down.
            low, high = (-highspy.kHighsInf, -float(by)) if by > 0 else (float(-by), others)
            if low > high:
                return None
            self._send_bounds()
            self._solver.changeRowBounds(link, low, high)
            return lambda: self._solver.changeRowBounds(link, -highspy.kHighsInf, others)
        figure, weight = parts[0]
        up = place + len(self.cells) * self._figures.index(figure)
        down = up + len(self._total)
        is_up = by * weight > 0
        wanted, against = (up, down) if is_up else (down, up)
        if (self._up if is_up else self._down)[up] < abs(by):
            return None
        self._send_bounds()
        self._solver.changeColBounds(wanted, float(abs(by)), self._bounded[wanted])
        self._solver.changeColBounds(against, 0.0, 0.0)

        def undo() -> None:
            self._solver.changeColBounds(wanted, 0.0, self._bounded[wanted])
            self._solver.changeColBounds(against, 0.0, self._bounded[against])

        return undo

    def _send_bounds(self) -> None:
        upper = np.concatenate([self._up, self._down])
        changed = np.flatnonzero(upper != self._bounded).astype(np.int32)
        if len(changed):
            self._solver.changeColsBounds(len(changed), changed, np.zeros(len(changed)), upper[changed])
            self._bounded = upper

    def _solve(self, price: Floats) -> Counts | None:
        """By how much each figure changes in the cheapest alternative at these prices; None if there is none."""
        prices = np.tile(price, 2)
        changed = np.flatnonzero(prices != self._priced).astype(np.int32)
        if len(changed):
            self._solver.changeColsCost(len(changed), changed, prices[changed])
            self._priced = prices
        ways = self._run()
        if ways is None or (np.abs(ways - np.rint(ways)).max() < WHOLE and self._is_alternative(ways)):
            return None if ways is None else np.rint(ways).astype("int64")
        # The optimum of the linear programme is not whole: solve in whole numbers.
        columns = np.arange(len(prices), dtype=np.int32)
        integer = np.full(len(columns), highspy.HighsVarType.kInteger)
        self._solver.changeColsIntegrality(len(columns), columns, integer)
        ways = self._run()
        continuous = np.full(len(columns), highspy.HighsVarType.kContinuous)
        self._solver.changeColsIntegrality(len(columns), columns, continuous)
        assert ways is None or self._is_alternative(ways), "an alternative does not add up"
        return None if ways is None else np.rint(ways).astype("int64")

    def _run(self) -> Floats | None:
        """The solver's optimum: how far each figure goes up (+) or down (-); None if infeasible."""
        self._solver.run()
        if self._solver.getModelStatus() not in _CERTAIN:
            # The warm start from the last solution failed: solve once more from scratch.
            self._solver.clearSolver()
            self._solver.run()
        status = self._solver.getModelStatus()
        if status == highspy.HighsModelStatus.kInfeasible:
            return None
        assert status == highspy.HighsModelStatus.kOptimal, status
        up, down = np.array(self._solver.getSolution().col_value).reshape(2, -1)
        return np.asarray(up - down, dtype=np.float64)

    def _is_alternative(self, ways: Floats) -> bool:
        """Whether bounds, n <= N and every line hold in whole numbers, beyond the solver's tolerance."""
        whole = np.rint(ways)
        if (whole > self._up).any() or (-whole > self._down).any():
            return False
        if self._joint and (np.subtract(*whole.reshape(2, -1)) > self._others).any():
            return False
        return not np.bincount(self._row, self._sign * whole[self._figure]).any()
