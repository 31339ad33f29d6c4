"""Protection of a year: from its rates to the table that the public may see.

The promise (``docs/disclosure.md``): whoever knows the whole release, how it adds up and the rule itself cannot tell that a
hidden figure is below the disclosure threshold t, nor narrow one that could be to fewer than t values. A figure is one of
N (beneficiaries), n (patients) and N - n (the others) of a cell.

:mod:`~mm_pipeline.disclosure.search` keeps the promise; :mod:`~mm_pipeline.disclosure.audit` verifies it and shares no code
with this.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mm_pipeline.dimensions import KEY, LEVELS, UNKNOWN_SECTOR
from mm_pipeline.disclosure.postponement import Cell, Changes
from mm_pipeline.disclosure.revision import is_same, retained_pattern, with_earlier
from mm_pipeline.disclosure.search import Search
from mm_pipeline.disclosure.suppression import SuppressionPattern
from mm_pipeline.disclosure.system import COLUMNS, FIGURES, TOTAL_WORTH, System, system_of

HIGHEST = "arrondissement"
"""The highest level of which a revision may hide a figure that was shown (``MM_REVISION_MAY_HIDE``)."""


@dataclass(frozen=True)
class Protection:
    """A protected year.

    ``table``: the columns of ``protected_rates``. ``rates``: the counts that it is made from. ``postponed``: the codes of
    the units that have those of their last release (:mod:`~mm_pipeline.disclosure.postponement`).
    """

    table: pd.DataFrame
    rates: pd.DataFrame
    postponed: frozenset[str] = frozenset()


def protect(rates: pd.DataFrame, disclosure_threshold: int, *, total_worth: int = TOTAL_WORTH) -> pd.DataFrame:
    """Protect a year's ``sector_rates``. Returns ``protected_rates``: also ``status``, and no rows of ``<NIS5>ZZZZ``.

    The same data give the same suppression pattern, whatever the order of their rows. ``total_worth``: how many categories
    the total of an area is worth, where one or the other must be hidden.
    """
    rates = rates.sort_values(KEY, ignore_index=True)
    return _table(rates, Search(system_of(rates, total_worth), disclosure_threshold).pattern())


def protect_revision(
    rates: pd.DataFrame,
    disclosure_threshold: int,
    earlier: Sequence[pd.DataFrame],
    *,
    highest: str = HIGHEST,
    total_worth: int = TOTAL_WORTH,
) -> Protection:
    """Protect a year that was released before, so that the promise holds for the old and new releases together.

    ``earlier``: the releases (see :func:`mm_pipeline.disclosure.revision.disclosed`), oldest first; none: a first release.
    What was shown stays shown and what was hidden stays hidden, unless the promise needs otherwise; nothing more is hidden
    on levels above ``highest``. Changes that cannot be protected so are postponed by arrondissement, and only where that
    helps. Where nothing changed or everything is postponed, the suppression pattern of the last release stays.
    """
    rates = rates.sort_values(KEY, ignore_index=True)
    if not earlier:
        return Protection(protect(rates, disclosure_threshold, total_worth=total_worth), rates)
    changes = Changes(rates, earlier[-1])

    def tried(waits: frozenset[str]) -> _Trial:
        counts, last = changes.rates(waits), earlier[-1]
        alone = system_of(counts, total_worth)
        start = retained_pattern(alone, last)
        was_made_at_this_threshold = "threshold" in last and int(last["threshold"].iat[0]) >= disclosure_threshold
        if was_made_at_this_threshold and is_same(counts, last, COLUMNS):
            return _Trial(counts, alone, start, [])
        system = with_earlier(alone, earlier)
        search = Search(system, disclosure_threshold, start, highest=highest)
        together = search.pattern()
        pattern = SuppressionPattern(together.beneficiaries[: len(alone)], together.patients[: len(alone)])
        is_above = alone.cells["level"].isin(LEVELS[: LEVELS.index(highest)]).to_numpy(dtype=bool)
        lost = [np.flatnonzero(is_above & pattern[figure] & ~start[figure]) for figure in FIGURES]
        failed = system.cells[KEY].iloc[np.concatenate([search.failed, *lost]).astype(int)]
        return _Trial(counts, system, pattern, list(failed.itertuples(index=False, name=None)))

    waits: frozenset[str] = frozenset()
    trial = tried(waits)
    while more := changes.units_for(trial.failed, waits):
        waits |= more
        trial = tried(waits)
    for unit in sorted(waits) if len(waits) > 1 and not trial.failed else ():
        fewer = tried(waits - {unit})
        if not fewer.failed:
            waits, trial = waits - {unit}, fewer
    pattern, before = trial.pattern, trial.system.before
    alone = slice(0, len(pattern.patients))
    # What an earlier release gave away cannot be protected together with it. By itself, this one still keeps the promise.
    if trial.failed or any((pattern[figure] & before.known[figure][alone]).any() for figure in FIGURES):
        pattern = Search(system_of(trial.rates, total_worth), disclosure_threshold, pattern).pattern()
    return Protection(_table(trial.rates, pattern), trial.rates, waits)


@dataclass(frozen=True)
class _Trial:
    """The protection of ``rates`` next to the earlier releases; ``failed``: the cells that cannot be protected."""

    rates: pd.DataFrame
    system: System
    pattern: SuppressionPattern
    failed: list[Cell]


def _table(rates: pd.DataFrame, pattern: SuppressionPattern) -> pd.DataFrame:
    rows = slice(0, len(rates))
    result = rates.copy()
    for figure in FIGURES:
        result[figure] = rates[figure].astype("Int64").mask(pattern[figure][rows])
    for column in ("rate_per_10000", "rate_percent"):
        result[column] = rates[column].mask(pattern.patients[rows])
    result["status"] = np.where(pattern.patients[rows], "suppressed", "published")
    return result[~result["area_code"].str.endswith(UNKNOWN_SECTOR)].reset_index(drop=True)
