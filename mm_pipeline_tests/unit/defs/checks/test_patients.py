"""The checks of the patients: for every state a fault that reaches it, and what is said then."""

import pytest

from mm_pipeline.defs.checks import patients as checks
from mm_pipeline.operations.status import FAILED, HELD, NOT_APPLICABLE, PASSED, WARNING
from mm_pipeline.schemas import ATTRIBUTED_PATIENTS, FORFAITS_PER_PATIENT, RAW_DMG, RAW_FORFAITS
from mm_pipeline_tests.support.small_year import YEAR


def change_first(year, table, number, **values):
    """Give the first rows of the table other values."""
    rows = year.rows(table)
    year.put(table, [*(row | values for row in rows[:number]), *rows[number:]])


# --- forfaits_distribution --------------------------------------------------------------------------------------------


def test_the_distribution_is_plausible(year):
    outcome = year.outcome_of(checks.forfaits_distribution)
    assert (outcome.state, outcome.text) == (PASSED, "All patients have 0 to 12 forfaits; some have the whole year.")


@pytest.mark.parametrize("forfaits", [-1, 13])
def test_an_impossible_number_of_forfaits(year, forfaits):
    change_first(year, FORFAITS_PER_PATIENT, 3, forfaits=forfaits)
    outcome = year.outcome_of(checks.forfaits_distribution)
    assert outcome.state == FAILED
    assert outcome.text.startswith("A patient has fewer than 0 or more than 12 forfaits (1 rows: ")
    assert f" (1 rows: {forfaits}). Report it: months are counted wrongly." in outcome.text


def test_a_patient_without_a_number_of_forfaits(year):
    change_first(year, FORFAITS_PER_PATIENT, 1, forfaits=None)
    outcome = year.outcome_of(checks.forfaits_distribution)
    assert outcome.state == FAILED
    assert outcome.text.startswith("A patient has no number of forfaits")


@pytest.mark.parametrize(("again", "said"), [(2, "1 to 4"), (7, "7")])
def test_a_patient_is_there_twice(year, again, said):
    rows = year.rows(FORFAITS_PER_PATIENT)
    year.put(FORFAITS_PER_PATIENT, [*rows, *rows[:again]])
    outcome = year.outcome_of(checks.forfaits_distribution)
    assert outcome.state == FAILED
    assert outcome.text.startswith(f"{said} rows are a second row of a patient.")
    assert f"Materialise forfaits_per_patient for {YEAR} again" in outcome.text


def test_nobody_reaches_six(year):
    change_first(year, FORFAITS_PER_PATIENT, 1000, forfaits=5)
    outcome = year.outcome_of(checks.forfaits_distribution)
    assert outcome.state == FAILED
    assert outcome.text.startswith(
        "The largest number of forfaits of a patient is below six (found 5). Look at months_billed"
    )


def test_there_is_no_patient(year):
    year.put(FORFAITS_PER_PATIENT, [])
    outcome = year.outcome_of(checks.forfaits_distribution)
    assert outcome.state == FAILED
    assert outcome.text == "There is no patient with a forfait. Look at the checks of raw_forfaits."


# --- attribution_rule -------------------------------------------------------------------------------------------------


def test_the_attribution_follows_the_definition(year):
    outcome = year.outcome_of(checks.attribution_rule)
    assert outcome.state == PASSED
    assert outcome.text == "Every attributed patient has 6 to 12 forfaits, no DMG elsewhere, and is there once."


@pytest.mark.parametrize(("number", "said"), [(2, "1 to 4"), (6, "6")])
def test_months_other_than_those_billed(year, number, said):
    change_first(year, ATTRIBUTED_PATIENTS, number, forfaits=11)
    outcome = year.outcome_of(checks.attribution_rule)
    assert outcome.state == FAILED
    assert outcome.text.startswith(f"Of the attributed patients {said} do not have 6 to 12 forfaits. The table")
    assert f"materialise forfaits_per_patient and attributed_patients for {YEAR} again" in outcome.text


def test_a_patient_whose_forfaits_are_gone(year):
    gone = year.rows(ATTRIBUTED_PATIENTS)[0]["patient_key"]
    year.change(RAW_FORFAITS, lambda row: None if row["patient_key"] == gone else row)
    outcome = year.outcome_of(checks.attribution_rule)
    assert outcome.state == FAILED
    assert outcome.text.startswith("Of the attributed patients 1 to 4 do not have 6 to 12 forfaits, 1 to 4 have a DMG")


def test_the_threshold_is_looked_at(year):
    outcome = year.with_settings(minimum_forfaits=8).outcome_of(checks.attribution_rule)
    assert outcome.state == FAILED
    below = sum(row["forfaits"] < 8 for row in year.rows(ATTRIBUTED_PATIENTS))
    assert f"{below} do not have 8 to 12 forfaits" in outcome.text


@pytest.mark.parametrize(("number", "said"), [(3, "1 to 4"), (5, "5")])
def test_a_dmg_elsewhere(year, number, said):
    patients = [row["patient_key"] for row in year.rows(ATTRIBUTED_PATIENTS)[:number]]
    elsewhere = [{"patient_key": key, "practice_id": "practice-1"} for key in patients]
    year.put(RAW_DMG, [*year.rows(RAW_DMG), *elsewhere, *elsewhere])
    outcome = year.outcome_of(checks.attribution_rule)
    assert outcome.state == FAILED
    assert outcome.text.startswith(f"Of the attributed patients {said} have a DMG at another practice.")


def test_a_house_where_no_month_counts_is_elsewhere(year):
    patient = year.rows(ATTRIBUTED_PATIENTS)[0]
    other = next(f"house-{n}" for n in range(3) if f"house-{n}" != patient["house_id"])
    year.put(RAW_DMG, [*year.rows(RAW_DMG), {"patient_key": patient["patient_key"], "practice_id": other}])
    assert year.outcome_of(checks.attribution_rule).state == FAILED


def test_an_attributed_patient_is_there_twice(year):
    rows = year.rows(ATTRIBUTED_PATIENTS)
    year.put(ATTRIBUTED_PATIENTS, [*rows, rows[0]])
    outcome = year.outcome_of(checks.attribution_rule)
    assert outcome.state == FAILED
    assert outcome.text.startswith("Of the attributed patients 1 to 4 are there twice.")


def test_nobody_is_attributed(year):
    year.put(ATTRIBUTED_PATIENTS, [])
    outcome = year.outcome_of(checks.attribution_rule)
    assert outcome.state == NOT_APPLICABLE
    assert outcome.text.startswith("Not applicable: no patient is attributed to a maison médicale")
    outcome = year.outcome_of(checks.patients_are_beneficiaries)
    assert outcome.state == FAILED
    assert outcome.text.startswith("No patient is attributed to a maison médicale: no figure can be right")
    assert "Look at the checks of raw_forfaits and raw_dmg." in outcome.text


# --- patients_are_beneficiaries ---------------------------------------------------------------------------------------


def test_all_patients_are_beneficiaries(year):
    outcome = year.outcome_of(checks.patients_are_beneficiaries)
    assert (outcome.state, outcome.text) == (PASSED, "All attributed patients are in the beneficiaries delivery.")


@pytest.mark.parametrize(
    ("patients", "unknown", "state", "said"),
    [
        (400, 1, PASSED, "1 to 4 attributed patients are"),
        (2000, 9, PASSED, "9 attributed patients (0.45 %) are"),
        (2000, 10, WARNING, "10 attributed patients (0.50 %) are"),
        (400, 2, WARNING, "1 to 4 attributed patients are"),
        (400, 20, WARNING, "20 attributed patients (5.00 %) are"),
        (400, 21, HELD, "21 attributed patients (5.25 %) are"),
        (40, 4, WARNING, "1 to 4 attributed patients are"),  # that it holds would tell that they are not few
        (400, 200, HELD, "200 attributed patients (50.00 %) are"),
        (400, 201, FAILED, "201 attributed patients (50.25 %) are"),
        (400, 398, FAILED, "398 attributed patients (99.50 %) are"),
        (400, 400, FAILED, "400 attributed patients (100.00 %) are"),
    ],
)
def test_patients_who_are_no_beneficiaries(year, patients, unknown, state, said):
    pattern = year.rows(ATTRIBUTED_PATIENTS)[0]
    year.put(
        ATTRIBUTED_PATIENTS,
        [pattern | {"patient_key": 10**9 + n, "is_beneficiary": n >= unknown} for n in range(patients)],
    )
    outcome = year.outcome_of(checks.patients_are_beneficiaries)
    assert outcome.state == state
    assert outcome.text.startswith(f"{said} not in the beneficiaries delivery; they are counted nowhere.")
    assert ("Less than 0.50 % is expected: were both extracts made" in outcome.text) == (state in (WARNING, HELD))
    compare = "do not join, and the year stops here. Compare some pseudonyms of both: capitals, padding, leading zeros"
    assert (compare in outcome.text) == (state == FAILED)
