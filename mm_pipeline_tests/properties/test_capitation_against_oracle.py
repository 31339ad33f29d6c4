"""Registrations, forfaits of patients, houses and what is read off them, against the independent oracle of the rules."""

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import ibis.expr.types as ir
from hypothesis import event, given

from mm_pipeline import schemas
from mm_pipeline.statistic import attribution, contributions, forfaits, houses, registrations
from mm_pipeline_tests.properties import oracle
from mm_pipeline_tests.properties.oracle_capitation import (
    ALL_MONTHS,
    LEAST_PERSONS,
    Capitation,
    Deliveries,
    Key,
    Line,
    Registration,
    billed_lines,
    capitation,
    decimal_of,
    first,
    gaps,
    last,
    overlaps,
    pairs_of_houses,
)
from mm_pipeline_tests.properties.strategies import Delivery, deliveries
from mm_pipeline_tests.properties.strategies_capitation import LIEGE, peculiarities, system_deliveries
from mm_pipeline_tests.support.billing import EVERYWHERE, crowd, residents
from mm_pipeline_tests.support.capitation_years import Engine, build, in_lake, sql, write_earlier
from mm_pipeline_tests.support.examples import examples
from mm_pipeline_tests.support.keys import key
from mm_pipeline_tests.support.pipeline import geography_table, settings_for


def household_key(pseudonym: str) -> int:
    return key(f"household:{pseudonym}")


def mask(numbers: Iterable[int]) -> int:
    """Months as twelve bits: January is 1, December 2048."""
    return sum(2 ** (month - 1) for month in set(numbers))


# --- the engine's side ------------------------------------------------------------------------------------------------


EARLIER_HOUSES = schemas.Table("earlier_houses", (schemas.YEAR, *(column for column in schemas.HOUSES.columns[:2])))
HOUSES_FROM = (
    schemas.REGISTRATIONS,
    schemas.RAW_FORFAITS,
    schemas.ATTRIBUTED_PATIENTS,
    schemas.RAW_BENEFICIARIES,
    schemas.GEOGRAPHY,
    EARLIER_HOUSES,
)
ATTRIBUTED_FROM = (schemas.FORFAITS_PER_PATIENT, schemas.RAW_DMG, schemas.RAW_BENEFICIARIES)


def attributed_patients(of_patients: ir.Table, dmg: ir.Table, beneficiaries: ir.Table, threshold: int) -> ir.Table:
    return attribution.with_residence(attribution.attributed_patients(of_patients, dmg, threshold), beneficiaries)


def houses_of(*arguments: Any) -> ir.Table:
    *tables, year, sample, two_years_before_is_built = arguments
    return houses.houses(
        *tables,
        year,
        sample=sample,
        two_years_before_is_built=two_years_before_is_built,
        disclosure_threshold=LEAST_PERSONS,
    )


def of_kept_rows(delivered: Deliveries) -> Engine:
    """Every table made from the rows that the oracle keeps: quick, for many examples."""
    engine, year = Engine(), delivered.year
    persons = oracle.last_rows(oracle.read_delivery(oracle.read_beneficiary, year, delivered.beneficiaries).kept)
    records = oracle.read_delivery(oracle.read_dmg, year, delivered.dmg).kept
    engine.put(schemas.RAW_FORFAITS, [raw_forfait(year, line) for line in billed_lines(year, delivered.forfaits)])
    engine.put(
        schemas.RAW_BENEFICIARIES,
        [
            asdict(person)
            | {
                "patient_key": key(person.patient_id),
                "preferential": int(person.preferential),
                "municipality_code": person.municipality_code or None,
                "sector_code": person.sector_code or None,
            }
            for person in persons.values()
        ],
    )
    engine.put(schemas.RAW_DMG, [asdict(record) | {"patient_key": key(record.patient_id)} for record in records])
    engine.put(
        schemas.RAW_CONTRIBUTIONS,
        [
            {
                "patient_key": key(row["patient_id"]),
                "household_key": household_key(row["household_id"]),
                "house_id": row["house_id"],
                "amount_eur": decimal_of(row["amount_eur"]),
            }
            for row in delivered.contributions
        ],
    )
    engine.put(schemas.GEOGRAPHY, geography_table(list(map(dict, delivered.areas))).to_pylist())
    engine.put(
        EARLIER_HOUSES,
        [
            {"year": earlier_year, "house_id": house_id, "first_month": first}
            for earlier_year, first_months in delivered.earlier.items()
            for house_id, first in first_months.items()
        ],
    )
    engine.make(schemas.REGISTRATIONS, sql(registrations.registrations, (schemas.RAW_FORFAITS,)))
    engine.make(schemas.FORFAITS_PER_PATIENT, sql(forfaits.forfaits_per_patient, (schemas.REGISTRATIONS,)))
    engine.make(schemas.ATTRIBUTED_PATIENTS, sql(attributed_patients, ATTRIBUTED_FROM, delivered.threshold))
    more = year, float(delivered.sample), year - 2 in delivered.earlier
    engine.make(schemas.HOUSES, sql(houses_of, HOUSES_FROM, *more))
    return engine


def raw_forfait(year: int, line: Line) -> dict[str, Any]:
    return {
        "patient_key": key(line.patient_id),
        "house_id": line.house_id,
        "service_date": date(year, line.month, 1),
        "nomenclature_code": oracle.FORFAIT_CODE,
        "quantity": line.quantity,
        "amount_eur": line.amount,
    }


def unique(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    pairs = list(pairs)
    result = dict(pairs)
    assert len(result) == len(pairs), "a row is there twice"
    return result


def without(row: dict[str, Any], *columns: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in columns}


# --- tables -----------------------------------------------------------------------------------------------------------


def assert_registrations(engine: Engine, expected: Capitation) -> None:
    found = unique(
        ((row["patient_key"], row["house_id"]), without(row, "patient_key", "house_id"))
        for row in engine.rows(schemas.REGISTRATIONS)
    )
    assert found == {
        (key(patient_id), house_id): asdict(each)
        | {"months": mask(each.months), "months_twice": mask(each.months_twice)}
        for (patient_id, house_id), each in expected.registrations.items()
    }


def assert_forfaits_per_patient(engine: Engine, expected: Capitation) -> None:
    found = unique(
        (row["patient_key"], without(row, "patient_key")) for row in engine.rows(schemas.FORFAITS_PER_PATIENT)
    )
    assert found == {
        key(patient_id): asdict(each) | {"houses": list(each.houses) or None}
        for patient_id, each in expected.forfaits_per_patient.items()
    }


def assert_houses(engine: Engine, expected: Capitation) -> None:
    found = unique((row["house_id"], without(row, "house_id")) for row in engine.rows(schemas.HOUSES))
    assert found == {
        house_id: asdict(each)
        | {
            "registered": None if each.registered is None else list(each.registered),
            "amounts": list(each.amounts),
            "zone": None if each.zone is None else list(each.zone),
        }
        for house_id, each in expected.houses.items()
    }


# --- what is read off them --------------------------------------------------------------------------------------------


def assert_overlaps(engine: Engine, at: Mapping[Key, Registration]) -> None:
    rows = engine.read_off(schemas.REGISTRATIONS, registrations.overlaps)
    found = unique(
        ((row["patient_key"], row["house_id"], row["other_house"]), (row["both"], row["transfer"])) for row in rows
    )
    pairs: dict[tuple[int, str, str], tuple[set[int], set[int]]] = {
        (key(patient_id), min(pair), max(pair)): (set(), set()) for patient_id, pair in pairs_of_houses(at)
    }
    for patient_id, pair, month, transfer in overlaps(at):
        both, transfers = pairs[key(patient_id), min(pair), max(pair)]
        both.add(month)
        if transfer:
            transfers.add(month)
    assert found == {who: (mask(both), mask(transfers)) for who, (both, transfers) in pairs.items()}


def assert_gaps(engine: Engine, at: Mapping[Key, Registration]) -> None:
    rows = engine.read_off(schemas.REGISTRATIONS, registrations.gaps)
    found = unique(((row["patient_key"], row["house_id"]), row["gap"]) for row in rows)
    expected: dict[tuple[int, str], set[int]] = {}
    for patient_id, house_id, month in gaps(at):
        expected.setdefault((key(patient_id), house_id), set()).add(month)
    assert found == {who: mask(numbers) for who, numbers in expected.items()}


def assert_amounts_of_houses(engine: Engine, expected: Capitation, year: int) -> None:
    def of(status: str, numbers: range) -> dict[tuple[str, int], bool]:
        rows = engine.read_off(schemas.HOUSES, houses.amounts_of, status, numbers)
        return unique(((row["house_id"], row["month"]), row["amount"] != row["usual"]) for row in rows)

    beginners = of("beginner", range(1, 13))
    assert set(beginners) == expected.beginners_with_amount
    assert {which for which, deviates in beginners.items() if deviates} == expected.deviating_beginners
    before = houses.months_of_one_amount(year)
    mature = of("mature", before) if before else {}
    assert set(mature) == expected.mature_with_amount
    assert {which for which, deviates in mature.items() if deviates} == expected.deviating_mature


def far_outside(table: ir.Table) -> ir.Table:
    return table.filter(houses.has_patients_far_outside(table))


def assert_far_outside(engine: Engine, expected: Capitation) -> None:
    outside = engine.read_off(schemas.HOUSES, far_outside)
    assert sorted(row["house_id"] for row in outside) == sorted(expected.patients_far_outside)


def assert_contributions(engine: Engine, expected: Capitation) -> None:
    def above(who: str) -> set[int]:
        rows = engine.read_off(schemas.RAW_CONTRIBUTIONS, contributions.contributed, who)
        return {each for each, is_above in unique((row[who], row["above"]) for row in rows).items() if is_above}

    assert above("patient_key") == {key(each) for each in expected.above_per_patient}
    assert above("household_key") == {household_key(each) for each in expected.above_per_household}


def assert_equal(engine: Engine, delivered: Deliveries) -> None:
    expected = capitation(delivered)
    assert_registrations(engine, expected)
    assert_forfaits_per_patient(engine, expected)
    assert_houses(engine, expected)
    assert_overlaps(engine, expected.registrations)
    assert_gaps(engine, expected.registrations)
    assert_amounts_of_houses(engine, expected, delivered.year)
    assert_far_outside(engine, expected)
    assert_contributions(engine, expected)


# --- tests ------------------------------------------------------------------------------------------------------------


@examples(40, quick=8)
@given(delivered=system_deliveries())
def test_engine_equals_oracle(delivered: Deliveries) -> None:
    for name in peculiarities(delivered):
        event(name)
    assert_equal(of_kept_rows(delivered), delivered)


@examples(3)
@given(delivered=system_deliveries())
def test_from_files_to_lake(delivered: Deliveries) -> None:
    """The same through the files, the manifest and the lake, where the tables of earlier years lie."""
    with tempfile.TemporaryDirectory() as folder:
        own = settings_for(Path(folder), minimum_forfaits=delivered.threshold)
        write_earlier(own, delivered)
        assert_equal(build(own, delivered), delivered)


@examples(20)
@given(delivery=deliveries())
def test_deliveries_with_everything_that_can_go_wrong(delivery: Delivery) -> None:
    """The other strategies: odd lines and ids, huge quantities, residences that are none."""
    delivered = Deliveries(
        delivery.year, delivery.forfaits, delivery.beneficiaries, delivery.dmg, delivery.areas, sample="0.004"
    )
    assert_equal(of_kept_rows(delivered), delivered)


def test_any_months_at_two_and_three_houses() -> None:
    """Months drawn bit by bit, and often shared: every kind of neighbour of a month, in few queries."""
    random = Random(5)
    at = {}
    for number in range(3000):
        shared = random.getrandbits(12) & random.getrandbits(12)
        for house_id in "ABC"[: 2 + number % 2]:
            bits = shared | random.getrandbits(12) & random.getrandbits(12)
            numbers = frozenset(month for month in ALL_MONTHS if bits >> (month - 1) & 1)
            at[f"P{number}", house_id] = Registration(numbers, frozenset(), first(numbers), last(numbers), 0, 0)
    engine = Engine()
    engine.put(
        schemas.REGISTRATIONS,
        [
            asdict(each)
            | {"patient_key": key(patient_id), "house_id": house_id, "months": mask(each.months), "months_twice": 0}
            for (patient_id, house_id), each in at.items()
        ],
    )
    assert_overlaps(engine, at)
    assert_gaps(engine, at)


def test_years_in_a_row(tmp_path: Path) -> None:
    """The engine reads the ages of houses from the tables that it built itself, the sample from each manifest."""
    first_months: dict[int, dict[str, int | None]] = {}
    for year in range(2003, 2007):
        lines = [
            *crowd(3, *range(1 if year > 2003 else 5, 13), house="old", year=year),
            *(crowd(3, 6 if year > 2004 else 7, house="younger", year=year) if year > 2003 else []),
        ]
        delivered = Deliveries(year, lines, residents(old=(LIEGE, 3)), NOBODY, EVERYWHERE, sample="0.006")
        own = settings_for(tmp_path)
        assert_equal(build(own, delivered), replace(delivered, earlier=dict(first_months)))
        first_months[year] = {row["house_id"]: row["first_month"] for row in in_lake(own, year).rows(schemas.HOUSES)}
        status = {row["house_id"]: row["status"] for row in in_lake(own, year).rows(schemas.HOUSES)}
        assert status == STATUS_OF[year]


NOBODY = [{"patient_id": "nobody", "practice_id": "GP"}]
STATUS_OF = {
    2003: {"old": "unknown"},
    2004: {"old": "unknown", "younger": "unknown"},
    2005: {"old": "beginner", "younger": "beginner"},  # old: since May 2003, and this year from January on
    2006: {"old": "mature", "younger": "beginner"},  # younger: since July 2004, and this year from June on
}
