"""From a year's rates to the table that the public may see.

The promise (``docs/disclosure.md``): whoever knows the whole release, how it adds up and the rule itself cannot tell of a
hidden figure that could be below the threshold t that it is, nor narrow it to fewer than t values. A figure is one of
N (beneficiaries), n (patients) and N - n (the others) of a cell.

How it is kept: :mod:`~mm_pipeline.disclosure.search`. Whether it is: :mod:`~mm_pipeline.disclosure.audit`, which has
nothing of this.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mm_pipeline.dimensions import KEY, LEVELS, UNKNOWN_SECTOR
from mm_pipeline.disclosure.mask import Mask
from mm_pipeline.disclosure.postponement import Cell, changes_by_arrondissement
from mm_pipeline.disclosure.revision import is_as_released, kept_mask, with_earlier
from mm_pipeline.disclosure.search import Search
from mm_pipeline.disclosure.system import FIGURES, TOTAL_WORTH, System, system_of

HIGHEST = "arrondissement"
"""The highest level of which a revision may hide a figure that was shown (``MM_REVISION_MAY_HIDE``)."""


@dataclass(frozen=True)
class Protection:
    """``table``: the columns of ``protected_rates``. ``rates``: the counts that it is made from, with those that stay as
    they were released; ``postponed``: the units (:mod:`~mm_pipeline.disclosure.postponement`) that do."""

    table: pd.DataFrame
    rates: pd.DataFrame
    postponed: frozenset[str] = frozenset()


def protect(rates: pd.DataFrame, threshold: int, *, total_worth: int = TOTAL_WORTH) -> pd.DataFrame:
    """A year's ``sector_rates`` -> ``protected_rates`` (same columns and ``status``; the same rows without ZZZZ).

    Hidden patients take everything derived from them along; hidden beneficiaries take the patients along. The order of
    the rows does not matter, and the same data give the same mask. ``total_worth``: how many categories the total of an
    area is worth, where one of them must be hidden.
    """
    rates = rates.sort_values(KEY, ignore_index=True)
    return _table(rates, Search(system_of(rates, total_worth), threshold).mask())


def protect_revision(
    rates: pd.DataFrame,
    threshold: int,
    earlier: Sequence[pd.DataFrame],
    *,
    highest: str = HIGHEST,
    total_worth: int = TOTAL_WORTH,
) -> Protection:
    """A year that was released before: old and new releases together keep the promise, in each of them.

    ``earlier``: what was released (:func:`mm_pipeline.disclosure.revision.disclosed`), oldest first; none: a first release.
    What was shown stays shown and what was hidden stays hidden, but where the promise needs otherwise; of levels above
    ``highest`` nothing more is hidden. What cannot be protected then waits, by arrondissement, and no arrondissement waits
    in vain. The last release again, with nothing changed or everything postponed, keeps its mask.
    """
    rates = rates.sort_values(KEY, ignore_index=True)
    if not earlier:
        return Protection(protect(rates, threshold, total_worth=total_worth), rates)
    changes = changes_by_arrondissement(rates, earlier[-1])

    def tried(waits: frozenset[str]) -> _Trial:
        return _try(changes.rates(waits), threshold, earlier, highest, total_worth)

    waits: frozenset[str] = frozenset()
    trial = tried(waits)
    while more := changes.units_for(trial.failed, waits):
        waits |= more
        trial = tried(waits)
    for unit in sorted(waits) if len(waits) > 1 and not trial.failed else ():
        fewer = tried(waits - {unit})
        if not fewer.failed:
            waits, trial = waits - {unit}, fewer
    mask, before = trial.mask, trial.system.before
    alone = slice(0, len(mask.patients))
    # What an earlier release gave away is not protected together with it. By itself this one keeps the promise all the same.
    if trial.failed or any((mask[figure] & before.known[figure][alone]).any() for figure in FIGURES):
        mask = Search(system_of(trial.rates, total_worth), threshold, mask).mask()
    return Protection(_table(trial.rates, mask), trial.rates, waits)


@dataclass(frozen=True)
class _Trial:
    """What comes of ``rates`` next to the earlier releases; ``failed``: the cells that cannot be protected so."""

    rates: pd.DataFrame
    system: System
    mask: Mask
    failed: list[Cell]


def _try(
    rates: pd.DataFrame, threshold: int, earlier: Sequence[pd.DataFrame], highest: str, total_worth: int
) -> _Trial:
    alone = system_of(rates, total_worth)
    start = kept_mask(alone, earlier[-1])
    if is_as_released(rates, earlier[-1]) and _was_made_at(earlier[-1], threshold):
        return _Trial(rates, alone, start, [])
    system = with_earlier(alone, earlier)
    search = Search(system, threshold, start, highest=highest)
    together = search.mask()
    mask = Mask(together.beneficiaries[: len(alone)], together.patients[: len(alone)])
    is_above = alone.cells["level"].isin(LEVELS[: LEVELS.index(highest)]).to_numpy(dtype=bool)
    lost = [np.flatnonzero(is_above & mask[figure] & ~start[figure]) for figure in FIGURES]
    failed = system.cells[KEY].iloc[np.concatenate([search.failed, *lost]).astype(int)]
    return _Trial(rates, system, mask, list(failed.itertuples(index=False, name=None)))


def _was_made_at(release: pd.DataFrame, threshold: int) -> bool:
    """Whether a release says that it was made at this threshold, or a higher one."""
    return "threshold" in release and int(release["threshold"].iat[0]) >= threshold


def _table(rates: pd.DataFrame, mask: Mask) -> pd.DataFrame:
    rows = slice(0, len(rates))
    result = rates.copy()
    for figure in FIGURES:
        result[figure] = rates[figure].astype("Int64").mask(mask[figure][rows])
    for column in ("rate_per_10000", "rate_percent"):
        result[column] = rates[column].mask(mask.patients[rows])
    result["status"] = np.where(mask.patients[rows], "suppressed", "published")
    return result[~result["area_code"].str.endswith(UNKNOWN_SECTOR)].reset_index(drop=True)
