"""The checks of the capitation system: for every state a fault that reaches it, and what is said then.

The rules themselves are held against an oracle elsewhere; here it is whether a check counts the right thing, holds it
against its tolerance, and says what to do.
"""

import re

import pytest

from mm_pipeline.definitions import TOLERANCES
from mm_pipeline.defs.checks import capitation as checks
from mm_pipeline.defs.checks import contributions, patients
from mm_pipeline.defs.checks.framework import checks_in
from mm_pipeline.operations.status import FAILED, NOT_APPLICABLE, PASSED, WARNING
from mm_pipeline.schemas import ATTRIBUTED_PATIENTS, FORFAITS_PER_PATIENT, HOUSES, RAW_BENEFICIARIES, REGISTRATIONS
from mm_pipeline.storage.earlier_houses import earlier_houses
from mm_pipeline_tests.support.small_year import YEAR, deliveries, forfait

PATIENTS = [f"pseudonym-{number:04}" for number in range(3, 600, 11) if number % 5 and number % 13]
"""They are billed the whole year."""


def house_of(person):
    return f"house-{int(person[-4:]) % 4}"


def billed(year, *further, without=lambda row: False):
    """Deliver the year again with ``further`` forfaits, or without some."""
    rows = [row for row in deliveries(YEAR)["forfaits"] if not without(row)]
    year.redeliver(rates=False, forfaits=[*rows, *further])


def strict(year):
    return year.with_settings(tolerances=dict.fromkeys(TOLERANCES, 0.0))


# --- one_forfait_a_month ----------------------------------------------------------------------------------------------


def test_every_month_is_billed_once(year):
    outcome = year.outcome_of(checks.one_forfait_a_month)
    assert outcome.state == PASSED
    assert outcome.text == "All months of a patient at a house are billed once, net of regularisations."
    assert (outcome.metadata["found"], outcome.metadata["share"]) == (0, "0.00 %")


@pytest.mark.parametrize(("patients", "said"), [(3, "1 to 4 months"), (6, "6 months of a patient at a house (1.00 %)")])
def test_months_are_billed_twice(year, patients, said):
    billed(year, *(forfait(person, house_of(person), YEAR, 4) for person in PATIENTS[:patients]))
    outcome = year.outcome_of(checks.one_forfait_a_month)
    assert outcome.state == WARNING
    assert outcome.text.startswith(said)
    assert "more than the 0.10 % that is tolerated (MM_TOLERANCES). Each counts once" in outcome.text
    assert outcome.metadata["found"] == ("1 to 4" if patients < 5 else patients)


def test_what_is_regularised_is_not_billed_twice(year):
    person = PATIENTS[0]
    rows = [forfait(person, house_of(person), YEAR, 4) | {"quantity": quantity} for quantity in (1, -1)]
    billed(year, *rows)
    assert strict(year).outcome_of(checks.one_forfait_a_month).state == PASSED


@pytest.mark.parametrize(("tolerance", "state"), [(6 / 567, PASSED), (5.9 / 567, WARNING)])
def test_what_is_as_much_as_tolerated_passes(year, tolerance, state):
    billed(year, *(forfait(person, house_of(person), YEAR, 4) for person in PATIENTS[:6]))
    of = year.with_settings(tolerances={"one_forfait_a_month": tolerance})
    assert of.outcome_of(checks.one_forfait_a_month).state == state


@pytest.mark.parametrize("patients", [1, 4, 5])
def test_whether_it_warns_does_not_tell_a_small_number(year, patients):
    """Two of 567 are 0.35 %, five are 0.88 %."""
    billed(year, *(forfait(person, house_of(person), YEAR, 4) for person in PATIENTS[:patients]))
    outcomes = [
        year.with_settings(tolerances={"one_forfait_a_month": limit}).outcome_of(checks.one_forfait_a_month).state
        for limit in (0.0035, 0.0089)
    ]
    assert outcomes == [WARNING, PASSED]


def test_a_tolerance_is_a_setting(year):
    billed(year, *(forfait(person, house_of(person), YEAR, 4) for person in PATIENTS[:6]))
    patient = year.with_settings(tolerances={"one_forfait_a_month": 0.02})
    outcome = patient.outcome_of(checks.one_forfait_a_month)
    assert outcome.state == PASSED
    assert outcome.text.endswith(
        "are billed twice or more, net of regularisations; up to 2.00 % is tolerated (MM_TOLERANCES)."
    )


# --- one_house_a_month, registration_in_month_of_leaving --------------------------------------------------------------


def test_nobody_changes_house(year):
    assert year.outcome_of(checks.one_house_a_month).state == PASSED
    assert year.outcome_of(checks.registration_in_month_of_leaving).state == NOT_APPLICABLE


def test_two_houses_without_a_transfer(year):
    billed(year, *(forfait(person, "house-9", YEAR, 5) for person in PATIENTS[:5]))
    outcome = year.outcome_of(checks.one_house_a_month)
    assert (outcome.state, outcome.metadata["found"]) == (WARNING, 5)
    assert "are billed by another house too, without a transfer" in outcome.text
    leaving = year.outcome_of(checks.registration_in_month_of_leaving)
    assert (leaving.state, leaving.metadata["found"], leaving.metadata["looked_at"]) == (PASSED, 0, "fewer than 50")


def test_a_month_at_three_houses_is_one_month(year):
    rows = [forfait(person, house, YEAR, 5) for person in PATIENTS[:5] for house in ("house-8", "house-9")]
    billed(year, *rows)
    assert year.outcome_of(checks.one_house_a_month).metadata["found"] == 5


def test_a_change_to_and_fro_is_one_change(year):
    """From A to B in April and back in August, each with a month that both bill: one pair of houses."""
    movers = PATIENTS[:5]
    elsewhere = [forfait(person, "house-9", YEAR, month) for person in movers for month in range(4, 9)]
    between = [f"{YEAR}-0{month}-01" for month in (5, 6, 7)]
    billed(year, *elsewhere, without=lambda row: row["patient_id"] in movers and row["service_date"] in between)
    outcome = year.outcome_of(checks.registration_in_month_of_leaving)
    assert (outcome.metadata["found"], outcome.metadata["looked_at"]) == (5, "fewer than 50")


def test_a_transfer_in_the_month_of_leaving(year):
    """They leave at the end of June, and the new house bills June as well."""
    leavers = PATIENTS[:6]
    new = [forfait(person, "house-9", YEAR, month) for person in leavers for month in range(6, 13)]
    billed(year, *new, without=lambda row: row["patient_id"] in leavers and row["service_date"] > f"{YEAR}-06-01")
    assert strict(year).outcome_of(checks.one_house_a_month).state == PASSED
    outcome = year.outcome_of(checks.registration_in_month_of_leaving)
    assert (outcome.state, outcome.metadata["found"], outcome.metadata["looked_at"]) == (WARNING, 6, "fewer than 50")
    assert "have a month that both houses bill" in outcome.text


def test_a_transfer_from_the_next_month(year):
    leavers = PATIENTS[:6]
    new = [forfait(person, "house-9", YEAR, month) for person in leavers for month in range(7, 13)]
    billed(year, *new, without=lambda row: row["patient_id"] in leavers and row["service_date"] > f"{YEAR}-06-01")
    assert strict(year).outcome_of(checks.one_house_a_month).state == PASSED
    assert strict(year).outcome_of(checks.registration_in_month_of_leaving).state == PASSED
    assert strict(year).outcome_of(checks.gaps_in_registrations).state == PASSED


# --- gaps_in_registrations --------------------------------------------------------------------------------------------


def test_registrations_have_no_gap(year):
    assert year.outcome_of(checks.gaps_in_registrations).state == PASSED


def test_gaps(year):
    billed(year, without=lambda row: row["patient_id"] in PATIENTS[:5] and row["service_date"] == f"{YEAR}-08-01")
    outcome = year.outcome_of(checks.gaps_in_registrations)
    assert (outcome.state, outcome.metadata["found"], outcome.metadata["looked_at"]) == (WARNING, 5, 100)
    assert "have a month without a forfait between two that have one" in outcome.text
    assert "ask the sender" in outcome.text


@pytest.mark.parametrize("look", [checks.one_forfait_a_month, checks.one_house_a_month, checks.gaps_in_registrations])
def test_without_a_counted_month_there_is_nothing_to_look_at(year, look):
    year.put(REGISTRATIONS, [])
    assert year.outcome_of(look).state == NOT_APPLICABLE


# --- forfaits_of_beneficiaries ----------------------------------------------------------------------------------------


def test_patients_are_beneficiaries(year):
    assert year.outcome_of(checks.forfaits_of_beneficiaries).state == PASSED


def test_patients_without_a_row_and_born_later(year):
    keys = [row["patient_key"] for row in year.rows(REGISTRATIONS)]
    gone, unborn = set(keys[:6]), set(keys[6:13])

    def edit(row):
        if row["patient_key"] in gone:
            return None
        return row | {"birth_year": YEAR + 1} if row["patient_key"] in unborn else row

    year.change(RAW_BENEFICIARIES, edit)
    outcome = year.outcome_of(checks.forfaits_of_beneficiaries)
    assert outcome.state == WARNING
    assert outcome.metadata["found"] == 13
    assert "with the same pseudonyms?" in outcome.text


def test_the_number_of_others_is_not_told_by_subtraction(year):
    """Patients unknown to the beneficiaries: 7, of whom 5 are attributed. Two is not to be seen."""
    attributed = {row["patient_key"] for row in year.rows(ATTRIBUTED_PATIENTS)}
    keys = [row["patient_key"] for row in year.rows(REGISTRATIONS)]
    gone = [key for key in keys if key in attributed][:5] + [key for key in keys if key not in attributed][:2]
    year.change(RAW_BENEFICIARIES, lambda row: None if row["patient_key"] in gone else row)
    year.change(ATTRIBUTED_PATIENTS, lambda row: row | {"is_beneficiary": row["patient_key"] not in gone})
    assert year.outcome_of(checks.forfaits_of_beneficiaries).metadata["found"] == 7
    text = year.outcome_of(patients.patients_are_beneficiaries).text
    assert text.startswith("Some attributed patients are not in the beneficiaries delivery")
    assert not re.search(r"\b5\b", text)


# --- amounts ----------------------------------------------------------------------------------------------------------


def test_amounts_are_as_they_should_be(year):
    assert year.outcome_of(checks.one_amount_a_house).state == PASSED
    assert year.outcome_of(checks.one_amount_for_beginners).state == PASSED
    outcome = year.outcome_of(checks.one_amount_before_may_2013)
    assert outcome.text == "Not applicable: from May 2013 on mature houses are paid amounts of their own."


def test_lines_at_another_amount(year):
    month = f"{YEAR}-07-01"
    rows = deliveries(YEAR)["forfaits"]
    year.redeliver(
        rates=False,
        forfaits=[
            row | {"amount_eur": "19.00"} if row["patient_id"] in PATIENTS[:6] and row["service_date"] == month else row
            for row in rows
        ],
    )
    outcome = year.outcome_of(checks.one_amount_a_house)
    assert (outcome.state, outcome.metadata["found"]) == (WARNING, 6)
    assert (
        strict(year).outcome_of(checks.one_amount_for_beginners).state == PASSED
    )  # each house's usual amount is the same


def test_a_beginner_house_at_another_amount(year):
    rows = deliveries(YEAR)["forfaits"]
    year.redeliver(
        rates=False, forfaits=[row | {"amount_eur": "19.00"} if row["house_id"] == "house-2" else row for row in rows]
    )
    assert strict(year).outcome_of(checks.one_amount_a_house).state == PASSED
    outcome = year.outcome_of(checks.one_amount_for_beginners)
    assert (outcome.state, outcome.metadata["found"], outcome.metadata["looked_at"]) == (WARNING, 12, 48)


def mature(year, **amounts):
    """All houses are mature; ``amounts``: what a house is paid in some months."""
    year.change(
        HOUSES,
        lambda row: (
            row
            | {"status": "mature", "amounts": [amounts.get(row["house_id"][-1:] + f"_{m}", 18) for m in range(1, 13)]}
        ),
    )


def in_2013(year):
    """The small country's houses as those of 2013."""
    path = year.lake.path(HOUSES, 2013)
    path.parent.mkdir()
    path.write_bytes(year.lake.path(HOUSES, YEAR).read_bytes())
    return year.in_year(2013)


def test_mature_houses_before_may_2013(year):
    other = in_2013(year)
    mature(other, **{"2_4": 19, "2_5": 20, "1_12": 21})
    outcome = strict(other).outcome_of(checks.one_amount_before_may_2013)
    assert (outcome.state, outcome.metadata["found"], outcome.metadata["looked_at"]) == (WARNING, "1 to 4", 16)
    mature(other, **{"2_5": 20, "1_12": 21})
    assert strict(other).outcome_of(checks.one_amount_before_may_2013).state == PASSED


def test_the_first_year_says_that_maturity_is_unknown(year):
    other = in_2013(year)
    mature(other)
    other.change(HOUSES, lambda row: row | {"status": "unknown"})
    outcome = other.outcome_of(checks.one_amount_before_may_2013)
    assert outcome.state == NOT_APPLICABLE
    assert "without houses of 2011 it is not known how old they are" in outcome.text


# --- houses_come_and_go -----------------------------------------------------------------------------------------------


def test_the_same_houses(year):
    assert year.outcome_of(checks.houses_come_and_go).state == PASSED
    first = year.in_year(YEAR - 1).outcome_of(checks.houses_come_and_go)
    assert (first.state, f"houses of {YEAR - 2} is not built" in first.text) == (NOT_APPLICABLE, True)


def test_a_house_has_another_id(year):
    year.change(HOUSES, lambda row: row | {"house_id": "house-new"} if row["house_id"] == "house-1" else row)
    outcome = year.outcome_of(checks.houses_come_and_go)
    assert (outcome.state, outcome.metadata["found"]) == (WARNING, "1 to 4")
    assert "ask the sender" in outcome.text


def test_many_houses_appear(year):
    rows = year.rows(HOUSES)
    year.put(HOUSES, [*rows, *(rows[0] | {"house_id": f"house-new-{n}"} for n in range(7))])
    outcome = year.outcome_of(checks.houses_come_and_go)
    metadata = outcome.metadata
    assert (outcome.state, metadata["found"], metadata["appeared"], metadata["vanished"]) == (WARNING, 7, 7, 0)


# --- patients_near_their_house ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("far", "residents", "state"), [(5, 24, WARNING), (5, 25, PASSED), (4, 5, PASSED), (0, 40, PASSED)]
)
def test_patients_live_far_outside(year, far, residents, state):
    rows = year.rows(HOUSES)
    year.put(HOUSES, [rows[0] | {"far": far, "residents": residents}, *rows[1:]])
    outcome = year.outcome_of(checks.patients_near_their_house)
    assert outcome.state == state
    if state == WARNING:
        assert "made with the same pseudonyms?" in outcome.text


def test_no_house_has_a_known_residence(year):
    year.change(HOUSES, lambda row: row | {"residents": None, "far": None})
    assert year.outcome_of(checks.patients_near_their_house).state == NOT_APPLICABLE


# --- dmg_at_own_house --------------------------------------------------------------------------------------------------


def renamed(year, houses):
    rows = deliveries(YEAR)["forfaits"]
    year.redeliver(
        rates=False,
        forfaits=[row | {"house_id": f"new-{row['house_id']}"} if row["house_id"] in houses else row for row in rows],
    )


def test_houses_keep_their_patients(year):
    assert strict(year).outcome_of(patients.dmg_at_own_house).state == PASSED


def test_a_house_has_another_id_in_forfaits_than_in_dmg(year):
    renamed(year, {"house-1"})
    outcome = year.outcome_of(patients.dmg_at_own_house)
    assert outcome.state == WARNING
    assert "are at a house that loses more than half of them" in outcome.text


def test_all_houses_have_other_ids_in_forfaits_than_in_dmg(year):
    renamed(year, {f"house-{n}" for n in range(4)})
    outcome = year.outcome_of(patients.dmg_at_own_house)
    assert outcome.state == FAILED
    assert "have the delivery corrected" in outcome.text


def test_nobody_has_enough_forfaits(year):
    year.change(FORFAITS_PER_PATIENT, lambda row: row | {"forfaits": 2})
    assert year.outcome_of(patients.dmg_at_own_house).state == NOT_APPLICABLE


# --- contributions ----------------------------------------------------------------------------------------------------

CEILINGS = checks_in(contributions)


@pytest.mark.parametrize("look", CEILINGS, ids=lambda look: look.name)
def test_contributions_are_below_their_ceilings(year, look):
    assert year.outcome_of(look).state == PASSED


def test_nearly_all_pay_too_much(year):
    """How many do not is not told: of how many is a round number."""
    rows = deliveries(YEAR)["contributions"]
    year.redeliver(
        rates=False, contributions=[row | {"amount_eur": "9.00" if n > 1 else "1.00"} for n, row in enumerate(rows)]
    )
    outcome = year.outcome_of(CEILINGS[0])
    found = len(rows) - 2
    assert outcome.text.startswith(f"{found} patients who contribute ({found}.00 %) are asked more than €2.50")
    assert (outcome.metadata["found"], outcome.metadata["looked_at"]) == (found, 100)


def test_a_patient_pays_too_much_at_two_houses(year):
    rows = deliveries(YEAR)["contributions"]
    year.redeliver(
        rates=False, contributions=[*rows, *(row | {"house_id": "house-9", "amount_eur": "1.51"} for row in rows[:12])]
    )
    patients, households = (year.outcome_of(look) for look in CEILINGS)
    assert (patients.state, patients.metadata["found"]) == (WARNING, 12)
    assert "are asked more than €2.50 in the year, over all houses" in patients.text
    assert households.state == PASSED


def test_a_household_pays_too_much(year):
    """Five households of six members, and the others alone, who all pay what a patient may."""
    year.redeliver(
        rates=False,
        contributions=[
            row | {"household_id": f"household-{n // 6 if n < 30 else n}", "amount_eur": "2.50"}
            for n, row in enumerate(deliveries(YEAR)["contributions"])
        ],
    )
    patients, households = (year.outcome_of(look) for look in CEILINGS)
    assert patients.state == PASSED
    assert (households.state, households.metadata["found"]) == (WARNING, 5)


@pytest.mark.parametrize("look", CEILINGS, ids=lambda look: look.name)
def test_no_contributions_are_not_a_pass(year, look):
    (year.settings.raw_dir / str(YEAR) / "contributions.csv").unlink()
    year.redeliver(rates=False, dmg=deliveries(YEAR)["dmg"])
    year.ingest("contributions")
    outcome = year.outcome_of(look)
    assert (outcome.state, outcome.text) == (
        NOT_APPLICABLE,
        f"Not applicable: no contributions were delivered for {YEAR}.",
    )


# --- how long a house is in the system --------------------------------------------------------------------------------


def test_what_earlier_years_say(year):
    """Only years up to two before are looked at, so that years built side by side do not differ."""
    lake = year.lake
    assert earlier_houses(lake, YEAR).years == []
    assert earlier_houses(lake, YEAR + 1).years == [YEAR - 1]
    assert earlier_houses(lake, YEAR + 2).years == [YEAR - 1, YEAR]
    before = earlier_houses(lake, YEAR + 2)
    assert before.has_two_years_before
    assert not earlier_houses(lake, YEAR + 3).has_two_years_before
    year.change(HOUSES, lambda row: row | {"first_month": 3})
    assert earlier_houses(lake, YEAR + 2).version == before.version, "the year before tells when they began"
    year.in_year(YEAR - 1).change(HOUSES, lambda row: row | {"first_month": 3})
    assert earlier_houses(lake, YEAR + 2).version != before.version
