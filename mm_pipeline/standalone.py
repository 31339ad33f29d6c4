"""Protection and audit of a table in a file, by themselves: no lake, no Dagster.

The table is CSV (comma, UTF-8) or Parquet with the columns of ``sector_rates`` or ``protected_rates``; only the columns
that the counts and their places need are looked at; rates are worked out anew. Behind ``mm-pipeline protect`` and
``mm-pipeline audit``.
"""

from pathlib import Path

import pandas as pd

from mm_pipeline.atomic import replacing
from mm_pipeline.disclosure.protect import protect
from mm_pipeline.disclosure.revision import disclosed
from mm_pipeline.disclosure.system import COUNTS, KEY
from mm_pipeline.errors import TableError

TEXT = ["level", "area_code", "parent_code", "dimension", "category"]
COLUMNS = ["year", *TEXT, *COUNTS, "rate_per_10000", "rate_percent", "status"]
_FORMATS = (".csv", ".parquet")


def read_table(path: Path, *, hidden: bool) -> pd.DataFrame:
    """The cells of a file: ``year`` (if there), the key, ``parent_code``, ``beneficiaries`` and ``patients`` (``Int64``).

    ``hidden``: a table as in ``protected_rates``: counts may be empty, and rates and status are read too.
    Raises :class:`TableError` naming file, line and column.
    """
    try:
        if _format(path) == ".parquet":
            table = pd.read_parquet(path)
        else:
            # Codes are text: 02000 is no number, and NA no empty value.
            table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise TableError(f"{path} cannot be read: {error}. Expected is a CSV file (comma, UTF-8) or Parquet.") from None
    missing = [column for column in (*TEXT, *COUNTS) if column not in table.columns]
    if missing:
        raise TableError(
            f"{path} lacks the column(s) {', '.join(missing)}; found {', '.join(map(str, table.columns))}. Expected are "
            "the columns of sector_rates (or protected_rates)."
        )
    cells = table[TEXT].astype("string").fillna("").astype(str)
    for column in COUNTS:
        cells[column] = _counts(path, table[column], hidden)
    if hidden:
        for column in {"rate_per_10000", "rate_percent", "status"} & set(table.columns):
            cells[column] = table[column] if column == "status" else pd.to_numeric(table[column], errors="coerce")
    if "year" in table.columns:
        cells.insert(0, "year", _counts(path, table["year"], hidden=False).astype("int32"))
        if cells["year"].nunique() > 1:
            raise TableError(f"{path} holds several years; a table of one year is protected and audited by itself.")
    if (twice := cells.duplicated(KEY)).any():
        raise TableError(
            f"{path}, {_line(path, twice)}: the same cell ({'/'.join(cells.loc[twice.idxmax(), KEY])}) again."
        )
    if (more := cells["patients"] > cells["beneficiaries"]).any():
        raise TableError(f"{path}, {_line(path, more)}, column patients: more patients than beneficiaries.")
    return cells


def protected_table(
    rates: pd.DataFrame, threshold: int, earlier: list[tuple[pd.DataFrame, pd.DataFrame]]
) -> pd.DataFrame:
    """``read_table`` of rates -> the columns of ``protected_rates``. ``earlier``: (rates, protected) of past releases."""
    rates = rates.assign(**{column: rates[column].astype("int64") for column in COUNTS})
    people = rates["beneficiaries"].where(rates["beneficiaries"] > 0).astype("float64")
    rates = rates.assign(
        rate_per_10000=rates["patients"] * 10_000.0 / people, rate_percent=rates["patients"] * 100.0 / people
    )
    past = [disclosed(_whole(true), told) for true, told in earlier]
    result = protect(rates, threshold, past)
    return result[[column for column in COLUMNS if column in result]]


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV or Parquet, by the name of the file; whole or not at all."""
    is_parquet = _format(path) == ".parquet"
    with replacing(path, mode=0o644) as temporary:
        if is_parquet:
            table.to_parquet(temporary, index=False)
        else:
            table.to_csv(temporary, index=False, lineterminator="\n")


def _whole(rates: pd.DataFrame) -> pd.DataFrame:
    return rates.assign(**{column: rates[column].astype("int64") for column in COUNTS})


def _format(path: Path) -> str:
    if path.suffix not in _FORMATS:
        raise TableError(f"{path}: a table is a file {' or '.join(f'*{suffix}' for suffix in _FORMATS)}. Rename it.")
    return path.suffix


def _counts(path: Path, values: pd.Series, hidden: bool) -> pd.Series:
    empty = values.isna() | (values.astype("string").str.strip() == "")
    numbers = pd.to_numeric(values.where(~empty), errors="coerce")
    bad = ~empty & ~((numbers >= 0) & (numbers % 1 == 0))
    if not hidden:
        bad |= empty
    if bad.any():
        expected = "a whole number from 0" + (", or nothing where it is hidden" if hidden else "")
        raise TableError(
            f"{path}, {_line(path, bad)}, column {values.name}: expected {expected}. {int(bad.sum())} such line(s)."
        )
    return numbers.astype("Int64")


def _line(path: Path, wrong: pd.Series) -> str:
    """The first wrong row as a reader of the file counts: a CSV's header is line 1."""
    row = int(wrong.to_numpy().argmax())
    return f"line {row + 2}" if _format(path) == ".csv" else f"row {row + 1}"
