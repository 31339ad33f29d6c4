"""Values that only the restricted zones know: pseudonyms, houses and practices as delivered, and the keys of persons."""

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from mm_pipeline import schemas
from mm_pipeline.storage.lake import Lake
from mm_pipeline_tests.support.installation import YEARS, Installation


def delivered(installation: Installation, column: str) -> set[str]:
    """Every value of a column in the deliveries, as delivered."""
    values: set[str] = set()
    aliases = {"patient_id": "SS00010", "house_id": "SS00075"}
    for path in installation.settings.raw_dir.rglob("*"):
        if path.name.endswith((".csv", ".csv.gz")):
            header = _header(path)
            delimiter = ";" if ";" in header else ","
            names = header.strip().split(delimiter)
            table = pa.csv.read_csv(
                path,
                parse_options=pa.csv.ParseOptions(delimiter=delimiter, invalid_row_handler=lambda row: "skip"),
                convert_options=pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
            )
        elif path.suffix == ".parquet":
            table = pq.read_table(path, partitioning=None)
        else:
            continue
        for name in {column, aliases.get(column, column)} & set(table.column_names):
            values |= {str(value) for value in table[name].to_pylist() if value}
    return values


def _header(path: Path) -> str:

    with (
        gzip.open(path, "rt", encoding="utf-8-sig") if path.suffix == ".gz" else path.open(encoding="utf-8-sig") as file
    ):
        return file.readline()


def patient_keys(installation: Installation) -> set[str]:
    lake = Lake(installation.settings.lake_dir)
    keys: set[int] = set()
    for raw in (schemas.RAW_FORFAITS, schemas.RAW_BENEFICIARIES, schemas.RAW_DMG, schemas.RAW_CONTRIBUTIONS):
        for year in YEARS:
            table = pq.read_table(lake.path(raw, year), partitioning=None)
            for column in {"patient_key", "household_key"} & set(table.column_names):
                keys |= set(table[column].to_pylist())
    signed = {str(abs(key)) for key in keys}
    return signed | {f"{key & (2**64 - 1):x}" for key in keys} | {str(key & (2**64 - 1)) for key in keys}
