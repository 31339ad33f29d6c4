"""The primary rule: which cells are sensitive by themselves, whatever else is shown."""

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Flags = NDArray[np.bool_]


def small_population(beneficiaries: Counts, disclosure_threshold: int) -> Flags:
    """Whether each cell has so few beneficiaries that their number is hidden too: 1 <= N < t."""
    return (beneficiaries >= 1) & (beneficiaries < disclosure_threshold)


def sensitive(patients: Counts, beneficiaries: Counts, disclosure_threshold: int) -> Flags:
    """Whether each cell, with n patients among N beneficiaries, would tell something of an individual.

    True where 1 <= n < t, or 1 <= N - n < t (those *not* affiliated), or n = N > 0 (everybody is), or 1 <= N < t.
    n = 0 may be shown.
    """
    others = beneficiaries - patients
    return (
        ((patients >= 1) & (patients < disclosure_threshold))
        | ((others >= 1) & (others < disclosure_threshold))
        | ((patients == beneficiaries) & (beneficiaries > 0))
        | small_population(beneficiaries, disclosure_threshold)
    )
