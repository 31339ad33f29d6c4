"""Released figures and names of areas, packed for the page. It holds counts only and computes the rates itself.

A rate and its interval follow from the two counts (``release.interval``). There is no figure that the released table does
not show: a suppressed one is the mark ``HIDDEN``.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mm_pipeline.release.codelists import LABELS, LANGUAGES

ABSENT, HIDDEN = -2, -1
"""Marks in place of a count: no such row in the table (the area is not of that year), and a count that is hidden."""

_READING_ORDER = {
    f"{dimension} {category}": [dimension, category]
    for dimension, labels in LABELS["category"].items()
    for category in labels
}
_STANDARDISED = ["standardised_per_10000", "standardised_per_10000_lower", "standardised_per_10000_upper"]


def packed_level(rates: pd.DataFrame, areas: pd.DataFrame, years: Sequence[int]) -> dict[str, Any]:
    """The counts and histories of the areas of one level, of which ``rates`` and ``areas`` (the code list) have the rows.

    Returns ``cells``, pairs (dimension, category) in reading order; and ``areas``, an entry for each area, sorted by code:
    [code, history, counts]. History is a list of [first year, last year, code of the parent, names], with names in fr, nl,
    de, en, or one name where all are the same. Counts has an entry for each cell: beneficiaries and patients of the first
    year, of the second year ..., or ``ABSENT`` and ``HIDDEN``.
    """
    keys = rates["dimension"] + " " + rates["category"]
    present = set(keys.unique())
    cells = {key: cell for key, cell in _READING_ORDER.items() if key in present}
    codes = sorted(set(rates["area_code"]))
    counts = np.full((len(codes), len(cells), len(years), 2), ABSENT, dtype=np.int64)
    place = (
        pd.Index(codes).get_indexer(rates["area_code"]),
        pd.Index(list(cells)).get_indexer(keys),
        pd.Index(years).get_indexer(rates["year"]),
    )
    for position, column in enumerate(("beneficiaries", "patients")):
        counts[(*place, position)] = rates[column].fillna(HIDDEN).to_numpy(np.int64)
    histories = _histories(rates, areas)
    flat = zip(codes, counts.reshape(len(codes), len(cells), -1).tolist(), strict=True)
    return {"cells": list(cells.values()), "areas": [[code, histories[code], figures] for code, figures in flat]}


def packed_standardised(standardised: pd.DataFrame, years: Sequence[int]) -> dict[str, list[float]]:
    """The standardised rates of one level: area code -> rate and both ends of its interval, year after year.

    Suppressed ones are ``HIDDEN``; rates or intervals that do not exist are ``ABSENT``.
    """
    packed: dict[str, list[float]] = {}
    for row in standardised.itertuples(index=False):
        entry = packed.setdefault(row.area_code, [float(ABSENT)] * 3 * len(years))
        start = 3 * years.index(row.year)
        missing = HIDDEN if row.status == "suppressed" else ABSENT
        values = [getattr(row, column) for column in _STANDARDISED]
        entry[start : start + 3] = [missing if pd.isna(value) else round(value, 2) for value in values]
    return dict(sorted(packed.items()))


def _histories(rates: pd.DataFrame, areas: pd.DataFrame) -> dict[str, list[list[Any]]]:
    """The history of each area, by code. An area that the code list does not have is named by its code."""
    histories: dict[str, list[list[Any]]] = {}
    for row in areas.fillna("").sort_values(["area_code", "first_year"]).itertuples(index=False):
        labels = [getattr(row, f"label_{language}") for language in LANGUAGES]
        names = [label or next(filter(None, labels), row.area_code) for label in labels]
        names = names[:1] if len(set(names)) == 1 else names
        histories.setdefault(row.area_code, []).append([row.first_year, row.last_year, row.parent_code, names])
    unnamed = rates[~rates["area_code"].isin(list(histories))]
    for (code, parent), rows in unnamed.groupby(["area_code", "parent_code"])["year"]:
        histories.setdefault(code, []).append([int(rows.min()), int(rows.max()), parent, [code]])
    return histories
