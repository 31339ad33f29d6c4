"""Attribution: who is a patient of a maison médicale, by enough forfaits and no global medical record (DMG) elsewhere."""

import ibis.expr.types as ir
from ibis import _


def attributed_patients(forfaits_per_patient: ir.Table, raw_dmg: ir.Table, minimum_forfaits: int = 6) -> ir.Table:
    """Patients with at least ``minimum_forfaits`` whose DMGs of the year, if any, are all at their own houses.

    Columns ``patient_key``, ``forfaits``, ``house_id``. A maison médicale opens a DMG for its own patients, so a DMG
    held by a house with a counted month for this patient does not exclude; any other one does (source fiche: "does
    not hold another global medical record with another general practice").
    """
    candidates = forfaits_per_patient.filter(_.forfaits >= minimum_forfaits)
    records = raw_dmg.inner_join(candidates, "patient_key")
    elsewhere = records.filter(~_.houses.contains(_.practice_id)).select("patient_key").distinct()
    return candidates.anti_join(elsewhere, "patient_key").select("patient_key", "forfaits", "house_id")


def with_residence(attributed: ir.Table, raw_beneficiaries: ir.Table) -> ir.Table:
    """The attributed patients with the columns of ``raw_beneficiaries`` (less ``valid_from``) and ``is_beneficiary``.

    Patients who are not among the beneficiaries stay, with ``is_beneficiary`` false and an empty residence; the statistic
    counts them nowhere.
    """
    known = raw_beneficiaries.drop("valid_from").mutate(is_beneficiary=True)
    patients = attributed.left_join(known, "patient_key").drop("patient_key_right")
    return patients.mutate(is_beneficiary=_.is_beneficiary.fill_null(False))
