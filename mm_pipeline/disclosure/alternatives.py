"""Feasible alternatives: other tables that look the same to the reader.

A feasible alternative changes hidden cells by whole numbers, such that every line still adds up and every cell stays
within what the reader knows of it. The release does not tell the changed table from the true one. A cell whose value
differs is said to *move*. A hidden figure is protected when alternatives move it far enough.

:class:`Block` looks for an alternative that needs few further cells hidden. It solves linear programmes (HiGHS) over the
cells of an area; everything outside stands still.
"""

from collections.abc import Callable
from dataclasses import dataclass

import highspy
import numpy as np
from numpy.typing import NDArray

from mm_pipeline.disclosure.primary_rule import Counts, Flags
from mm_pipeline.disclosure.suppression import SuppressionPattern, lower_bounds
from mm_pipeline.disclosure.system import FIGURES, Figure, Positions, System, Target

ROUNDS = 4
"""Number of times that an alternative is sought, each time at prices closer to the true ones."""
WHOLE = 1e-6
"""Tolerance within which a number of the solver counts as whole."""
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

    Each figure of a cell has two columns: how far it goes up, and how far down. ``joint``: N moves too, not only n.
    """

    def __init__(self, system: System, cells: Positions, *, joint: bool) -> None:
        self.cells = cells
        self.place = {int(cell): place for place, cell in enumerate(cells)}
        """Of each cell its place in ``cells``."""
        self._joint = joint
        self._figures: tuple[Figure, ...] = ("patients", "beneficiaries") if joint else ("patients",)
        self._system, self._others = system, system.others[cells]
        self._columns = np.arange(2 * len(cells) * len(self._figures), dtype=np.int32)
        self._room: Room | None = None
        self._free = False
        # Bounds and prices that the solver has: only what differs is sent again.
        self._bounded = self._priced = np.zeros(len(self._columns))
        self._solver = self._model()

    def _model(self) -> highspy.Highs:
        size = len(self.cells)
        place = np.full(len(self._system), -1)
        place[self.cells] = np.arange(size)
        # Per figure the lines, each with the ways up (+) and down (-); then, if joint, a link n <= N for each cell.
        rows, columns, values = [], [], []
        self._lines, self._links = [], 0
        for number, figure in enumerate(self._figures):
            line, cell, sign = self._system.equations[figure]
            entry = place[cell] >= 0
            _, row = np.unique(line[entry], return_inverse=True)
            column, sign = place[cell[entry]], sign[entry]
            self._lines.append((row, column, sign))
            first = 2 * size * number
            rows += [row + self._links] * 2
            columns += [column + first, column + first + size]
            values += [sign.astype(float), -sign.astype(float)]
            self._links += int(row.max()) + 1 if len(row) else 0
        links = np.arange(size if self._joint else 0)
        for number, value in enumerate((1.0, -1.0, -1.0, 1.0)):
            rows.append(self._links + links)
            columns.append(links + number * size)
            values.append(np.full(len(links), value))
        all_rows, all_columns, all_values = map(np.concatenate, (rows, columns, values))
        order = np.argsort(all_rows, kind="stable")
        model = highspy.HighsLp()
        model.num_col_, model.num_row_ = len(self._columns), self._links + len(links)
        model.col_cost_ = model.col_lower_ = model.col_upper_ = np.zeros(len(self._columns))
        model.row_lower_ = np.append(np.zeros(self._links), np.full(len(links), -highspy.kHighsInf))
        model.row_upper_ = np.append(np.zeros(self._links), self._others[links].astype(float))
        model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        model.a_matrix_.start_ = np.searchsorted(all_rows[order], np.arange(model.num_row_ + 1)).astype(np.int32)
        model.a_matrix_.index_ = all_columns[order].astype(np.int32)
        model.a_matrix_.value_ = all_values[order]
        solver = highspy.Highs()
        solver.silent()
        solver.setOptionValue("presolve", "off")
        solver.setOptionValue("threads", 1)
        solver.setOptionValue("mip_rel_gap", 0.0)
        solver.passModel(model)
        return solver

    def _refresh(self, room: Room, free: bool) -> None:
        """Update bounds and costs to a room, if it is another one."""
        if self._room is room and self._free == free:
            return
        self._room, self._free = room, free
        up, down = (np.stack([ways[figure] for figure in self._figures]) for ways in (room.up, room.down))
        if not self._joint:
            up = np.minimum(up, self._others)
        is_hidden: Flags = np.repeat([room.is_hidden[figure] for figure in self._figures], 2, axis=0).ravel()
        self._upper: Floats = np.stack([up, down], axis=1).astype(float).ravel() * (is_hidden if free else 1)
        self._cost: Floats = np.repeat([room.cost[figure] for figure in self._figures], 2, axis=0).ravel()
        self._shown = ~is_hidden
        changed = np.flatnonzero(self._upper != self._bounded).astype(np.int32)
        self._solver.changeColsBounds(len(changed), changed, np.zeros(len(changed)), self._upper[changed])
        self._bounded = self._upper

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
        best, price = None, self._cost / np.where(self._shown, abs(by), 1)
        for _ in range(ROUNDS):
            changed = np.flatnonzero(price != self._priced).astype(np.int32)
            self._solver.changeColsCost(len(changed), changed, price[changed])
            self._priced = price
            alternative = self._solve()
            if alternative is None or (best is not None and alternative.cost >= best.cost):
                break
            change = alternative.change
            gone = sum(weight * change[figure][self.place[cell]] for figure, weight in self._parts(target))
            assert gone >= by if by > 0 else gone <= by, "an alternative does not go as far as it must"
            best = alternative
            if alternative.cost == 0:
                break
            price = self._spread(alternative, price)
        undo()
        return best

    def _spread(self, alternative: Alternative, price: Floats) -> Floats:
        """The price per unit at which each cell of the alternative costs exactly what hiding it costs."""
        changes = [alternative.change[figure] for figure in self._figures]
        moved = np.repeat(np.abs(changes), 2, axis=0).ravel()
        along = np.repeat([self._taken_along(change) for change in changes], 2, axis=0).ravel()
        spread = self._cost / np.maximum(moved, 1)
        return np.where(self._shown & (moved > 0), np.where(along, LITTLE, spread), price)

    def _taken_along(self, change: Counts) -> Flags:
        """Whether each cell is a breakdown of a total that moves: R1 hides it anyway, at no further cost."""
        moves = np.zeros(len(self._system), dtype=bool)
        moves[self.cells] = change != 0
        return moves[self._system.total[self.cells]] & self._system.is_breakdown[self.cells]

    def _parts(self, target: Target) -> list[tuple[Figure, float]]:
        if target != "others":
            return [(target, 1.0)]
        return [("beneficiaries", 1.0), ("patients", -1.0)] if self._joint else [("patients", -1.0)]

    def _require(self, place: int, target: Target, by: int) -> Callable[[], object] | None:
        """Require that ``target`` moves by at least ``by``. Returns the function that undoes it, or None if impossible."""
        parts = self._parts(target)
        if len(parts) == 2:
            link, others = self._links + place, float(self._others[place])
            # A link row is n - N: others that go up take it down.
            low, high = (-highspy.kHighsInf, -float(by)) if by > 0 else (float(-by), others)
            if low > high:
                return None
            self._solver.changeRowBounds(link, low, high)
            return lambda: self._solver.changeRowBounds(link, -highspy.kHighsInf, others)
        figure, weight = parts[0]
        up = place + 2 * len(self.cells) * self._figures.index(figure)
        down = up + len(self.cells)
        wanted, against = (up, down) if by * weight > 0 else (down, up)
        if self._upper[wanted] < abs(by):
            return None
        self._solver.changeColBounds(wanted, float(abs(by)), self._upper[wanted])
        self._solver.changeColBounds(against, 0.0, 0.0)

        def undo() -> None:
            self._solver.changeColBounds(wanted, 0.0, self._upper[wanted])
            self._solver.changeColBounds(against, 0.0, self._upper[against])

        return undo

    def _solve(self) -> Alternative | None:
        ways = self._run()
        if ways is not None and (np.abs(ways - np.rint(ways)).max() >= WHOLE or not self._is_alternative(ways)):
            # The optimum of the linear programme is not whole: solve in whole numbers.
            integer = np.full(len(self._columns), highspy.HighsVarType.kInteger)
            self._solver.changeColsIntegrality(len(self._columns), self._columns, integer)
            ways = self._run()
            continuous = np.full(len(self._columns), highspy.HighsVarType.kContinuous)
            self._solver.changeColsIntegrality(len(self._columns), self._columns, continuous)
            assert ways is None or self._is_alternative(ways), "an alternative does not add up"
        if ways is None:
            return None
        change = dict(zip(self._figures, np.rint(ways).astype("int64"), strict=True))
        return Alternative(self.cells, change, self._price_of(change))

    def _run(self) -> Floats | None:
        """The solver's optimum: how far each figure of each cell goes up (+) or down (-); None if infeasible."""
        self._solver.run()
        if self._solver.getModelStatus() not in _CERTAIN:
            # The warm start from the last solution failed: solve once more from scratch.
            self._solver.clearSolver()
            self._solver.run()
        status = self._solver.getModelStatus()
        if status == highspy.HighsModelStatus.kInfeasible:
            return None
        assert status == highspy.HighsModelStatus.kOptimal, status
        ways = np.array(self._solver.getSolution().col_value).reshape(len(self._figures), 2, len(self.cells))
        return np.asarray(ways[:, 0] - ways[:, 1], dtype=np.float64)

    def _is_alternative(self, ways: Floats) -> bool:
        """Whether bounds, n <= N and every line hold in whole numbers, beyond the solver's tolerance."""
        whole = np.rint(ways).astype("int64")
        up, down = self._upper.reshape(len(self._figures), 2, len(self.cells)).transpose(1, 0, 2)
        if (whole > up).any() or (-whole > down).any():
            return False
        if self._joint and (whole[0] - whole[1] > self._others).any():
            return False
        # What is outside stands still, so the lines of the block are all there are.
        return not any(
            np.bincount(row, sign * change[place]).any()
            for change, (row, place, sign) in zip(whole, self._lines, strict=True)
        )

    def _price_of(self, change: dict[Figure, Counts]) -> float:
        """The cost of hiding the shown cells that move."""
        cost = (self._cost * self._shown).reshape(len(self._figures), 2, len(self.cells))[:, 0]
        changes = zip(cost, change.values(), strict=True)  # of the figures in their order
        return float(sum(each[(moved != 0) & ~self._taken_along(moved)].sum() for each, moved in changes))
