"""CSV files of a delivery: compressed, written piece by piece, with bad lines among the good ones."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
from pyarrow import csv

from mm_pipeline.demo.bad_lines import Damage
from mm_pipeline.demo.hashing import Ints

#: The gzip of pyarrow, not that of Python: its zlib comes inside the wheel, so that the locked version gives the same
#: bytes everywhere, and it writes no name and no time into the header. Level 4 has 1.1 times the size of the default
#: (9) in a fifth of the time.
GZIP = pa.Codec("gzip", compression_level=4)


class CsvFile:
    """A ``.csv.gz`` file that is being written; ``rows`` counts the lines below its header, bad ones included."""

    def __init__(self, path: Path, delimiter: str) -> None:
        self._file = path.open("wb")
        self._delimiter = delimiter
        self.rows = 0

    def __enter__(self) -> "CsvFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, table: pa.Table, damages: Mapping[int, Damage]) -> None:
        """Write the rows of the table, each row in ``damages`` preceded by a damaged copy of itself.

        Each table becomes a gzip member of its own; a file may have several (RFC 1952).
        """
        text = pa.BufferOutputStream()
        if self._file.tell() == 0:
            self._write_line(table.column_names, text)
        written = 0
        for row, damage in sorted(damages.items()):
            self._write_rows(table.slice(written, row - written), text)
            copy = pa.BufferOutputStream()
            self._write_rows(table.slice(row, 1), copy)
            fields = copy.getvalue().to_pybytes().decode().rstrip("\n").split(self._delimiter)
            self._write_line(damage(fields), text)
            written = row
        self._write_rows(table.slice(written), text)
        self._file.write(GZIP.compress(text.getvalue()))
        self.rows += len(table) + len(damages)

    def _write_line(self, fields: list[str], text: pa.NativeFile) -> None:
        text.write((self._delimiter.join(fields) + "\n").encode())

    def _write_rows(self, table: pa.Table, text: pa.NativeFile) -> None:
        # Quotes are not needed, as no value has a delimiter or a quote; around all, they would be a tenth of the file.
        options = csv.WriteOptions(include_header=False, delimiter=self._delimiter, quoting_style="none")
        csv.write_csv(table, text, options)


def euros(cents: Ints) -> pa.Array:
    """Amounts as text with two decimals."""
    known, which = np.unique(cents, return_inverse=True)
    texts = [f"{'-' if amount < 0 else ''}{abs(amount) // 100}.{abs(amount) % 100:02d}" for amount in known.tolist()]
    return pa.array(texts, pa.string()).take(pa.array(which))
