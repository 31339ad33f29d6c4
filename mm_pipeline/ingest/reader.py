"""Reading a delivered file into the engine as text. Nothing is typed, judged or dropped here.

:func:`read` passes one row per readable row of the file to the caller's judgement, in the order of the file, with the
contract's columns as text (blanks removed, empty = NULL). Rows whose *line* cannot be split into the header's columns come
back as bad lines. The rows that the engine read and the bad lines must add up to the lines that an independent pass
counted (``files.scan``); if not, the file is read again line by line with Python's csv module. That happens with line breaks
inside quotes or a quote that is never closed, which otherwise swallow the lines after them.
"""

import csv
import re
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends.duckdb import Backend

from mm_pipeline.clock import BRUSSELS
from mm_pipeline.errors import DeliveryError
from mm_pipeline.files.safe_names import listed, size
from mm_pipeline.ingest import files
from mm_pipeline.ingest.contract import AGENCY_NAMES, DATES, Dataset
from mm_pipeline.ingest.files import DeliveredFile
from mm_pipeline.settings import Settings

_STRUCTURE = {
    "MISSING COLUMNS": "fewer values than the header has columns",
    "TOO MANY COLUMNS": "more values than the header has columns",
    "UNQUOTED VALUE": "a quote that is not closed, or text after a closing quote",
    "LINE SIZE OVER MAXIMUM": "a line longer than 2 MB",
}

_TEXT = (pa.string(), pa.large_string(), pa.string_view())

_LONGEST_LINE = 1 << 21
"""Bytes; the limit of the engine."""

_LONGEST_QUOTED = 131_072
"""Characters of a value on a line with quotes: the limit of Python's reader, which any library may raise for the process."""

_TOO_LONG = f"a value longer than {_LONGEST_QUOTED}"

MOST_BAD = 1_000_000
"""Bad rows at most; a file with more is refused, as each is held in memory with its reason until it is written."""

_PLAIN_NAME = re.compile(r"[^\W\d](?:[^\W\d]|[ .'-]){0,40}|[A-Za-z]{2}[0-9]{4,5}")
"""Names of a header that may be shown: words, and names like SS00010. If it is really a row, others may be pseudonyms."""


Judge: TypeAlias = Callable[[str], int]
"""Makes the table of judged rows from a query of the delivered ones, in order, and returns their number."""


@dataclass(frozen=True)
class Columns:
    """The columns of a file in terms of the contract: ``canonical[i]`` names the file's column i; None: not used."""

    delivered: list[str]
    canonical: list[str | None]

    @property
    def extra(self) -> list[str]:
        return [name for name, use in zip(self.delivered, self.canonical, strict=True) if use is None]

    def delivered_name(self, column: str) -> str:
        return self.delivered[self.canonical.index(column)]


@dataclass(frozen=True)
class Reading:
    """The result of :func:`read`: the number of rows that were judged, bad lines, and the columns of the file."""

    rows: int
    bad_lines: dict[int, str]
    """Number of a line that cannot be split into the header's columns (from 1, the header included) -> the reason."""
    columns: Columns

    @property
    def delivered_rows(self) -> int:
        return self.rows + len(self.bad_lines)


def read(
    backend: Backend, settings: Settings, file: DeliveredFile, dataset: Dataset, judge: Judge, scratch: Path
) -> Reading:
    """Judge every row of the file. ``scratch``: a restricted folder for a cleaned copy, if one is needed.

    Raises :class:`DeliveryError` for a missing or repeated column, no rows, and rows that cannot be accounted for.
    """
    if file.text is None:
        with _readable(file):
            return _read_parquet(backend, settings, file, dataset, judge)
    columns = _columns(file, files.header_of(file), dataset, settings.aliases)
    expected = file.text.lines - 1
    if expected == 0:
        raise _no_rows(file)
    if file.text.is_regular:
        with suppress(duckdb.InvalidInputException, duckdb.IOException):
            if reading := _read_csv(backend, file, columns, judge, expected):
                return reading
    return _read_line_by_line(backend, file, columns, judge, expected, scratch / "lines.csv")


def locate(
    file: DeliveredFile, bad_lines: Collection[int], ordinals: Collection[int]
) -> Iterator[tuple[int | None, int, str]]:
    """The ordinal, line number and raw text of judged rows (ordinal from 0) and of bad lines (ordinal None), in order.

    The judged rows are the lines of the file in order, less the header, the empty and the bad ones. Lines are counted by
    block: one by one would take longer than reading the file.
    """
    assert file.text is not None
    may_be_empty = file.text.empty_lines > 0
    bad, wanted = sorted(bad_lines), sorted(ordinals)
    line, row = 1, -1  # of the first line of the block: the header is line 1, and the row before row 0
    for block in files.blocks_of_lines(file.unpacked):
        lines = block.split(b"\n")
        bad_here = [number - line for number in _between(bad, line, line + len(lines))]
        empty = [i for i, text in enumerate(lines) if text in files.EMPTY] if may_be_empty or not block else []
        rows = np.delete(np.arange(len(lines)), bad_here + empty)  # the lines of the block that are rows
        here = _between(wanted, row, row + len(rows))
        found: list[tuple[int, int | None]] = [(i, None) for i in bad_here]
        found += zip(rows[[ordinal - row for ordinal in here]].tolist(), here, strict=True) if here else []
        for i, ordinal in sorted(found, key=lambda place: place[0]):
            yield ordinal, line + i, lines[i].removesuffix(b"\r").decode("utf-8")
        line, row = line + len(lines), row + len(rows)


def _between(numbers: list[int], first: int, end: int) -> list[int]:
    """The ``numbers``, which are sorted, from ``first`` to before ``end``."""
    return numbers[bisect_left(numbers, first) : bisect_left(numbers, end)]


def parquet_rows(backend: Backend, file: DeliveredFile, wanted: np.ndarray) -> Iterator[tuple[int, str]]:
    """The row number (from 0) and content, as JSON, of the wanted rows of a Parquet file, in order."""
    backend.con.register("wanted", pa.table({"row": pa.array(wanted, pa.int64())}))
    with _readable(file):
        found = backend.con.execute(
            f"""SELECT file_row_number, to_json(struct_pack(*COLUMNS(* EXCLUDE file_row_number)))::VARCHAR
            FROM read_parquet({_quoted(str(file.path))}, file_row_number=true, hive_partitioning=false)
            WHERE file_row_number IN (SELECT row FROM wanted) ORDER BY 1"""
        )
        while rows := found.fetchmany(1000):
            yield from rows


def _columns(file: DeliveredFile, delivered: list[str], dataset: Dataset, aliases: Mapping[str, str]) -> Columns:
    others = {alias: name for alias, name in {**AGENCY_NAMES, **aliases}.items() if name in dataset.columns}
    known = {name.upper(): name for name in dataset.columns} | others
    canonical = [known.get(name.upper()) for name in delivered]
    for column in dataset.columns:
        if (times := canonical.count(column)) > 1:
            names = listed(name for name, use in zip(delivered, canonical, strict=True) if use == column)
            raise DeliveryError(
                f"{file.label}, line 1: {column} is there {times} times ({names}); expected it once. "
                "Remove or rename the column that is not meant."
            )
    if missing := [column for column in dataset.columns if column not in canonical]:
        # A first line without any known name may be a row: it is not quoted, for it may hold a pseudonym.
        nameless = f"no known name among {len(delivered)} (is there a header, in commas or semicolons?)"
        found = shown_names(delivered) if any(canonical) else nameless
        also = {name: alias for alias, name in known.items() if alias != name.upper()}
        names = ", ".join(f"{name} (or {also[name]})" if name in also else name for name in missing)
        raise DeliveryError(
            f"{file.label}, line 1: column {names} is missing; found {found}. "
            "Ask the sender for it; if it is there under another name, set MM_ALIASES=NAME=" + missing[0] + "."
        )
    return Columns(delivered, canonical)


def shown_names(names: list[str]) -> str:
    """The names of a header that may be shown, and the number of the others."""
    plain = [name for name in names if _PLAIN_NAME.fullmatch(name)]
    others = [f"{len(names) - len(plain)} that cannot be shown"] if len(plain) < len(names) else []
    return ", ".join([*([listed(plain, 40)] if plain else []), *others])


def too_many_bad(file: DeliveredFile, rows: str, reason: str) -> DeliveryError:
    """The error of a file with more than ``MOST_BAD`` bad rows. ``reason``: the most frequent one."""
    return DeliveryError(
        f"{file.label}: {rows} rows are bad, most often {reason}; expected at most {MOST_BAD}. Nothing was kept: ask the "
        "sender to deliver the file again."
    )


def _delivered(source: str, text_of: dict[str, str]) -> str:
    """SQL of the delivered rows as text, with the contract's columns."""
    return f"SELECT {', '.join(f'{text} AS {name}' for name, text in text_of.items())} FROM {source}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _read_csv(backend: Backend, file: DeliveredFile, columns: Columns, judge: Judge, expected: int) -> Reading | None:
    """Read a CSV file with the engine. None if it may have joined or split lines, as a wrong quote can swallow lines.

    Then rows and bad lines do not add up to the ``expected`` number; or the engine reports the wrong quote, and may have
    made a bad line and a false row of the same two lines.
    """
    assert file.text is not None
    for table in ("reject_errors", "reject_scans"):
        backend.raw_sql(f"DROP TABLE IF EXISTS {table}").fetchall()
    names = [name or f"extra_{i}" for i, name in enumerate(columns.canonical)]
    types = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
    quote = '"' if file.text.has_quotes else ""
    # The engine ignores values beyond the last column if they are NULL. With a nullstr that no value can be, an empty
    # value is not NULL, and a row that a stray delimiter shifted does not pass.
    source = (
        f"read_csv({_quoted(str(file.unpacked))}, auto_detect=false, header=true, store_rejects=true, rejects_limit=0, "
        f"delim='{file.text.delimiter}', quote='{quote}', escape='{quote}', nullstr='\n', "
        f"compression='none', columns={{{types}}})"
    )
    blank = "nullif(trim({}, ' \t'), '')" if file.text.has_blanks else "nullif({}, '')"
    text_of = {name: blank.format(name) for name in columns.canonical if name}
    rows = judge(_delivered(source, text_of))
    bad_count, out_of_step = backend.raw_sql(
        "SELECT count(DISTINCT line), coalesce(bool_or(error_type = 'UNQUOTED VALUE'), false) FROM reject_errors"
    ).fetchall()[0]
    if out_of_step or rows + bad_count != expected:
        return None
    _hold_against_header(file, columns, rows, bad_count)
    if bad_count > MOST_BAD:
        raise too_many_bad(file, f"{bad_count} of {expected}", "the number of values")
    rejects = backend.raw_sql(
        "SELECT line, arg_min(error_type, coalesce(column_idx, 0))::VARCHAR FROM reject_errors GROUP BY line ORDER BY line"
    ).fetchall()
    bad = {line: _STRUCTURE.get(kind, f"unreadable ({kind.lower()})") for line, kind in rejects}
    return Reading(rows, bad, columns)


def _hold_against_header(file: DeliveredFile, columns: Columns, rows: int, bad_lines: int) -> None:
    assert file.text is not None
    if bad_lines > rows:
        width, delimiter = len(columns.delivered), file.text.delimiter
        raise DeliveryError(
            f"{file.label}: {bad_lines} of {bad_lines + rows} lines do not have the {width} columns of the header; "
            f"expected {width} values a line, separated by '{delimiter}'. "
            "The header or the delimiter is not the one of the rows: ask the sender to deliver the file again."
        )


def _read_line_by_line(
    backend: Backend, file: DeliveredFile, columns: Columns, judge: Judge, expected: int, cleaned: Path
) -> Reading:
    """Read a CSV file with each line as a row, whatever its quotes say: lines that are no row by themselves are bad."""
    assert file.text is not None
    delimiter, bad = file.text.delimiter, {}
    lines = files.numbered_lines(file.unpacked)
    next(lines)  # the header
    with cleaned.open("w", newline="", encoding="utf-8") as target:
        writer = csv.writer(target, delimiter=delimiter, lineterminator="\n")
        writer.writerow(columns.delivered)
        for number, line in lines:
            values = _split(line, delimiter, len(columns.delivered))
            if number % 100_000 == 0:
                files.hold_room(file.path, cleaned.parent)
            if isinstance(values, str):
                bad[number] = values
                if len(bad) > MOST_BAD:
                    raise too_many_bad(file, f"more than {MOST_BAD}", values)
            else:
                writer.writerow(values)
    rows = expected - len(bad)
    _hold_against_header(file, columns, rows, len(bad))
    if _read_csv(backend, files.scan(cleaned, cleaned.parent), columns, judge, rows) is None:
        raise DeliveryError(
            f"{file.label}: {rows} rows were counted but another number could be read; expected both to be equal. "
            "Nothing was kept. Please report this, with the first lines of the file."
        )
    return Reading(rows, bad, columns)


def _split(line: bytes, delimiter: str, width: int) -> list[str] | str:
    """The values of a line, or in words what is wrong with it."""
    text = line.decode("utf-8")
    if len(line) > _LONGEST_LINE:
        return _STRUCTURE["LINE SIZE OVER MAXIMUM"]
    if "\r" in text:
        return "a carriage return inside the line"
    if '"' not in text:
        values = text.split(delimiter)
    else:
        try:
            values = next(csv.reader([text], delimiter=delimiter, strict=True, skipinitialspace=True))
        except csv.Error as error:
            return _TOO_LONG if "field larger than" in str(error) else _STRUCTURE["UNQUOTED VALUE"]
        if any(len(value) > _LONGEST_QUOTED for value in values):
            return _TOO_LONG
        if any(re.match(r'\t[ \t]*"', value) for value in values):
            return "a tab before a quote"  # a space is skipped, but of a tab and a quote Python makes a value
    if len(values) != width:
        return _STRUCTURE["TOO MANY COLUMNS" if len(values) > width else "MISSING COLUMNS"]
    return values


def _read_parquet(backend: Backend, settings: Settings, file: DeliveredFile, dataset: Dataset, judge: Judge) -> Reading:
    metadata = pq.read_metadata(file.path)
    rows, schema = metadata.num_rows, metadata.schema.to_arrow_schema()
    # A few kilobytes may hold any number of rows.
    if rows > files.MOST_ROWS:
        raise files.too_many_rows(file.path, rows)
    unpacked = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    if unpacked > (largest := settings.largest_delivery_bytes):
        raise files.too_large(file.path, f"unpacks to {size(unpacked)}", largest)
    columns = _columns(file, schema.names, dataset, settings.aliases)
    if rows == 0:
        raise _no_rows(file)
    text_of = {}
    for delivered, name in zip(columns.delivered, columns.canonical, strict=True):
        if name:
            text = _as_text(backend, file, delivered, name, schema.field(delivered).type)
            text_of[name] = f"nullif(trim({text}, ' \t'), '')"
    source = f"read_parquet({_quoted(str(file.path))}, hive_partitioning=false)"
    if judge(_delivered(source, text_of)) != rows:
        raise OSError
    return Reading(rows, {}, columns)


@contextmanager
def _readable(file: DeliveredFile) -> Iterator[None]:
    """Turn errors on a broken Parquet file into :class:`DeliveryError`, without their texts, which may quote a value."""
    try:
        yield
    except duckdb.OutOfMemoryException:
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError, duckdb.Error) as error:
        raise DeliveryError(
            f"{file.label} cannot be read as Parquet ({type(error).__name__}); expected a complete Parquet file with "
            "text in UTF-8. The transfer was probably cut: copy or deliver the file again."
        ) from None


def _holds_instants(backend: Backend, file: DeliveredFile, delivered: str, type_: pa.DataType) -> bool:
    """Whether times without a time zone are instants in UTC, so that midnight in Brussels is 22:00 or 23:00.

    Spark writes them like that (INT96). Where both readings give the same days it does not matter. Raises
    :class:`DeliveryError` if they do not, and the times are not midnights in Brussels.
    """
    if not pa.types.is_timestamp(type_) or type_.tz:
        return False
    column, in_brussels = f"CAST({_name(delivered)} AS TIMESTAMP)", _in_brussels(delivered)
    source = f"read_parquet({_quoted(str(file.path))}, file_row_number=true, hive_partitioning=false)"
    has_time = f"SELECT count(*) FROM {source} WHERE date_trunc('day', {column}) <> {column}"
    if backend.con.execute(has_time).fetchall()[0][0] == 0:
        return False
    is_other_day = f"CAST({in_brussels} AS DATE) <> CAST({column} AS DATE)"
    is_midnight = f"date_trunc('day', {in_brussels}) = {in_brussels}"
    others, not_midnight, first = backend.con.execute(
        f"""SELECT count(*) FILTER ({is_other_day}), count(*) FILTER (NOT {is_midnight}),
            min(file_row_number) FILTER ({is_other_day})
        FROM {source}"""
    ).fetchall()[0]
    if others and not_midnight:
        raise DeliveryError(
            f"{file.label}, row {first + 1}, column {delivered}: a time late in the evening without a time zone, which is "
            "the next day in Brussels if it is in UTC; expected dates, or instants with a time zone. Ask the sender to "
            "deliver dates."
        )
    return bool(others)


def _in_brussels(column: str) -> str:
    """SQL: the local time in Brussels of a time in UTC that has no time zone."""
    return f"timezone('{BRUSSELS.key}', timezone('UTC', CAST({_name(column)} AS TIMESTAMP)))"


def _name(column: str) -> str:
    """The quoted name of a column in SQL."""
    return '"' + column.replace('"', '""') + '"'


def _as_text(backend: Backend, file: DeliveredFile, delivered: str, name: str, type_: pa.DataType) -> str:
    """SQL of a Parquet value as the text that a CSV file would have."""
    holds_instants = _holds_instants(backend, file, delivered, type_)
    column = _in_brussels(delivered) if holds_instants else _name(delivered)
    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    loses = pa.types.is_float16(type_) or (pa.types.is_decimal(type_) and type_.precision > 38)
    if loses or (pa.types.is_float32(type_) and name in DATES):
        raise DeliveryError(
            f"{file.label}, column {delivered}: the values are stored as {type_}; expected a type that holds them whole "
            "(this one, or its reading here, loses digits). Ask the sender for whole numbers, decimals of up to 38 "
            "digits, dates or text."
        )
    is_whole = pa.types.is_integer(type_) or pa.types.is_decimal(type_)
    if name.endswith("_id") and not (is_whole or type_ in _TEXT):
        raise DeliveryError(
            f"{file.label}, column {delivered}: the identifiers are stored as {type_}; expected whole numbers or text "
            "(other types lose digits). Ask the sender to deliver them as text."
        )
    if pa.types.is_timestamp(type_):
        # The day of an instant depends on where one stands.
        local = f"timezone('{BRUSSELS.key}', {column})" if type_.tz else column
        return f"CAST(CAST({local} AS DATE) AS VARCHAR)"
    if pa.types.is_boolean(type_):
        return f"CAST(CAST({column} AS INTEGER) AS VARCHAR)"
    text = f"CAST({column} AS VARCHAR)"
    if pa.types.is_floating(type_):
        # In many tools a missing value becomes NaN, and a whole number beside it 1.0; 1.5 must stay recognisably wrong.
        # (Only isnan: comparisons with NaN go wrong where the statistics of the file leave it out.)
        return f"CASE WHEN NOT isnan({column}) THEN regexp_replace({text}, '\\.0$', '') END"
    # Databases write whole numbers with a scale: 21004.0000000000.
    return f"regexp_replace({text}, '\\.0+$', '')" if pa.types.is_decimal(type_) else text


def _no_rows(file: DeliveredFile) -> DeliveryError:
    return DeliveryError(f"{file.label} holds a header and no rows; expected rows. Ask the sender to deliver it again.")
