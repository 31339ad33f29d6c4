"""The product's own expressions."""

from collections.abc import Callable

import ibis

from benchmarks.material import YEAR
from mm_pipeline import schemas
from mm_pipeline.defs.resources.engine import DuckDBEngine
from mm_pipeline.settings import Settings
from mm_pipeline.statistic import attribution, cells, forfaits, rates, registrations
from mm_pipeline.storage.lake import Lake, Provenance


def by_product(settings: Settings, lake: Lake) -> None:
    """As the assets do it: an engine session for each step, whose table is sorted, written to Parquet and read again.

    Beside the three tables it keeps ``registrations`` and ``forfaits_per_patient``, from which FF_MH can be explained.
    """
    made_up = Provenance(synthetic=True)

    def step(table: schemas.Table, rows_of: Callable[[Callable[[schemas.Table], ibis.Table]], ibis.Table]) -> None:
        with DuckDBEngine.of(settings).session() as backend:
            lake.write(backend, table, YEAR, rows_of(lambda source: lake.read(backend, source, YEAR)), made_up)

    step(schemas.REGISTRATIONS, lambda read: registrations.registrations(read(schemas.RAW_FORFAITS)))
    step(schemas.FORFAITS_PER_PATIENT, lambda read: forfaits.forfaits_per_patient(read(schemas.REGISTRATIONS)))
    step(
        schemas.ATTRIBUTED_PATIENTS,
        lambda read: attribution.with_residence(
            attribution.attributed_patients(read(schemas.FORFAITS_PER_PATIENT), read(schemas.RAW_DMG)),
            read(schemas.RAW_BENEFICIARIES),
        ),
    )
    step(
        schemas.BENEFICIARY_COUNTS,
        lambda read: cells.beneficiary_counts(
            read(schemas.RAW_BENEFICIARIES), read(schemas.GEOGRAPHY), YEAR, has_sector_table=False
        ),
    )
    step(
        schemas.SECTOR_RATES,
        lambda read: rates.sector_rates(
            read(schemas.BENEFICIARY_COUNTS),
            cells.patient_counts(read(schemas.ATTRIBUTED_PATIENTS), read(schemas.BENEFICIARY_COUNTS), YEAR),
            read(schemas.GEOGRAPHY),
            YEAR,
        ),
    )
