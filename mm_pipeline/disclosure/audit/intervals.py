"""Intervals: the exact lowest and highest whole number that each column of a system can take.

Bounds are propagated through the equations until they stand still (:func:`_tightened`). With coefficients 1 and -1 that is
exact wherever the equations have no cyclic dependencies. Those are left to linear programming
(:mod:`~mm_pipeline.disclosure.audit.cycles`), whose bounds are then propagated further.
"""

from collections.abc import Iterator

import numpy as np

from mm_pipeline.disclosure.audit import cycles
from mm_pipeline.disclosure.audit.release import contradiction
from mm_pipeline.disclosure.audit.system import System
from mm_pipeline.errors import OperatorError

ROUNDS = 200
"""Rounds of propagation before linear programming: along a cycle, bounds may creep by one a round for long."""


def intervals(system: System) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest value of every column, infinity where it is unbounded.

    Raises :class:`OperatorError` when no whole numbers solve the system.
    """
    lowest, highest, still = _tightened(system, system.lowest, system.highest, ROUNDS)
    missing = -np.bincount(system.equation, system.sign * lowest[system.column])
    for part in _components(system, _cyclic(system, lowest < highest, prune=still)):
        equations, row = np.unique(system.equation[part], return_inverse=True)
        columns, number = np.unique(system.column[part], return_inverse=True)
        widths = highest[columns] - lowest[columns]
        try:
            low, high = cycles.extremes(widths, missing[equations], row, number, system.sign[part])
        except cycles.NoSolutionError:
            raise _not_adding_up(system, equations) from None
        lowest[columns], highest[columns] = lowest[columns] + low, lowest[columns] + high
    lowest, highest, _ = _tightened(system, lowest, highest, None)
    return lowest, highest


def _tightened(
    system: System, lowest: np.ndarray, highest: np.ndarray, rounds: int | None
) -> tuple[np.ndarray, np.ndarray, bool]:
    """The bounds after at most ``rounds`` rounds through all equations, and whether they stand still."""
    lowest, highest = lowest.copy(), highest.copy()
    at = np.arange(len(system.equation))
    done = 0
    while done != rounds:
        equation, column, positive = system.equation[at], system.column[at], system.sign[at] > 0
        # Each term of an equation lies in low..high; the others bound it, as all terms together are 0.
        low = np.where(positive, lowest[column], -highest[column])
        high = np.where(positive, highest[column], -lowest[column])
        new_low = np.maximum(low, -_others(equation, high, np.inf))
        new_high = np.minimum(high, -_others(equation, low, -np.inf))
        before = lowest.copy(), highest.copy()
        np.maximum.at(lowest, column, np.where(positive, new_low, -new_high))
        np.minimum.at(highest, column, np.where(positive, new_high, -new_low))
        for crossing in (new_low > new_high, (lowest > highest)[column]):
            if crossing.any():
                raise _not_adding_up(system, np.unique(equation[crossing]))
        changed = (lowest != before[0]) | (highest != before[1])
        if not changed.any():
            return lowest, highest, True
        at = at[np.bincount(equation, (changed | (lowest < highest))[column])[equation] > 0]
        done += 1
    return lowest, highest, False


def _others(equation: np.ndarray, term: np.ndarray, unbounded: float) -> np.ndarray:
    """The sum of the other terms of its equation, for each term; ``unbounded`` as soon as one of these is infinite."""
    infinite = np.isinf(term)
    finite = np.where(infinite, 0.0, term)
    # Sums of whole numbers below 2**53 are exact.
    sums = np.bincount(equation, finite)[equation] - finite
    return np.where(np.bincount(equation, infinite)[equation] > infinite, unbounded, sums)


def _cyclic(system: System, free: np.ndarray, prune: bool) -> np.ndarray:
    """The entries of ``free`` columns that depend on each other in cycles, which propagation may not settle.

    An equation with at most one column that occurs elsewhere is a twig: where the bounds stand still, every value of that
    column leaves room for the others. ``prune``: remove twigs until none is left.
    """
    at = np.flatnonzero(free[system.column])
    while prune:
        equation, column = system.equation[at], system.column[at]
        elsewhere = np.bincount(column)[column] > 1
        kept = np.bincount(equation, elsewhere)[equation] > 1
        if kept.all():
            break
        at = at[kept]
    return at


def _components(system: System, at: np.ndarray) -> Iterator[np.ndarray]:
    """The connected components of the entries ``at``."""
    equation, column = system.equation[at], system.column[at]
    label = np.arange(len(system.lowest))
    while True:
        of_equation = np.full(len(system.cell), len(label))
        np.minimum.at(of_equation, equation, label[column])
        before = label.copy()
        np.minimum.at(label, column, of_equation[equation])
        if (label == before).all():
            break
    of_entry = label[column]
    order = np.argsort(of_entry, kind="stable")
    ends = np.flatnonzero(np.diff(of_entry[order])) + 1
    yield from (part for part in np.split(at[order], ends) if len(part))


def _not_adding_up(system: System, equations: np.ndarray) -> OperatorError:
    cells = system.cells.iloc[np.unique(system.cell[equations])]
    return contradiction("what is shown cannot all be true where these are added up", cells)
