"""The table as a system of equations: its cells, and the lines along which they add up.

A line is a total and its parts: an area and the areas one level down (for each category), or an area's total and the
categories of one breakdown, or an age group and its classes. What a reader can work out follows from the lines.

Two kinds of cells, the *residuals*, are never published but stand in the lines, since subtraction gives them away: the
unknown sector ``<NIS5>ZZZZ`` of a municipality, and the country's beneficiaries without a municipality.
"""

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mm_pipeline.dimensions import AGE_GROUP_OF, COUNTRY, COUNTS, LEVEL_ABOVE, LEVELS, UNASSIGNED, UNKNOWN_SECTOR
from mm_pipeline.disclosure.primary_rule import Counts, Flags

COLUMNS = ["level", "area_code", "parent_code", "dimension", "category", *COUNTS]
WORTH = {
    "country": 300,
    "region": 100,
    "province": 10,
    "arrondissement": 3,
    "municipality": 1,
    "sector": 1,
    UNASSIGNED: 1,
}
"""Worth of a cell at each level, when the search chooses what to hide; a sector is worth 1."""
TOTAL_WORTH = 150
"""Worth of an area's total, in categories of the area (``MM_TOTAL_WORTH``). Sectors only have totals, worth 1."""

Figure = Literal["beneficiaries", "patients"]
FIGURES: tuple[Figure, ...] = ("beneficiaries", "patients")
Target = Literal["beneficiaries", "patients", "others"]
"""A figure that the promise protects: N, n, or m = N - n. Only the first two are published."""
TARGETS: tuple[Target, ...] = ("beneficiaries", "patients", "others")
Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Before:
    """Knowledge of the cells from earlier releases of the year (:mod:`mm_pipeline.disclosure.revision`).

    ``is_past``: a cell as an earlier release had it, with other counts than now. ``is_change``: the persons by which a cell
    grew or shrank (past as well: nothing of either is hidden now). Per figure: ``known``: shown by an earlier release and
    unchanged; ``shown``: the same, and the other figure of the cell is unchanged too; ``hidden``: hidden by one, and both
    figures unchanged; ``at_least``: the least value that one told of a hidden figure.
    """

    is_past: Flags
    is_change: Flags
    known: dict[Figure, Flags]
    shown: dict[Figure, Flags]
    hidden: dict[Figure, Flags]
    at_least: dict[Figure, Counts]

    @classmethod
    def nothing(cls, size: int) -> "Before":
        no = np.zeros(size, dtype=bool)
        of_figures = dict.fromkeys(FIGURES, no)
        return cls(no, no, of_figures, of_figures, of_figures, dict.fromkeys(FIGURES, no.astype("int64")))


@dataclass(frozen=True)
class System:
    """The cells of a year, residuals included, and the lines between them.

    ``cells``: ``level`` ... ``category``, ``parent_code``; ``beneficiaries`` and ``patients`` are N and n of each.
    A line is a run of entries (``line``, ``cell``, ``sign``): +1 for its total, -1 for each part; they sum to zero.
    ``same``: per figure, pairs of cells that are the same unknown, shape (pairs, 2).
    ``total``: for each cell, the position of its area's total (its own for a total).
    ``parent``: for each cell, the position of the total of the area one level up, or -1.
    ``group``: for each cell, the number of the group that R2 hides as a whole (the sectors of a municipality, or the
    categories of a breakdown of an area), or -1.
    ``within``: per level from the region down to the municipality, for each cell, the number of the area that it is or
    lies in, or -1.
    """

    cells: pd.DataFrame
    beneficiaries: Counts
    patients: Counts
    is_residual: Flags
    line: Positions
    cell: Positions
    sign: Positions
    same: dict[Figure, Positions]
    total: Positions
    parent: Positions
    group: Positions
    within: dict[str, Positions]
    before: Before
    total_worth: int = TOTAL_WORTH

    def __len__(self) -> int:
        return len(self.cells)

    @cached_property
    def weight(self) -> NDArray[np.float64]:
        """Worth of each cell to the reader, by its level; an area's total is worth more than its categories."""
        level = self.cells["level"]
        is_total = (self.cells["dimension"] == "total") & ~level.isin(["sector", UNASSIGNED])
        return (level.map(WORTH) * np.where(is_total, self.total_worth, 1)).to_numpy(dtype=float)

    @cached_property
    def own_price(self) -> NDArray[np.float64]:
        """Slightly more than 1, and of no two cells the same."""
        return 1 + 1e-3 * np.arange(len(self)) / len(self)

    @cached_property
    def price(self) -> NDArray[np.float64]:
        """What hiding each cell costs the search: its worth, slightly more the more people it is about."""
        return self.weight * (1 + 0.02 * np.log1p(self.beneficiaries)) * self.own_price

    @cached_property
    def is_breakdown(self) -> Flags:
        return self.total != np.arange(len(self))

    @cached_property
    def others(self) -> Counts:
        """N - n: beneficiaries who are not patients."""
        return self.beneficiaries - self.patients

    @cached_property
    def equations(self) -> dict[Figure, tuple[Positions, Positions, Positions]]:
        """Per figure ``line``, ``cell`` and ``sign`` of all its equations: the sums and the pairs of the same unknown."""
        lines: dict[Figure, tuple[Positions, Positions, Positions]] = {}
        for figure, pairs in self.same.items():
            numbers = np.arange(len(pairs)) + (self.line.max() + 1 if len(self.line) else 0)
            lines[figure] = (
                np.concatenate([self.line, np.repeat(numbers, 2)]),
                np.concatenate([self.cell, pairs.ravel()]),
                np.concatenate([self.sign, np.tile([1, -1], len(pairs))]),
            )
        return lines

    def value(self, target: Target) -> Counts:
        return {"beneficiaries": self.beneficiaries, "patients": self.patients, "others": self.others}[target]


def with_rates(cells: pd.DataFrame) -> pd.DataFrame:
    """``cells`` with ``rate_per_10000`` and ``rate_percent`` from their counts, empty where nobody lives."""
    people = cells["beneficiaries"].where(cells["beneficiaries"] > 0).astype("float64")
    return cells.assign(
        rate_per_10000=cells["patients"] * 10_000.0 / people, rate_percent=cells["patients"] * 100.0 / people
    )


def system_of(rates: pd.DataFrame, total_worth: int = TOTAL_WORTH) -> System:
    """The system of a table with the columns COLUMNS, such as ``sector_rates`` or a part of it; rows in any order."""
    residuals = [_unassigned(rates[COLUMNS]), _unknown_sectors(rates[COLUMNS])]
    cells = pd.concat([rates[COLUMNS], *residuals], ignore_index=True)
    is_residual = cells["area_code"].str.endswith(UNKNOWN_SECTOR) | (cells["level"] == UNASSIGNED)
    rows = list(zip(*(cells[name] for name in COLUMNS[:5]), strict=True))
    at = {(level, area, *kind): position for position, (level, area, _, *kind) in enumerate(rows)}

    parts: dict[int | None, list[int]] = defaultdict(list)
    breakdowns: dict[tuple[int | None, str], list[int]] = defaultdict(list)
    total = np.arange(len(cells))
    higher = np.full(len(cells), -1)
    for position, (level, area, parent, dimension, category) in enumerate(rows):
        if above := LEVEL_ABOVE.get(level):
            parts[at.get((above, parent, dimension, category))].append(position)
            higher[position] = at.get((above, parent, "total", "total"), -1)
        if dimension != "total":
            whole = at.get((level, area, "total", "total"))
            total[position] = position if whole is None else whole
            if dimension == "age_class":
                whole = at.get((level, area, "age_group", AGE_GROUP_OF[category]))
            breakdowns[whole, dimension].append(position)
    lines = [*parts.items(), *((owner, below) for (owner, _), below in breakdowns.items())]
    lines = [(owner, below) for owner, below in lines if owner is not None]
    sizes = [1 + len(below) for _, below in lines]
    return System(
        cells=cells[COLUMNS[:5]],
        beneficiaries=cells["beneficiaries"].to_numpy(dtype="int64"),
        patients=cells["patients"].to_numpy(dtype="int64"),
        is_residual=is_residual.to_numpy(dtype=bool),
        line=np.repeat(np.arange(len(lines)), sizes),
        cell=np.array([position for owner, below in lines for position in (owner, *below)], dtype="int64"),
        sign=np.array([sign for _, below in lines for sign in (1, *[-1] * len(below))], dtype="int64"),
        same=dict.fromkeys(FIGURES, np.empty((0, 2), dtype="int64")),
        total=total,
        parent=higher,
        group=_groups(cells, is_residual),
        within=areas_of(cells),
        before=Before.nothing(len(cells)),
        total_worth=total_worth,
    )


def _groups(cells: pd.DataFrame, is_residual: pd.Series) -> Positions:
    """The group numbers of the cells, as in ``System.group``."""
    is_sector = cells["level"] == "sector"
    area = cells["area_code"].where(~is_sector, cells["parent_code"])
    name = cells["level"] + " " + area + " " + cells["dimension"]
    return np.where(~is_residual & (is_sector | (cells["dimension"] != "total")), pd.factorize(name)[0], -1)


def areas_of(cells: pd.DataFrame) -> dict[str, Positions]:
    """The area numbers of cells with ``level``, ``area_code`` and ``parent_code``, as in ``System.within``."""
    level, area, result = cells["level"], cells["area_code"], {}
    for above, below in zip(LEVELS[-2:0:-1], LEVELS[:1:-1], strict=True):
        parents = cells[cells["level"] == below].drop_duplicates("area_code").set_index("area_code")["parent_code"]
        climbs = level == below
        area = area.where(~climbs, area.map(parents))
        level = level.where(~climbs, above)
        result[above] = np.where(level == above, pd.factorize(area)[0], -1)
    return result


def _unassigned(cells: pd.DataFrame) -> pd.DataFrame:
    """The residual of the country, per category: the beneficiaries without a known municipality."""
    keys = ["dimension", "category"]
    country = cells[cells["level"] == "country"].set_index(keys)[COUNTS]
    regions = cells[cells["level"] == "region"].groupby(keys, observed=True)[COUNTS].sum()
    residual = (country - regions).dropna().astype("int64").reset_index()
    return residual.assign(level=UNASSIGNED, area_code=UNASSIGNED, parent_code=COUNTRY)[cells.columns]


def _unknown_sectors(cells: pd.DataFrame) -> pd.DataFrame:
    """The residual of each municipality with sectors but no row for an unknown one: the reader cannot know it is empty."""
    is_sector = cells["level"] == "sector"
    missing = set(cells.loc[is_sector, "parent_code"]) - set(
        cells.loc[is_sector & cells["area_code"].str.endswith(UNKNOWN_SECTOR), "parent_code"]
    )
    totals = cells[(cells["level"] == "municipality") & (cells["dimension"] == "total")].set_index("area_code")[COUNTS]
    sectors = cells[is_sector & cells["parent_code"].isin(missing)].groupby("parent_code")[COUNTS].sum()
    residual = (totals - sectors).dropna().astype("int64").rename_axis("parent_code").reset_index()
    total = {"level": "sector", "dimension": "total", "category": "total"}
    return residual.assign(area_code=residual["parent_code"] + UNKNOWN_SECTOR, **total)[cells.columns]
