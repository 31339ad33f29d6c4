"""How far each figure has been seen to move, and by which movement: what the protection has proved so far."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from mm_pipeline.disclosure.rule import Counts, Flags
from mm_pipeline.disclosure.system import AIMS, Aim, Positions, System


@dataclass(frozen=True)
class Proofs:
    """Per figure (N, n, N - n) of each cell its true ``value``, and the ``lowest`` and ``highest`` it takes in a movement.

    ``lowest_by``, ``highest_by``: the number of that movement, -1 for none; ``movements``: those that move a cell.
    """

    value: dict[Aim, Counts]
    lowest: dict[Aim, Counts]
    highest: dict[Aim, Counts]
    lowest_by: dict[Aim, Counts]
    highest_by: dict[Aim, Counts]
    movements: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    numbers: Iterator[int] = field(default_factory=count)

    @classmethod
    def none(cls, system: System) -> "Proofs":
        value: dict[Aim, Counts] = {aim: system.value(aim) for aim in AIMS}
        nobody: dict[Aim, Counts] = {aim: np.full(len(system), -1) for aim in AIMS}
        return cls(value, _copy(value), _copy(value), nobody, _copy(nobody))

    def copy(self) -> "Proofs":
        """``movements`` is shared: it only grows, and a number stays with its movement."""
        lowest, highest, lowest_by, highest_by = map(
            _copy, (self.lowest, self.highest, self.lowest_by, self.highest_by)
        )
        return Proofs(self.value, lowest, highest, lowest_by, highest_by, self.movements, self.numbers)

    def add(self, cells: Positions, change: dict[Aim, Counts]) -> None:
        """Remember a movement."""
        number = next(self.numbers)
        for aim, by in change.items():
            there = self.value[aim][cells] + by
            for seen, seen_by, further in (
                (self.lowest[aim], self.lowest_by[aim], there < self.lowest[aim][cells]),
                (self.highest[aim], self.highest_by[aim], there > self.highest[aim][cells]),
            ):
                seen[cells[further]], seen_by[cells[further]] = there[further], number
        for cell in cells[np.any([by != 0 for by in change.values()], axis=0)].tolist():
            self.movements[cell].append(number)

    def without(self, cells: Flags) -> "Proofs":
        """What stays proved if these cells stand still."""
        void = {number for cell in np.flatnonzero(cells).tolist() for number in self.movements.get(cell, ())}
        gone_by = np.fromiter(void, dtype="int64")
        result = self.copy()
        for aim in AIMS:
            for seen, seen_by in ((result.lowest, result.lowest_by), (result.highest, result.highest_by)):
                gone = np.isin(seen_by[aim], gone_by)
                seen[aim][gone], seen_by[aim][gone] = self.value[aim][gone], -1
        return result


def _copy(arrays: dict[Aim, Counts]) -> dict[Aim, Counts]:
    return {aim: array.copy() for aim, array in arrays.items()}
