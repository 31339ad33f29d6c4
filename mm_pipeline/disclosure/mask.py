"""What is hidden, the public rules that go with it, and what they tell the reader.

A zero is shown, so the reader knows of a hidden number that it is at least 1 - but for three rules, under which zeros
are hidden with the rest:

- a hidden N hides its n;
- **R1** an area whose total is hidden hides all its breakdowns;
- **R2** the n of a group may be hidden as a whole, where its cells cannot be protected one by one or that costs more. A
  group is the sectors of a municipality, or the categories of one breakdown of an area.

Where N is shown as 0, n is shown as 0 as well: nothing can be told from it.
"""

from dataclasses import dataclass

import numpy as np

from mm_pipeline.disclosure.rule import Counts, Flags, sensitive
from mm_pipeline.disclosure.small_numbers import is_small
from mm_pipeline.disclosure.system import FIGURES, Figure, Positions, System


@dataclass
class Mask:
    """Which N and which n of a system's cells the reader does not see; both hold for every rest."""

    beneficiaries: Flags
    patients: Flags

    def __getitem__(self, figure: Figure) -> Flags:
        return self.beneficiaries if figure == "beneficiaries" else self.patients

    def copy(self) -> "Mask":
        return Mask(self.beneficiaries.copy(), self.patients.copy())


def primary_mask(system: System, threshold: int) -> Mask:
    """What the primary rule hides, what R1 hides with it, and of the past what was hidden."""
    past, hidden = system.before.is_past, system.before.hidden
    small = is_small(system.beneficiaries, threshold) | system.is_rest
    tells = sensitive(system.patients, system.beneficiaries, threshold) | system.is_rest
    mask = Mask(np.where(past, hidden["beneficiaries"], small), np.where(past, hidden["patients"], tells))
    complete(system, mask)
    return mask


def complete(system: System, mask: Mask) -> None:
    """Hide, in place, what the rules hide along with what is hidden."""
    mask.beneficiaries |= mask.beneficiaries[system.total]
    nobody = (system.beneficiaries == 0) & ~mask.beneficiaries
    mask.patients |= mask.beneficiaries | (mask.patients[system.total] & ~nobody)


def hide_group(system: System, mask: Mask, group: int) -> None:
    """R2: hide the patients of all cells of a group, in place."""
    mask.patients |= (system.group == group) & (system.beneficiaries > 0)
    complete(system, mask)


def lower_bounds(system: System, mask: Mask, cells: Positions | None = None) -> dict[Figure, Counts]:
    """What a hidden figure of ``cells`` is at least, as the reader knows it: 1, or 0 where zeros are hidden as well.

    ``cells`` (default: all) hold all cells of a group or none.
    """
    at = np.arange(len(system)) if cells is None else cells
    total, before = system.total[at], system.before
    is_breakdown = system.is_breakdown[at]
    zero: dict[Figure, Flags] = {
        "beneficiaries": system.is_rest[at] | (is_breakdown & mask.beneficiaries[total]),
        "patients": (
            mask.beneficiaries[at] | (is_breakdown & mask.patients[total]) | _in_hidden_group(system, at, mask)
        ),
    }
    return {
        figure: np.maximum(np.where(zero[figure] | before.is_past[at], 0, 1), before.at_least[figure][at])
        for figure in FIGURES
    }


def _in_hidden_group(system: System, cells: Positions, mask: Mask) -> Flags:
    """Those of ``cells`` whose group shows patients of no cell where anybody lives (R2)."""
    group = system.group[cells]
    shows = np.zeros(len(system) + 1, dtype=bool)
    shows[group[~mask.patients[cells] & (system.beneficiaries[cells] > 0)]] = True
    return (group >= 0) & ~shows[group]
