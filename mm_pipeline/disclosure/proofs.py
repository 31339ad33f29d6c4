"""How far each figure has been seen to move, and by which movement: what the protection has proved so far."""

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from mm_pipeline.disclosure.rule import Counts, Flags
from mm_pipeline.disclosure.system import AIMS, Aim, Positions, System

LOWEST, HIGHEST = 0, 1


@dataclass
class _Movements:
    """How many movements were found, which numbers them, and of each cell those that move it."""

    count: int = 0
    of_cell: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))


@dataclass(frozen=True)
class Proofs:
    """Per figure (in the order of ``AIMS``) of each cell its true ``value``, and its reach: the lowest and the highest value
    that it takes in a movement, and ``by`` the number of that movement (-1: none).

    ``value``: figures x cells; ``reach`` and ``by``: lowest and highest x figures x cells.
    """

    value: Counts
    reach: Counts
    by: Counts
    movements: _Movements = field(default_factory=_Movements)

    @classmethod
    def none(cls, system: System) -> "Proofs":
        value = np.stack([system.value(aim) for aim in AIMS])
        return cls(value, np.stack([value, value]), np.full((2, *value.shape), -1))

    def lowest(self, aim: Aim) -> Counts:
        return self.reach[LOWEST, AIMS.index(aim)]

    def highest(self, aim: Aim) -> Counts:
        return self.reach[HIGHEST, AIMS.index(aim)]

    def copy(self) -> "Proofs":
        """``movements`` is shared: it only grows, and a number stays with its movement."""
        return Proofs(self.value, self.reach.copy(), self.by.copy(), self.movements)

    def add(self, cells: Positions, change: Counts) -> None:
        """Remember a movement: the cells that move, and by how much each of their figures does (figures x cells)."""
        number = self.movements.count
        self.movements.count += 1
        there = self.value[:, cells] + change
        reach = self.reach[:, :, cells]
        side, aim, place = np.nonzero([there < reach[LOWEST], there > reach[HIGHEST]])
        self.reach[side, aim, cells[place]] = there[aim, place]
        self.by[side, aim, cells[place]] = number
        for cell in cells.tolist():
            self.movements.of_cell[cell].append(number)

    def without(self, cells: Flags) -> "Proofs":
        """What stays proved if these cells stand still."""
        # One place more than there are numbers: -1 is none of them.
        is_void = np.zeros(self.movements.count + 1, dtype=bool)
        for cell in np.flatnonzero(cells).tolist():
            is_void[self.movements.of_cell.get(cell, [])] = True
        result = self.copy()
        gone = is_void[result.by]
        result.reach[gone] = np.broadcast_to(self.value, gone.shape)[gone]
        result.by[gone] = -1
        return result
