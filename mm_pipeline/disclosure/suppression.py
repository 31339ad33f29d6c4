"""Suppression patterns: which figures are hidden, the public rules about it, and what these tell the reader.

A zero is shown, so the reader knows that a hidden figure is at least 1, except under three rules that hide zeros too:

- a hidden N hides its n;
- **R1** an area whose total is hidden hides all its breakdowns;
- **R2** the n of a group may be hidden as a whole, where its cells cannot be protected one by one or that costs more. A
  group is the sectors of a municipality, or the categories of one breakdown of an area.

Where N is shown as 0, n is shown as 0 as well: nothing can be told from it.
"""

from dataclasses import dataclass

import numpy as np

from mm_pipeline.disclosure.primary_rule import Counts, Flags, sensitive
from mm_pipeline.disclosure.small_numbers import is_small
from mm_pipeline.disclosure.system import FIGURES, Figure, Positions, System


@dataclass
class SuppressionPattern:
    """The figures that the reader does not see: of N and of n, a flag for each cell. Residuals are always hidden."""

    beneficiaries: Flags
    patients: Flags

    def __getitem__(self, figure: Figure) -> Flags:
        return self.beneficiaries if figure == "beneficiaries" else self.patients

    def copy(self) -> "SuppressionPattern":
        return SuppressionPattern(self.beneficiaries.copy(), self.patients.copy())


def primary_pattern(system: System, disclosure_threshold: int) -> SuppressionPattern:
    """The cells that the primary rule hides, and R1 with them; for cells of earlier releases, what these hid."""
    past, hidden = system.before.is_past, system.before.hidden
    small = is_small(system.beneficiaries, disclosure_threshold) | system.is_residual
    tells = sensitive(system.patients, system.beneficiaries, disclosure_threshold) | system.is_residual
    pattern = SuppressionPattern(
        np.where(past, hidden["beneficiaries"], small), np.where(past, hidden["patients"], tells)
    )
    apply_rules(system, pattern)
    return pattern


def apply_rules(system: System, pattern: SuppressionPattern) -> None:
    """Hide, in place, what R1 and a hidden N hide along with the cells that are hidden already."""
    pattern.beneficiaries |= pattern.beneficiaries[system.total]
    nobody = (system.beneficiaries == 0) & ~pattern.beneficiaries
    pattern.patients |= pattern.beneficiaries | (pattern.patients[system.total] & ~nobody)


def hide_group(system: System, pattern: SuppressionPattern, group: int) -> None:
    """R2: hide the patients of all cells of a group, in place."""
    pattern.patients |= (system.group == group) & (system.beneficiaries > 0)
    apply_rules(system, pattern)


def lower_bounds(system: System, pattern: SuppressionPattern, cells: Positions | None = None) -> dict[Figure, Counts]:
    """The least value of each hidden figure that the reader can infer: 1, or 0 where zeros are hidden as well.

    ``cells``: positions (default: all); they must hold all cells of a group or none.
    """
    at = np.arange(len(system)) if cells is None else cells
    total, before = system.total[at], system.before
    is_breakdown = system.is_breakdown[at]
    zero: dict[Figure, Flags] = {
        "beneficiaries": system.is_residual[at] | (is_breakdown & pattern.beneficiaries[total]),
        "patients": (
            pattern.beneficiaries[at] | (is_breakdown & pattern.patients[total]) | _in_hidden_group(system, at, pattern)
        ),
    }
    return {
        figure: np.maximum(np.where(zero[figure] | before.is_past[at], 0, 1), before.at_least[figure][at])
        for figure in FIGURES
    }


def _in_hidden_group(system: System, cells: Positions, pattern: SuppressionPattern) -> Flags:
    """Whether each of ``cells`` is in a group that shows no patients in any cell where anybody lives (R2)."""
    group = system.group[cells]
    shows = np.zeros(len(system) + 1, dtype=bool)
    shows[group[~pattern.patients[cells] & (system.beneficiaries[cells] > 0)]] = True
    return (group >= 0) & ~shows[group]
