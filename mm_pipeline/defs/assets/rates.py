"""Group ``rates`` (confidential: holds small numbers): counts by cell, and the rates of every area."""

from typing import Any

import dagster as dg
import ibis.expr.types as ir
from ibis import _

from mm_pipeline import schemas
from mm_pipeline.defs.assets.common import RATES, lake_asset
from mm_pipeline.defs.metadata import markdown_table
from mm_pipeline.defs.resources.lake import LakeParam, Rows
from mm_pipeline.dimensions import UNKNOWN_SECTOR
from mm_pipeline.disclosure.small_numbers import told
from mm_pipeline.reference.areas import sector_vintage
from mm_pipeline.statistic import cells, rates, sensitivity


@lake_asset(
    RATES,
    schemas.BENEFICIARY_COUNTS,
    "Beneficiaries by cell: statistical sector x sex x age class x preferential tariff, at the areas of the year. "
    "The denominator; everyone born or deceased in the year is in it.",
    code=["statistic/cells"],
)
def beneficiary_counts(
    context: dg.AssetExecutionContext, raw_beneficiaries: ir.Table, geography: ir.Table, lake: LakeParam
) -> Rows:
    has_sector_table = sector_vintage(lake.provenance(schemas.GEOGRAPHY).details["files"]) is not None
    counts = cells.beneficiary_counts(
        raw_beneficiaries, geography, int(context.partition_key), has_sector_table=has_sector_table
    )

    def shown(written: ir.Table) -> dict[str, Any]:
        total = told(int(written.beneficiaries.sum().execute()))
        return {"beneficiaries": total, "sector_table": has_sector_table}

    return Rows(counts, shown)


@lake_asset(
    RATES,
    schemas.SECTOR_RATES,
    "The statistic before protection: beneficiaries, attributed patients and rate of every area and breakdown. "
    "Holds small numbers: look at `protected_rates` instead.",
    code=["statistic/cells", "statistic/rates"],
)
def sector_rates(
    context: dg.AssetExecutionContext, beneficiary_counts: ir.Table, attributed_patients: ir.Table, geography: ir.Table
) -> Rows:
    year = int(context.partition_key)
    patients = cells.patient_counts(attributed_patients, beneficiary_counts, year)
    return Rows(rates.sector_rates(beneficiary_counts, patients, geography, year), _rows_by_level)


def _rows_by_level(written: ir.Table) -> dict[str, Any]:
    """Without unknown sectors: these have a row where somebody lives in one, and in how many that is nobody may know."""
    known = written.filter(~_.area_code.endswith(UNKNOWN_SECTOR))
    by_level = known.group_by("level", "dimension").agg(rows=_.count()).order_by("level", "dimension").to_pandas()
    return {
        "dagster/row_count": int(by_level["rows"].sum()),
        "rows_by_level": markdown_table(by_level.to_dict("records")),
    }


@lake_asset(
    RATES,
    schemas.THRESHOLD_COUNTS,
    "What another threshold than six forfaits would give: beneficiaries with at least 1, 2 … 12 forfaits and no global "
    "medical record elsewhere, of the country and the regions. Before protection: holds small numbers.",
    code=["statistic/sensitivity", "statistic/attribution", "statistic/rates", "statistic/cells"],
)
def threshold_counts(
    context: dg.AssetExecutionContext,
    forfaits_per_patient: ir.Table,
    raw_dmg: ir.Table,
    raw_beneficiaries: ir.Table,
    geography: ir.Table,
    beneficiary_counts: ir.Table,
) -> ir.Table:
    year = int(context.partition_key)
    return sensitivity.threshold_counts(
        forfaits_per_patient, raw_dmg, raw_beneficiaries, geography, beneficiary_counts, year
    )
