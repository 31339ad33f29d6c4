"""Uncertainty of a released rate: its 95 % interval, and the mark of rates to be interpreted with care."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

Z = 1.959963984540054
"""Standard normal quantile of a two-sided 95 % interval."""

FEW_PATIENTS, FEW_BENEFICIARIES = 20, 50
"""Numbers below which a rate is to be interpreted with care."""


def wilson(patients: Floats, beneficiaries: Floats) -> tuple[Floats, Floats]:
    """Lower and upper end, as shares, of the 95 % score interval (Wilson 1927) of patients among beneficiaries.

    NaN where either is NaN or there are no beneficiaries. The interval lies within 0 and 1 and holds the rate even where few
    are patients, or all of few are, unlike the usual normal interval.
    """
    people = np.where(beneficiaries > 0, beneficiaries, np.nan)
    share = patients / people
    middle = share + Z**2 / (2 * people)
    half = Z * np.sqrt(share * (1 - share) / people + Z**2 / (4 * people**2))
    lower, upper = (middle - half) / (1 + Z**2 / people), (middle + half) / (1 + Z**2 / people)
    # At 0 and 1 the formula gives the end itself, except for rounding.
    return np.where(patients == 0, 0.0 * people, lower), np.where(patients == people, people / people, upper)


def needs_care(patients: Floats, beneficiaries: Floats) -> NDArray[np.bool_]:
    """Whether each rate rests on fewer than 20 patients or 50 beneficiaries."""
    return (patients < FEW_PATIENTS) | (beneficiaries < FEW_BENEFICIARIES)
