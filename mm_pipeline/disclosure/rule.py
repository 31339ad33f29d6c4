"""The primary rule: which figures say too much about a handful of people, looked at alone."""

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Flags = NDArray[np.bool_]


def small_population(beneficiaries: Counts, threshold: int) -> Flags:
    """1 <= N < t: the number of beneficiaries is hidden too."""
    return (beneficiaries >= 1) & (beneficiaries < threshold)


def sensitive(patients: Counts, beneficiaries: Counts, threshold: int) -> Flags:
    """A cell with n patients among N beneficiaries is sensitive when its n narrows down an individual.

    That is: 1 <= n < t, or 1 <= N - n < t (who is *not* affiliated), or n = N > 0 (everybody is), or 1 <= N < t.
    A zero n may be shown.
    """
    others = beneficiaries - patients
    return (
        ((patients >= 1) & (patients < threshold))
        | ((others >= 1) & (others < threshold))
        | ((patients == beneficiaries) & (beneficiaries > 0))
        | small_population(beneficiaries, threshold)
    )
