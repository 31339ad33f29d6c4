"""Earlier years of the table ``houses``: how long each maison médicale has been in the system."""

import hashlib
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from mm_pipeline import schemas
from mm_pipeline.clock import FIRST_YEAR
from mm_pipeline.errors import LakeError
from mm_pipeline.storage.lake import Lake


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
    schema = pa.schema([("year", pa.int32()), ("house_id", pa.string()), ("first_month", pa.int32())])
    tables = [schema.empty_table()]
    for other in years:
        path = lake.existing(schemas.HOUSES, other)
        try:
            table = pq.read_table(path, columns=["house_id", "first_month"], partitioning=None).drop_null()
        except (OSError, pa.ArrowInvalid):
            raise LakeError(
                f"houses of {other} cannot be read ({path}). Materialise houses for {other} again."
            ) from None
        tables.append(table.add_column(0, "year", pa.array([other] * len(table), pa.int32())).cast(schema))
    return EarlierHouses(year, years, pa.concat_tables(tables))
