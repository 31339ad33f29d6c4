"""Exact extremes of every column of a small system with cyclic dependencies, by linear programming.

Columns are whole numbers in 0..width; equations have coefficients 1 and -1. The optimum of the linear programme bounds the
whole numbers from outside; each solution in whole numbers that is met is a witness from inside. Where the two meet, the
bound is exact; where they do not, the programme is solved once more in whole numbers.
"""

import highspy
import numpy as np

ROUNDING = 1e-3
"""Margin by which outer bounds are rounded outwards, far above the solver's tolerance of 1e-7.

A bound that is too wide costs one programme in whole numbers; one that is too narrow would be a mistake.
"""


class NoSolutionError(Exception):
    """No whole numbers solve the equations."""


def extremes(
    widths: np.ndarray, sums: np.ndarray, row: np.ndarray, column: np.ndarray, sign: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest value of every column.

    ``widths``: per column. ``sums``: the right-hand side per equation. Entry i of the others: ``sign[i]`` times
    ``column[i]`` in equation ``row[i]``. Raises :class:`NoSolutionError`.
    """
    component = _Component(widths, sums, row, column, sign)
    component.push_together()
    for each in range(len(widths)):
        component.settle(each, -1.0)
        component.settle(each, 1.0)
    return component.bounds[-1.0], component.bounds[1.0]


class _Component:
    """One system; by direction (-1 down, 1 up) the bounds of its columns, and the extremes of the solutions seen so far."""

    def __init__(
        self, widths: np.ndarray, sums: np.ndarray, row: np.ndarray, column: np.ndarray, sign: np.ndarray
    ) -> None:
        self.sums, self.row, self.column, self.sign = sums, row, column, sign
        self.bounds = {-1.0: np.zeros(len(widths)), 1.0: widths.copy()}
        self.seen = {direction: np.full(len(widths), -direction * np.inf) for direction in self.bounds}
        self.widths = widths
        self.relaxed = self._program(whole=False)
        self.whole: highspy.Highs | None = None

    def push_together(self) -> None:
        """Push all columns down, then up, together: one solution is a witness for many."""
        for direction in self.bounds:
            left = len(self.widths) + 1
            while True:
                is_open = self.bounds[direction] != self.seen[direction]
                pushed = np.flatnonzero(is_open & np.isfinite(self.widths))
                if len(pushed) == 0 or len(pushed) > 0.9 * left:
                    break
                left = len(pushed)
                self._optimum(self.relaxed, pushed, direction)

    def settle(self, column: int, direction: float) -> None:
        """Make the lowest (direction -1) or highest (1) of ``column`` exact."""
        bounds, seen = self.bounds[direction], self.seen[direction]
        if bounds[column] == seen[column]:
            return
        optimum = self._optimum(self.relaxed, np.array([column]), direction)
        # What is unbounded in real numbers is unbounded in whole numbers, as the coefficients are rational.
        bounds[column] = direction * np.floor(direction * optimum + ROUNDING)
        if bounds[column] != seen[column] and np.isfinite(optimum):
            self.whole = self.whole or self._program(whole=True)
            bounds[column] = round(self._optimum(self.whole, np.array([column]), direction))
            if bounds[column] != seen[column]:
                raise RuntimeError("HiGHS gave a solution in whole numbers that is none")

    def _optimum(self, program: highspy.Highs, columns: np.ndarray, direction: float) -> float:
        """The optimum of the sum of ``columns``. Rounded, the solution is a witness if it solves the system exactly."""
        columns = columns.astype(np.int32)
        program.changeColsCost(len(columns), columns, np.full(len(columns), -direction))
        program.run()
        status, solution = program.getModelStatus(), np.asarray(program.getSolution().col_value)
        program.changeColsCost(len(columns), columns, np.zeros(len(columns)))
        if status == highspy.HighsModelStatus.kInfeasible:
            raise NoSolutionError
        if status in (highspy.HighsModelStatus.kUnbounded, highspy.HighsModelStatus.kUnboundedOrInfeasible):
            return direction * np.inf
        if status != highspy.HighsModelStatus.kOptimal:
            raise RuntimeError(f"HiGHS ended with {status}")
        numbers = np.round(solution)
        sums = np.bincount(self.row, self.sign * numbers[self.column], minlength=len(self.sums))
        if (sums == self.sums).all() and (numbers >= 0).all() and (numbers <= self.widths).all():
            np.minimum(self.seen[-1.0], numbers, out=self.seen[-1.0])
            np.maximum(self.seen[1.0], numbers, out=self.seen[1.0])
        return float(solution[columns].sum())

    def _program(self, whole: bool) -> highspy.Highs:
        order = np.lexsort((self.column, self.row))
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = len(self.widths), len(self.sums)
        lp.col_cost_ = np.zeros(len(self.widths))
        lp.col_lower_, lp.col_upper_ = np.zeros(len(self.widths)), self.widths
        lp.row_lower_ = lp.row_upper_ = self.sums
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = np.concatenate([[0], np.cumsum(np.bincount(self.row, minlength=len(self.sums)))])
        lp.a_matrix_.index_, lp.a_matrix_.value_ = self.column[order], self.sign[order]
        if whole:
            lp.integrality_ = [highspy.HighsVarType.kInteger] * len(self.widths)
        program = highspy.Highs()
        program.silent()
        options: dict[str, str | float] = {"threads": 1, "mip_rel_gap": 0.0, "mip_abs_gap": 0.5}
        # Only the cost changes from run to run: the last solution stays feasible, and the primal simplex starts from it.
        options |= {} if whole else {"presolve": "off", "simplex_strategy": 4}
        for option, value in options.items():
            program.setOptionValue(option, value)
        if program.passModel(lp) != highspy.HighsStatus.kOk:
            raise RuntimeError("HiGHS refuses the linear program")
        return program
