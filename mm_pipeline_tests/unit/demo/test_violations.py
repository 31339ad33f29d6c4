"""The deliveries obey the rules of ``docs/capitation.md``, but for the planted cases, which are all found."""

from collections import Counter
from decimal import Decimal

import pytest

from mm_pipeline.demo import deliveries, facts, synthesize
from mm_pipeline.demo.hashing import Dice
from mm_pipeline.demo.houses import houses_of
from mm_pipeline.demo.identifiers import pseudonyms
from mm_pipeline.demo.places import country_of
from mm_pipeline.demo.violations import GHOST_PATIENTS, Violations, plant, planted
from mm_pipeline_tests.support import billing_rules as rules
from mm_pipeline_tests.support.billing_rules import Reading
from mm_pipeline_tests.support.demo_delivery import areas_of

pytestmark = pytest.mark.slow

#: The years that are looked at, and those that the status of a house and its coming and going are read from.
JUDGED = (2004, 2006, 2012, 2013, 2014, 2020)
YEARS = (2003, 2004, 2005, 2006, 2010, 2011, 2012, 2013, 2014, 2018, 2019, 2020)

judged = pytest.mark.parametrize("year", JUDGED)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[int, Reading], dict[int, Violations]]:
    """The deliveries of the years, and what was planted in them."""
    raw = tmp_path_factory.mktemp("violations")
    violations: dict[int, Violations] = {}

    def noted(dice, country, people, registrations, ghost):
        result, violations[people.year] = plant(dice, country, people, registrations, ghost)
        return result, violations[people.year]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deliveries, "plant", noted)
        synthesize(raw, YEARS, scale=0.02, seed=1, areas=areas_of)
    return {year: Reading(raw / str(year), municipalities(year)) for year in YEARS}, violations


@pytest.fixture(scope="module")
def readings(made: tuple[dict[int, Reading], dict[int, Violations]]) -> dict[int, Reading]:
    return made[0]


@pytest.fixture(scope="module")
def concerned(made: tuple[dict[int, Reading], dict[int, Violations]]) -> dict[int, set[str]]:
    """The patients with a planted registration or month."""
    return {year: set(pseudonyms(Dice(1), made[1][year].persons).to_pylist()) for year in YEARS}


def municipalities(year: int) -> set[str]:
    return {area["area_code"] for area in areas_of(year).to_pylist() if area["level"] == "municipality"}


def ghost(year: int) -> str:
    return f"H{7000 + year}"


@judged
def test_one_forfait_a_month(readings: dict[int, Reading], concerned: dict[int, set[str]], year: int) -> None:
    found = rules.billed_twice(readings[year])
    assert len({patient for patient, _, _ in found}) == len(found) == planted(year)["one_forfait_a_month"]
    assert {patient for patient, _, _ in found} <= concerned[year]
    # Half in two rows, half in one.
    rows = Counter((line[0], line[1], line[2]) for line in readings[year].lines)
    assert Counter(rows[case] for case in found) == {1: 3, 2: 3}
    assert {line[3] for line in readings[year].lines} == {1, -1, 2}


@judged
def test_one_house_a_month(readings: dict[int, Reading], concerned: dict[int, set[str]], year: int) -> None:
    wrong, transfers = rules.two_houses(readings[year])
    assert len(wrong) == planted(year)["one_house_a_month"]
    assert len(transfers) == planted(year)["registration_in_month_of_leaving"]
    assert len({patient for patient, _ in wrong | transfers}) == len(wrong) + len(transfers)
    assert {patient for patient, _ in wrong | transfers} <= concerned[year]


@judged
def test_gaps_in_registrations(readings: dict[int, Reading], concerned: dict[int, set[str]], year: int) -> None:
    found = rules.gaps(readings[year])
    assert len({patient for patient, _, _ in found}) == len(found) == planted(year)["gaps_in_registrations"]
    assert {patient for patient, _, _ in found} <= concerned[year]
    rows = Counter((line[0], line[1], line[2]) for line in readings[year].lines)
    assert Counter(rows[case] for case in found) == {0: 3, 2: 3}


@judged
def test_forfaits_of_beneficiaries(made: tuple[dict[int, Reading], dict[int, Violations]], year: int) -> None:
    readings, violations = made
    found = rules.no_beneficiaries(readings[year])
    assert len(found) == planted(year)["forfaits_of_beneficiaries"]
    assert found == set(pseudonyms(Dice(1), violations[year].unlisted).to_pylist())


@judged
def test_one_amount_a_house(readings: dict[int, Reading], year: int) -> None:
    found = rules.other_amounts(readings[year])
    assert len(set(found)) == len(found) == planted(year)["one_amount_a_house"]


@judged
def test_one_amount_for_beginners(readings: dict[int, Reading], year: int) -> None:
    found = rules.unlike_the_others(readings, year, "beginner")
    assert len(found) == planted(year)["one_amount_for_beginners"]
    ((house,),) = [{house for house, _ in found}]
    reading = readings[year]
    assert len(reading.patients[house][1]) < 500 * reading.sample
    assert len({patient for month in reading.patients[house] for patient in month}) >= 5
    assert house != ghost(year)


@judged
def test_one_amount_before_may_2013(readings: dict[int, Reading], year: int) -> None:
    found = rules.unlike_the_others(readings, year, "mature")
    # Nothing is known of the age of a house before 2005, and before 2012 nothing here of those opened since 2006.
    assert len(found) == planted(year)["one_amount_before_may_2013"]
    assert len({house for house, _ in found}) == (len(found) > 0)
    mature = [house for house in readings[year].patients if rules.status(readings, year, house) == "mature"]
    assert len(mature) > 20 or year == 2004


@pytest.mark.parametrize("year", [2013, 2014, 2020])
def test_mature_houses_are_paid_differently_since_may_2013(readings: dict[int, Reading], year: int) -> None:
    mature = [house for house in readings[year].patients if rules.status(readings, year, house) == "mature"]
    amounts = readings[year].unit_amounts()
    for month in range(1, 13):
        different = {rules.usual(amounts[house, month]) for house in mature}
        assert len(different) > 0.7 * len(mature) if (year, month) >= (2013, 5) else len(different) == 2


@pytest.mark.parametrize("year", [year for year in YEARS if year - 1 in YEARS])
def test_houses_come_and_go(readings: dict[int, Reading], year: int) -> None:
    before, after = set(readings[year - 1].patients), set(readings[year].patients)
    opening = houses_of(country_of(areas_of(facts.BASE_YEAR))).opening.tolist()
    opened = {f"H{number + 1:04d}" for number, since in enumerate(opening) if since == year}
    assert after - before == opened | {ghost(year)}
    assert before - after == {ghost(year - 1)}
    # Nobody is registered with a house before it opens; in the year of its opening from February on at the earliest.
    first = [readings[year].first_month(house) for house in opened]
    assert min(first, default=2) == 2


@judged
def test_patients_near_their_house(readings: dict[int, Reading], concerned: dict[int, set[str]], year: int) -> None:
    reading = readings[year]
    assert rules.far_from_their_house(reading) == {ghost(year)}
    months = [set(month) for month in reading.patients[ghost(year)][1:]]
    assert all(month == months[0] for month in months)
    assert len(months[0]) == GHOST_PATIENTS
    assert months[0] <= concerned[year]
    assert all(list(reading.houses_of[patient]) == [ghost(year)] for patient in months[0])


@pytest.mark.parametrize("year", YEARS)
def test_contributions(readings: dict[int, Reading], concerned: dict[int, set[str]], year: int) -> None:
    reading = readings[year]
    if year < 2010:
        assert reading.contributions is None
        return
    patients, households = rules.paid(reading, 0), rules.paid(reading, 1)
    too_much = {patient: amounts for patient, amounts in patients.items() if sum(amounts) > Decimal("2.50")}
    assert len(too_much) == planted(year)["contribution_per_patient"]
    assert Counter(len(amounts) for amounts in too_much.values()) == {1: 3, 2: 3}
    assert {len(amounts) for patient, amounts in patients.items() if patient not in too_much} == {1}
    houses = Counter(patient for patient, *_ in {(row[0], row[2]) for row in reading.contributions or ()})
    assert Counter(houses[patient] for patient in too_much) == {1: 4, 2: 2}

    large = {household for household, amounts in households.items() if sum(amounts) > Decimal("12.50")}
    assert len(large) == planted(year)["contribution_per_household"]
    members = Counter(row[1] for row in reading.contributions or ())
    assert {members[household] for household in large} == {6}
    assert set(members.values()) == {1, 2, 3, 4, 6}
    assert not {row[0] for row in reading.contributions or () if row[1] in large} & set(too_much)
    assert not patients.keys() & concerned[year]


def test_a_third_of_the_houses_ask_for_a_contribution(readings: dict[int, Reading]) -> None:
    reading = readings[2020]
    asking = {row[2] for row in reading.contributions or ()}
    assert 0.25 < len(asking) / len(reading.patients) < 0.42
    paying = {row[0] for row in reading.contributions or ()}
    registered = {patient for house in asking for month in reading.patients[house] for patient in month}
    assert 0.8 < len(paying & registered) / len(registered) < 0.95
    assert all(Decimal("0.50") <= Decimal(row[3]) for row in reading.contributions or ())
    assert all(row[1].startswith("synh") and len(row[1]) == 20 for row in reading.contributions or ())
    # Two who pay too much do so at a house where they are not registered.
    elsewhere = [row for row in reading.contributions or () if row[2] not in reading.houses_of[row[0]]]
    assert len(elsewhere) == 2
