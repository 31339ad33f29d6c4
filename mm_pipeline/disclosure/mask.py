"""What is hidden, the public rules that go with it, and what they tell the reader.

A zero is shown, so the reader knows of a hidden number that it is at least 1 - but for three rules, under which zeros
are hidden with the rest:

- a hidden N hides its n;
- **R1** an area whose total is hidden hides all its breakdowns;
- **R2** a municipality may hide all its sectors (and does so where they cannot be protected one by one).

Where N is shown as 0, n is shown as 0 as well: nothing can be told from it.
"""

from dataclasses import dataclass

import numpy as np

from mm_pipeline.disclosure.rule import Counts, Flags, sensitive, small_population
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
    """What the primary rule hides, what R1 hides with it, and what an earlier release hid and has not changed.

    Of the latter not the zeros: whether one may be hidden is for the rules to say anew.
    """
    now, before = ~system.before.is_past, system.before
    hidden = {figure: before.hidden[figure] & (before.is_past | (system.value(figure) > 0)) for figure in FIGURES}
    mask = Mask(
        hidden["beneficiaries"] | (now & (small_population(system.beneficiaries, threshold) | system.is_rest)),
        hidden["patients"] | (now & (sensitive(system.patients, system.beneficiaries, threshold) | system.is_rest)),
    )
    complete(system, mask)
    return mask


def complete(system: System, mask: Mask) -> None:
    """Hide, in place, what the rules hide along with what is hidden."""
    mask.beneficiaries |= mask.beneficiaries[system.total]
    nobody = (system.beneficiaries == 0) & ~mask.beneficiaries
    mask.patients |= mask.beneficiaries | (mask.patients[system.total] & ~nobody)


def hide_sectors(system: System, mask: Mask, figure: Figure, municipality: int) -> None:
    """R2: hide ``figure`` of all sectors of a municipality, in place."""
    sectors = system.is_sector & (system.within["municipality"] == municipality)
    if figure == "patients":
        sectors &= system.beneficiaries > 0
    mask[figure][sectors] = True
    complete(system, mask)


def lower_bounds(system: System, mask: Mask, cells: Positions | None = None) -> dict[Figure, Counts]:
    """What a hidden figure of ``cells`` is at least, as the reader knows it: 1, or 0 where zeros are hidden as well.

    ``cells`` (default: all) hold all sectors of a municipality or none.
    """
    at = np.arange(len(system)) if cells is None else cells
    total, before = system.total[at], system.before
    is_breakdown = system.is_breakdown[at]
    zero: dict[Figure, Flags] = {
        "beneficiaries": (
            system.is_rest[at]
            | (is_breakdown & mask.beneficiaries[total])
            | _all_sectors_hidden(system, at, ~mask.beneficiaries[at])
        )
    }
    inhabited = mask.beneficiaries[at] | (system.beneficiaries[at] > 0)
    zero["patients"] = (
        mask.beneficiaries[at]
        | (is_breakdown & mask.patients[total])
        | _all_sectors_hidden(system, at, ~mask.patients[at] & inhabited)
    )
    return {
        figure: np.maximum(np.where(zero[figure] | before.is_past[at], 0, 1), before.at_least[figure][at])
        for figure in FIGURES
    }


def _all_sectors_hidden(system: System, cells: Positions, shown: Flags) -> Flags:
    """Sectors of the municipalities that have none among ``shown``."""
    municipality, is_sector = system.within["municipality"][cells], system.is_sector[cells]
    shows = np.zeros(len(system), dtype=bool)
    shows[municipality[is_sector & shown]] = True
    return is_sector & ~shows[municipality]
