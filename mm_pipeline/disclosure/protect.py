"""From a year's rates to the table that the public may see.

The promise (``docs/disclosure.md``): whoever knows the whole release, how it adds up and the rule itself cannot tell of a
hidden figure that could be below the threshold t that it is, nor narrow it to fewer than t values. A figure is one of
N (beneficiaries), n (patients) and N - n (the others) of a cell.

How it is kept: :mod:`~mm_pipeline.disclosure.search`. Whether it is: :mod:`~mm_pipeline.disclosure.audit`, which has
nothing of this.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mm_pipeline.disclosure.mask import Mask
from mm_pipeline.disclosure.revision import released_mask, with_earlier
from mm_pipeline.disclosure.search import Search
from mm_pipeline.disclosure.system import FIGURES, KEY, UNKNOWN_SECTOR, system_of


def protect(rates: pd.DataFrame, threshold: int, earlier: Sequence[pd.DataFrame] = ()) -> pd.DataFrame:
    """A year's ``sector_rates`` -> ``protected_rates`` (same columns and ``status``; the same rows without ZZZZ).

    Hidden patients take everything derived from them along; hidden beneficiaries take the patients along. The order of
    the rows does not matter, and the same data give the same mask.

    ``earlier``: what was released of the year before (:func:`mm_pipeline.disclosure.revision.disclosed`), so that old and
    new together keep the promise for every cell that did not change.
    """
    rates = rates.sort_values(KEY, ignore_index=True)
    mask = _mask(rates, threshold, earlier)
    rows = slice(0, len(rates))
    result = rates.copy()
    for figure in FIGURES:
        result[figure] = rates[figure].astype("Int64").mask(mask[figure][rows])
    for column in ("rate_per_10000", "rate_percent"):
        result[column] = rates[column].mask(mask.patients[rows])
    result["status"] = np.where(mask.patients[rows], "suppressed", "published")
    return result[~result["area_code"].str.endswith(UNKNOWN_SECTOR)].reset_index(drop=True)


def _mask(rates: pd.DataFrame, threshold: int, earlier: Sequence[pd.DataFrame]) -> Mask:
    """What must be hidden. It comes from two searches where there are earlier releases.

    The first looks for a mask under which all releases together keep the promise, as far as they can: they cannot where
    an earlier one was made under a lower threshold, for that is public. The second sees to it that this one does alone.
    The last release again keeps its mask.
    """
    alone = system_of(rates)
    if not earlier:
        return Search(alone, threshold).mask()
    start = released_mask(alone, rates, earlier[-1])
    if start is None:
        together = Search(with_earlier(alone, earlier), threshold).mask(must=False)
        start = Mask(together.beneficiaries[: len(alone)], together.patients[: len(alone)])
    return Search(alone, threshold, start).mask()
