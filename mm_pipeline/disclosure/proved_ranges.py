"""Proved ranges: the lowest and highest value of each figure in the feasible alternatives found so far."""

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from mm_pipeline.disclosure.primary_rule import Counts, Flags
from mm_pipeline.disclosure.system import TARGETS, Positions, System, Target

LOWEST, HIGHEST = 0, 1


@dataclass
class _Alternatives:
    """The alternatives found, numbered from 0, and for each cell the numbers of those that move it."""

    count: int = 0
    of_cell: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))


@dataclass(frozen=True)
class ProvedRanges:
    """The range of each figure, and the alternatives that prove it.

    Figures are in the order of ``TARGETS``. ``value``: the true values, figures x cells. ``reach``: the lowest and the
    highest value in an alternative, 2 x figures x cells. ``by``: the number of that alternative (-1: none), same shape.
    """

    value: Counts
    reach: Counts
    by: Counts
    alternatives: _Alternatives = field(default_factory=_Alternatives)

    @classmethod
    def initial(cls, system: System) -> "ProvedRanges":
        value = np.stack([system.value(target) for target in TARGETS])
        return cls(value, np.stack([value, value]), np.full((2, *value.shape), -1))

    def lowest(self, target: Target) -> Counts:
        return self.reach[LOWEST, TARGETS.index(target)]

    def highest(self, target: Target) -> Counts:
        return self.reach[HIGHEST, TARGETS.index(target)]

    def copy(self) -> "ProvedRanges":
        """A copy that can be changed. ``alternatives`` is shared: it only grows, and its numbers stay."""
        return ProvedRanges(self.value, self.reach.copy(), self.by.copy(), self.alternatives)

    def add(self, cells: Positions, change: Counts) -> None:
        """Record an alternative: the cells that move, and by how much each of their figures does (figures x cells)."""
        number = self.alternatives.count
        self.alternatives.count += 1
        there = self.value[:, cells] + change
        reach = self.reach[:, :, cells]
        side, target, place = np.nonzero([there < reach[LOWEST], there > reach[HIGHEST]])
        self.reach[side, target, cells[place]] = there[target, place]
        self.by[side, target, cells[place]] = number
        for cell in cells.tolist():
            self.alternatives.of_cell[cell].append(number)

    def without(self, cells: Flags) -> "ProvedRanges":
        """The ranges that stay proved if these cells stand still."""
        # One place more than there are numbers, for -1.
        is_void = np.zeros(self.alternatives.count + 1, dtype=bool)
        for cell in np.flatnonzero(cells).tolist():
            is_void[self.alternatives.of_cell.get(cell, [])] = True
        result = self.copy()
        gone = is_void[result.by]
        result.reach[gone] = np.broadcast_to(self.value, gone.shape)[gone]
        result.by[gone] = -1
        return result
