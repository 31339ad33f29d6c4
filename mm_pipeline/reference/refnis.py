"""REFNIS, the official hierarchy of Belgian areas: reading its files, and the vintage of a year.

Not here: which file a data folder uses, the area table made of it, and whether a vintage is complete (``areas``).

Source of the rules: Statbel, REFNIS (``TU_COM_REFNIS``). A code is valid between its two dates, both included; the
vintage of a year is what is in force on its 31 December. A code says nothing by itself: one may have several rows (a
new name, a new parent) and may come back, so that a row is always chosen by its dates.
"""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal, NamedTuple

from mm_pipeline.errors import ReferenceDataError
from mm_pipeline.files import safe_names
from mm_pipeline.files.safe_names import short

LEVELS = ("region", "province", "arrondissement", "municipality")

#: Brussels-Capital, which has no province: the parent of its only arrondissement is the region.
BRUSSELS = "04000"

#: The end date of a unit that still exists.
OPEN_END = date(9999, 12, 31)


class Unit(NamedTuple):
    """One row of the hierarchy. ``parent_code`` is empty for a region; ``line`` is its line in the file."""

    level: str
    code: str
    parent_code: str
    name_fr: str
    name_nl: str
    name_de: str
    valid_from: date
    valid_to: date
    line: int


#: Largest hierarchy file in bytes: a hundred times Statbel's.
LARGEST = 1 << 24

#: The columns of ``refnis.csv``: the fields of a unit, without its line.
COLUMNS = Unit._fields[:-1]


@dataclass(frozen=True)
class _Format:
    """The format of a unit in one kind of file."""

    delimiter: str
    quoting: Literal[0, 3]  # csv.QUOTE_MINIMAL: " may stand around a field; csv.QUOTE_NONE
    columns: dict[str, str]  # ours -> as written
    levels: dict[str, str]  # as written -> ours
    no_parent: str
    date: re.Pattern[str]
    date_shape: str
    restore: str


_PROJECT = _Format(
    delimiter=",",
    quoting=csv.QUOTE_MINIMAL,
    columns={column: column for column in COLUMNS},
    levels={level: level for level in LEVELS},
    no_parent="",
    date=re.compile(r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"),
    date_shape="YYYY-MM-DD",
    restore="Restore refnis.csv from the project, or remove it to use the one that comes with the package.",
)
_STATBEL = _Format(
    delimiter="|",
    quoting=csv.QUOTE_NONE,
    columns={
        "level": "LVL_REFNIS",
        "code": "CD_REFNIS",
        "parent_code": "CD_SUP_REFNIS",
        "name_fr": "TX_REFNIS_FR",
        "name_nl": "TX_REFNIS_NL",
        "name_de": "TX_REFNIS_DE",
        "valid_from": "DT_VLDT_START",
        "valid_to": "DT_VLDT_END",
    },
    levels={str(number): level for number, level in enumerate(LEVELS, start=1)},
    no_parent="-",
    date=re.compile(r"(?P<day>[0-9]{2})/(?P<month>[0-9]{2})/(?P<year>[0-9]{4})"),
    date_shape="dd/mm/yyyy",
    restore="Take TU_COM_REFNIS again from the open data of Statbel, or remove it to use refnis.csv.",
)
_CODE = re.compile(r"[0-9]{5}")
_LIKE = re.compile(r"tu_com_refnis.*|refnis([ _-]?[0-9]{4,8})?\.(csv|txt|zip|gz|xlsx?)", re.IGNORECASE)


def statbel_files(reference_dir: Path) -> list[Path]:
    """The hierarchy files of Statbel in a folder."""
    return sorted(reference_dir.glob("TU_COM_REFNIS*.txt"))


def misnamed(reference_dir: Path) -> Iterator[tuple[Path, ReferenceDataError]]:
    """Files probably meant as the hierarchy, under names that are not read, each with its error; none beside Statbel's."""
    if statbel_files(reference_dir):
        return
    for path in paths_in(reference_dir):
        if _LIKE.fullmatch(path.name) and path.name != "refnis.csv" and path.is_file():
            expected = "TU_COM_REFNIS*.txt as in Statbel's archive, or refnis.csv"
            todo = "Unpack it or give it that name (data/reference/README.md), or move it out of the folder."
            yield path, not_read(path, "the hierarchy", expected, todo)


def paths_in(reference_dir: Path) -> list[Path]:
    """What a folder, which may be missing, holds, in order of name, without files that are still being copied."""
    if not reference_dir.is_dir():
        return []
    return sorted(path for path in reference_dir.iterdir() if not path.name.endswith((".part", ".tmp")))


def not_read(path: Path, meant_as: str, expected: str, todo: str) -> ReferenceDataError:
    """The error of a file that is probably meant as reference data but has another name."""
    found = f"a file that is probably meant as {meant_as}, under a name that is not read"
    return refusal(path, "", found, expected, todo)


def refusal(path: Path, where: str, found: str, expected: str, todo: str) -> ReferenceDataError:
    """The error of a file that cannot be used, in the wording that all reference files share."""
    place = f"{path}, {where}" if where else str(path)
    return ReferenceDataError(f"{place}: found {found}; expected {expected}. {todo}")


def read_bytes(path: Path, most: int) -> bytes:
    """The content of a reference file. Raises ReferenceDataError if it cannot be read or has more than ``most`` bytes."""
    try:
        return safe_names.content(path, most, follow=True)
    except safe_names.TooLargeError:
        raise too_large(path, most) from None
    except OSError as error:
        found = f"a file that cannot be read ({error.strerror})"
        raise refusal(path, "", found, "a readable file", "Check its permissions.") from error


def too_large(path: Path, most: int, where: str = "") -> ReferenceDataError:
    """The error of a file, or of the unpacked content of an archive, that is too large for reference data."""
    todo = "It is damaged, or another file: take it again from its source."
    return refusal(path, where, f"more than {safe_names.size(most)}", f"at most {safe_names.size(most)}", todo)


def decoded(path: Path, data: bytes) -> str:
    """The text of a file, without BOM. Raises ReferenceDataError, with the line of its first byte that is not UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        found = f"a byte that is not UTF-8 ({data[error.start]:#04x})"
        todo = "Save it as UTF-8 (a spreadsheet: 'CSV UTF-8')."
        raise refusal(path, f"line {line}", found, "a file in UTF-8", todo) from error


def read_refnis(path: Path) -> list[Unit]:
    """All rows of a hierarchy file, of every vintage, in the order of the file.

    A ``.txt`` file is read as Statbel's ``TU_COM_REFNIS``: ``|`` between the fields, LVL_REFNIS 1 to 4, dates
    dd/mm/yyyy, ``-`` for no parent. Any other is read as the project's ``refnis.csv``: commas, ``COLUMNS``, ISO dates,
    9999-12-31 for no end, an empty parent for a region. Both are UTF-8, with or without BOM; the order of the columns
    is free and further columns are ignored.

    Raises ReferenceDataError, with file, line and column, on a file that is empty, not UTF-8 or lacks a column, and on
    a row with a wrong number of fields, an unknown level, a malformed code or date, no name, or dates in the wrong
    order. Whether a parent exists depends on the year: see ``units_of``.
    """
    form = _format_of(path)
    rows = _rows(path, form)
    line, header = next(rows, (1, []))
    if not header:
        raise refusal(path, "line 1", "an empty file", "a header and one row a unit", form.restore)
    titles = [title.strip().lower() for title in header]
    positions = {}
    for column, title in form.columns.items():
        if title.lower() not in titles:
            columns = f"the columns {', '.join(form.columns.values())}, separated by {form.delimiter!r}"
            found = f"no such column (header: {safe_names.listed(header, 20)})"
            raise refusal(path, f"line {line}, column {title}", found, columns, form.restore)
        positions[column] = titles.index(title.lower())
    units = [_unit(path, form, number, row, len(titles), positions) for number, row in rows]
    if not units:
        raise refusal(path, f"line {line + 1}", "nothing below the header", "one row a unit", form.restore)
    return units


def units_of(year: int, path: Path) -> list[Unit]:
    """The units of a hierarchy file that are in force on 31 December of the year, by level, then code.

    Raises ReferenceDataError, beyond what ``read_refnis`` refuses, when nothing is in force, when a code is in force
    twice, or when a parent is not in force one level up. The Statbel file has no complete hierarchy before 1995: the
    province of Brabant (20000) belonged to no region. Such a year is refused, the rows themselves are not.
    """
    day = date(year, 12, 31)
    columns = _format_of(path).columns
    units = [unit for unit in read_refnis(path) if unit.valid_from <= day <= unit.valid_to]
    if not units:
        todo = "Take a newer file, or mend its validity dates."
        raise refusal(path, f"column {columns['valid_to']}", f"no unit in force on {day}", "the hierarchy then", todo)
    by_code: dict[str, Unit] = {}
    for unit in units:
        other = by_code.setdefault(unit.code, unit)
        if other is not unit:
            where = f"line {unit.line}, column {columns['code']}"
            found = f"{unit.code} in force on {day} for the second time (first on line {other.line})"
            todo = "End the older row where the newer one begins, or remove one of them."
            raise refusal(path, where, found, "each code once in a vintage", todo)
    for unit in units:
        if unit.level != "region" and not _is_parent(by_code.get(unit.parent_code), unit):
            above = LEVELS[LEVELS.index(unit.level) - 1]
            where = f"line {unit.line}, column {columns['parent_code']}"
            found = f"{unit.parent_code or 'nothing'} as the parent of {unit.level} {unit.code}"
            todo = f"Add that {above}, or mend the parent or the validity dates of either."
            raise refusal(path, where, found, f"its {above}, in force on {day}", todo)
    return sorted(units, key=lambda unit: (LEVELS.index(unit.level), unit.code))


def _format_of(path: Path) -> _Format:
    return _STATBEL if path.suffix.lower() == ".txt" else _PROJECT


def _is_parent(parent: Unit | None, unit: Unit) -> bool:
    if parent is None:
        return False
    if parent.code == BRUSSELS and parent.level == "region":
        return unit.level == "arrondissement"
    return LEVELS.index(parent.level) + 1 == LEVELS.index(unit.level)


def _rows(path: Path, form: _Format) -> Iterator[tuple[int, list[str]]]:
    """The rows of the file with their line numbers, without blank lines."""
    text = decoded(path, read_bytes(path, LARGEST))
    # Strict: a quote that is never closed would otherwise swallow the rest of the file as one name.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=form.delimiter, quoting=form.quoting, strict=True)
    line = 1  # where the row begins: the reader only knows where it ends
    try:
        for row in reader:
            if row:
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        found = f"a malformed row ({safe_names.shown(str(error), 100)})"
        raise refusal(path, f"line {line}", found, "one unit a line", form.restore) from error


def _unit(path: Path, form: _Format, line: int, row: list[str], width: int, positions: dict[str, int]) -> Unit:
    if len(row) != width:
        raise refusal(path, f"line {line}", f"{len(row)} fields", f"{width}, as in the header", "Mend that line.")
    cells = {column: row[position].strip() for column, position in positions.items()}

    def wrong(column: str, expected: str, todo: str = "Mend that line.") -> ReferenceDataError:
        where = f"line {line}, column {form.columns[column]}"
        return refusal(path, where, short(cells[column]), expected, todo)

    def day(column: str) -> date:
        match = form.date.fullmatch(cells[column])
        if match is None:
            raise wrong(column, f"a date written {form.date_shape}")
        try:
            return date(int(match["year"]), int(match["month"]), int(match["day"]))
        except ValueError as error:
            raise wrong(column, "a day that exists") from error

    level = form.levels.get(cells["level"])
    if level is None:
        raise wrong("level", f"one of {', '.join(form.levels)}")
    zeros = "Mend that line (a spreadsheet drops leading zeros)."
    if not _CODE.fullmatch(cells["code"]):
        raise wrong("code", "a code of five digits", zeros)
    parent = "" if cells["parent_code"] == form.no_parent else cells["parent_code"]
    if level == "region" and parent:
        raise wrong("parent_code", f"{form.no_parent!r}, as a region has no parent here")
    if parent and not _CODE.fullmatch(parent):
        raise wrong("parent_code", "a code of five digits", zeros)
    for column in ("name_fr", "name_nl", "name_de"):
        if not cells[column]:
            raise wrong(column, "a name", "Where that language has none, repeat the local name.")
    valid_from, valid_to = day("valid_from"), day("valid_to")
    if valid_to < valid_from:
        raise wrong("valid_to", f"a date not before {cells['valid_from']}")
    names = (cells["name_fr"], cells["name_nl"], cells["name_de"])
    return Unit(level, cells["code"], parent, *names, valid_from, valid_to, line)
