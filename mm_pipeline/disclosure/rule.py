"""The primary rule: which figures say too much about a handful of people, looked at alone."""

import numpy as np
from numpy.typing import NDArray

from mm_pipeline.disclosure.small_numbers import is_small

Counts = NDArray[np.int64]
Flags = NDArray[np.bool_]


def sensitive(patients: Counts, beneficiaries: Counts, threshold: int) -> Flags:
    """A cell with n patients among N beneficiaries is sensitive when its n narrows down an individual.

    That is: 1 <= n < t, or 1 <= N - n < t (who is *not* affiliated), or n = N > 0 (everybody is), or 1 <= N < t
    (then N is hidden too). A zero n may be shown.
    """
    few = is_small(patients, threshold) | is_small(beneficiaries - patients, threshold)
    return few | ((patients == beneficiaries) & (beneficiaries > 0)) | is_small(beneficiaries, threshold)
