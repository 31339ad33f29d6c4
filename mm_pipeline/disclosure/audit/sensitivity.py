"""Audit of the sensitivity table: whether the promise holds for persons by their number of forfaits.

It does not know how the shown rows were chosen. The unknowns are the persons of each region, and of the country without
a region, with 0, 1 ... 12 forfaits; every figure shown is a sum of them. Every sum that a reader may ask for is judged:
those with i to j - 1 forfaits, for all i < j, in every region, without a region, and in the country.
"""

from itertools import combinations

import numpy as np
import pandas as pd

from mm_pipeline.dimensions import KEY
from mm_pipeline.disclosure.audit.intervals import intervals
from mm_pipeline.disclosure.audit.system import System
from mm_pipeline.errors import OperatorError

MOST = 12
_RESIDUAL = "(without a region)"


def audit_sensitivity(
    shown: pd.DataFrame,
    protected_totals: pd.DataFrame,
    minimum_forfaits: int,
    disclosure_threshold: int,
    earlier: pd.DataFrame | None = None,
) -> list[str]:
    """The faults of a published sensitivity table, in words without numbers of people; empty if there are none.

    ``shown``: ``level``, ``area_code``, ``rule``, ``threshold``, ``beneficiaries``, ``patients``, ``status``.
    ``protected_totals``: the rows of ``protected_rates`` of the country and the regions with dimension total. ``earlier``:
    ``area_code`` and ``threshold`` of every cell of rule at_least that an earlier release of the year showed; None
    or empty if there is none.
    """
    wrong = _form(shown, protected_totals, minimum_forfaits)
    if earlier is not None and len(earlier):
        now = shown[
            (shown["rule"] == "at_least") & shown["patients"].notna() & (shown["threshold"] != minimum_forfaits)
        ]
        before = set(zip(earlier["area_code"], earlier["threshold"], strict=True))
        wrong += [
            f"{row.area_code}: threshold {row.threshold} was not shown by an earlier release of the year."
            for row in now.itertuples()
            if (row.area_code, row.threshold) not in before
        ]
    return wrong or _promise(shown, disclosure_threshold)


def _form(shown: pd.DataFrame, totals: pd.DataFrame, main: int) -> list[str]:
    """Faults of single rows: incomplete, at odds with ``protected_rates``, or contradicting themselves."""
    wrong = []
    expected = sorted((rule, k) for rule, k in [("exactly", 6), *(("at_least", k) for k in range(1, MOST + 1))])
    place = ["level", "area_code"]
    if {*map(tuple, shown[place].to_numpy())} != {*map(tuple, totals[place].to_numpy())}:
        wrong.append("The areas are not those of protected_rates.")
    for total in totals.itertuples():
        rows = shown[(shown["level"] == total.level) & (shown["area_code"] == total.area_code)]
        area = total.area_code
        if sorted(zip(rows["rule"], rows["threshold"], strict=True)) != expected:
            wrong.append(f"{area}: a threshold is missing or there twice.")
            continue
        if (rows["status"] != rows["patients"].notna().map({True: "published", False: "suppressed"})).any():
            wrong.append(f"{area}: a status does not fit its patients.")
        if not _same(rows["beneficiaries"], total.beneficiaries):
            wrong.append(f"{area}: the beneficiaries are not those of protected_rates.")
        by = {(row.rule, row.threshold): row.patients for row in rows.itertuples()}
        if not _same(pd.Series([by["at_least", main]]), total.patients):
            wrong.append(f"{area}: the patients at the threshold of the statistic are not those of protected_rates.")
        if pd.isna(total.patients) and rows["patients"].notna().any():
            wrong.append(f"{area}: protected_rates hides its patients, but a threshold shows some.")
    return wrong


def _same(values: pd.Series, value: object) -> bool:
    return bool(values.isna().all() if pd.isna(value) else (values.notna() & (values == value)).all())


def _promise(shown: pd.DataFrame, t: int) -> list[str]:
    """The sums that break the promise, in words; empty if none does."""
    regions = sorted(shown.loc[shown["level"] == "region", "area_code"].unique())
    (country,) = shown.loc[shown["level"] == "country", "area_code"].unique()
    members = [*regions, _RESIDUAL]
    sums = list(combinations(range(MOST + 2), 2))
    figures = {figure: column for column, figure in enumerate((a, *ends) for a in [*members, country] for ends in sums)}
    known = {
        (row.area_code, row.threshold, row.threshold + 1 if row.rule == "exactly" else MOST + 1): row.patients
        for row in shown.itertuples()
    } | {(row.area_code, 0, MOST + 1): row.beneficiaries for row in shown.itertuples()}
    lowest, highest = np.zeros(len(figures)), np.full(len(figures), np.inf)
    for figure, people in known.items():
        if not pd.isna(people):
            lowest[figures[figure]] = highest[figures[figure]] = people
    # Each figure is the sum of its two parts, wherever it is cut; the country is the sum of its members.
    equations = [
        [(area, low, high), (area, low, middle), (area, middle, high)]
        for area in [*members, country]
        for low, middle, high in combinations(range(MOST + 2), 3)
    ] + [[(area, *ends) for area in [country, *members]] for ends in sums]
    sizes = [len(equation) for equation in equations]
    system = System(
        cells=pd.DataFrame("", range(1), KEY),
        lowest=lowest,
        highest=highest,
        equation=np.repeat(np.arange(len(equations)), sizes),
        column=np.array([figures[figure] for equation in equations for figure in equation]),
        sign=np.array([sign for size in sizes for sign in (1.0, *[-1.0] * (size - 1))]),
        cell=np.zeros(len(equations), dtype=int),
    )
    try:
        lowest, highest = intervals(system)
    except OperatorError:
        return ["The figures contradict each other."]
    ends = {figure: (lowest[column], highest[column]) for figure, column in figures.items()}
    return [
        f"{area}: it can be told too well how many have {low} to {high - 1} forfaits."
        for (area, low, high), (least, most) in ends.items()
        # (a) of the promise: it could be 1 to t - 1, but not t, or takes fewer than t values.
        if (least <= t - 1 and most >= 1 and (most < t or most - least < t - 1))
        # (b): perhaps nobody has fewer than so many forfaits, somebody may have as many, and it takes fewer than t values.
        or (low == least == 0 and high <= MOST and ends[area, high, MOST + 1][1] > 0 and most - least < t - 1)
    ]
