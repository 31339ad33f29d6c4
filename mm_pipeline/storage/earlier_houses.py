"""Earlier years of the table ``houses``: how long each maison médicale has been in the system."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mm_pipeline import schemas
from mm_pipeline.clock import FIRST_YEAR
from mm_pipeline.errors import LakeError
from mm_pipeline.files.fingerprint import state
from mm_pipeline.storage.lake import Lake

_SCHEMA = pa.schema([("year", pa.int32()), ("house_id", pa.string()), ("first_month", pa.int32())])


@dataclass(frozen=True)
class EarlierHouses:
    """First months with patients, per house and year, up to two years before ``year``."""

    year: int
    years: list[int]
    """The earlier years whose table is built, oldest first."""
    rows: pa.Table
    """``year``, ``house_id``, ``first_month``."""

    @property
    def has_two_years_before(self) -> bool:
        return self.year - 2 in self.years

    @property
    def version(self) -> str:
        """Short hash of all that ``houses`` uses: the first month of each house, and whether ``year`` - 2 is built."""
        months = ((row["house_id"], (row["year"], row["first_month"])) for row in self.rows.to_pylist())
        first = dict(sorted(months, reverse=True))  # of each house the earliest month comes last
        return hashlib.sha256(repr((sorted(first.items()), self.has_two_years_before)).encode()).hexdigest()[:16]


def earlier_houses(lake: Lake, year: int) -> EarlierHouses:
    """Read ``houses`` of two years before ``year`` and earlier. Raises :class:`LakeError` naming one that cannot be read."""
    years = [other for other in range(FIRST_YEAR, year - 1) if lake.has(schemas.HOUSES, other)]
    tables = [_SCHEMA.empty_table()]
    for other in years:
        path = lake.existing(schemas.HOUSES, other)
        try:
            tables.append(_first_months(path, other, state(path.stat())))
        except (OSError, pa.ArrowInvalid):
            raise LakeError(
                f"houses of {other} cannot be read ({path}). Materialise houses for {other} again."
            ) from None
    return EarlierHouses(year, years, pa.concat_tables(tables))


@lru_cache(maxsize=64)
def _first_months(path: Path, year: int, _touched: tuple[int, ...]) -> pa.Table:
    """Of one year; read anew when the file was touched. Each later year asks for it."""
    table = pq.read_table(path, columns=["house_id", "first_month"], partitioning=None).drop_null()
    return table.add_column(0, "year", pa.array([year] * len(table), pa.int32())).cast(_SCHEMA)
