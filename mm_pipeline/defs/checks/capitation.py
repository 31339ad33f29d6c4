"""Checks of registrations and houses: does the billing obey the capitation system (``docs/capitation.md``)?

None of them stops a year: the statistic counts what is billed by its own definition. They tell an operator how often a
rule is broken; what is too often is in the setting ``MM_TOLERANCES``.
"""

import ibis.expr.types as ir
from ibis import _

from mm_pipeline import schemas
from mm_pipeline.clock import FIRST_YEAR
from mm_pipeline.defs.checks.framework import Outcome, check, not_applicable, tolerated
from mm_pipeline.defs.metadata import counted
from mm_pipeline.defs.year_context import YearContext
from mm_pipeline.disclosure.small_numbers import in_words, parts
from mm_pipeline.statistic import houses, registrations
from mm_pipeline.statistic.registrations import bit_count, bit_or

NO_FORFAIT = "no forfait counts in this year; see months_billed."


@check(schemas.REGISTRATIONS, tolerance=0.001)
def one_forfait_a_month(work: YearContext) -> Outcome:
    """No more than one net forfait of a patient at a house in a month."""
    table = work.read(schemas.REGISTRATIONS)
    return tolerated(
        work,
        counted(table.agg(twice=bit_count(_.months_twice).cast("int64").sum()))["twice"],
        _months(work),
        who="months of a patient at a house",
        do="are billed once, net of regularisations",
        fault="are billed twice or more, net of regularisations",
        advice="Each counts once. If it is many of them, the delivery holds its rows twice, or its pseudonyms have lost "
        "digits and stand for several people, who are then missing: have it corrected. Else ask the sender why they were "
        "not regularised.",
        nothing=NO_FORFAIT,
    )


@check(schemas.REGISTRATIONS, tolerance=0.001)
def one_house_a_month(work: YearContext) -> Outcome:
    """Nobody is billed by two houses in a month, but on a transfer."""
    pairs = registrations.overlaps(work.read(schemas.REGISTRATIONS))
    pairs = pairs.mutate(wrong=registrations.without(pairs.both, pairs.transfer))
    patients = pairs.filter(_.wrong != 0).group_by("patient_key").agg(wrong=bit_or(_.wrong))
    found = counted(patients.agg(months=bit_count(_.wrong).cast("int64").sum()))["months"]
    return tolerated(
        work,
        found,
        _months(work),
        who="months of a patient at a house",
        do="are billed by that house alone, or by two on a transfer",
        fault="are billed by another house too, without a transfer from one to the other",
        advice="Each counts once, so the statistic holds; ask the sender which of the two contracts is in force.",
        nothing=NO_FORFAIT,
    )


@check(schemas.REGISTRATIONS, tolerance=0.005)
def gaps_in_registrations(work: YearContext) -> Outcome:
    """No month without a forfait between the first and the last month of a registration."""
    table = work.read(schemas.REGISTRATIONS)
    return tolerated(
        work,
        int(registrations.gaps(table).patient_key.nunique().execute()),
        int(table.patient_key.nunique().execute()),
        who="patients with a forfait",
        do="have one in every month from the first to the last at their house",
        fault="have a month without a forfait between two that have one, at the same house",
        advice="A month that is missing does not count, and six are needed: ask the sender whether these months were "
        "not insured, or are still to be billed.",
        nothing=NO_FORFAIT,
    )


@check(schemas.REGISTRATIONS, tolerance=0.1)
def registration_in_month_of_leaving(work: YearContext) -> Outcome:
    """Nobody is registered at a house in the month in which they leave another."""
    pairs = registrations.overlaps(work.read(schemas.REGISTRATIONS))
    counts = counted(pairs.agg(changes=_.count(), early=_.count(where=_.transfer != 0)))
    return tolerated(
        work,
        counts["early"],
        counts["changes"],
        who="changes of house",
        do="have no month that both houses bill",
        fault="have a month that both houses bill",
        advice="Each month counts once, so the statistic holds. It can follow from the rules, when leaving takes effect a "
        "month later than joining; ask the sender when there are many more than in other years.",
        nothing="nobody changed house in this year.",
    )


# Apart from the other checks of its table: without beneficiaries it cannot look, and they still shall.
@check(schemas.FORFAITS_PER_PATIENT, after=(schemas.RAW_BENEFICIARIES,), step="{check}", tolerance=0.005)
def forfaits_of_beneficiaries(work: YearContext) -> Outcome:
    """Who has a forfait is among the beneficiaries and was born by then."""
    known = work.read(schemas.RAW_BENEFICIARIES).select("patient_key", "birth_year")
    patients = work.read(schemas.FORFAITS_PER_PATIENT).select("patient_key").left_join(known, "patient_key")
    counts = counted(
        patients.agg(
            patients=_.count(),
            unknown=_.count(where=_.birth_year.isnull()),
            unborn=_.count(where=_.birth_year > work.year),  # quarantined when read, so none in an untouched lake
        )
    )
    return tolerated(
        work,
        counts["unknown"] + counts["unborn"],
        counts["patients"],
        who="patients with a forfait",
        do=f"are beneficiaries born by {work.year}",
        fault="have no row among the beneficiaries, or were born later",
        advice="They are counted nowhere. Were both extracts made from the same population, with the same pseudonyms? "
        f"Look for years of birth after {work.year} in the quarantine of beneficiaries as well.",
        nothing=NO_FORFAIT,
    )


@check(schemas.HOUSES, tolerance=0.001)
def one_amount_a_house(work: YearContext) -> Outcome:
    """All lines of a house and month are at one amount for a patient."""
    table = work.read(schemas.HOUSES)
    counts = counted(table.agg(lines=_.lines.sum(), other=_.lines_at_another_amount.sum()))
    return tolerated(
        work,
        counts["other"],
        counts["lines"],
        who="billed lines",
        do="are at the amount of their house in that month",
        fault="are at another amount than most lines of their house in that month",
        advice="The amounts are no part of the statistic; ask the sender whether these lines are forfaits at all.",
        nothing="no line has an amount.",
    )


@check(schemas.HOUSES, tolerance=0.02)
def one_amount_for_beginners(work: YearContext) -> Outcome:
    """Beginner houses are all paid the same amount in a month."""
    table = work.read(schemas.HOUSES)
    return _one_amount(
        work,
        houses.amounts_of(table, houses.BEGINNER),
        who="months of beginner houses",
        nothing="no house is known to be a beginner.",
    )


@check(schemas.HOUSES, tolerance=0.02)
def one_amount_before_may_2013(work: YearContext) -> Outcome:
    """Until April 2013 mature houses are all paid the same amount in a month."""
    months = houses.months_of_one_amount(work.year)
    if not months:
        return not_applicable("from May 2013 on mature houses are paid amounts of their own.")
    return _one_amount(
        work,
        houses.amounts_of(work.read(schemas.HOUSES), houses.MATURE, months),
        who="months of mature houses",
        nothing="no house is known to be mature.",
    )


def _one_amount(work: YearContext, amounts: ir.Table, *, who: str, nothing: str) -> Outcome:
    counts = counted(amounts.agg(months=_.count(), other=_.count(where=_.amount != _.usual)))
    before = work.year - 2
    left_out = ""
    if work.read(schemas.HOUSES).filter(_.status == houses.UNKNOWN).count().execute():
        why = f"before {FIRST_YEAR + 2}" if before < FIRST_YEAR else f"without houses of {before}"
        left_out = f" Large houses are left out: {why} it is not known how old they are."
    outcome = tolerated(
        work,
        counts["other"],
        counts["months"],
        of_people=False,
        who=who,
        do="are paid at one amount",
        fault="are paid at another amount than most",
        advice="The amounts are no part of the statistic; the table houses tells which houses. Ask the sender whether "
        "their status is another.",
        nothing=nothing,
    )
    return Outcome(outcome.state, outcome.text + left_out, outcome.metadata)


@check(schemas.HOUSES, tolerance=0.15)
def houses_come_and_go(work: YearContext) -> Outcome:
    """The houses are those of the year before, but for a few that open or close."""
    before = work.year - 1
    if not work.lake.is_usable(schemas.HOUSES, before):
        return not_applicable(f"houses of {before} is not built, so there is nothing to compare with.")
    now = work.read(schemas.HOUSES).select("house_id")
    then = work.lake.read(work.backend, schemas.HOUSES, before).select("house_id")
    appeared = int(now.anti_join(then, "house_id").count().execute())
    vanished = int(then.anti_join(now, "house_id").count().execute())
    billing = int(now.count().execute())
    return tolerated(
        work,
        appeared + vanished,
        billing,
        of_people=False,
        who="houses",
        do=f"billed in {before} as well, and no other did",
        fault=f"billed in {before} but not in {work.year}, or the other way round",
        advice="Houses open, and a few close. When as many appear as vanish they were probably given other ids: then ask "
        "the sender whether their DMGs carry the new ids as well; if not, their patients no longer count.",
        nothing=NO_FORFAIT,
        **parts(work.settings.disclosure_threshold, appeared=appeared, vanished=vanished),
    )


@check(schemas.HOUSES, tolerance=0.05)
def patients_near_their_house(work: YearContext) -> Outcome:
    """No house has many patients who live far outside its zone."""
    table = work.read(schemas.HOUSES).filter(_.residents > 0)
    far = houses.has_patients_far_outside(table)
    counts = counted(table.agg(houses=_.count(), far=_.count(where=far)))
    return tolerated(
        work,
        counts["far"],
        counts["houses"],
        of_people=False,
        who="houses",
        do="have less than five patients, or at most a fifth, farther away than in the next province",
        fault="have more than a fifth of their patients, and at least five, farther away than in the next province",
        advice="Were forfaits and beneficiaries made with the same pseudonyms? If not, patients live anywhere. The table "
        "houses tells which houses.",
        nothing=f"no house has {in_words(work.settings.disclosure_threshold)} patients and one whose municipality is known.",
    )


def _months(work: YearContext) -> int:
    """Counted months of all registrations: what several checks hold their findings against."""
    table = work.read(schemas.REGISTRATIONS)
    return counted(table.agg(months=bit_count(_.months).cast("int64").sum()))["months"]
