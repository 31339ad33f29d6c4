"""The lines of a year's table, and the classic rule to compare with: "never exactly one hidden cell in a line".

A line is a total and its parts: an area and the areas one level down (for each category of each breakdown), or an
area's total and the categories of one breakdown, or an age group and its classes. With exactly one hidden cell,
subtraction gives it away; with two, only the lines looked at together may.

Written apart from ``mm_pipeline.disclosure``, so that a line forgotten there is not forgotten here.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mm_pipeline.disclosure.primary_rule import Counts, Flags, sensitive
from mm_pipeline.disclosure.small_numbers import is_small

UNKNOWN = "ZZZZ"
UNASSIGNED = "unassigned"
KEY = ["level", "area_code", "dimension", "category"]
PARENT_LEVEL = {
    "region": "country",
    UNASSIGNED: "country",
    "province": "region",
    "arrondissement": "province",
    "municipality": "arrondissement",
    "sector": "municipality",
}
AGE_CLASSES_OF = {
    "0-17": ("0-17",),
    "18-64": ("18-24", "25-44", "45-64"),
    "65+": ("65-74", "75-84", "85+"),
}


@dataclass(frozen=True)
class Lines:
    """The cells of a year, or of a part of it, with the country's unassigned at the end, and the lines among them.

    ``cells``: columns of ``sector_rates`` less the rates; ``is_residual``: true for the cells that are never published;
    ``total``: for each cell the position of its area's total, -1 for a total; ``members``: per line the positions of
    its cells, its total first.
    """

    cells: pd.DataFrame
    is_residual: Flags
    total: Counts
    members: list[Counts]


def lines_of(rates: pd.DataFrame) -> Lines:
    """All lines of a table (columns ``level`` ... ``patients`` of ``sector_rates``)."""
    columns = ["level", "area_code", "parent_code", "dimension", "category", "beneficiaries", "patients"]
    cells = pd.concat([rates[columns], _unassigned(rates[columns])], ignore_index=True)
    is_residual = cells["area_code"].str.endswith(UNKNOWN) | (cells["level"] == UNASSIGNED)
    keys = list(cells[[*KEY, "parent_code"]].itertuples(index=False, name=None))
    at = {key[:4]: position for position, key in enumerate(keys)}
    group_of = {class_: group for group, classes in AGE_CLASSES_OF.items() for class_ in classes}
    parts: dict[tuple[object, ...], list[int]] = defaultdict(list)
    total = np.full(len(cells), -1)
    for position, (level, area, dimension, category, parent) in enumerate(keys):
        if level in PARENT_LEVEL:
            parts["areas", PARENT_LEVEL[level], parent, dimension, category].append(position)
        if dimension != "total":
            total[position] = at.get((level, area, "total", "total"), -1)
        if dimension == "age_class":
            parts[dimension, level, area, "age_group", group_of[category]].append(position)
        elif dimension != "total":
            parts[dimension, level, area, "total", "total"].append(position)
    members = [np.array([at[owner[1:]], *below]) for owner, below in parts.items() if owner[1:] in at]
    return Lines(cells, is_residual.to_numpy(dtype=bool), total, members)


def _unassigned(cells: pd.DataFrame) -> pd.DataFrame:
    """The country less its regions, per category: the beneficiaries without a known municipality."""
    keys, counts = ["dimension", "category"], ["beneficiaries", "patients"]
    country = cells[cells["level"] == "country"].set_index(keys)[counts]
    regions = cells[cells["level"] == "region"].groupby(keys, observed=True)[counts].sum()
    residual = (country - regions).dropna().astype("int64").reset_index()
    return residual.assign(level=UNASSIGNED, area_code=UNASSIGNED, parent_code="BE")[cells.columns]


def primary_only(rates: pd.DataFrame, threshold: int) -> pd.DataFrame:
    """``sector_rates`` -> ``protected_rates`` by the primary rule alone."""
    lines = lines_of(rates)
    patients, people = _figures(lines)
    return _released(
        rates, lines, is_small(people, threshold) | lines.is_residual, sensitive(patients, people, threshold)
    )


def two_a_line(rates: pd.DataFrame, threshold: int) -> pd.DataFrame:
    """``sector_rates`` -> ``protected_rates`` by the primary rule, then at least two hidden cells in every line.

    The cell hidden in addition is the one with the fewest patients (people), zeros last, then the first in the table.
    """
    lines = lines_of(rates)
    patients, people = _figures(lines)
    hidden_people = is_small(people, threshold)
    hidden = sensitive(patients, people, threshold)
    _hide_two_a_line(lines, hidden_people, people)
    hidden |= hidden_people
    _hide_two_a_line(lines, hidden, patients)
    return _released(rates, lines, hidden_people, hidden)


def _figures(lines: Lines) -> tuple[Counts, Counts]:
    return lines.cells["patients"].to_numpy(dtype="int64"), lines.cells["beneficiaries"].to_numpy(dtype="int64")


def _hide_two_a_line(lines: Lines, hidden: Flags, values: Counts) -> None:
    """Hide further cells, in place, until no line has exactly one hidden cell."""
    lines_of_cell: dict[int, list[int]] = defaultdict(list)
    for number, members in enumerate(lines.members):
        for cell in members.tolist():
            lines_of_cell[cell].append(number)
    waiting = list(range(len(lines.members)))
    while waiting:
        members = lines.members[waiting.pop()]
        if hidden[members].sum() != 1:
            continue
        candidates = members[~hidden[members] & ~lines.is_residual[members]]
        if len(candidates) == 0:
            continue
        chosen = min(candidates.tolist(), key=lambda cell: (values[cell] == 0, values[cell], cell))
        hidden[chosen] = True
        waiting.extend(lines_of_cell[chosen])


def _released(rates: pd.DataFrame, lines: Lines, hidden_people: Flags, hidden: Flags) -> pd.DataFrame:
    return release(rates, lines, hidden_people[: len(rates)], (hidden | hidden_people)[: len(rates)])


def release(rates: pd.DataFrame, lines: Lines, hidden_people: Flags, hidden: Flags) -> pd.DataFrame:
    """The table with what is hidden left out: one flag a row of ``rates``."""
    result = rates.copy()
    result["beneficiaries"] = rates["beneficiaries"].astype("Int64").mask(hidden_people)
    result["patients"] = rates["patients"].astype("Int64").mask(hidden)
    for column in ("rate_per_10000", "rate_percent"):
        result[column] = rates[column].mask(hidden)
    result["status"] = np.where(hidden, "suppressed", "published")
    return result[~lines.is_residual[: len(rates)]].reset_index(drop=True)
