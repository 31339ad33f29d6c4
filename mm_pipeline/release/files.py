"""Files of the release: a table in three formats, and the checksums of a folder."""

import hashlib
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from mm_pipeline.schemas import Table

CHECKSUMS = "SHA256SUMS"

CODES = ("area_code", "parent_code")
"""Columns whose codes a spreadsheet takes for numbers: it drops the first zero of 04000, reads 11002E122 as 1.1E+126."""


def write_table(folder: Path, shape: Table, parts: Iterable[pa.Table]) -> None:
    """Write ``<name>.csv``, ``.excel.csv`` and ``.parquet`` of a table of :mod:`mm_pipeline.schemas`.

    ``parts`` are written one after the other (years), so that memory holds one at a time. ``.csv`` has commas, decimal
    points and UTF-8. ``.excel.csv`` opens by double click in a Belgian Excel: semicolons, decimal commas, byte order
    mark, codes as text (``="04000"``), and nothing else that Excel would take for a formula.
    """
    with ExitStack() as open_files:
        spreadsheet = open_files.enter_context((folder / f"{shape.name}.excel.csv").open("wb"))
        spreadsheet.write(b"\xef\xbb\xbf")
        commas = pa.csv.WriteOptions(quoting_style="needed")
        semicolons = pa.csv.WriteOptions(quoting_style="needed", delimiter=";")
        writers = [
            pa.csv.CSVWriter(folder / f"{shape.name}.csv", shape.schema, write_options=commas),
            pq.ParquetWriter(folder / f"{shape.name}.parquet", shape.schema, compression="zstd"),
        ]
        for writer in writers:
            open_files.enter_context(writer)
        excel = open_files.enter_context(
            pa.csv.CSVWriter(spreadsheet, for_excel(shape.schema.empty_table()).schema, write_options=semicolons)
        )
        for part in parts:
            for writer in writers:
                writer.write_table(part)
            excel.write_table(for_excel(part))


def for_excel(table: pa.Table) -> pa.Table:
    """The table with numbers and codes as texts that a Belgian Excel reads correctly."""
    for position, field in enumerate(table.schema):
        column = table[field.name]
        if pa.types.is_floating(field.type):
            column = pc.replace_substring(column.cast(pa.string()), ".", ",")
        elif field.name in CODES:
            guarded = pc.binary_join_element_wise('="', column, '"', "")
            column = pc.if_else(pc.equal(column, ""), column, guarded)
        elif pa.types.is_string(field.type):
            # A text that begins like a formula gets the apostrophe by which Excel marks a text.
            column = pc.replace_substring_regex(column, r"^([=+\-@\t\r])", r"'\1")
        table = table.set_column(position, field.name, column)
    return table


def write_checksums(folder: Path) -> None:
    """Write ``SHA256SUMS`` over every other file below the folder, as ``sha256sum --check`` reads it."""
    lines = [f"{sha256(folder / name)}  {name}\n" for name in _files(folder)]
    (folder / CHECKSUMS).write_text("".join(lines), encoding="utf-8")


def broken_checksums(folder: Path) -> list[str]:
    """The files of a released folder that do not match its ``SHA256SUMS``, or are missing from it or from the folder."""
    sums_file = folder / CHECKSUMS
    if not sums_file.is_file():
        return [CHECKSUMS]
    lines = (line.partition("  ") for line in sums_file.read_text(encoding="utf-8").splitlines())
    sums = {name: digest for digest, _, name in lines}
    present = set(_files(folder))
    return sorted(
        name for name in present | set(sums) if name not in present or sums.get(name) != sha256(folder / name)
    )


def sizes(folder: Path) -> dict[str, int]:
    """Size in bytes of every file below the folder, by path relative to it."""
    return {name: (folder / name).stat().st_size for name in (*_files(folder), CHECKSUMS)}


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(folder: Path) -> list[str]:
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in paths if path != CHECKSUMS)
