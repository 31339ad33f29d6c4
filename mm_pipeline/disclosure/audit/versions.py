"""Versions of figures in several public tables of a year, as a reader can guess them.

The pipeline knows from the counts which figures changed. A reader of the tables does not, but can guess
(``docs/disclosure.md``, section 6). Where a guess is wrong and the tables contradict each other, their audit refuses them.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mm_pipeline.dimensions import KEY, LEVEL_ABOVE
from mm_pipeline.disclosure.audit.release import SHOWN, VERSIONS, read
from mm_pipeline.disclosure.audit.system import at_least


def with_versions(releases: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """Public tables of one year, newest first, with ``version_…`` and ``change`` as the reader guesses them."""
    oldest, *later = (read(release, 0).assign(release=0) for release in reversed(releases))
    cells = pd.concat([oldest, *later]).drop_duplicates(KEY).set_index(KEY, drop=False)
    lowest, highest = _bounds(oldest, cells.index)
    version, change = lowest * 0, lowest["patients"] * 0
    versioned = [_added(oldest, version, change)]
    for table in later:
        low, high = _bounds(table, cells.index)
        # Shown differently, or 0 in one and hidden in the other where a 0 would be shown.
        changed = (low > highest) | (lowest > high)
        is_known = (low == high) & (lowest == highest)
        differs = changed | (_of_changed_areas(cells, changed, is_known) & ~is_known)
        moved = (low - lowest).where(is_known)
        people, patients = moved["beneficiaries"], moved["patients"]
        change = people * 0
        # Persons came and went where n changed somewhere, and nowhere by more than N or against it.
        if changed["patients"].any() and not ((patients * people < 0) | (patients.abs() > people.abs())).any():
            change = np.sign(people)
            differs["patients"] = changed["patients"] | differs["patients"].where(people.isna(), people != 0)
        version = version + differs
        lowest, highest = low.where(differs, np.maximum(low, lowest)), high.where(differs, np.minimum(high, highest))
        versioned.append(_added(table, version, change.fillna(0)))
    return versioned[::-1]


def _bounds(table: pd.DataFrame, keys: pd.MultiIndex) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The lowest and the highest value of each figure of all cells, from one table alone."""
    at = pd.MultiIndex.from_frame(table[KEY])
    lowest = pd.DataFrame({figure: table[figure].fillna(at_least(table, figure)) for figure in SHOWN}).set_axis(at)
    return lowest.reindex(keys, fill_value=0), table[SHOWN].set_axis(at).reindex(keys).fillna(np.inf)


def _of_changed_areas(cells: pd.DataFrame, changed: pd.DataFrame, is_known: pd.DataFrame) -> pd.DataFrame:
    """Whether each figure is of an area that changed: one of its figures did, or its total is hidden and that above did."""
    areas = pd.MultiIndex.from_frame(cells[KEY[:2]])
    result = changed.copy()
    for figure in SHOWN:
        found = set(areas[changed[figure]])
        hidden = cells[(cells["dimension"] == "total") & ~is_known[figure]]
        for level, above in LEVEL_ABOVE.items():  # from the top down
            below = hidden[hidden["level"] == level]
            parents = {code for of, code in found if of == above}
            found |= {(level, code) for code in below["area_code"][below["parent_code"].isin(parents)]}
        result[figure] = areas.isin(found)
    return result


def _added(table: pd.DataFrame, version: pd.DataFrame, change: pd.Series) -> pd.DataFrame:
    at = pd.MultiIndex.from_frame(table[KEY])
    table = table.assign(change=change[at].to_numpy()).drop(columns=["residual", "release"])
    table[VERSIONS] = version.loc[at].to_numpy()
    return table
