"""How sure a released rate is: its 95 % interval, and the mark of those to be interpreted with care."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

Z = 1.959963984540054
"""The standard normal quantile of a two-sided interval of 95 %."""

FEW_PATIENTS, FEW_BENEFICIARIES = 20, 50
"""Below either, a rate is to be interpreted with care."""


def wilson(patients: Floats, beneficiaries: Floats) -> tuple[Floats, Floats]:
    """Lower and upper end, as shares, of the 95 % score interval (Wilson 1927) of patients among beneficiaries.

    NaN where either is, or where there is no beneficiary. The interval lies within 0 and 1 and holds the rate also where
    few or all of few are patients, which the usual normal one does not.
    """
    people = np.where(beneficiaries > 0, beneficiaries, np.nan)
    share = patients / people
    middle = share + Z**2 / (2 * people)
    half = Z * np.sqrt(share * (1 - share) / people + Z**2 / (4 * people**2))
    lower, upper = (middle - half) / (1 + Z**2 / people), (middle + half) / (1 + Z**2 / people)
    # At the ends of the scale the formula gives the end itself, but for the last digit.
    return np.where(patients == 0, 0.0 * people, lower), np.where(patients == people, people / people, upper)


def needs_care(patients: Floats, beneficiaries: Floats) -> NDArray[np.bool_]:
    """Whether a rate stands on fewer than 20 patients or 50 beneficiaries."""
    return (patients < FEW_PATIENTS) | (beneficiaries < FEW_BENEFICIARIES)
