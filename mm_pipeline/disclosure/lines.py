"""The lines of the table: every sum that a reader can form, and the rule "never exactly one hidden cell in a line".

A line is a total and its parts: an area and the areas one level down (for each category of each breakdown), or an
area's total and the categories of one breakdown. With exactly one hidden cell, subtraction gives it away.

Two kinds of cells are never published but stand in the lines, since subtraction gives them away as well: the
unknown-sector bucket ``<NIS5>ZZZZ`` of a municipality, and the country's beneficiaries without a municipality.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mm_pipeline.disclosure.rule import Counts, Flags, sensitive, small_population

UNKNOWN = "ZZZZ"
CHILD_LEVEL = {
    "country": "region",
    "region": "province",
    "province": "arrondissement",
    "arrondissement": "municipality",
    "municipality": "sector",
}
AGE_CLASSES_OF = {
    "0-17": ("0-17",),
    "18-64": ("18-24", "25-44", "45-64"),
    "65+": ("65-74", "75-84", "85+"),
}


@dataclass(frozen=True)
class Lines:
    """The cells of a year with the country's unassigned remainder added at the end, and the lines among them.

    ``cells``: columns of ``sector_rates`` less the rates; ``published``: false for the cells that are never published;
    ``members``: per line the positions of its cells, total first.
    """

    cells: pd.DataFrame
    published: Flags
    members: list[Counts]


def lines_of(rates: pd.DataFrame) -> Lines:
    """All lines of a year's table (columns ``level`` ... ``patients`` of ``sector_rates``)."""
    columns = ["level", "area_code", "parent_code", "dimension", "category", "beneficiaries", "patients"]
    cells = pd.concat([rates[columns], _unassigned(rates[columns])], ignore_index=True)
    unpublished = cells["area_code"].str.endswith(UNKNOWN) | (cells["level"] == "unassigned")
    at = {
        key: position
        for position, key in enumerate(
            zip(cells["level"], cells["area_code"], cells["dimension"], cells["category"], strict=True)
        )
    }
    parts: dict[int, list[int]] = defaultdict(list)
    parent_level = {child: parent for parent, child in CHILD_LEVEL.items()} | {"unassigned": "country"}
    for position, (level, parent, dimension, category) in enumerate(
        zip(cells["level"], cells["parent_code"], cells["dimension"], cells["category"], strict=True)
    ):
        if level in parent_level:
            parts[at[parent_level[level], parent, dimension, category]].append(position)
    members = [np.array([total, *below]) for total, below in parts.items()]

    breakdowns: dict[tuple[str, str, str, str], list[int]] = defaultdict(list)
    group_of = {class_: group for group, classes in AGE_CLASSES_OF.items() for class_ in classes}
    for (level, area, dimension, category), position in at.items():
        if dimension == "age_class":
            breakdowns[level, area, "age_group", group_of[category]].append(position)
        elif dimension != "total":
            breakdowns[level, area, dimension, ""].append(position)
    for (level, area, dimension, group), below in breakdowns.items():
        total = at[level, area, dimension, group] if group else at[level, area, "total", "total"]
        members.append(np.array([total, *below]))
    return Lines(cells, ~unpublished.to_numpy(), members)


def _unassigned(cells: pd.DataFrame) -> pd.DataFrame:
    """The country less its regions, per category: the beneficiaries without a known municipality."""
    keys = ["dimension", "category"]
    counts = ["beneficiaries", "patients"]
    country = cells[cells["level"] == "country"].set_index(keys)[counts]
    regions = cells[cells["level"] == "region"].groupby(keys, observed=True)[counts].sum()
    rest = country.sub(regions, fill_value=0).astype("int64").reset_index()
    return rest.assign(level="unassigned", area_code="unassigned", parent_code="BE")[cells.columns]


def protect(rates: pd.DataFrame, threshold: int) -> pd.DataFrame:
    """A year's ``sector_rates`` -> ``protected_rates``: primary rule, then at least two hidden cells in every line.

    Hidden patients take everything derived from them along; hidden beneficiaries take the patients along. Deterministic:
    the cell hidden in addition is the one with the fewest patients (people), zeros last, then the first in the table.
    """
    lines = lines_of(rates)
    patients = lines.cells["patients"].to_numpy(dtype="int64")
    people = lines.cells["beneficiaries"].to_numpy(dtype="int64")
    hidden_people = small_population(people, threshold)
    hidden = sensitive(patients, people, threshold)
    _hide_two_a_line(lines, hidden_people, people)
    hidden |= hidden_people
    _hide_two_a_line(lines, hidden, patients)

    rows = slice(0, len(rates))
    result = rates.copy()
    result["beneficiaries"] = rates["beneficiaries"].astype("Int64").mask(hidden_people[rows])
    result["patients"] = rates["patients"].astype("Int64").mask(hidden[rows])
    for column in ("rate_per_10000", "rate_percent"):
        result[column] = rates[column].mask(hidden[rows])
    result["status"] = np.where(hidden[rows], "suppressed", "published")
    return result[lines.published[rows]].reset_index(drop=True)


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
        candidates = members[~hidden[members] & lines.published[members]]
        if len(candidates) == 0:
            continue
        chosen = min(candidates.tolist(), key=lambda cell: (values[cell] == 0, values[cell], cell))
        hidden[chosen] = True
        waiting.extend(lines_of_cell[chosen])
