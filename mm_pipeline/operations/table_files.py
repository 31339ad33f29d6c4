"""Protection and audit of tables in files, without lake or Dagster, for ``mm-pipeline protect`` and ``mm-pipeline audit``.

A table is CSV (comma, UTF-8) or Parquet with the columns of ``sector_rates`` or ``protected_rates``. Only the key, the
parent and the counts are read; rates are computed anew. Errors name file, line and column, and never quote a value, which
may be a count.
"""

import csv
import io
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from mm_pipeline.dimensions import AGE_GROUP_OF, CATEGORIES, COUNTS, KEY, LEVELS, UNKNOWN_SECTOR
from mm_pipeline.disclosure.audit import Audit, audit, with_versions
from mm_pipeline.disclosure.audit.release import read
from mm_pipeline.disclosure.protect import Protection, protect_revision
from mm_pipeline.disclosure.revision import disclosed, released_pattern
from mm_pipeline.disclosure.suppression import lower_bounds
from mm_pipeline.disclosure.system import FIGURES, system_of, with_rates
from mm_pipeline.errors import OperatorError, TableError
from mm_pipeline.files.atomic import replacing
from mm_pipeline.settings import Settings

TEXT = ["level", "area_code", "parent_code", "dimension", "category"]
DERIVED = ["rate_per_10000", "rate_percent", "status"]
COLUMNS = ["year", *TEXT, *COUNTS, *DERIVED]


class Shape(NamedTuple):
    """The columns of a file that are read, and ``of`` what they are, in words."""

    required: list[str]
    optional: list[str]
    of: str


CELLS = Shape([*TEXT, *COUNTS], ["year", *DERIVED], "of sector_rates or protected_rates")
FACTS = Shape([*KEY, "figure", "at_least", "at_most"], [], f"{', '.join(KEY)}, figure, at_least and at_most")

_CELL = ", ".join(KEY)
_NUMBER = r"0*[0-9]{1,9}(\.0*)?"
_CODE = r"(?![0-9]{1,4}$|[0-9]+\.0*$)\S{1,64}"
"""Pattern of the code of an area, other than one that a tool took for a number (2000 or 2000.0 for 02000)."""
_AREA = rf"country BE|(region|province|arrondissement|municipality|sector) {_CODE}"


def read_rates(path: Path, *, protected: bool = False) -> pd.DataFrame:
    """Read a table like ``sector_rates`` that adds up: ``year`` (if there), the key, ``parent_code``, counts.

    Or one like ``protected_rates``, of which counts may be empty, and rates and status are text. The index is the line (of
    Parquet, the row). Raises :class:`TableError` naming file, line and column.
    """
    text = _text(path, CELLS)
    cells = text[TEXT].copy()
    area, kind = cells["level"] + " " + cells["area_code"], cells["dimension"] + " " + cells["category"]
    of = "; ".join(f"{dimension}: {', '.join(names)}" for dimension, names in CATEGORIES.items())
    kinds = [f"{dimension} {category}" for dimension, names in CATEGORIES.items() for category in names]
    whole = "a whole number from 0 to 999999999"
    whole += ", or nothing where it is hidden" if protected else " (is this a protected table? Rates are expected here)"
    zero = "02000, as text with its zero"
    refuse = partial(_refuse, path, cells, named=False)
    refuse("level", ~cells["level"].isin(LEVELS), f"one of {', '.join(LEVELS)}")
    refuse("area_code", ~area.str.fullmatch(_AREA), f"BE for a country, else a code without blanks ({zero})")
    is_code = cells["parent_code"].str.fullmatch(f"({_CODE})?")
    refuse("parent_code", ~is_code, f"the code of the area one level up ({zero})")
    refuse("dimension", ~cells["dimension"].isin([*CATEGORIES]), f"one of {', '.join(CATEGORIES)}")
    refuse("category", ~kind.isin(kinds), f"a category of the dimension ({of})")
    if protected:
        cells = cells.assign(**{column: text[column].replace("", None) for column in DERIVED if column in text})
    for column in [name for name in ("year", *COUNTS) if name in text]:
        may_be_empty = protected and column in COUNTS
        is_number = text[column].str.fullmatch(f"({_NUMBER})?" if may_be_empty else _NUMBER)
        refuse(column, ~is_number, whole if column in COUNTS else "a year")
        kind_of_number = "Int64" if may_be_empty else "int64" if column in COUNTS else "int32"
        cells[column] = _numbers(text[column]).astype(kind_of_number)
    if "year" in cells:
        one = cells["year"].iat[0]
        _refuse(path, cells, "year", cells["year"] != one, f"{one} as above: one year a file")
    _refuse_relations(path, cells)
    if not protected:
        _refuse_sums(path, cells)
    return cells


def read_earlier(rates_path: Path, protected_path: Path, now: pd.DataFrame) -> pd.DataFrame:
    """Read the record of an earlier release of the year of ``now`` (:func:`~mm_pipeline.disclosure.revision.disclosed`).

    Raises :class:`TableError` also when the protected table was not made from the rates.
    """
    rates, protected = read_rates(rates_path), read_rates(protected_path, protected=True)
    if _years(now, rates, protected) > 1:
        raise TableError(
            f"{rates_path}, {protected_path}: column year: of another year than the table to protect, or than each "
            "other. --earlier takes earlier releases of the same year."
        )
    name = [*KEY, "parent_code"]
    is_residual = rates["area_code"].str.endswith(UNKNOWN_SECTOR)
    true = rates[~is_residual].set_index(name)[COUNTS]
    told = pd.MultiIndex.from_frame(protected[name])
    source = f"{rates_path}, the rates it was made from (--earlier RATES PROTECTED)"
    counts = true.reindex(told).set_axis(protected.index)
    _refuse(protected_path, protected, _CELL, ~told.isin(true.index), f"a cell of {source}")
    for column in COUNTS:
        differs = protected[column].notna() & (protected[column] != counts[column])
        _refuse(protected_path, protected, column, differs, f"the number of {source}, or nothing")

    released = disclosed(rates, protected)
    system = system_of(released)
    hidden = released_pattern(system, released)
    lowest = lower_bounds(system, hidden)
    is_there = pd.MultiIndex.from_frame(rates[name]).isin(told)
    whole = f"a cell that is in {protected_path}, too: all of what was released"
    _refuse(rates_path, rates, _CELL, ~is_there & ~is_residual, whole)
    shown = f"no zero where {protected_path} is empty, as zeros are shown: give the table as mm-pipeline made it"
    for figure in FIGURES:
        is_zero = hidden[figure] & (system.value(figure) < lowest[figure])
        _refuse(rates_path, rates, figure, is_zero[: len(rates)], shown)
    return released


def protection(rates: pd.DataFrame, settings: Settings, earlier: Sequence[pd.DataFrame]) -> Protection:
    """Protect a table of :func:`read_rates`. ``earlier``: records of :func:`read_earlier`, oldest first."""
    result = protect_revision(
        with_rates(rates),
        settings.disclosure_threshold,
        earlier,
        highest=settings.revision_may_hide,
        total_worth=settings.total_worth,
    )
    table, counts = (each[[column for column in COLUMNS if column in each]] for each in (result.table, result.rates))
    return Protection(table, counts, result.postponed)


def audited(
    path: Path, disclosure_threshold: int, also: Sequence[Path] = (), known: Path | None = None
) -> tuple[list[dict[str, str]], pd.DataFrame, list[str]]:
    """Audit a table like ``protected_rates``, by itself and for readers who know more. Raises :class:`TableError`.

    Returns the summary of the table as texts (:meth:`~mm_pipeline.disclosure.audit.Audit.readable`), the violations (KEY,
    ``figure`` and the ``path`` of the table that has it, without repetitions), and notes on what could not be audited.

    ``also``: earlier releases of its year, oldest first, audited together with it as
    :func:`~mm_pipeline.disclosure.audit.with_versions` guesses. ``known``: a file of :func:`read_facts`. All violations
    count, also those for readers who know less.
    """
    paths = [path, *reversed(also)]
    tables = [read_rates(each, protected=True) for each in paths]
    if _years(*tables) > 1:
        raise TableError(
            f"{', '.join(map(str, paths))}: column year: they are of several years. --also takes earlier releases of the "
            "same year."
        )
    audits: list[tuple[list[Path], Audit]] = []
    for name, table in zip(paths, tables, strict=True):
        try:
            audits.append(([name], audit(table, disclosure_threshold)))
        except OperatorError as error:
            raise TableError(f"{name}: {error}") from None
    told: list[pd.DataFrame | None] = [None]
    if known is not None:
        facts = read_facts(known, path, tables[0])
        audits.append(([path], _audit_with(facts, known, path, tables[0], disclosure_threshold)))
        told.append(facts)
    notes = []
    for each in told if also else []:
        try:
            audits.append((paths, audit(with_versions(tables), disclosure_threshold, each)))
        except OperatorError:
            what = "The releases" if each is None else f"The releases and {known}"
            notes.append(f"{what} could not be audited together: more changed than can be told from the tables.")
    violations = pd.concat(
        result.violations[[*KEY, "figure"]].assign(path=result.violations["release"].map(dict(enumerate(names))))
        for names, result in audits
    )
    return audits[-1][1].readable(), violations.drop_duplicates(ignore_index=True), notes


def read_facts(path: Path, table_path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Read what somebody knows about figures of a protected table or its residuals (FACTS). Raises :class:`TableError`."""
    text = _text(path, FACTS)
    cells = read(table, 0)
    is_there = pd.MultiIndex.from_frame(text[KEY]).isin(pd.MultiIndex.from_frame(cells[KEY]))
    ends = ["at_least", "at_most"]
    refuse = partial(_refuse, path, text, named=False)
    area = f"an area of {table_path} (02000, as text with its zero)"
    refuse("area_code", ~text["area_code"].isin(cells["area_code"]), area)
    refuse(_CELL, ~is_there, f"a cell of {table_path}")
    refuse("figure", ~text["figure"].isin(COUNTS), f"one of {', '.join(COUNTS)}")
    for end in ends:
        refuse(end, ~text[end].str.fullmatch(f"({_NUMBER})?"), "a whole number from 0 to 999999999, or nothing")
    refuse(", ".join(ends), (text[ends] == "").all(axis=1), "a number in one of them at least")
    facts = text.assign(**{end: _numbers(text[end]) for end in ends})
    crossed = (facts["at_least"] > facts["at_most"]).fillna(False)
    _refuse(path, facts, "at_most", crossed, "a number that is not below at_least")
    return facts


def _audit_with(
    facts: pd.DataFrame, path: Path, table_path: Path, table: pd.DataFrame, disclosure_threshold: int
) -> Audit:
    """Audit with facts. Raises :class:`TableError` for the first that contradicts the table and the facts before it."""

    def is_false(count: int) -> bool:
        try:
            audit(table, disclosure_threshold, facts.head(count))
        except OperatorError:
            return True
        return False

    try:
        return audit(table, disclosure_threshold, facts)
    except OperatorError:
        first = bisect_left(range(1, len(facts)), True, key=is_false)
        expected = f"what {table_path} and the lines before leave possible. Correct the line, or take it out"
        _refuse(path, facts, "at_least, at_most", np.arange(len(facts)) == first, expected)
        raise


def write_table(table: pd.DataFrame, path: Path, *, mode: int = 0o644) -> None:
    """Write a table atomically as CSV or Parquet, by the suffix of ``path``. ``mode``: permissions of the file."""
    try:
        with replacing(path, mode=mode) as temporary:
            if _is_parquet(path):
                table.to_parquet(temporary, index=False)
            else:
                table.to_csv(temporary, index=False, lineterminator="\n")
    except OSError as error:
        raise TableError(f"{path} cannot be written: {error.strerror}. What was there before is unchanged.") from None


def _years(*tables: pd.DataFrame) -> int:
    return len({table["year"].iat[0] for table in tables if "year" in table})


def _numbers(text: pd.Series) -> pd.Series:
    """Whole numbers; empty texts are missing."""
    return pd.to_numeric(text.replace("", None)).astype("Int64")


def _refuse_relations(path: Path, cells: pd.DataFrame) -> None:
    """Refuse relations between cells which must hold for the lines to be known along which they add up."""
    refuse = partial(_refuse, path, cells)
    keys = pd.MultiIndex.from_frame(cells[KEY])

    def lacks(**whole: object) -> NDArray[np.bool_]:
        return ~pd.MultiIndex.from_frame(cells.assign(**whole)[KEY]).isin(keys)

    level, area, parent, dimension = (cells[name] for name in TEXT[:4])
    first = cells.drop_duplicates(["level", "area_code"]).set_index(["level", "area_code"])["parent_code"]
    moves = parent != first.reindex(pd.MultiIndex.from_frame(cells[["level", "area_code"]])).to_numpy()
    top = next(name for name in LEVELS if (level == name).any())
    above = level.map(dict(zip(LEVELS[1:], LEVELS, strict=False))).fillna("")
    group = cells["category"].map(AGE_GROUP_OF).fillna("")
    of_unknown = (level == "sector") & area.str.endswith(UNKNOWN_SECTOR) & (area != parent + UNKNOWN_SECTOR)
    orphan = (level != top) & lacks(level=above, area_code=parent)
    without_group = (dimension == "age_class") & lacks(dimension="age_group", category=group)
    more = (cells["patients"] > cells["beneficiaries"]).fillna(False)
    refuse(_CELL, cells.duplicated(KEY), "each cell once")
    refuse("parent_code", moves, "the same in all lines of an area")
    refuse("parent_code", of_unknown, "the municipality of the unknown sector")
    refuse("dimension", (level == "sector") & (dimension != "total"), "total, as sectors have no breakdown")
    refuse("parent_code", orphan, "the code of an area that is in the table, one level up, with the same category")
    refuse("dimension", lacks(dimension="total", category="total"), "a breakdown of an area whose total is there")
    refuse("category", without_group, "an age class of an age group that is there for the area")
    refuse(
        "beneficiaries", cells["beneficiaries"].isna() & cells["patients"].notna(), "a number where patients has one"
    )
    refuse("patients", more, "no more patients than beneficiaries")


def _refuse_sums(path: Path, cells: pd.DataFrame) -> None:
    """Refuse cells that do not add up, by figure and kind of line, at the total."""
    system = system_of(cells)
    first = np.unique(system.line, return_index=True)[1]
    total, part = system.cell[first], system.cell[first + 1]
    level, dimension = (system.cells[name].to_numpy(dtype=object) for name in ("level", "dimension"))
    kinds = np.where(level[total] == level[part], dimension[part], "")
    for figure in FIGURES:
        value = system.value(figure)
        no_rest = system.is_residual & ((value < 0) | (value > system.beneficiaries))
        off = np.bincount(system.line, system.sign * value[system.cell]) != 0
        off |= np.bincount(system.line, no_rest[system.cell]) > 0
        for kind in ("", *CATEGORIES):
            wrong = np.isin(np.arange(len(cells)), total[off & (kinds == kind)])
            parts = f"its lines of dimension {kind}" if kind else "its areas one level down, the unknown included"
            _refuse(path, cells, figure, wrong, f"the sum of {parts}, as only a table that adds up can be protected")


def _refuse(
    path: Path, cells: pd.DataFrame, column: str, wrong: ArrayLike, expected: str, *, named: bool = True
) -> None:
    """Raise :class:`TableError` if a column is wrong in any row. ``named``: the keys are sound, so the cell is named."""
    rows = np.flatnonzero(np.asarray(wrong, dtype=bool))
    if len(rows):
        cell = f" ({' '.join(cells[KEY].iloc[rows[0]])})" if named else ""
        more = f" {len(rows)} lines are wrong in this way." if len(rows) > 1 else ""
        place = f"{cells.index.name} {cells.index[rows[0]]}{cell}, column {column}"
        raise TableError(f"{path}, {place}: expected is {expected}.{more}")


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet"


def _text(path: Path, shape: Shape) -> pd.DataFrame:
    """The columns of the shape as text without blanks around; empty is ``""``. The index is the line (or row)."""
    text = _parquet(path, shape) if _is_parquet(path) else _csv(path, shape)
    if text.empty:
        raise TableError(f"{path} holds no cell, only the names of columns. Expected is a line for each cell.")
    return text


def _parquet(path: Path, shape: Shape) -> pd.DataFrame:
    try:
        with pq.ParquetFile(path) as file:
            names = _columns(path, file.schema_arrow.names, shape)
            table = file.read(names).to_pandas(ignore_metadata=True).astype("string")
    except (OSError, UnicodeError, pa.ArrowException) as error:
        raise TableError(f"{path} is no Parquet file, or not a whole one: {error}. Write it again.") from None
    text = table.fillna("").apply(lambda column: column.str.strip()).astype("str")
    return text.set_index(pd.RangeIndex(1, len(text) + 1, name="row"))


def _csv(path: Path, shape: Shape) -> pd.DataFrame:
    records = _records(path)
    _, header = next(records, (1, []))
    names = _columns(path, header, shape)
    lines, rows = [], []
    for line, row in records:
        if len(row) != len(header):
            raise TableError(
                f"{path}, line {line}: expected are {len(header)} fields, as in the first line; found {len(row)}. Is the "
                "file cut off there, or does a comma stand in a field without quotes?"
            )
        lines.append(line)
        rows.append(row)
    return pd.DataFrame(rows, pd.Index(lines, name="line"), header, dtype="str")[names]


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The records of a CSV file that are not blank, each with the line where it begins, as an editor counts."""
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise TableError(f"{path}, line {line} is not UTF-8 text. Save the table as CSV UTF-8 (comma).") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for row in reader:
            fields = [field.strip() for field in row]
            if any(fields):
                yield line, fields
            line = reader.line_num + 1
    except csv.Error as error:
        raise TableError(
            f"{path}, line {line}: a field that begins here breaks the rules of CSV ({error}). Is a quotation mark not "
            "closed, or the file cut off?"
        ) from None


def _columns(path: Path, found: Sequence[str], shape: Shape) -> list[str]:
    """The columns of the shape that the file has. Raises :class:`TableError` if one is missing or there twice."""
    if missing := [column for column in shape.required if column not in found]:
        raise TableError(
            f"{path} lacks the column(s) {', '.join(missing)}. Expected are the columns {shape.of}; a CSV file names them "
            "in its first line, separated by commas (not by semicolons, as Excel does in some countries)."
        )
    wanted = [column for column in (*shape.required, *shape.optional) if column in found]
    if twice := [column for column in wanted if list(found).count(column) > 1]:
        raise TableError(
            f"{path} has the column(s) {', '.join(twice)} more than once. Which is meant? Remove the other."
        )
    return wanted
