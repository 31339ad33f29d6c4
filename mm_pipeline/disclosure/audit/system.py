"""What the reader of the releases knows, as one system of equations in whole numbers.

Every figure of every cell is a column: beneficiaries, patients and others (beneficiaries who are not patients). What
is known of one alone are its bounds, equal where it is shown; what is known of several are equations with
coefficients 1 and -1 and right-hand side 0.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mm_pipeline.disclosure.audit.release import ABOVE, AGE_GROUP_OF, KEY, SHOWN

FIGURES = [*SHOWN, "others"]
N, n, M = range(3)


@dataclass(frozen=True)
class System:
    """Column of figure f of cell k: ``3 * k + f``. Entry i: ``sign[i]`` times ``column[i]`` in ``equation[i]``."""

    cells: pd.DataFrame
    """The unknown cells: KEY and version, one per row."""
    lowest: np.ndarray
    highest: np.ndarray
    equation: np.ndarray
    column: np.ndarray
    sign: np.ndarray
    cell: np.ndarray
    """Per equation, the cell that it is about: the total of a line."""


def system_of(rows: pd.DataFrame) -> System:
    """The joint system of all releases.

    ``rows``: the cells of :func:`~mm_pipeline.disclosure.audit.release.read` with ``release`` and ``unknown``, the
    number of the unknown cell; the same number in several releases is the same unknown.
    """
    cells = rows.drop_duplicates("unknown").set_index("unknown").sort_index()[[*KEY, "version"]]
    lowest = np.zeros((len(cells), 3))
    highest = np.full((len(cells), 3), np.inf)
    for figure, name in enumerate(SHOWN):
        # A figure shown in two releases in two ways leaves no number between its bounds.
        shown = rows.groupby("unknown")[name]
        lowest[:, figure] = shown.max().fillna(_at_least(rows, name).groupby(rows.unknown).max())
        highest[:, figure] = shown.min().fillna(np.inf)

    lines = _lines(rows)
    number = lines.groupby(["total", "kind", "release"], sort=True).ngroup().to_numpy()
    first = np.unique(number, return_index=True)[1]
    totals = lines.total.to_numpy()[first]
    first_others = len(totals) * 2
    every = np.arange(len(cells))
    parts = [(first_others + every, every, figure, sign) for figure, sign in [(N, 1.0), (n, -1.0), (M, -1.0)]]
    for figure in (N, n):
        before = figure * len(totals)
        parts.append((before + np.arange(len(totals)), totals, figure, 1.0))
        parts.append((before + number, lines.member.to_numpy(), figure, -1.0))
    return System(
        cells=cells,
        lowest=lowest.ravel(),
        highest=highest.ravel(),
        equation=np.concatenate([equation for equation, *_ in parts]),
        column=np.concatenate([3 * cell + figure for _, cell, figure, _ in parts]),
        sign=np.concatenate([np.full(len(cell), sign) for _, cell, _, sign in parts]),
        cell=np.concatenate([totals, totals, every]),
    )


def _at_least(rows: pd.DataFrame, figure: str) -> pd.Series:
    """The lowest that a hidden figure can be, row by row: 1, as zeros are shown, or 0 where they may be hidden too."""
    hidden = rows[figure].isna()
    area = ["release", "level", "area_code"]
    # R1: a total that hides the figure hides it in all its breakdowns.
    hiding = rows.loc[(rows.dimension == "total") & hidden, area].drop_duplicates()
    r1 = (rows.dimension != "total") & (rows[area].merge(hiding, how="left", indicator=True)._merge == "both")
    # R2: a municipality that shows the figure of none of its sectors; where N = 0 is shown, n = 0 always is.
    quiet = hidden | rows.rest
    if figure == "patients":
        quiet |= rows.beneficiaries == 0
    r2 = (rows.level == "sector") & quiet.groupby([rows.release, rows.level, rows.parent_code]).transform("all")
    # A hidden N hides n, zero or not.
    with_n = (figure == "patients") & rows.beneficiaries.isna()
    return (hidden & ~(r1 | r2 | with_n | rows.rest)).astype(float)


def _lines(rows: pd.DataFrame) -> pd.DataFrame:
    """All lines of all releases: ``total`` = the sum of its ``member`` rows, per ``kind`` of line and release."""
    members = rows.rename(columns={"unknown": "member"})
    of_areas = members.assign(kind="areas", level=rows.level.map(ABOVE), area_code=rows.parent_code)
    classes = rows.dimension == "age_class"
    of_breakdowns = members.assign(
        kind=rows.dimension,
        dimension=np.where(classes, "age_group", "total"),
        category=np.where(classes, rows.category.map(AGE_GROUP_OF), "total"),
    )[rows.dimension != "total"]
    totals = rows[["release", *KEY, "unknown"]].rename(columns={"unknown": "total"})
    lines = pd.concat([of_areas, of_breakdowns]).merge(totals, on=["release", *KEY])
    line = ["total", "kind", "release"]
    lines = lines[~lines.groupby(line).rest.transform("all") | (lines.kind != "areas")]
    # The same line of the same unknowns says the same in several releases.
    lines = lines.sort_values([*line, "member"])
    same = lines.groupby(line).member.agg(tuple).reset_index().drop_duplicates(["total", "kind", "member"])
    return lines.merge(same[line], on=line)[[*line, "member"]]
