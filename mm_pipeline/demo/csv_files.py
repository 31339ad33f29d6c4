"""CSV files of a delivery: compressed, written piece by piece, with bad lines among the good ones."""

from collections.abc import Mapping
from typing import BinaryIO

import numpy as np
import pyarrow as pa
from pyarrow import csv

from mm_pipeline.demo.bad_lines import Damage
from mm_pipeline.demo.hashing import Ints

#: The gzip of pyarrow, not that of Python: its zlib comes inside the wheel, so that the locked version gives the same
#: bytes everywhere, and it writes no name and no time into the header. Level 4 has 1.1 times the size of the default
#: (9) in a fifth of the time.
GZIP = pa.Codec("gzip", compression_level=4)


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
    file.write(GZIP.compress(text.getvalue()))
    return len(table) + len(damages)


def euros(cents: Ints) -> pa.Array:
    """Amounts as text with two decimals."""
    known, which = np.unique(cents, return_inverse=True)
    texts = [f"{'-' if amount < 0 else ''}{abs(amount) // 100}.{abs(amount) % 100:02d}" for amount in known.tolist()]
    return pa.array(texts, pa.string()).take(pa.array(which))
