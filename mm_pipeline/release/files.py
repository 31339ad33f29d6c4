"""Files of the release: a table in three formats, and the checksums of a folder."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from mm_pipeline.files.checksum import sha256
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
    commas, semicolons = (pa.csv.WriteOptions(quoting_style="needed", delimiter=sign) for sign in ",;")
    of_excel = for_excel(shape.schema.empty_table()).schema
    with (
        (folder / f"{shape.name}.excel.csv").open("wb") as spreadsheet,
        pa.csv.CSVWriter(folder / f"{shape.name}.csv", shape.schema, write_options=commas) as plain,
        pq.ParquetWriter(folder / f"{shape.name}.parquet", shape.schema, compression="zstd") as parquet,
    ):
        spreadsheet.write(b"\xef\xbb\xbf")
        with pa.csv.CSVWriter(spreadsheet, of_excel, write_options=semicolons) as excel:
            for part in parts:
                plain.write_table(part)
                parquet.write_table(part)
                excel.write_table(for_excel(part))


def for_excel(table: pa.Table) -> pa.Table:
    """The table with numbers and codes as texts that a Belgian Excel reads correctly."""
    for position, field in enumerate(table.schema):
        column = table[field.name]
        if pa.types.is_floating(field.type):
            column = pc.replace_substring(column.cast(pa.string()), ".", ",")
        elif field.name in CODES:
            column = pc.replace_substring_regex(column, "^(.+)$", r'="\1"')
        elif pa.types.is_string(field.type):
            # A text that begins like a formula gets the apostrophe by which Excel marks a text.
            column = pc.replace_substring_regex(column, r"^([=+\-@\t\r])", r"'\1")
        table = table.set_column(position, field.name, column)
    return table


def write_checksums(folder: Path) -> None:
    """Write ``SHA256SUMS`` over every other file below the folder, as ``sha256sum --check`` reads it."""
    lines = [f"{digest}  {name}\n" for name, digest in _sums(folder).items()]
    (folder / CHECKSUMS).write_text("".join(lines), encoding="utf-8")


def broken_checksums(folder: Path) -> list[str]:
    """The files of a released folder that do not match its ``SHA256SUMS``, or are missing from it or from the folder."""
    sums_file = folder / CHECKSUMS
    if not sums_file.is_file():
        return [CHECKSUMS]
    lines = (line.partition("  ") for line in sums_file.read_text(encoding="utf-8").splitlines())
    released, found = {name: digest for digest, _, name in lines}, _sums(folder)
    return sorted(name for name in released | found if released.get(name) != found.get(name))


def manifest_of(folder: Path) -> str:
    """SHA-256 of the ``SHA256SUMS`` of a released folder, and so of all of it; empty where there is none."""
    sums = folder / CHECKSUMS
    return sha256(sums) if sums.is_file() else ""


def sizes(folder: Path) -> dict[str, int]:
    """Size in bytes of every file below the folder, by path relative to it."""
    return {name: (folder / name).stat().st_size for name in (*_files(folder), CHECKSUMS)}


def _sums(folder: Path) -> dict[str, str]:
    return {name: sha256(folder / name) for name in _files(folder)}


def _files(folder: Path) -> list[str]:
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in paths if path != CHECKSUMS)
