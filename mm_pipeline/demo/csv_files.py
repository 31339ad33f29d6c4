"""CSV files of a delivery: compressed, written piece by piece, with a few bad lines, as every real one has."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import BinaryIO

import numpy as np
import pyarrow as pa
from pyarrow import csv

from mm_pipeline.demo.hashing import Dice, Ints

#: Of gzip: 1.1 times the size of the default (9) in a fifth of the time.
COMPRESSION_LEVEL = 4

#: Function from the fields of a good line to those of a bad one.
Damage = Callable[[list[str]], list[str]]

#: Bad lines in a file: at least the first number, fewer than the second more, at most the third per 1000 lines.
BAD_LINES, MORE_BAD_LINES, BAD_PER_1000 = 3, 4, 3


def write(file: BinaryIO, table: pa.Table, delimiter: str, damages: Mapping[int, Damage]) -> int:
    """Append rows to a ``.csv.gz``, each row in ``damages`` preceded by a damaged copy of itself. Returns their number.

    A new file begins with the header. Each table becomes a gzip member of its own; a file may have several (RFC 1952).
    """
    # Quotes are not needed, as no value has a delimiter or a quote; around all, they would be a tenth of the file.
    options = csv.WriteOptions(include_header=False, delimiter=delimiter, quoting_style="none")
    text = pa.BufferOutputStream()
    if file.tell() == 0:
        text.write((delimiter.join(table.column_names) + "\n").encode())
    written = 0
    for row in sorted(damages):
        csv.write_csv(table.slice(written, row - written), text, options)
        copy = pa.BufferOutputStream()
        csv.write_csv(table.slice(row, 1), copy, options)
        fields = copy.getvalue().to_pybytes().decode().rstrip("\n").split(delimiter)
        text.write((delimiter.join(damages[row](fields)) + "\n").encode())
        written = row
    csv.write_csv(table.slice(written), text, options)
    # The gzip of pyarrow, not that of Python: its zlib comes inside the wheel, so that the locked version gives the same
    # bytes everywhere, and it writes no name and no time into the header. A codec is of one thread.
    file.write(pa.Codec("gzip", compression_level=COMPRESSION_LEVEL).compress(text.getvalue()))
    return len(table) + len(damages)


def euros(cents: Ints) -> pa.Array:
    """Amounts as text with two decimals."""
    known, which = np.unique(cents, return_inverse=True)
    texts = [f"{'-' if amount < 0 else ''}{abs(amount) // 100}.{abs(amount) % 100:02d}" for amount in known.tolist()]
    return pa.array(texts, pa.string()).take(pa.array(which))


def bad_lines(dice: Dice, file: str, year: int, piece: int, pieces: int, rows: int) -> Mapping[int, Damage]:
    """The damages of a piece of a file, ``forfaits`` or ``beneficiaries``, by the row before which the bad line stands."""
    count = BAD_LINES + int(dice.below(f"bad lines of {file}", np.zeros(1, np.int64), MORE_BAD_LINES, year)[0])
    numbers = np.arange(count)
    here = numbers[dice.below(f"piece of a bad line of {file}", numbers, pieces, year) == piece]
    here = here[: rows * BAD_PER_1000 // 1000]
    row = dice.below(f"row of a bad line of {file}", here, rows, year)
    kinds = _damages(file, year)
    # Each year begins with the next kind, so that a few years have all kinds.
    return {at: kinds[(year + number) % len(kinds)] for at, number in zip(row.tolist(), here.tolist(), strict=True)}


def _damages(file: str, year: int) -> list[Damage]:
    """The kinds of damage in a file: a wrong value in a column, and wrong numbers of fields."""
    wrong = {
        # an unparseable date, one of another year, half a forfait, no patient
        "forfaits": [(2, f"{year}0231"), (2, f"{year - 1}0701"), (4, "1.5"), (0, "")],
        # an unknown sex, a future birth, an unparseable date, no patient
        "beneficiaries": [(2, "X"), (1, str(year + 1)), (6, f"{year}-13-01"), (0, "")],
    }

    def replaced(column: int, value: str, fields: list[str]) -> list[str]:
        return [*fields[:column], value, *fields[column + 1 :]]

    return [
        *(partial(replaced, column, value) for column, value in wrong[file]),
        lambda fields: [*fields, "?"],
        lambda fields: fields[:-2],
    ]
