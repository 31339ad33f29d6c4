"""The released tables: one row a cell, as CSV (comma, point, UTF-8) and Parquet, with checksums beside them."""

import hashlib
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from mm_pipeline.atomic import replacing
from mm_pipeline.catalogue import PROTECTED_RATES, RELEASED_RATES

FILES = ("rates.csv", "rates.parquet")
CHECKSUMS = "SHA256SUMS"

_READING_ORDER = {
    "level": ("country", "region", "province", "arrondissement", "municipality", "sector"),
    "dimension": ("total", "sex", "age_group", "age_class", "preferential"),
}


def released_rates(protected: pa.Table, *, synthetic: bool) -> pa.Table:
    """``protected_rates`` as released: marked as synthetic or not, from the country down to the sectors."""
    table = protected.select(PROTECTED_RATES.column_names)
    table = table.append_column("synthetic", pa.array([synthetic] * len(table), pa.bool_()))
    ranks = {name: pc.index_in(table[name], pa.array(order)) for name, order in _READING_ORDER.items()}
    ordered = table
    for name, rank in ranks.items():
        ordered = ordered.append_column(f"{name}_rank", rank)
    keys = ["year", "level_rank", "area_code", "dimension_rank", "category"]
    ordered = ordered.sort_by([(key, "ascending") for key in keys])
    return ordered.select(RELEASED_RATES.column_names).cast(RELEASED_RATES.schema)


def write_tables(folder: Path, rates: Iterable[pa.Table]) -> dict[str, int]:
    """Write ``rates.csv``, ``rates.parquet`` and ``SHA256SUMS`` into ``folder``; return bytes per file.

    ``rates``: released tables, written one after the other (years), so that memory holds one at a time. Each file is
    replaced whole; the checksums come last (a stack unwinds from its top).
    """
    folder.mkdir(parents=True, exist_ok=True)
    options = pa.csv.WriteOptions(quoting_style="needed")
    with ExitStack() as replaced:
        temporary = {name: replaced.enter_context(replacing(folder / name, mode=0o644)) for name in (CHECKSUMS, *FILES)}
        with (
            pa.csv.CSVWriter(temporary["rates.csv"], RELEASED_RATES.schema, write_options=options) as text,
            pq.ParquetWriter(temporary["rates.parquet"], RELEASED_RATES.schema, compression="zstd") as parquet,
        ):
            for table in rates:
                text.write_table(table)
                parquet.write_table(table)
        temporary[CHECKSUMS].write_text("".join(f"{_sha256(temporary[name])}  {name}\n" for name in FILES))
        return {name: path.stat().st_size for name, path in sorted(temporary.items())}


def broken_checksums(folder: Path) -> list[str]:
    """The files of a released folder that do not match its ``SHA256SUMS``, or are missing from it or from the folder."""
    sums_file = folder / CHECKSUMS
    if not sums_file.is_file():
        return [CHECKSUMS]
    lines = (line.partition("  ") for line in sums_file.read_text().splitlines())
    sums = {name: digest for digest, _, name in lines}
    present = {path.name for path in folder.iterdir() if path.name != CHECKSUMS}
    return sorted(
        name for name in present | set(sums) if name not in present or sums.get(name) != _sha256(folder / name)
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
