"""Group ``houses`` (confidential: house ids and small numbers): the maisons médicales as their billing shows them."""

from collections import Counter
from statistics import median
from typing import Any

import dagster as dg
import ibis
import ibis.expr.types as ir
import pyarrow.parquet as pq

from mm_pipeline import schemas
from mm_pipeline.clock import FIRST_YEAR
from mm_pipeline.defs.assets import plots
from mm_pipeline.defs.assets.common import HOUSES, SettingsParam, lake_asset
from mm_pipeline.defs.observations import EARLIER_HOUSES
from mm_pipeline.defs.resources.lake import LakeParam, Rows
from mm_pipeline.disclosure.small_numbers import in_words, parts
from mm_pipeline.ingest.ingest import Account
from mm_pipeline.statistic import houses as rules
from mm_pipeline.storage.earlier_houses import EarlierHouses
from mm_pipeline.storage.lake import Lake


@lake_asset(
    HOUSES,
    schemas.HOUSES,
    "One row a maison médicale: its patients month by month, what was billed and taken back, the amount of its "
    "forfait, whether it is a beginner or mature, and where its patients live (docs/capitation.md). Nothing of the "
    "statistic is made from it; its checks tell where the billing does not obey the system. How long a house is in the "
    "system is read from this table's earlier years, from year - 2 on.",
    code=["statistic/houses", "statistic/registrations", "statistic/rates", "statistic/cells"],
    ins={"earlier": dg.AssetIn(EARLIER_HOUSES, input_manager_key="lake")},
)
def houses(
    context: dg.AssetExecutionContext,
    registrations: ir.Table,
    raw_forfaits: ir.Table,
    attributed_patients: ir.Table,
    raw_beneficiaries: ir.Table,
    geography: ir.Table,
    earlier: EarlierHouses,
    lake: LakeParam,
    settings: SettingsParam,
) -> Rows:
    year = int(context.partition_key)
    table = rules.houses(
        registrations,
        raw_forfaits,
        attributed_patients,
        raw_beneficiaries,
        geography,
        ibis.memtable(earlier.rows),
        year,
        sample=Account(**lake.provenance(schemas.RAW_FORFAITS).details).sample,
        two_years_before_is_built=earlier.has_two_years_before,
        disclosure_threshold=settings.disclosure_threshold,
    )

    def shown(written: ir.Table) -> dict[str, Any]:
        status = Counter(written.status.to_pyarrow().to_pylist())
        span = f"{earlier.years[0]} to {earlier.years[-1]}" if earlier.years else "none: maturity unknown"
        return {
            **parts(
                settings.disclosure_threshold,
                beginner=status[rules.BEGINNER],
                mature=status[rules.MATURE],
                unknown_age=status[rules.UNKNOWN],
            ),
            "earlier_years": span,
            "forfait": _amounts_plot(lake.lake, year, settings.disclosure_threshold),
        }

    return Rows(table, shown, details={"earlier": earlier.version})


def _amounts_plot(lake: Lake, last: int, least: int) -> dg.MarkdownMetadataValue:
    """What a forfait comes to in a month, by status and year: the median over houses and months, of ``least`` and more."""
    series: dict[str, list[tuple[int, float]]] = {rules.MATURE: [], rules.BEGINNER: []}
    for year in range(FIRST_YEAR, last + 1):
        if lake.is_usable(schemas.HOUSES, year):
            path = lake.path(schemas.HOUSES, year)
            rows = pq.read_table(path, columns=["status", "amounts"], partitioning=None).to_pylist()
            for status, line in series.items():
                amounts = [[x for x in row["amounts"] if x is not None] for row in rows if row["status"] == status]
                if len(amounts) >= least and any(amounts):
                    line.append((year, float(median(x for months in amounts for x in months))))
    if not any(series.values()):
        return dg.MetadataValue.md(f"(no status with {in_words(least)} houses yet)")
    return plots.lines("Forfait of a patient and month, median of houses and months", series, "euro")
