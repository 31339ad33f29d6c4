"""Protection levels: the range of values that each hidden figure must be able to take, and which do not yet."""

import numpy as np
import pandas as pd

from mm_pipeline.dimensions import LEVELS
from mm_pipeline.disclosure.primary_rule import Counts, Flags
from mm_pipeline.disclosure.proved_ranges import ProvedRanges
from mm_pipeline.disclosure.small_numbers import is_small
from mm_pipeline.disclosure.suppression import SuppressionPattern, lower_bounds
from mm_pipeline.disclosure.system import FIGURES, TARGETS, Figure, Positions, System, Target

ALL = slice(None)


class ProtectionLevels:
    """The protection levels of a system at a disclosure threshold t.

    ``is_sensitive``: per target figure, whether it is small, or for the others whether everybody is a patient. ``order``:
    the cells, upper levels first, and within a level its totals first.
    """

    def __init__(self, system: System, disclosure_threshold: int) -> None:
        self._system = system
        self._t = disclosure_threshold
        self.is_sensitive = {target: is_small(system.value(target), disclosure_threshold) for target in TARGETS}
        self.is_sensitive["others"] |= (system.others == 0) & (system.patients > 0)
        level = pd.Index(LEVELS).get_indexer(system.cells["level"])
        self.order = np.lexsort((system.is_breakdown, level))

    def cap(self, target: Target, pattern: SuppressionPattern, cells: Positions | slice = ALL) -> Counts:
        """The upper protection level: a small figure must be able to reach t. Where N = t is shown, m only reaches t - 1."""
        people = self._system.beneficiaries[cells]
        cap = np.full(len(people), self._t)
        if target == "others":
            unknown = pattern.beneficiaries[cells] & ~self._system.before.known["beneficiaries"][cells]
            cap = np.where(unknown, cap, np.minimum(cap, people - 1))
        return cap

    def unmet(
        self, target: Target, pattern: SuppressionPattern, proved: ProvedRanges, cells: Positions | slice = ALL
    ) -> Flags:
        """Whether each hidden figure could be taken for a small one and is not proved to take enough values.

        Figures that an earlier release has shown are left out; those that it hid, or that changed since, are not.
        """
        figure: Figure = "patients" if target == "others" else target
        before, value = self._system.before, self._system.value(target)[cells]
        secret = pattern[figure][cells] & ~before.shown[figure][cells] & ~before.is_change[cells]
        lowest, highest = proved.lowest(target)[cells], proved.highest(target)[cells]
        short = (highest < self.cap(target, pattern, cells)) | (highest - lowest < self._t - 1)
        return secret & (value < 2 * (self._t - 1)) & short


def plainly_known(system: System, pattern: SuppressionPattern) -> dict[Target, Flags]:
    """Whether each figure is shown or follows at once: by subtraction, or as all of a line are at their minimum.

    This only spares the solver, which finds what else may follow.
    """
    lower = lower_bounds(system, pattern)
    known: dict[Target, Flags] = {}
    for figure in FIGURES:
        unknown = pattern[figure] & ~system.before.known[figure]
        if figure == "patients":
            unknown &= ~(known["beneficiaries"] & (system.beneficiaries == 0))
        slack = system.value(figure) - lower[figure]
        every_line, every_cell, every_sign = system.equations[figure]
        at = np.flatnonzero(unknown[every_cell])
        while len(at):
            line, cell = every_line[at], every_cell[at]
            left = np.bincount(line)
            above = np.bincount(line, weights=np.where(every_sign[at] > 0, 1, slack[cell]))
            found = ((left == 1) | (above == 0))[line]
            if not found.any():
                break
            unknown[cell[found]] = False
            at = at[unknown[cell]]
        known[figure] = ~unknown
    return known | {"others": known["beneficiaries"] & known["patients"]}
