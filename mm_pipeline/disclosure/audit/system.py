"""The system of equations, in whole numbers, of what a reader of the releases knows.

Every figure of every cell is a column: beneficiaries, patients and others (beneficiaries who are not patients). Knowledge
of one figure is a pair of bounds, equal where it is shown; knowledge of several is an equation with coefficients 1 and -1
and right-hand side 0.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mm_pipeline.dimensions import AGE_GROUP_OF, KEY, LEVEL_ABOVE
from mm_pipeline.disclosure.audit.release import SHOWN, VERSIONS

FIGURES = [*SHOWN, "others"]
N, n, M = range(3)


@dataclass(frozen=True)
class System:
    """Bounds and equations of all columns. Figure f of cell k is column ``3 * k + f``.

    Entry i: ``sign[i]`` times ``column[i]`` in ``equation[i]``.
    """

    cells: pd.DataFrame
    """KEY and VERSIONS of the unknown cells, one a row; then the changes of those that only grew or only shrank."""
    lowest: np.ndarray
    highest: np.ndarray
    equation: np.ndarray
    column: np.ndarray
    sign: np.ndarray
    cell: np.ndarray
    """Per equation, the cell to name if it cannot hold: the total of a line."""


def system_of(rows: pd.DataFrame) -> System:
    """The joint system of all releases.

    ``rows``: the cells of :func:`~mm_pipeline.disclosure.audit.release.read` with ``release`` and ``unknown``, the number of
    the unknown cell. The same number in several releases is the same unknown; so is a figure of two cells with the same
    version. ``change``: the cell is that of the release before and persons who came (1), or that one is the cell and
    persons who left (-1).
    """
    cells = rows.drop_duplicates("unknown").set_index("unknown").sort_index()[[*KEY, *VERSIONS]]
    lowest = np.zeros((len(cells), 3))
    highest = np.full((len(cells), 3), np.inf)
    for figure, name in enumerate(SHOWN):
        # A figure shown in two releases in two ways leaves no number between its bounds.
        shown = rows.groupby("unknown")[name]
        lowest[:, figure] = shown.max().fillna(at_least(rows, name).groupby(rows.unknown).max())
        highest[:, figure] = shown.min().fillna(np.inf)

    larger, smaller = _changes(rows)
    changes = len(cells) + np.arange(len(larger))
    cells = pd.concat([cells, cells.iloc[larger]], ignore_index=True)
    # Somebody came or went.
    lowest = np.concatenate([lowest, np.tile([1.0, 0.0, 0.0], (len(changes), 1))])
    highest = np.concatenate([highest, np.full((len(changes), 3), np.inf)])

    lines = _lines(rows)
    number = lines.groupby(["total", "kind", "release"], sort=True).ngroup().to_numpy()
    first = np.unique(number, return_index=True)[1]
    totals = lines.total.to_numpy()[first]
    every = np.arange(len(cells))
    parts = [(every, every, figure, sign) for figure, sign in [(N, 1.0), (n, -1.0), (M, -1.0)]]
    about = [every]

    def each(*terms: tuple[np.ndarray, float]) -> list[tuple[np.ndarray, np.ndarray, float]]:
        """Terms of which every equation has one."""
        return [(np.arange(len(cell)), cell, sign) for cell, sign in terms]

    for figure in (N, n):
        one, other = _same(cells[: len(cells) - len(changes)], VERSIONS[figure])
        for of_what, terms in (
            (totals, [*each((totals, 1.0)), (number, lines.member.to_numpy(), -1.0)]),
            (larger, each((larger, 1.0), (smaller, -1.0), (changes, -1.0))),
            (one, each((one, 1.0), (other, -1.0))),
        ):
            before = sum(map(len, about))
            parts += [(before + equation, cell, figure, sign) for equation, cell, sign in terms]
            about.append(of_what)
    return System(
        cells=cells,
        lowest=lowest.ravel(),
        highest=highest.ravel(),
        equation=np.concatenate([equation for equation, *_ in parts]),
        column=np.concatenate([3 * cell + figure for _, cell, figure, _ in parts]),
        sign=np.concatenate([np.full(len(cell), sign) for _, cell, _, sign in parts]),
        cell=np.concatenate(about),
    )


def _changes(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of unknowns that differ by persons who came or left: the larger ones, the smaller ones."""
    older = rows[[*KEY, "release", "unknown"]].assign(release=rows.release - 1)
    pairs = rows[rows.change != 0].merge(older, on=[*KEY, "release"], suffixes=("", "_before"))
    new, old, grows = pairs.unknown.to_numpy(), pairs.unknown_before.to_numpy(), pairs.change.to_numpy() > 0
    return np.where(grows, new, old), np.where(grows, old, new)


def _same(cells: pd.DataFrame, version: str) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of unknown cells whose figure has the same version; several are linked in a chain."""
    number = cells.groupby([*KEY, version]).ngroup().to_numpy()
    order = np.argsort(number, kind="stable")
    follows = np.diff(number[order]) == 0
    return order[:-1][follows], order[1:][follows]


def at_least(rows: pd.DataFrame, figure: str) -> pd.Series:
    """The least value of a hidden figure in each row: 1, as zeros are shown, or 0 where zeros may be hidden too."""
    hidden = rows[figure].isna()
    area = ["release", "level", "area_code"]
    # R1: a total that hides the figure hides it in all its breakdowns.
    hiding = rows.loc[(rows.dimension == "total") & hidden, area].drop_duplicates()
    r1 = (rows.dimension != "total") & (rows[area].merge(hiding, how="left", indicator=True)._merge == "both")
    zero = rows.residual | r1
    if figure == "patients":
        # R2: a municipality may show n for none of its sectors, or an area for no category of a breakdown, except where
        # N = 0 is shown. And a hidden N hides n, zero or not.
        is_sector = rows.level == "sector"
        area = rows.parent_code.where(is_sector, rows.area_code)
        quiet = hidden | rows.residual | (rows.beneficiaries == 0)
        silent = quiet.groupby([rows.release, rows.level, area, rows.dimension]).transform("all")
        zero |= (silent & (is_sector | (rows.dimension != "total"))) | rows.beneficiaries.isna()
    return (hidden & ~zero).astype(float)


def _lines(rows: pd.DataFrame) -> pd.DataFrame:
    """All lines of all releases, a row for each ``member`` of a ``total``, by ``kind`` of line and release."""
    members = rows.rename(columns={"unknown": "member"})
    of_areas = members.assign(kind="areas", level=rows.level.map(LEVEL_ABOVE), area_code=rows.parent_code)
    classes = rows.dimension == "age_class"
    of_breakdowns = members.assign(
        kind=rows.dimension,
        dimension=np.where(classes, "age_group", "total"),
        category=np.where(classes, rows.category.map(AGE_GROUP_OF), "total"),
    )[rows.dimension != "total"]
    totals = rows[["release", *KEY, "unknown"]].rename(columns={"unknown": "total"})
    lines = pd.concat([of_areas, of_breakdowns]).merge(totals, on=["release", *KEY])
    line = ["total", "kind", "release"]
    lines = lines[~lines.groupby(line).residual.transform("all") | (lines.kind != "areas")]
    # A line of the same unknowns in several releases is one equation.
    lines = lines.sort_values([*line, "member"])
    same = lines.groupby(line).member.agg(tuple).reset_index().drop_duplicates(["total", "kind", "member"])
    return lines.merge(same[line], on=line)[[*line, "member"]]
