"""The fewest rows that can be hidden: a block of a year's table as a mixed-integer programme (HiGHS).

One binary per row: is n hidden? A figure at risk has an interval as long as other tables look the same to the reader;
how far the figure can go in them is a linear programme whose bounds depend on the binaries. Its dual gives, for
whatever binaries, a linear inequality that they must meet (Benders' cuts, as Fischetti and Salazar do it). So the
programme starts without any, and those that its solutions break are added until none is. All coefficients are then cut
down to the right-hand side, which is exact for binaries and needs no guess of how far a cell may have to move.

A figure that is not sensitive, but could be taken for one that is, must have its interval as well. Whether it could
depends on what is hidden: such a figure is asked for once a solution shows a way to take it there, under the condition
that the cells of this way are hidden.

What it gives is a lower bound of the optimum, as intervals are in real numbers here. Where the audit finds the
solution's table unbroken, it is the optimum - of the patterns that show every N: to hide a N besides loosens n as well, but
costs the reader two figures of the row.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import count

import highspy
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.disclosure_lines import Lines, lines_of, release
from mm_pipeline.disclosure.primary_rule import Flags, sensitive

Floats = NDArray[np.float64]
TOLERANCE, SLACK = 1e-6, 1e-4
ROUNDS = 200
NODES = 200_000


Cut = tuple[Floats, float]
"""Coefficients of the binaries, and what they sum to at least."""


@dataclass(frozen=True)
class Need:
    """A figure that may be at risk, as an alternative of its cell's n.

    ``up``: how far in direction ``sign`` at least (for n up, for the others down); ``width``: how far in all.
    ``small``: how far from its value it is small, in direction ``sign``; 0 if it is: sensitive.
    """

    cell: int
    sign: int
    up: int
    width: int
    small: int


@dataclass(frozen=True)
class Optimum:
    """``complementary``: how many rows at least are hidden that are not hidden at any rate.

    ``hidden``: for each cell whether its n is hidden in a solution with as many; None if it was given up before.
    """

    complementary: int
    hidden: Flags | None


class Block:
    """A part of a year's table with every N shown.

    ``column``: for each cell the binary that says whether its n is hidden, of which -1 stands for never and -2 for at
    any rate (sensitive, or a breakdown of such a total, or a residual).
    """

    def __init__(self, rates: pd.DataFrame, threshold: int) -> None:
        self.rates = rates
        self.lines: Lines = lines_of(rates)
        cells = self.lines.cells
        self.people = cells["beneficiaries"].to_numpy(dtype="int64")
        self.patients = cells["patients"].to_numpy(dtype="int64")
        self.others = self.people - self.patients
        self.t = threshold
        total, is_residual = self.lines.total, self.lines.is_residual
        self.primary = sensitive(self.patients, self.people, threshold) & ~is_residual
        self.primary |= (total >= 0) & self.primary[total] & (self.people > 0)

        municipality = cells["parent_code"].where((cells["level"] == "sector") & ~is_residual)
        self._sectors = {
            code: rows.to_numpy() for code, rows in pd.Series(cells.index).groupby(municipality.to_numpy())
        }
        self._name_columns()

    @property
    def shows_all_people(self) -> bool:
        """No N, a residual's included, is small; otherwise two figures of each cell would have to be moved together."""
        return not ((self.people >= 1) & (self.people < self.t)).any()

    def _name_columns(self) -> None:
        total, zero = self.lines.total, self.patients == 0
        number = count()
        self.column = np.full(len(self.people), -1)
        own = ~zero & ~self.primary & ~self.lines.is_residual
        for cell in np.flatnonzero(own):
            self.column[cell] = next(number)
        self.column[self.primary | self.lines.is_residual] = -2
        # R1: a zero of a breakdown is hidden when its total is; zeros are not hidden otherwise ...
        for cell in np.flatnonzero(zero & (total >= 0) & ~self.primary & (self.people > 0)):
            self.column[cell] = self.column[total[cell]]
        # ... but for R2: a zero of a sector is when all sectors are.
        self.r2: dict[str, int] = {}
        for code, cells in self._sectors.items():
            self.r2[code] = next(number)
            self.column[cells[zero[cells] & (self.people[cells] > 0)]] = self.r2[code]
        self.columns = next(number)

    @cached_property
    def zero_column(self) -> NDArray[np.int64]:
        """For each cell the binary under which it may be 0 though hidden (R1, R2), as in ``column``."""
        total = self.lines.total
        result = np.where(total >= 0, self.column[total], -1)
        result[self.lines.is_residual] = -2
        for code, cells in self._sectors.items():
            result[cells] = self.r2[code]
        return result

    def rules(self) -> Iterator[tuple[int, int]]:
        """Pairs of columns of which the first implies the second: R1, and that all sectors are hidden under R2."""
        for cell, total in enumerate(self.lines.total):
            if min(total, self.column[total], self.column[cell]) >= 0 and self.column[cell] != self.column[total]:
                yield int(self.column[total]), int(self.column[cell])
        for code, cells in self._sectors.items():
            for cell in cells[self.people[cells] > 0]:
                if self.column[cell] >= 0 and self.column[cell] != self.r2[code]:
                    yield self.r2[code], int(self.column[cell])

    def needs(self) -> Iterator[Need]:
        """The sensitive figures, and the figures so near that they could be taken for one that is."""
        for cell in np.flatnonzero((self.people > 0) & (self.column != -1)).tolist():
            people, patients, others = int(self.people[cell]), int(self.patients[cell]), int(self.others[cell])
            yield from self._need(cell, 1, patients, self.t)
            cap = min(self.t, people - 1)
            if others > 0 or patients == 0:
                yield from self._need(cell, -1, others, cap)
            elif cap > 0:
                yield Need(cell, -1, cap, max(self.t - 1, cap), 0)

    def _need(self, cell: int, sign: int, value: int, cap: int) -> Iterator[Need]:
        if value < 2 * (self.t - 1):
            small = 1 if value == 0 else min(0, self.t - 1 - value)
            yield Need(cell, sign, cap - value, self.t - 1, small)

    def costs(self) -> Floats:
        """How many rows each binary hides."""
        counted = self.column[(self.column >= 0) & ~self.lines.is_residual]
        return np.bincount(counted, minlength=self.columns).astype(float)

    def hidden(self, chosen: Floats) -> Flags:
        """Per cell: is n hidden?"""
        return np.append(chosen > 0.5, [True, False])[self.column]

    def complementary(self, hidden: Flags) -> int:
        """How many rows are hidden that are not hidden at any rate."""
        return int((hidden & ~self.primary & ~self.lines.is_residual).sum())

    def table(self, hidden: Flags) -> pd.DataFrame:
        rows = slice(0, len(self.rates))
        return release(self.rates, self.lines, self.lines.is_residual[rows], hidden[rows])


class _Alternatives:
    """How far a cell's n can move with real numbers as the binaries stand, and the inequality that limits it."""

    def __init__(self, block: Block) -> None:
        self._block = block
        size = len(block.people)
        self._entry_line = np.repeat(np.arange(len(block.lines.members)), [len(line) for line in block.lines.members])
        self._entry_cell = np.concatenate([*block.lines.members, np.zeros(0, dtype="int64")]).astype(np.int32)
        self._entry_sign = np.concatenate([np.r_[1.0, -np.ones(len(line) - 1)] for line in block.lines.members])
        self._all = np.arange(size, dtype=np.int32)
        model = highspy.HighsLp()
        model.num_col_, model.num_row_ = size, len(block.lines.members)
        model.col_cost_ = model.col_lower_ = model.col_upper_ = np.zeros(size)
        model.row_lower_ = model.row_upper_ = np.zeros(model.num_row_)
        model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        model.a_matrix_.start_ = np.searchsorted(self._entry_line, np.arange(model.num_row_ + 1)).astype(np.int32)
        model.a_matrix_.index_, model.a_matrix_.value_ = self._entry_cell, self._entry_sign
        self._solver = _solver({"presolve": "off", "simplex_strategy": 4})
        self._solver.passModel(model)
        # A hidden n goes up to N and down to 1, or to 0 where zeros are hidden as well.
        self._up = np.where(block.people > 0, block.others, 0).astype(float)
        self._down = np.maximum(block.patients - 1, 0).astype(float)
        self._down_zero = (block.patients > 0).astype(float)

    def stand(self, chosen: Floats) -> None:
        values = np.append(chosen, [1.0, 0.0])
        hidden, zeros = values[self._block.column], values[self._block.zero_column]
        self._solver.changeColsBounds(
            len(self._all), self._all, -(self._down * hidden + self._down_zero * zeros), self._up * hidden
        )

    def furthest(self, cell: int, sign: int) -> tuple[float, Floats, Floats]:
        """The furthest, its bound as coefficients of the binaries with the constant at the end, and the way there.

        Any multipliers of the lines give a valid bound, so they are rounded: the bound is exact all the same.
        """
        self._solver.changeColCost(cell, -float(sign))
        self._solver.run()
        status = self._solver.getModelStatus()
        assert status == highspy.HighsModelStatus.kOptimal, status
        solution = self._solver.getSolution()
        self._solver.changeColCost(cell, 0.0)
        multipliers = np.round(-np.array(solution.row_dual), 6)
        reduced = -np.bincount(
            self._entry_cell, self._entry_sign * multipliers[self._entry_line], minlength=len(self._all)
        )
        reduced[cell] += sign
        rise, fall = np.maximum(reduced, 0), np.maximum(-reduced, 0)
        bound = np.zeros(self._block.columns + 2)
        np.add.at(bound, self._block.column, rise * self._up + fall * self._down)
        np.add.at(bound, self._block.zero_column, fall * self._down_zero)
        # Columns -2 (always) and -1 (never) are the last two places.
        way = np.array(solution.col_value)
        return sign * float(way[cell]), bound[:-1], way

    def broken(self, need: Need) -> Iterator[Cut]:
        """The inequalities of a need that the binaries break."""
        on_condition: set[int] = set()
        if need.small:
            could, _, way = self.furthest(need.cell, need.sign if need.small > 0 else -need.sign)
            if could < abs(need.small) - SLACK:
                return
            on_condition = self._hidden_for(way)
        up, limit, _ = self.furthest(need.cell, need.sign)
        if up < need.up - SLACK:
            yield self._cut(limit, need.up, on_condition)
        if up < need.width - SLACK:
            down, other, _ = self.furthest(need.cell, -need.sign)
            if up + down < need.width - SLACK:
                yield self._cut(limit + other, need.width, on_condition)

    def _hidden_for(self, way: Floats) -> set[int]:
        """The binaries that must be set for an alternative to be possible."""
        moved = np.abs(way) > TOLERANCE
        below = self._block.zero_column[moved & (way < -self._down - TOLERANCE)]
        return {int(column) for column in [*self._block.column[moved], *below] if column >= 0}

    def _cut(self, bound: Floats, wanted: float, on_condition: set[int]) -> Cut:
        coefficients, right = bound[:-1], wanted - bound[-1]
        # Of binaries, more than the right-hand side is as good as the right-hand side.
        coefficients = np.minimum(coefficients, right)
        for column in on_condition:
            coefficients[column] -= right
        return coefficients, right * (1 - len(on_condition))


def optimum(block: Block, rounds: int = ROUNDS) -> Optimum:
    """The fewest complementary rows of a block; given up after ``rounds`` programmes in whole numbers."""
    if block.columns == 0:
        return Optimum(0, block.hidden(np.zeros(0)))
    alternatives, master = _Alternatives(block), _Master(block)
    sensitive_figures = [need for need in block.needs() if need.small == 0]
    near_figures = [need for need in block.needs() if need.small != 0]
    while master.moves():
        alternatives.stand(master.solve())
        cuts = [cut for need in sensitive_figures for cut in alternatives.broken(need)]
        if not cuts:
            break
        master.add(cuts)
    master.whole()
    for _ in range(rounds):
        chosen = master.solve()
        if not master.is_solved:
            break
        alternatives.stand(chosen)
        cuts = [cut for need in sensitive_figures for cut in alternatives.broken(need)]
        if not cuts:
            # Only now: in fractions, or with a sensitive figure in need, there is no telling what could be small.
            hidden = block.hidden(chosen)
            cuts = [cut for need in near_figures if hidden[need.cell] for cut in alternatives.broken(need)]
            if not cuts:
                return Optimum(block.complementary(hidden), hidden)
        master.add(cuts)
    return Optimum(master.at_least, None)


class _Master:
    """The binaries: the fewest rows under the rules and the inequalities found so far."""

    def __init__(self, block: Block) -> None:
        self._size = block.columns
        self._columns = np.arange(self._size, dtype=np.int32)
        self._solver = _solver({"mip_max_nodes": NODES, "mip_rel_gap": 0.0, "mip_abs_gap": 0.999})
        self._solver.addVars(self._size, np.zeros(self._size), np.ones(self._size))
        self._solver.changeColsCost(self._size, self._columns, block.costs())
        for first, second in set(block.rules()):
            self._solver.addRow(0.0, highspy.kHighsInf, 2, np.array([first, second]), np.array([-1.0, 1.0]))
        self._bounds: list[float] = []
        self._is_whole = False
        self.is_solved = True

    def whole(self) -> None:
        """From now on in whole numbers."""
        self._is_whole = True
        kinds = np.full(self._size, highspy.HighsVarType.kInteger)
        self._solver.changeColsIntegrality(self._size, self._columns, kinds)

    def solve(self) -> Floats:
        self._solver.run()
        self.is_solved = self._solver.getModelStatus() == highspy.HighsModelStatus.kOptimal
        info = self._solver.getInfo()
        # A gap below 1 is none: rows are counted in whole numbers.
        is_exact = self.is_solved or not self._is_whole
        self._bounds.append(info.objective_function_value if is_exact else info.mip_dual_bound)
        chosen = np.clip(self._solver.getSolution().col_value, 0, 1)
        return np.round(chosen) if self._is_whole else chosen

    @property
    def at_least(self) -> int:
        return int(np.ceil(max([0.0, *self._bounds]) - 1e-4))

    def moves(self) -> bool:
        """Whether the last rounds raised the bound by anything worth while."""
        return len(self._bounds) < 12 or self._bounds[-1] > self._bounds[-11] + 0.01

    def add(self, cuts: list[Cut]) -> None:
        for coefficients, right in cuts:
            at = np.flatnonzero(np.abs(coefficients) > TOLERANCE)
            self._solver.addRow(right - TOLERANCE, highspy.kHighsInf, len(at), at.astype(np.int32), coefficients[at])


def _solver(options: dict[str, str | float | int]) -> highspy.Highs:
    solver = highspy.Highs()
    for name, value in {"output_flag": False, "threads": 1, **options}.items():
        solver.setOptionValue(name, value)
    return solver
