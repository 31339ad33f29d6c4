"""Nothing that a check says names a person or a house, or tells a small number of people.

Every test that lets a check look (``SmallYear.say``) holds its outcome to this. Here all checks look, as Dagster has
them look, at a good year, at its first year, and at one in which a little is wrong everywhere.
"""

from collections import Counter
from types import SimpleNamespace

import pytest

from mm_pipeline.definitions import TOLERANCES, build_definitions
from mm_pipeline.defs.resources.engine import DuckDBEngine
from mm_pipeline.operations.status import FAILED, NOT_APPLICABLE, PASSED, WARNING
from mm_pipeline.schemas import (
    ATTRIBUTED_PATIENTS,
    BENEFICIARY_COUNTS,
    FORFAITS_PER_PATIENT,
    GEOGRAPHY,
    PROTECTED_RATES,
    PROTECTED_SENSITIVITY,
    RAW_BENEFICIARIES,
    RAW_DMG,
    RAW_FORFAITS,
    SECTOR_RATES,
)
from mm_pipeline_tests.support.small_year import YEAR, assert_safe, deliveries, forfait


def outcomes(year):
    """State of every check of the definitions on this year; what it says is looked at on the way."""
    states = {}
    context = SimpleNamespace(partition_key=str(year.year), op_def=SimpleNamespace(name="checks"), log=None)
    for definition in build_definitions(settings=year.settings).asset_checks:
        if not any(spec.partitions_def for spec in definition.check_specs):
            continue  # of all years: they tell what status does
        look = definition.node_def.compute_fn.decorated_fn
        for told in look(context, settings=year.settings, engine=DuckDBEngine.of(year.settings)):
            metadata = {name: value if name in TABLES else value.value for name, value in told.metadata.items()}
            year.assert_safe(told.description, metadata)
            states[told.asset_key.to_user_string(), told.check_name] = metadata["outcome"]
    return states


TABLES = {"reasons", "months", "rates", "figures", "visibility", "cells_by_area"}


def test_all_is_well_in_a_good_year(year):
    for of in (year.in_year(YEAR - 1), year):
        of.put_whole_geography()
    states = outcomes(year)
    # The whole geography is without sectors; the sectors of the small country count all the same.
    assert {name for (_, name), state in states.items() if state == NOT_APPLICABLE} == {
        "published_figures",
        "revisions_audit",
        "totals_stay_visible",
        "one_amount_before_may_2013",
        "registration_in_month_of_leaving",  # nobody changes house
    }
    assert Counter(states.values()) == {PASSED: len(states) - 5, NOT_APPLICABLE: 5}


def test_what_the_first_year_cannot_be_compared_with(year):
    states = outcomes(year.in_year(YEAR - 1))
    not_looked = Counter(name for (_, name), state in states.items() if state == NOT_APPLICABLE)
    # 2019 has published figures, but not for so small a country.
    assert not_looked == {
        "volume_against_previous_year": 4,
        "same_people_as_the_year_before": 1,
        "municipalities_have_beneficiaries": 1,
        "regional_change": 1,
        "houses_come_and_go": 1,
        "one_amount_before_may_2013": 1,
        "registration_in_month_of_leaving": 1,
        "published_figures": 1,
        "revisions_audit": 1,
        "totals_stay_visible": 1,
    }


def spoil(year):
    """A little of everything is wrong: what there is to say is about few people, rows and cells."""
    rows = deliveries(YEAR)
    broken = [
        row | {"quantity": "x", "patient_id": f"{row['patient_id']}-{n}"} for n, row in enumerate(rows["forfaits"][:3])
    ]
    again = [forfait("pseudonym-0036", "house-0", YEAR, month) for month in range(1, 13)]
    at_two_houses = [forfait("pseudonym-0003", "house-2", YEAR, month) for month in (5, 12)]
    left_early = [forfait("pseudonym-0036", "house-1", YEAR, 1), forfait("pseudonym-nobody", "house-1", YEAR, 1)]
    of_another_house = [forfait("pseudonym-0100", "house-9", YEAR, month) | {"amount_eur": "9.00"} for month in (1, 3)]
    year.redeliver(
        forfaits=[*rows["forfaits"][:300], *broken, *again, *at_two_houses, *left_early, *of_another_house],
        contributions=[row | {"amount_eur": "9.99"} if n < 3 else row for n, row in enumerate(rows["contributions"])],
    )
    year.put(
        RAW_FORFAITS,
        [row | {"nomenclature_code": "0" if n < 2 else "109616"} for n, row in enumerate(year.rows(RAW_FORFAITS)[1:])],
    )
    people = year.rows(RAW_BENEFICIARIES)
    odd = [row | {"municipality_code": "999", "sector_code": "nonsense"} for row in people[:3]]
    year.put(
        RAW_BENEFICIARIES,
        [*people[3:], *odd, *odd[:2]],
        key_collisions=2,
        quarantined=3,
        quarantined_by_reason={"sex: x": 3},
    )
    records = year.rows(RAW_DMG)
    patients = year.rows(ATTRIBUTED_PATIENTS)
    year.put(
        RAW_DMG, [*records, *({"patient_key": row["patient_key"], "practice_id": "practice-9"} for row in patients[:2])]
    )
    year.put(
        ATTRIBUTED_PATIENTS,
        [
            row | {"is_beneficiary": n > 1, "forfaits": row["forfaits"] - (n < 3)}
            for n, row in enumerate([*patients, patients[9]])
        ],
    )
    months = year.rows(FORFAITS_PER_PATIENT)
    year.put(
        FORFAITS_PER_PATIENT,
        [*(row | {"forfaits": 13 if n < 2 else row["forfaits"]} for n, row in enumerate(months)), *months[5:8]],
    )
    year.change(GEOGRAPHY, lambda row: None if row["area_code"] == "44021" else row)
    year.change(BENEFICIARY_COUNTS, lambda row: row | {"beneficiaries": row["beneficiaries"] + 1})
    year.change(
        SECTOR_RATES,
        lambda row: (
            row | {"patients": row["patients"] + 3} if row["area_code"] in ("11002", "11002J81-", "03000") else row
        ),
    )
    cells = year.rows(PROTECTED_RATES)
    year.put(PROTECTED_RATES, [row | {"status": "published"} if n < 40 else row for n, row in enumerate(cells[:-2])])
    year.change(PROTECTED_SENSITIVITY, lambda row: row | {"status": "published"})


@pytest.mark.parametrize("threshold", [5, 10])
def test_a_little_is_wrong_everywhere(year, threshold):
    year = year.with_settings(tolerances=dict.fromkeys(TOLERANCES, 0.0), disclosure_threshold=threshold)
    spoil(year)
    states = outcomes(year)
    said_nothing = sorted(name for (_, name), state in states.items() if state == PASSED)
    assert Counter(states.values())[FAILED] >= 15
    assert Counter(states.values())[WARNING] >= 4
    # dmg and contributions: nothing quarantined and no collision; forfaits: no collision.
    assert said_nothing.count("key_collisions") == 3
    assert len(said_nothing) < 18, said_nothing


@pytest.mark.parametrize(
    ("text", "metadata"),
    [
        ("3 patients are elsewhere.", {}),
        ("4 beneficiaries (0.67 %) have no municipality.", {}),
        ("1 to 4 patients (0.50 %) have more.", {}),
        ("A patient is there twice (found 1).", {}),
        ("2 rows are a second row of a person.", {}),
        ("Patient pseudonym-0036 is there twice.", {}),
        ("Billed by house-2.", {}),
        ("Fine.", {"patients": 3}),
        ("Fine.", {"patients": "3"}),
    ],
)
def test_what_would_not_be_safe(text, metadata):
    """The guard itself sees it."""
    with pytest.raises(AssertionError):
        assert_safe(text, metadata)


def test_a_patient_key_is_seen(good_year):
    key = good_year.rows(RAW_DMG)[0]["patient_key"]
    with pytest.raises(AssertionError, match="a patient key shows"):
        good_year.assert_safe(f"Patient {key} is there twice.", {})
