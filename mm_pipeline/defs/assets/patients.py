"""Group ``patients`` (restricted): from billed lines to the patients attributed to a maison médicale."""

from typing import Any

import ibis.expr.types as ir
from ibis import _

from mm_pipeline import schemas
from mm_pipeline.defs.assets import plots
from mm_pipeline.defs.assets.common import PATIENTS, SettingsParam, lake_asset
from mm_pipeline.defs.metadata import counted
from mm_pipeline.defs.resources.lake import Rows
from mm_pipeline.disclosure.small_numbers import rounded, told
from mm_pipeline.statistic import attribution
from mm_pipeline.statistic import forfaits as ff_mh
from mm_pipeline.statistic import registrations as months


@lake_asset(
    PATIENTS,
    schemas.REGISTRATIONS,
    "One row a patient and house with a billed line: the months that count there, regularisations netted, those billed "
    "twice, and what was taken back. FF_MH is made from it, and so is what is known of each house.",
    code=["statistic/registrations", "statistic/cells"],
)
def registrations(raw_forfaits: ir.Table) -> Rows:
    return Rows(months.registrations(raw_forfaits), shown=_registered_plot)


def _registered_plot(written: ir.Table) -> dict[str, Any]:
    """Patients registered in each month, against the month with most; of round numbers, and without bars for 0."""
    registered = counted(written.agg(**months.patients_by_month()))
    most = rounded(max(registered.values()))
    shares = {month: 100 * rounded(n) / most for month, n in registered.items() if rounded(n)}
    return {"registered": plots.bars("Registered patients by month, % of the month with most", shares)}


@lake_asset(
    PATIENTS,
    schemas.FORFAITS_PER_PATIENT,
    "FF_MH: the number of months of the year with a counted forfait, one row a patient, the house they belong to, and "
    "what explains the number: first and last month, gaps, months billed twice, forfaits taken back. Several houses in "
    "a month are one month, months add up over houses.",
    code=["statistic/forfaits", "statistic/registrations", "statistic/cells"],
)
def forfaits_per_patient(registrations: ir.Table) -> Rows:
    return Rows(ff_mh.forfaits_per_patient(registrations), shown=_distribution_plot)


def _distribution_plot(written: ir.Table) -> dict[str, Any]:
    """Share of patients by number of forfaits; of round numbers, and without bars for 0."""
    counts = dict(written.group_by("forfaits").agg(n=_.count()).to_pandas().itertuples(index=False))
    total = rounded(sum(counts.values()))
    shares = {str(k): 100 * rounded(counts[k]) / total for k in range(13) if rounded(counts.get(k, 0))}
    return {"distribution": plots.bars("Patients by number of forfaits, %", shares)}


@lake_asset(
    PATIENTS,
    schemas.ATTRIBUTED_PATIENTS,
    "Patients attributed to a maison médicale: at least six forfaits (setting `MM_THRESHOLD`) and no global medical "
    "record at another practice, with their last residence of the year. Those who are not among the beneficiaries "
    "are kept and marked; the statistic counts them nowhere.",
    code=["statistic/attribution"],
)
def attributed_patients(
    forfaits_per_patient: ir.Table, raw_dmg: ir.Table, raw_beneficiaries: ir.Table, settings: SettingsParam
) -> Rows:
    attributed = attribution.attributed_patients(forfaits_per_patient, raw_dmg, settings.minimum_forfaits)
    candidates = forfaits_per_patient.filter(_.forfaits >= settings.minimum_forfaits).count()

    def shown(written: ir.Table) -> dict[str, Any]:
        at_threshold = int(candidates.execute())
        return {
            "threshold": settings.minimum_forfaits,
            "patients_at_threshold": told(at_threshold),
            "excluded_by_another_dmg": told(at_threshold - int(written.count().execute())),
        }

    return Rows(attribution.with_residence(attributed, raw_beneficiaries), shown)
