"""Deliveries in which every pseudonym is marked, and the search for marks in all that an installation keeps or prints."""

import csv
import gzip
import io
import re
import sqlite3
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mm_pipeline_tests.support.installation import Installation, announce
from mm_pipeline_tests.support.keys import key

PERSON, PLACE = "kanarievogel", "zangvogel"
"""Part of every pseudonym of a person or household, and of every number of a house or practice."""

SECRET = "het-geheim-van-de-vogels"

_PERSONS, _PLACES = ("patient_id", "household_id", "SS00010"), ("house_id", "practice_id", "SS00075")
_NUMBER = re.compile(r"\d{15,20}|\b[0-9a-f]{12,16}\b")

Lines = list[list[str]]
"""Rows of a delivery as text, without its header."""


def marked(name: str, value: str) -> str:
    if not value or PERSON in value or PLACE in value:
        return value
    return f"{PERSON}-{value}" if name in _PERSONS else f"{PLACE}-{value}" if name in _PLACES else value


def read(path: Path) -> tuple[list[str], Lines, str]:
    """Header, rows and delimiter of a ``.csv`` or ``.csv.gz``."""
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")
    delimiter = ";" if ";" in text.partition("\n")[0] else ","
    header, *rows = csv.reader(io.StringIO(text), delimiter=delimiter)
    return header, rows, delimiter


def write(path: Path, header: list[str], rows: Iterable[list[str]], delimiter: str) -> None:
    text = "\n".join(delimiter.join(row) for row in [header, *rows]) + "\n"
    content = text.encode()
    path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)


def mark_pseudonyms(folder: Path) -> None:
    """Mark every pseudonym of a year's delivery, bad lines included."""
    for path in sorted(folder.glob("*.csv*")):
        header, rows, delimiter = read(path)
        names = [*header, *("" for _ in range(9))]
        write(path, header, ([marked(*pair) for pair in zip(names, row, strict=False)] for row in rows), delimiter)
    for path in folder.glob("*.parquet"):
        table = pq.read_table(path, partitioning=None)
        columns = {name: [marked(name, value) for value in table[name].to_pylist()] for name in table.column_names}
        pq.write_table(pa.table(columns), path)
    announce(folder)


def keys_of(installation: Installation) -> set[str]:
    """The keys of all delivered persons and households, however they may be written."""
    pseudonyms: set[str] = set()
    for path in installation.settings.raw_dir.rglob("*"):
        if path.name.endswith((".csv", ".csv.gz")):
            pseudonyms.update(re.findall(rf"{PERSON}-\w+", "\n".join(" ".join(row) for row in read(path)[1])))
        elif path.suffix == ".parquet":
            pseudonyms.update(pq.read_table(path, partitioning=None)["patient_id"].to_pylist())
    keys = {key(mark + each, SECRET) for each in pseudonyms for mark in ("", "household:")}
    unsigned = {each + 2**63 for each in keys}  # as the hash has it
    return {f"{each & (2**64 - 1):x}" for each in keys | unsigned} | {str(abs(each)) for each in keys | unsigned}


def texts_of(path: Path, leave_out: str = "") -> Iterator[str]:
    """What can be read in a file: its bytes, and what its format packs; of Parquet all columns but ``leave_out``."""
    content = path.read_bytes()
    is_parquet = content[:4] == content[-4:] == b"PAR1"
    if not (is_parquet and leave_out):  # the statistics of a column may quote it
        yield content.decode("latin-1")
        yield content.decode("utf-16-le", "replace")
    if content[:2] == b"PK" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield from (archive.read(name).decode("utf-8", "replace") for name in archive.namelist())
    if content[:2] == b"\x1f\x8b":
        yield gzip.decompress(content).decode("latin-1")
    if is_parquet:
        file = pq.ParquetFile(path)
        yield str(file.metadata.metadata)
        kept = [name for name in file.schema_arrow.names if name != leave_out]
        yield from (" ".join(map(str, column.to_pylist())) for column in file.read(columns=kept).columns)
    if content[:15] == b"SQLite format 3":  # a long value may be cut by the pages of the file
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                yield from (str(value) for row in database.execute(f'SELECT * FROM "{table}"') for value in row)
        database.close()


def marks_in(text: str, *, keys: set[str], words: Iterable[str] = (PERSON, PLACE, SECRET)) -> list[str]:
    """What is leaks in a text: marks, parts of the secret, keys."""
    low = text.lower()
    return [word for word in words if word in low] + sorted(keys.intersection(_NUMBER.findall(low)))


def leaks_in(files: Iterable[Path], keys: set[str]) -> list[str]:
    return [f"{path}: {what}" for path in files for text in texts_of(path) for what in marks_in(text, keys=keys)]


def leaks_in_lake(lake: Path) -> list[str]:
    """Persons anywhere but in the raw lines of the quarantine and in ``.errors``; the secret anywhere at all."""
    leaks = []
    for path in files_in(lake):
        details = ".errors" in path.parts
        leave_out = "raw_line" if "quarantine" in path.parts else ""
        words = (SECRET,) if details else (SECRET, PERSON)
        leaks += [
            f"{path}: {what}" for text in texts_of(path, leave_out) for what in marks_in(text, keys=set(), words=words)
        ]
    return leaks


def left_over(data: Path) -> list[Path]:
    """Files that should have gone with the run: whatever is no partition, lock, receipt or error."""
    temporary = [path for path in files_in(data) if path.suffix in (".tmp", ".old", ".part") or ".tmp" in str(path)]
    return temporary + list((data / "lake" / ".spill").iterdir())


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def changed(folder: Path, file: str, change: Callable[[list[str], Lines], tuple[list[str], Lines]]) -> None:
    """Change header and rows of a delivered CSV file; its manifest announces it as it is then."""
    path = folder / file
    header, rows, delimiter = read(path)
    write(path, *change(header, rows), delimiter)
    announce(folder)
