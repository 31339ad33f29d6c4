"""The product's own expressions."""

from collections.abc import Callable

import ibis

from benchmarks.material import YEAR
from mm_pipeline import catalogue
from mm_pipeline.settings import Settings
from mm_pipeline.statistic import attribution, cells, forfaits, rates, registrations
from mm_pipeline.storage.engine import session
from mm_pipeline.storage.lake import Lake, Provenance


def by_product(settings: Settings, lake: Lake) -> None:
    """As the assets do it: an engine session for each step, whose table is sorted, written to Parquet and read again.

    Beside the three tables it keeps ``registrations`` and ``forfaits_per_patient``, from which FF_MH can be explained.
    """
    made_up = Provenance(synthetic=True)

    def step(table: catalogue.Table, rows_of: Callable[[Callable[[catalogue.Table], ibis.Table]], ibis.Table]) -> None:
        with session(settings) as backend:
            lake.write(backend, table, YEAR, rows_of(lambda source: lake.read(backend, source, YEAR)), made_up)

    step(catalogue.REGISTRATIONS, lambda read: registrations.registrations(read(catalogue.RAW_FORFAITS)))
    step(catalogue.FORFAITS_PER_PATIENT, lambda read: forfaits.forfaits_per_patient(read(catalogue.REGISTRATIONS)))
    step(
        catalogue.ATTRIBUTED_PATIENTS,
        lambda read: attribution.with_residence(
            attribution.attributed_patients(read(catalogue.FORFAITS_PER_PATIENT), read(catalogue.RAW_DMG)),
            read(catalogue.RAW_BENEFICIARIES),
        ),
    )
    step(
        catalogue.BENEFICIARY_COUNTS,
        lambda read: cells.beneficiary_counts(
            read(catalogue.RAW_BENEFICIARIES), read(catalogue.GEOGRAPHY), YEAR, has_sector_table=False
        ),
    )
    step(
        catalogue.SECTOR_RATES,
        lambda read: rates.sector_rates(
            read(catalogue.BENEFICIARY_COUNTS),
            cells.patient_counts(read(catalogue.ATTRIBUTED_PATIENTS), read(catalogue.BENEFICIARY_COUNTS), YEAR),
            read(catalogue.GEOGRAPHY),
            YEAR,
        ),
    )
