"""Reading a release as its reader does: the cells it shows, and the residuals that it never shows.

A table with the wrong columns, or a row that contradicts itself, is refused here; contradictions across rows come to
light when the system is solved.
"""

import numpy as np
import pandas as pd

from mm_pipeline.dimensions import CATEGORIES, COUNTS, KEY, LEVEL_ABOVE, UNASSIGNED, UNKNOWN_SECTOR
from mm_pipeline.errors import OperatorError

SHOWN = COUNTS
VERSIONS = [f"version_{figure}" for figure in SHOWN]
REQUIRED = [*KEY, "parent_code", *SHOWN]


def read(release: pd.DataFrame, position: int) -> pd.DataFrame:
    """The cells and residuals of the release at ``position`` (0 is the newest), in the order of their key.

    Columns: KEY, ``parent_code``, ``beneficiaries`` and ``patients`` (NaN where hidden), VERSIONS, ``change``, ``residual``.
    Raises :class:`OperatorError` for a table that is not in the shape of ``protected_rates``, or a row that
    contradicts itself.
    """
    missing = [column for column in REQUIRED if column not in release.columns]
    if missing:
        raise OperatorError(
            f"The published table lacks the column(s) {', '.join(missing)}. Expected are the columns of "
            "protected_rates. Build the table again."
        )
    cells = release[[*KEY, "parent_code"]].fillna("").astype("str")
    for column in SHOWN:
        cells[column] = _numbers(release, column)
    for column in [*VERSIONS, "change"]:
        cells[column] = _numbers(release, column) if column in release.columns else 0.0
    is_residual = (cells.level == UNASSIGNED) | (
        (cells.level == "sector") & cells.area_code.str.endswith(UNKNOWN_SECTOR)
    )
    _refuse_bad_rows(cells, release, is_residual)
    real = cells[~is_residual].assign(residual=False)
    residuals = _residuals(real).merge(cells.loc[is_residual, [*KEY, *VERSIONS, "change"]], on=KEY, how="left")
    # A residual without a version of its own is a different unknown in each release; the versions of rows are from 0 on.
    residuals[VERSIONS] = residuals[VERSIONS].fillna(-1 - position)
    residuals["change"] = residuals.change.fillna(0)
    return pd.concat([real, residuals], ignore_index=True).sort_values(KEY, ignore_index=True)


def contradiction(what: str, cells: pd.DataFrame) -> OperatorError:
    """The error for a table that contradicts itself. Names ``cells`` by their codes, never a count."""
    names = list(dict.fromkeys(cells[KEY].agg(" ".join, axis=1)))
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return OperatorError(
        f"The published table contradicts itself: {what}: {'; '.join(names[:5])}{more}. "
        "No conclusion can be drawn from it. Build the table again; do not publish it."
    )


def _numbers(release: pd.DataFrame, column: str) -> np.ndarray:
    """The column as float64 (exact for whole numbers below 2**53), NaN where empty."""
    try:
        return release[column].astype("Float64").to_numpy(float, na_value=np.nan)
    except (TypeError, ValueError):
        # The text of the cause would quote the value, which may be a count.
        raise OperatorError(f"The published table's column {column} holds something that is not a number.") from None


def _refuse_bad_rows(cells: pd.DataFrame, release: pd.DataFrame, is_residual: pd.Series) -> None:
    numbers = cells[[*SHOWN, *VERSIONS]]
    shows_n = cells.patients.notna()
    categories = {(dimension, category) for dimension, names in CATEGORIES.items() for category in names}
    wrong = {
        "of a level that does not exist": ~cells.level.isin(["country", *LEVEL_ABOVE]),
        "of a category that does not exist": [
            pair not in categories for pair in zip(cells.dimension, cells.category, strict=True)
        ],
        "there more than once": cells.duplicated(KEY, keep=False),
        "with a figure or version that is not a whole number from 0 on": ((numbers < 0) | (numbers % 1 > 0)).any(axis=1)
        | np.isinf(numbers).any(axis=1)
        | cells[VERSIONS].isna().any(axis=1),
        "with a change that is none of 1, -1 and 0": ~cells.change.isin([1, -1, 0]),
        "with patients shown and beneficiaries hidden": shows_n & cells.beneficiaries.isna(),
        "with more patients than beneficiaries": cells.patients > cells.beneficiaries,
        "a rest, of which no figure may be published": is_residual & cells[SHOWN].notna().any(axis=1),
    }
    for column in ["rate_per_10000", "rate_percent"]:
        if column in release.columns:
            wrong[f"with a {column} but no patients, which follow from it"] = release[column].notna().array & ~shows_n
    if "status" in release.columns:
        expected = np.where(shows_n, "published", "suppressed")
        wrong["with a status other than what is shown"] = (release.status.array != expected) & ~is_residual
    for what, rows in wrong.items():
        if np.any(rows):
            raise contradiction(f"cells {what}", cells[np.asarray(rows, bool)])


def _residuals(real: pd.DataFrame) -> pd.DataFrame:
    """The residuals: of municipalities with sectors, and of a country with regions."""
    has_sectors, has_regions = (
        real.area_code.isin(real.parent_code[real.level == below]) for below in ("sector", "region")
    )
    municipal = real[(real.level == "municipality") & (real.dimension == "total") & has_sectors]
    municipal = municipal.assign(
        level="sector", area_code=municipal.area_code + UNKNOWN_SECTOR, parent_code=municipal.area_code
    )
    national = real[(real.level == "country") & has_regions]
    national = national.assign(level=UNASSIGNED, area_code=UNASSIGNED, parent_code=national.area_code)
    residuals = pd.concat([municipal, national]).drop(columns=[*VERSIONS, "change"])
    return residuals.assign(beneficiaries=np.nan, patients=np.nan, residual=True)
