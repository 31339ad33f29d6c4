"""Postponement: changes of a revision that wait for the next one, because they are too small to be shown.

One new patient in a town that showed 0 cannot be shown alone, and every sum above gives him away. So his arrondissement, the
*unit*, stays as it was released, and the sums above leave its changes out, until the next delivery. It is the smallest area
with all breakdowns of the areas above it, so that these can be added up anew (``docs/disclosure.md``, section 6).
"""

from collections.abc import Iterable, Set
from functools import cached_property

import numpy as np
import pandas as pd

from mm_pipeline.dimensions import COUNTRY, COUNTS, KEY, LEVELS, UNASSIGNED, UNKNOWN_SECTOR
from mm_pipeline.disclosure.system import COLUMNS, areas_of, with_rates

AREA = ["level", "area_code"]
Cell = tuple[str, str, str, str]
Area = tuple[str, str]


class Changes:
    """The changes between a release and the present rates, by unit and cell.

    A unit is an arrondissement with all that is in it (in a table without any, the level nearest to it), or the
    beneficiaries without a municipality.
    """

    def __init__(self, rates: pd.DataFrame, released: pd.DataFrame) -> None:
        self._rates, self._released = rates, released[COLUMNS]
        areas = pd.concat([rates, released])[[*AREA, "parent_code"]].drop_duplicates(AREA)
        self._parent = areas.set_index(AREA)["parent_code"].to_dict()
        there = [level for level in LEVELS if (areas["level"] == level).any()]
        self._level = [there[0], *(level for level in there if level in LEVELS[1:4])][-1]
        before, now = (table.set_index(KEY)[COUNTS] for table in (released, rates))
        every = before.index.union(now.index)
        change = (now.reindex(every, fill_value=0) - before.reindex(every, fill_value=0)).reset_index()
        change = change.merge(areas, on=AREA)
        change["unit"] = unit_of(change, self._level)
        inside = change[change["unit"] != ""]
        parts = [inside]
        step = inside[inside["level"] == self._level]
        for level in reversed(LEVELS[: LEVELS.index(self._level)]):
            step = step.assign(level=level, area_code=step["parent_code"])
            step = step.drop(columns="parent_code").merge(areas, on=AREA)
            parts.append(step)
        rows = pd.concat(parts)
        country = change[change["level"] == LEVELS[0]].set_index(KEY)[COUNTS]
        units = rows[rows["level"] == LEVELS[0]].groupby(KEY)[COUNTS].sum()
        residual = (country - units.reindex(country.index, fill_value=0)).reset_index().assign(unit=UNASSIGNED)
        rows = pd.concat([rows, residual, residual.assign(level=UNASSIGNED, area_code=UNASSIGNED)])
        is_fixed = rows["unit"].isin(_units_of_moved(rates, released, self._level))
        self._rows = rows[~is_fixed & (rows[COUNTS] != 0).any(axis=1)]

    def rates(self, postponed: Set[str]) -> pd.DataFrame:
        """The present rates with these units as they were released, sorted by KEY."""
        new, old = _keys(self._rates), _keys(self._released)
        if not postponed:
            return self._rates.sort_values(KEY, ignore_index=True)
        frame = pd.concat([self._rates, self._released[~old.isin(new)]], ignore_index=True)
        every = _keys(frame)
        taken = self._rows[self._rows["unit"].isin(postponed)].groupby(KEY)[COUNTS].sum()
        counts = frame[COUNTS].mul(every.isin(new), axis=0) - taken.reindex(every).fillna(0).to_numpy()
        frame = frame.assign(**counts.astype("int64"))
        if "rate_percent" in frame:
            frame = with_rates(frame)
        # Where only one of the two tables has a sector: a postponed unit has its old rows.
        is_there = np.where(unit_of(frame, self._level).isin(postponed), every.isin(old), every.isin(new))
        if "year" in frame:
            frame["year"] = frame["year"].ffill().astype(self._rates["year"].dtype)
        is_there |= (frame["beneficiaries"] > 0).to_numpy()
        return frame[is_there].sort_values(KEY, ignore_index=True)

    def units_for(self, cells: Iterable[Cell], postponed: Set[str]) -> set[str]:
        """The further units to postpone so that these cells can be protected.

        For each cell, the units that change it; if none, those that change its area, then the next larger area, and so on.
        """
        result: set[str] = set()
        for cell in cells:
            level, code, *_ = cell
            area: Area | None = (level, code)
            more = self._by_cell.get(cell, set()) - postponed
            while not more and area is not None:
                more = self._by_area.get(area, set()) - postponed
                area = self._above(area)
            result |= more
        return result

    def _above(self, area: Area) -> Area | None:
        if area[0] == LEVELS[0]:
            return None
        if area[0] == UNASSIGNED:
            return LEVELS[0], COUNTRY
        # The unknown sector of a municipality may have no row, but its code tells where it is.
        parent = self._parent.get(area, area[1].removesuffix(UNKNOWN_SECTOR))
        return LEVELS[LEVELS.index(area[0]) - 1], parent

    @cached_property
    def _by_cell(self) -> dict[Cell, set[str]]:
        return self._rows.groupby(KEY)["unit"].agg(set).to_dict()

    @cached_property
    def _by_area(self) -> dict[Area, set[str]]:
        return self._rows.groupby(AREA)["unit"].agg(set).to_dict()


def _units_of_moved(rates: pd.DataFrame, released: pd.DataFrame, unit_level: str) -> set[str]:
    """The units that gained or lost an area other than a new or abolished sector: they cannot stay as they were."""
    old, new = (
        table.assign(unit=unit_of(table, unit_level)).drop_duplicates(AREA).set_index(AREA)[["unit", "parent_code"]]
        for table in (released, rates)
    )
    both = old.add_suffix("_old").join(new.add_suffix("_new"), how="outer")
    is_sector = both.index.get_level_values("level") == LEVELS[-1]
    came_or_went = both[["unit_old", "unit_new"]].isna().any(axis=1)
    moved = both[(both["parent_code_old"] != both["parent_code_new"]) & ~(is_sector & came_or_went)]
    return {*moved["unit_old"].dropna(), *moved["unit_new"].dropna()} - {""}


def unit_of(cells: pd.DataFrame, level: str) -> pd.Series:
    """The code of the area of ``level`` that each cell belongs to; empty for cells above that level."""
    if level in (LEVELS[0], LEVELS[-1]):
        return cells["area_code"].where(cells["level"] == level, COUNTRY if level == LEVELS[0] else "")
    within = areas_of(cells)[level]
    own = cells["level"] == level
    codes = dict(zip(within[own], cells.loc[own, "area_code"], strict=True))
    return pd.Series([codes.get(number, "") if number >= 0 else "" for number in within], cells.index)


def _keys(table: pd.DataFrame) -> pd.MultiIndex:
    return pd.MultiIndex.from_frame(table[KEY])
