"""What it costs to count everybody of the country."""

import ibis
import pytest

from mm_pipeline import schemas
from mm_pipeline.statistic.cells import beneficiary_counts


@pytest.mark.parametrize("has_sector_table", [True, False])
def test_everybody_is_read_once(has_sector_table: bool) -> None:
    """Ibis writes out anew what several joins begin with; the country was counted twice for it."""
    people, geography = (
        ibis.table(ibis.Schema.from_pyarrow(table.schema), name=table.name)
        for table in (schemas.RAW_BENEFICIARIES, schemas.GEOGRAPHY)
    )
    counts = beneficiary_counts(people, geography, 2020, has_sector_table=has_sector_table)
    assert ibis.to_sql(counts, dialect="duckdb").count(f'"{people.get_name()}"') == 1
