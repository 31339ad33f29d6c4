"""Group ``rates`` (confidential: holds small numbers): counts by cell, and the rates of every area."""

import dagster as dg
from ibis import _

from mm_pipeline import schemas
from mm_pipeline.defs.assets.common import RATES, SettingsParam, declared, markdown_table, step
from mm_pipeline.dimensions import UNKNOWN_SECTOR
from mm_pipeline.disclosure.small_numbers import told
from mm_pipeline.statistic import cells, rates, sensitivity


@dg.asset(
    deps=["raw_beneficiaries", "geography"],
    **declared(
        RATES,
        "Beneficiaries by cell: statistical sector x sex x age class x preferential tariff, at the areas of the year. "
        "The denominator; everyone born or deceased in the year is in it.",
        table=schemas.BENEFICIARY_COUNTS,
        rooms=["statistic/cells"],
    ),
)
def beneficiary_counts(context: dg.AssetExecutionContext, settings: SettingsParam) -> dg.MaterializeResult:
    with step(context, settings) as work:
        has_sector_table = any(
            name.startswith("sectors_") for name in work.lake.provenance(schemas.GEOGRAPHY, work.year).details["files"]
        )
        counts = cells.beneficiary_counts(
            work.source(schemas.RAW_BENEFICIARIES),
            work.source(schemas.GEOGRAPHY),
            work.year,
            has_sector_table=has_sector_table,
        )
        provenance = work.lake.derived_from(schemas.RAW_BENEFICIARIES, schemas.GEOGRAPHY, year=work.year)
        written = work.write(schemas.BENEFICIARY_COUNTS, counts, provenance)
        total = work.read(schemas.BENEFICIARY_COUNTS).beneficiaries.sum().execute()
        return work.result(written, of_people=True, beneficiaries=told(int(total)), sector_table=has_sector_table)


@dg.asset(
    deps=["beneficiary_counts", "attributed_patients", "geography"],
    **declared(
        RATES,
        "The statistic before protection: beneficiaries, attributed patients and rate of every area and breakdown. "
        "Holds small numbers: look at `protected_rates` instead.",
        table=schemas.SECTOR_RATES,
        rooms=["statistic/cells", "statistic/rates"],
    ),
)
def sector_rates(context: dg.AssetExecutionContext, settings: SettingsParam) -> dg.MaterializeResult:
    with step(context, settings) as work:
        counts = work.source(schemas.BENEFICIARY_COUNTS)
        patients = cells.patient_counts(work.source(schemas.ATTRIBUTED_PATIENTS), counts, work.year)
        table = rates.sector_rates(counts, patients, work.source(schemas.GEOGRAPHY), work.year)
        provenance = work.lake.derived_from(schemas.BENEFICIARY_COUNTS, schemas.ATTRIBUTED_PATIENTS, year=work.year)
        written = work.write(schemas.SECTOR_RATES, table, provenance)
        # Without unknown sectors: these have a row where somebody lives in one, and in how many that is nobody may know.
        known = work.read(schemas.SECTOR_RATES).filter(~_.area_code.endswith(UNKNOWN_SECTOR))
        by_level = known.group_by("level", "dimension").agg(rows=_.count()).order_by("level", "dimension").to_pandas()
        return work.result(
            written, rows=int(by_level["rows"].sum()), rows_by_level=markdown_table(by_level.to_dict("records"))
        )


@dg.asset(
    deps=["forfaits_per_patient", "raw_dmg", "raw_beneficiaries", "beneficiary_counts", "geography"],
    **declared(
        RATES,
        "What another threshold than six forfaits would give: beneficiaries with at least 1, 2 … 12 forfaits and no global "
        "medical record elsewhere, of the country and the regions. Before protection: holds small numbers.",
        table=schemas.THRESHOLD_COUNTS,
        rooms=["statistic/sensitivity", "statistic/attribution", "statistic/rates", "statistic/cells"],
    ),
)
def threshold_counts(context: dg.AssetExecutionContext, settings: SettingsParam) -> dg.MaterializeResult:
    with step(context, settings) as work:
        counts = sensitivity.threshold_counts(
            work.source(schemas.FORFAITS_PER_PATIENT),
            work.source(schemas.RAW_DMG),
            work.source(schemas.RAW_BENEFICIARIES),
            work.source(schemas.GEOGRAPHY),
            work.source(schemas.BENEFICIARY_COUNTS),
            work.year,
        )
        provenance = work.lake.derived_from(
            schemas.FORFAITS_PER_PATIENT, schemas.RAW_DMG, schemas.BENEFICIARY_COUNTS, year=work.year
        )
        written = work.write(schemas.THRESHOLD_COUNTS, counts, provenance)
        return work.result(written)


ASSETS = [beneficiary_counts, sector_rates, threshold_counts]
