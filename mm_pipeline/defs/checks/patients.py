"""Checks of the patients: is everyone who is attributed so by the definition?"""

import ibis
from ibis import _

from mm_pipeline import schemas
from mm_pipeline.defs.checks.deliveries import COMPARE, STRANGERS_BLOCK
from mm_pipeline.defs.checks.expectations import broken_rules
from mm_pipeline.defs.checks.framework import (
    Outcome,
    check,
    doubtful,
    failed,
    not_applicable,
    passed,
    percent,
    share_of_people,
    some_of,
    tolerated,
)
from mm_pipeline.defs.metadata import counted
from mm_pipeline.defs.year_context import YearContext
from mm_pipeline.disclosure.small_numbers import is_small, people, rounded

NOT_BENEFICIARIES_WARN = 0.005
"""Above :data:`~mm_pipeline.defs.checks.deliveries.STRANGERS_BLOCK` the year stops."""


@check(schemas.FORFAITS_PER_PATIENT, blocking=True)
def forfaits_distribution(work: YearContext) -> Outcome:
    """FF_MH is 0 to 12, every patient is there once, the spread is plausible (suite forfaits_distribution)."""
    table = work.read(schemas.FORFAITS_PER_PATIENT)
    counts = table.group_by("forfaits").agg(patients=_.count()).order_by("forfaits").to_pandas()
    total = counts["patients"].sum()
    if total == 0:
        return failed("There is no patient with a forfait. Look at the checks of raw_forfaits.")
    broken = broken_rules(counts[["forfaits"]], "forfaits_distribution", row="forfaits")
    if again := int(total - table.patient_key.nunique().execute()):
        broken.append(
            f"{people(again, work.settings.disclosure_threshold)} rows are a second row of a patient. Materialise "
            f"forfaits_per_patient for {work.year} again, and report it if it stays."
        )
    if broken:
        return failed(" ".join(broken))
    whole_year = share_of_people(int(counts.loc[counts["forfaits"] == 12, "patients"].sum()), int(total))
    return passed(f"All patients have 0 to 12 forfaits; {whole_year} have the whole year.")


@check(schemas.ATTRIBUTED_PATIENTS, blocking=True)
def attribution_rule(work: YearContext) -> Outcome:
    """Every attributed patient has the threshold to 12 forfaits, no DMG elsewhere, and is there once.

    The months are counted again from the billed lines in another way than the statistic does (distinct months of net
    billed (patient, house, month), no masks).
    """
    threshold, shown_from = work.settings.minimum_forfaits, work.settings.disclosure_threshold
    attributed = work.read(schemas.ATTRIBUTED_PATIENTS)
    if work.lake.written(schemas.ATTRIBUTED_PATIENTS, work.year).rows == 0:
        return not_applicable("no patient is attributed to a maison médicale; see patients_are_beneficiaries.")
    net = (
        work.read(schemas.RAW_FORFAITS)
        .semi_join(attributed, "patient_key")
        .group_by("patient_key", "house_id", month=_.service_date.month())
        .agg(quantity=_.quantity.sum())
        .filter(_.quantity >= 1)
    )
    months = net.group_by("patient_key").agg(months=_.month.nunique())
    compared = attributed.left_join(months, "patient_key")
    elsewhere = (
        work.read(schemas.RAW_DMG)
        .semi_join(attributed, "patient_key")
        .anti_join(net, ["patient_key", ("practice_id", "house_id")])
    )
    same = compared.forfaits.cast("int64").identical_to(compared.months)
    wrong_months = ~(compared.forfaits.between(threshold, 12) & same)
    # One query, so that the months are counted once.
    counts = counted(
        compared.agg(months=ibis.ifelse(wrong_months, 1, 0).sum())
        .cross_join(elsewhere.agg(elsewhere=_.patient_key.nunique()))
        .cross_join(attributed.agg(twice=_.count() - _.patient_key.nunique()))
    )
    found = {
        f"do not have {threshold} to 12 forfaits": counts["months"],
        "have a DMG at another practice": counts["elsewhere"],
        "are there twice": counts["twice"],
    }
    if broken := [f"{people(count, shown_from)} {what}" for what, count in found.items() if count]:
        return failed(
            f"Of the attributed patients {', '.join(broken)}. The table does not follow the definition: materialise "
            f"forfaits_per_patient and attributed_patients for {work.year} again, and report it if it stays."
        )
    return passed(f"Every attributed patient has {threshold} to 12 forfaits, no DMG elsewhere, and is there once.")


@check(schemas.ATTRIBUTED_PATIENTS, blocking=True, tolerance=0.01)
def dmg_at_own_house(work: YearContext) -> Outcome:
    """Hardly any patient is at a house that loses most of its patients to a DMG elsewhere.

    A house opens a DMG for its patients. If its id differs between forfaits and DMG, that DMG looks like one at another
    practice and its patients no longer count.
    """
    threshold = work.settings.minimum_forfaits
    candidates = work.read(schemas.FORFAITS_PER_PATIENT).filter(_.forfaits >= threshold)
    houses = candidates.group_by("house_id").agg(patients=_.count())
    kept = work.read(schemas.ATTRIBUTED_PATIENTS).group_by("house_id").agg(kept=_.count())
    both = houses.left_join(kept, "house_id").mutate(kept=_.kept.fill_null(0))
    counts = counted(
        both.agg(patients=_.patients.sum(), kept=_.kept.sum(), lost=_.patients.sum(where=2 * _.kept < _.patients))
    )
    if 2 * counts["kept"] < counts["patients"]:
        return failed(
            f"Most patients with {threshold} forfaits and more hold a DMG at a practice that is not their house, so they do "
            "not count. The houses probably have other ids in forfaits than in DMG: have the delivery corrected and "
            f"materialise {work.year} again."
        )
    return tolerated(
        work,
        counts["lost"],
        counts["patients"],
        who=f"patients with {threshold} forfaits and more",
        do="are at a house that keeps at least half of them as attributed patients",
        fault="are at a house that loses more than half of them, because they hold a DMG elsewhere",
        advice="Their house probably has another id in forfaits than in DMG (see houses_come_and_go), so they do not count "
        "though they should: ask the sender, and have the delivery corrected.",
        nothing=f"no patient has {threshold} forfaits; see forfaits_distribution.",
    )


@check(schemas.ATTRIBUTED_PATIENTS, blocking=True, hold_limit=0.05)
def patients_are_beneficiaries(work: YearContext) -> Outcome:
    """Attributed patients are beneficiaries: 0.5 % who are not warn, 5 % hold the year, more than half block."""
    table, shown_from = work.read(schemas.ATTRIBUTED_PATIENTS), work.settings.disclosure_threshold
    counts = counted(table.agg(patients=_.count(), unknown=_.count(where=~_.is_beneficiary)))
    patients, unknown = counts["patients"], counts["unknown"]
    if patients == 0:
        return failed(
            f"No patient is attributed to a maison médicale: no figure can be right, and the year stops here. Nobody has "
            f"{work.settings.minimum_forfaits} forfaits, or all have a DMG elsewhere. Look at the checks of raw_forfaits "
            "and raw_dmg."
        )
    if unknown == 0:
        return passed("All attributed patients are in the beneficiaries delivery.")
    # They are among those of forfaits_of_beneficiaries: the difference of the two numbers would tell a small one.
    others = work.read(schemas.FORFAITS_PER_PATIENT).anti_join(work.read(schemas.RAW_BENEFICIARIES), "patient_key")
    others = others.anti_join(table, "patient_key")
    some = some_of(unknown, rounded(patients), "attributed patients", shown_from)
    if is_small(int(others.count().execute()), shown_from):
        some = "Some attributed patients"
    text = f"{some} are not in the beneficiaries delivery; they are counted nowhere"
    if unknown > STRANGERS_BLOCK * patients:
        return failed(
            f"{text}. That is most of them: the pseudonyms of forfaits and beneficiaries do not join, and the year stops "
            f"here. {COMPARE} Have the delivery corrected and materialise {work.year} again."
        )
    if unknown / patients >= min(NOT_BENEFICIARIES_WARN, work.hold_limit):
        return doubtful(
            work,
            f"{text}. Less than {percent(NOT_BENEFICIARIES_WARN)} is expected: were both extracts made from the same "
            "population, with the same pseudonyms?",
            0 if is_small(unknown, shown_from) else unknown / patients,
        )
    return passed(f"{text}.")
