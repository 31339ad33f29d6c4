"""Group ``houses`` (confidential: house ids and small numbers): the maisons médicales as their billing shows them."""

from collections import Counter
from statistics import median

import dagster as dg
import ibis
import pyarrow.parquet as pq

from mm_pipeline import schemas
from mm_pipeline.clock import FIRST_YEAR
from mm_pipeline.defs.assets import plots
from mm_pipeline.defs.assets.common import HOUSES, SettingsParam, Step, declared, step
from mm_pipeline.disclosure.small_numbers import in_words, parts
from mm_pipeline.ingest.ingest import Account
from mm_pipeline.statistic import houses as rules
from mm_pipeline.storage.earlier_houses import earlier_houses

_SOURCES = (
    schemas.REGISTRATIONS,
    schemas.RAW_FORFAITS,
    schemas.ATTRIBUTED_PATIENTS,
    schemas.RAW_BENEFICIARIES,
    schemas.GEOGRAPHY,
)


@dg.asset(
    deps=[table.name for table in _SOURCES],
    **declared(
        HOUSES,
        "One row a maison médicale: its patients month by month, what was billed and taken back, the amount of its "
        "forfait, whether it is a beginner or mature, and where its patients live (docs/capitation.md). Nothing of the "
        "statistic is made from it; its checks tell where the billing does not obey the system. How long a house is in the "
        "system is read from this table's earlier years, from year - 2 on.",
        table=schemas.HOUSES,
        rooms=["statistic/houses", "statistic/registrations", "statistic/rates", "statistic/cells"],
    ),
)
def houses(context: dg.AssetExecutionContext, settings: SettingsParam) -> dg.MaterializeResult:
    with step(context, settings) as work:
        earlier = earlier_houses(work.lake, work.year)
        table = rules.houses(
            work.source(schemas.REGISTRATIONS),
            work.source(schemas.RAW_FORFAITS),
            work.source(schemas.ATTRIBUTED_PATIENTS),
            work.source(schemas.RAW_BENEFICIARIES),
            work.source(schemas.GEOGRAPHY),
            ibis.memtable(earlier.rows),
            work.year,
            sample=Account.of(work.lake, schemas.RAW_FORFAITS, work.year).sample,
            two_years_before_is_built=earlier.has_two_years_before,
            disclosure_threshold=settings.disclosure_threshold,
        )
        provenance = work.lake.derived_from(*_SOURCES, year=work.year, details={"earlier": earlier.version})
        written = work.write(schemas.HOUSES, table, provenance)
        status = Counter(pq.read_table(written.path, columns=["status"], partitioning=None)["status"].to_pylist())
        return work.result(
            written,
            **parts(
                settings.disclosure_threshold,
                beginner=status[rules.BEGINNER],
                mature=status[rules.MATURE],
                unknown_age=status[rules.UNKNOWN],
            ),
            earlier_years=f"{earlier.years[0]} to {earlier.years[-1]}" if earlier.years else "none: maturity unknown",
            forfait=_amounts_plot(work),
        )


def _amounts_plot(work: Step) -> dg.MarkdownMetadataValue:
    """What a forfait comes to in a month, by status and year: the median over houses and months, if not of few."""
    least = work.settings.disclosure_threshold
    series: dict[str, list[tuple[int, float]]] = {rules.MATURE: [], rules.BEGINNER: []}
    for year in range(FIRST_YEAR, work.year + 1):
        if work.lake.has(schemas.HOUSES, year) and work.lake.is_intact(schemas.HOUSES, year):
            path = work.lake.path(schemas.HOUSES, year)
            rows = pq.read_table(path, columns=["status", "amounts"], partitioning=None).to_pylist()
            for status, line in series.items():
                amounts = [[x for x in row["amounts"] if x is not None] for row in rows if row["status"] == status]
                if len(amounts) >= least and any(amounts):
                    line.append((year, float(median(x for months in amounts for x in months))))
    if not any(series.values()):
        return dg.MetadataValue.md(f"(no status with {in_words(least)} houses yet)")
    return plots.lines("Forfait of a patient and month, median of houses and months", series, "euro")


ASSETS = [houses]
