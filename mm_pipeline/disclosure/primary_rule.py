"""The primary rule: which cells are sensitive by themselves, whatever else is shown."""

import numpy as np
from numpy.typing import NDArray

from mm_pipeline.disclosure.small_numbers import is_small

Counts = NDArray[np.int64]
Flags = NDArray[np.bool_]


def sensitive(patients: Counts, beneficiaries: Counts, disclosure_threshold: int) -> Flags:
    """Whether each cell, with n patients among N beneficiaries, would tell something of an individual.

    True where 1 <= n < t, or 1 <= N - n < t (those *not* affiliated), or n = N > 0 (everybody is), or 1 <= N < t (then N is
    hidden too). n = 0 may be shown.
    """
    few = is_small(patients, disclosure_threshold) | is_small(beneficiaries - patients, disclosure_threshold)
    everybody = (patients == beneficiaries) & (beneficiaries > 0)
    return few | everybody | is_small(beneficiaries, disclosure_threshold)
