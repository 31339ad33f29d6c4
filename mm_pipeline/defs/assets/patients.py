"""Group ``patients`` (restricted): from billed lines to the patients attributed to a maison médicale."""

import dagster as dg
from ibis import _

from mm_pipeline import schemas
from mm_pipeline.defs.assets import plots
from mm_pipeline.defs.assets.common import PATIENTS, SettingsParam, Step, counted, declared, step
from mm_pipeline.disclosure.small_numbers import rounded, told
from mm_pipeline.statistic import attribution
from mm_pipeline.statistic import forfaits as ff_mh
from mm_pipeline.statistic import registrations as months


@dg.asset(
    deps=["raw_forfaits"],
    **declared(
        PATIENTS,
        "One row a patient and house with a billed line: the months that count there, regularisations netted, those billed "
        "twice, and what was taken back. FF_MH is made from it, and so is what is known of each house.",
        table=schemas.REGISTRATIONS,
        rooms=["statistic/registrations", "statistic/cells"],
    ),
)
def registrations(context: dg.AssetExecutionContext, settings: SettingsParam) -> dg.MaterializeResult:
    with step(context, settings) as work:
        table = months.registrations(work.source(schemas.RAW_FORFAITS))
        provenance = work.lake.derived_from(schemas.RAW_FORFAITS, year=work.year)
        written = work.write(schemas.REGISTRATIONS, table, provenance)
        return work.result(written, of_people=True, registered=_registered_plot(work))


def _registered_plot(work: Step) -> dg.MarkdownMetadataValue:
    """Patients registered in each month, against the month with most; of round numbers, and without bars for 0."""
    registered = counted(work.read(schemas.REGISTRATIONS).agg(**months.patients_by_month()))
    most = rounded(max(registered.values()))
    shares = {month: 100 * rounded(n) / most for month, n in registered.items() if rounded(n)}
    return plots.bars("Registered patients by month, % of the month with most", shares)


@dg.asset(
    deps=["registrations"],
    **declared(
        PATIENTS,
        "FF_MH: the number of months of the year with a counted forfait, one row a patient, the house they belong to, and "
        "what explains the number: first and last month, gaps, months billed twice, forfaits taken back. Several houses in "
        "a month are one month, months add up over houses.",
        table=schemas.FORFAITS_PER_PATIENT,
        rooms=["statistic/forfaits", "statistic/registrations", "statistic/cells"],
    ),
)
def forfaits_per_patient(context: dg.AssetExecutionContext, settings: SettingsParam) -> dg.MaterializeResult:
    with step(context, settings) as work:
        patients = ff_mh.forfaits_per_patient(work.source(schemas.REGISTRATIONS))
        provenance = work.lake.derived_from(schemas.REGISTRATIONS, year=work.year)
        written = work.write(schemas.FORFAITS_PER_PATIENT, patients, provenance)
        return work.result(written, of_people=True, distribution=_distribution_plot(work))


def _distribution_plot(work: Step) -> dg.MarkdownMetadataValue:
    """Share of patients by number of forfaits; of round numbers, and without bars for 0."""
    table = work.read(schemas.FORFAITS_PER_PATIENT)
    counts = dict(table.group_by("forfaits").agg(n=_.count()).to_pandas().itertuples(index=False))
    total = rounded(sum(counts.values()))
    shares = {str(k): 100 * rounded(counts[k]) / total for k in range(13) if rounded(counts.get(k, 0))}
    return plots.bars("Patients by number of forfaits, %", shares)


@dg.asset(
    deps=["forfaits_per_patient", "raw_dmg", "raw_beneficiaries"],
    **declared(
        PATIENTS,
        "Patients attributed to a maison médicale: at least six forfaits (setting `MM_THRESHOLD`) and no global medical "
        "record at another practice, with their last residence of the year. Those who are not among the beneficiaries "
        "are kept and marked; the statistic counts them nowhere.",
        table=schemas.ATTRIBUTED_PATIENTS,
        rooms=["statistic/attribution"],
    ),
)
def attributed_patients(context: dg.AssetExecutionContext, settings: SettingsParam) -> dg.MaterializeResult:
    with step(context, settings) as work:
        attributed = attribution.attributed_patients(
            work.source(schemas.FORFAITS_PER_PATIENT), work.source(schemas.RAW_DMG), settings.minimum_forfaits
        )
        located = attribution.with_residence(attributed, work.source(schemas.RAW_BENEFICIARIES))
        provenance = work.lake.derived_from(
            schemas.FORFAITS_PER_PATIENT, schemas.RAW_DMG, schemas.RAW_BENEFICIARIES, year=work.year
        )
        written = work.write(schemas.ATTRIBUTED_PATIENTS, located, provenance)
        forfaits = work.read(schemas.FORFAITS_PER_PATIENT)
        candidates = forfaits.filter(_.forfaits >= settings.minimum_forfaits).count().execute()
        return work.result(
            written,
            of_people=True,
            threshold=settings.minimum_forfaits,
            patients_at_threshold=told(int(candidates)),
            excluded_by_another_dmg=told(int(candidates) - written.rows),
        )


ASSETS = [registrations, forfaits_per_patient, attributed_patients]
