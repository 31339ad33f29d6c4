"""The promise as the search sees it: which figures must be able to move, how far, and which have not been seen to."""

import numpy as np

from mm_pipeline.dimensions import LEVELS
from mm_pipeline.disclosure.mask import Mask, lower_bounds
from mm_pipeline.disclosure.proofs import Proofs
from mm_pipeline.disclosure.rule import Counts, Flags
from mm_pipeline.disclosure.system import AIMS, FIGURES, Aim, Figure, Positions, System

ALL = slice(None)


class Needs:
    """What a system needs at a threshold.

    ``is_sensitive``: figures that are small, or nobody at all where there are people (m = 0); ``order``: the cells, upper
    levels first, and of a level its totals.
    """

    def __init__(self, system: System, threshold: int) -> None:
        self._system = system
        self._t = threshold
        self.is_sensitive: dict[Aim, Flags] = {
            aim: (system.value(aim) >= 1) & (system.value(aim) < threshold) for aim in AIMS
        }
        self.is_sensitive["others"] |= (system.others == 0) & (system.patients > 0)
        level = system.cells["level"].map({level: rank for rank, level in enumerate(LEVELS)}).fillna(-1)
        self.order = np.lexsort((system.is_breakdown, level.to_numpy()))

    def cap(self, aim: Aim, mask: Mask, cells: Positions | slice = ALL) -> Counts:
        """How high a small figure must be able to be: t. A cell that shows N = t has t - 1 others at most, as n >= 1."""
        people = self._system.beneficiaries[cells]
        cap = np.full(len(people), self._t)
        if aim == "others":
            unknown = mask.beneficiaries[cells] & ~self._system.before.known["beneficiaries"][cells]
            cap = np.where(unknown, cap, np.minimum(cap, people - 1))
        return cap

    def unmet(self, aim: Aim, mask: Mask, proofs: Proofs, cells: Positions | slice = ALL) -> Flags:
        """Hidden figures that are small, or so near that they could be taken for small, and not seen to move enough.

        Not what an earlier release has shown, but what it hid and what has changed since.
        """
        figure: Figure = "patients" if aim == "others" else aim
        before, value = self._system.before, self._system.value(aim)[cells]
        secret = mask[figure][cells] & ~before.shown[figure][cells] & ~before.is_change[cells]
        lowest, highest = proofs.lowest(aim)[cells], proofs.highest(aim)[cells]
        short = (highest < self.cap(aim, mask, cells)) | (highest - lowest < self._t - 1)
        return secret & (value < 2 * (self._t - 1)) & short


def plainly_known(system: System, mask: Mask) -> dict[Aim, Flags]:
    """Figures that are shown, or that follow at once: by subtraction, or as all there is in a line is their minimum.

    Only to spare the solver; what else may follow, it finds.
    """
    lower = lower_bounds(system, mask)
    known: dict[Aim, Flags] = {}
    for figure in FIGURES:
        unknown = mask[figure] & ~system.before.known[figure]
        if figure == "patients":
            unknown &= ~(known["beneficiaries"] & (system.beneficiaries == 0))
        slack = system.value(figure) - lower[figure]
        every_line, every_cell, every_sign = system.lines_of(figure)
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
