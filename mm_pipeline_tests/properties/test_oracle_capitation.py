"""The oracle of the capitation system itself, on cases worked by hand: each sentence of `docs/capitation.md`.

What belongs here: an example of every sentence, and its edge. What does not: the engine.
"""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, seed

from mm_pipeline_tests.properties.oracle_capitation import (
    Capitation,
    Deliveries,
    House,
    Registration,
    appearing,
    capitation,
    houses_of_both_years,
    next_to,
    vanishing,
)
from mm_pipeline_tests.properties.strategies import area_table
from mm_pipeline_tests.properties.strategies_capitation import (
    ARLON,
    BRUGGE,
    BRUSSEL,
    CHARLEROI,
    GENT,
    HASSELT,
    LEUVEN,
    LIEGE,
    NAMUR,
    PLACES,
    WAVRE,
    peculiarities,
    system_deliveries,
)
from mm_pipeline_tests.support.billing import EVERYWHERE, YEAR, Text, crowd, line, months, person, residents
from mm_pipeline_tests.support.examples import examples


def work_out(
    forfaits: list[Text], beneficiaries: list[Text] | None = None, year: int = YEAR, **more: Any
) -> Capitation:
    more = {"dmg": [], "areas": EVERYWHERE} | more
    return capitation(Deliveries(year, forfaits, beneficiaries or [], **more))


def at(forfaits: list[Text], house: str = "A", patient: str = "P") -> Registration:
    return work_out(forfaits).registrations[patient, house]


def house_of(forfaits: list[Text], beneficiaries: list[Text] | None = None, house: str = "A", **more: Any) -> House:
    return work_out(forfaits, beneficiaries, **more).houses[house]


# --- registrations ----------------------------------------------------------------------------------------------------


def test_a_row_for_every_patient_and_house_with_a_billed_line() -> None:
    lines = [*months(1), *months(1, 2, house="B"), line(3, patient="Q", quantity=0)]
    assert set(work_out(lines).registrations) == {("P", "A"), ("P", "B"), ("Q", "A")}


def test_other_codes_and_lines_that_are_not_kept_are_no_billed_lines() -> None:
    lines = [line() | {"nomenclature_code": "101032"}, line() | {"service_date": "2023-12-31"}, line(amount="1.234")]
    assert work_out(lines).registrations == {}


def test_the_quantities_of_a_month_are_added_up() -> None:
    assert at([line(5), line(5, -1), line(5)]).months == {5}
    assert at([line(5), line(5, -1)]).months == frozenset()
    assert at([line(4, -1), line(5)]).months == {5}


def test_the_months_with_two_or_more() -> None:
    found = at([line(1), line(1), line(2, 2), line(3, 3), line(4, 2), line(4, -1), line(5)])
    assert found.months == {1, 2, 3, 4, 5}
    assert found.months_twice == {1, 2, 3}


def test_first_and_last_are_counted_months() -> None:
    found = at([line(1), line(1, -1), *months(3, 7), line(12, 0)])
    assert (found.first_month, found.last_month) == (3, 7)


def test_a_registration_without_a_counted_month_has_no_first_one() -> None:
    found = at([line(1), line(1, -1), line(2, 0), line(3, -1)])
    assert found == Registration(frozenset(), frozenset(), None, None, quantity=-1, regularised=2)


def test_quantity_is_net_and_regularised_is_taken_back() -> None:
    found = at([line(1, 2), line(2, -3), line(3)])
    assert (found.quantity, found.regularised) == (0, 3)


# --- more than one forfait --------------------------------------------------------------------------------------------


def test_more_than_one_net_forfait_is_an_error_of_billing() -> None:
    lines = [*months(1, 1, 2), line(3, 2), line(3, -1)]
    assert work_out(lines).more_than_one_forfait == {("P", "A", 1)}


def test_one_forfait_at_each_of_two_houses_is_not_twice_at_a_house() -> None:
    assert work_out([*months(1), *months(1, house="B")]).more_than_one_forfait == set()


# --- two houses in a month --------------------------------------------------------------------------------------------

AB = frozenset("AB")


def two_houses(a: list[int], b: list[int], c: list[int] | None = None) -> tuple[set[int], set[tuple[str, int]]]:
    """(months that are an error, (the two houses, month) of the transfers)"""
    found = work_out([*months(*a), *months(*b, house="B"), *months(*(c or []), house="C")])
    return (
        {month for _, month in found.two_houses_in_a_month},
        {("".join(sorted(pair)), month) for _, pair, month in found.registered_in_month_of_leaving},
    )


@pytest.mark.parametrize(
    ("a", "b", "errors", "transfers"),
    [
        pytest.param([1, 2, 3], [4, 5, 6], set(), set(), id="one after the other"),
        pytest.param([1, 2, 3], [3, 4, 5], set(), {("AB", 3)}, id="the new house bills the month of leaving"),
        pytest.param([3, 4, 5], [1, 2, 3], set(), {("AB", 3)}, id="the other way round"),
        pytest.param([1, 2, 3, 4], [3, 4, 5], {3, 4}, set(), id="two months together: neither is a transfer"),
        pytest.param([1, 2, 3], [3], set(), {("AB", 3)}, id="the new house bills nothing else"),
        pytest.param([3], [3], set(), {("AB", 3)}, id="one month at each"),
        pytest.param([2, 3, 4], [3], {3}, set(), id="one month inside a registration"),
        pytest.param([2, 3, 4], [2, 3, 4], {2, 3, 4}, set(), id="side by side"),
        pytest.param([3, 4], [3, 4], {3, 4}, set(), id="side by side for two months"),
        pytest.param([2, 3], [2, 3, 4], {2, 3}, set(), id="began together"),
        pytest.param([3, 4], [2, 3, 4], {3, 4}, set(), id="ended together"),
        pytest.param([3, 5], [1, 3, 5], set(), {("AB", 3), ("AB", 5)}, id="months without neighbours"),
        pytest.param([1, 2, 5, 6], [2, 3, 4, 5], set(), {("AB", 2), ("AB", 5)}, id="there and back again"),
        pytest.param([1], [1, 2, 3], set(), {("AB", 1)}, id="January: A may have ended"),
        pytest.param([1, 2], [1, 2, 3], {1, 2}, set(), id="January: A did not end"),
        pytest.param([1], [1], set(), {("AB", 1)}, id="January alone"),
        pytest.param([10, 11, 12], [12], set(), {("AB", 12)}, id="December: B may go on"),
        pytest.param([11, 12], [10, 11, 12], {11, 12}, set(), id="December: both were there before"),
        pytest.param([12], [12], set(), {("AB", 12)}, id="December alone"),
        pytest.param([1, 12], [1, 12], set(), {("AB", 1), ("AB", 12)}, id="both ends"),
        pytest.param(list(range(1, 13)), list(range(1, 13)), set(range(1, 13)), set(), id="all year"),
    ],
)
def test_a_month_at_two_houses_is_a_transfer_or_an_error(
    a: list[int], b: list[int], errors: set[int], transfers: set[tuple[str, int]]
) -> None:
    assert two_houses(a, b) == (errors, transfers)


def test_a_month_at_three_houses_is_one_error() -> None:
    assert two_houses([2, 3, 4], [2, 3, 4], [2, 3, 4]) == ({2, 3, 4}, set())


def test_a_month_can_be_transfer_of_one_pair_and_error_of_another() -> None:
    # In March A ends and B begins; C is there all the time.
    assert two_houses([1, 2, 3], [3, 4, 5], [2, 3, 4]) == ({2, 3, 4}, {("AB", 3)})


def test_three_houses_that_hand_over_in_one_month() -> None:
    # C's only month is a transfer from A and to B.
    assert two_houses([1, 2, 3], [3, 4, 5], [3]) == (set(), {("AB", 3), ("AC", 3), ("BC", 3)})


def test_a_month_taken_back_is_no_month_at_two_houses() -> None:
    lines = [*months(2, 3, 4), line(3, house="B"), line(3, -1, house="B")]
    assert work_out(lines).two_houses_in_a_month == set()


def test_a_month_taken_back_can_make_a_transfer() -> None:
    lines = [*months(1, 2, 3, 4), line(4, -1), *months(3, 4, 5, house="B")]
    assert work_out(lines).registered_in_month_of_leaving == {("P", AB, 3)}


def test_houses_of_different_patients_have_nothing_in_common() -> None:
    found = work_out([*months(2, 3, 4), *months(2, 3, 4, house="B", patient="Q")])
    assert (found.two_houses_in_a_month, found.changes_of_house) == (set(), set())


def test_changes_of_house_are_pairs_with_a_counted_month_each() -> None:
    lines = [*months(1), *months(9, house="B"), *months(5, house="C"), line(6, house="D"), line(6, -1, house="D")]
    pairs = {frozenset("AB"), frozenset("AC"), frozenset("BC")}
    assert work_out(lines).changes_of_house == {("P", pair) for pair in pairs}


# --- gaps -------------------------------------------------------------------------------------------------------------


def gaps(lines: list[Text]) -> set[tuple[str, int]]:
    return {(house_id, month) for _, house_id, month in work_out(lines).gaps}


def test_a_month_without_forfait_inside_a_registration_is_a_gap() -> None:
    assert gaps(months(2, 3, 6)) == {("A", 4), ("A", 5)}


def test_before_the_first_and_after_the_last_month_is_no_gap() -> None:
    assert gaps(months(4, 5, 6)) == set()
    assert gaps(months(4)) == set()


def test_a_month_that_was_taken_back_is_a_gap() -> None:
    assert gaps([*months(2, 3, 4), line(3, -1)]) == {("A", 3)}


def test_a_quantity_of_0_is_a_gap() -> None:
    assert gaps([*months(2, 4), line(3, 0)]) == {("A", 3)}


def test_a_month_taken_back_at_the_end_is_no_gap() -> None:
    assert gaps([*months(2, 3, 4), line(4, -1)]) == set()


def test_a_month_at_another_house_is_no_gap() -> None:
    assert gaps([*months(2, 4), *months(3, house="B")]) == set()


def test_a_month_taken_back_at_another_house_is_a_gap() -> None:
    assert gaps([*months(2, 4), *months(3, house="B"), line(3, -1, house="B")]) == {("A", 3)}


def test_a_gap_in_two_registrations_is_two_gaps() -> None:
    assert gaps([*months(2, 4), *months(1, 5, house="B")]) == {("A", 3), ("B", 3)}


def test_between_two_registrations_is_no_gap() -> None:
    assert gaps([*months(1, 2), *months(5, 6, house="B")]) == set()


# --- forfaits of a patient --------------------------------------------------------------------------------------------


def test_what_explains_the_forfaits_of_a_patient() -> None:
    lines = [*months(2, 3, 3), *months(3, 6, house="B"), line(9, house="C"), line(9, -2, house="C")]
    found = work_out(lines).forfaits_per_patient["P"]
    assert (found.forfaits, found.house_id, found.houses) == (3, "B", ("A", "B"))
    assert (found.first_month, found.last_month, found.gaps) == (2, 6, 2)
    assert (found.months_billed_twice, found.quantity, found.regularised) == (1, 4, 2)


def test_a_month_is_billed_twice_at_a_house_or_at_two() -> None:
    lines = [*months(1, 1, 2, 3), *months(2, 4, 4, house="B"), line(5, 2), line(5, -1)]
    assert work_out(lines).forfaits_per_patient["P"].months_billed_twice == 3


def test_between_two_registrations_is_a_gap_of_the_patient() -> None:
    assert work_out([*months(1, 2), *months(5, house="B")]).forfaits_per_patient["P"].gaps == 2


def test_a_patient_without_a_counted_month() -> None:
    found = work_out([line(1, -1), line(3), line(3, -1)]).forfaits_per_patient["P"]
    assert (found.forfaits, found.house_id, found.houses, found.first_month, found.last_month) == (
        0,
        None,
        (),
        None,
        None,
    )
    assert (found.gaps, found.months_billed_twice, found.quantity, found.regularised) == (0, 0, -1, 2)


# --- forfaits of beneficiaries ----------------------------------------------------------------------------------------


def test_a_patient_without_a_kept_row_among_the_beneficiaries() -> None:
    lines = [line(patient=patient) for patient in ("P", "Q", "born", "odd")]
    rows = [person(), person("born", born=YEAR + 1), person("odd") | {"sex": "X"}]
    assert work_out(lines, rows).billed_without_beneficiary == {"Q", "born", "odd"}


def test_born_in_the_year_is_no_fault() -> None:
    assert work_out([line()], [person(born=YEAR)]).billed_without_beneficiary == set()


def test_a_line_that_was_taken_back_is_a_billed_line() -> None:
    assert work_out([line(), line(quantity=-1)]).billed_without_beneficiary == {"P"}


# --- houses -----------------------------------------------------------------------------------------------------------


def test_a_row_for_every_house_with_a_billed_line() -> None:
    found = work_out([*months(1), line(2, -1, house="B"), line(3, 0, house="C")])
    assert set(found.houses) == {"A", "B", "C"}


def test_a_house_without_a_counted_month() -> None:
    found = house_of([line(2), line(2, -2)], earlier={YEAR - 2: {}})
    assert (found.first_month, found.last_month, found.persons) == (None, None, 0)
    assert (found.forfaits_billed, found.regularised, found.lines) == (1, 2, 2)
    assert found.status == "beginner"
    assert found.two_years is None


def test_months_and_patients_of_a_house() -> None:
    lines = [*crowd(4, 2, 3), *months(3, 9), line(10), line(10, -1), line(1, patient="Q"), line(1, -1, patient="Q")]
    found = house_of(lines)
    assert (found.first_month, found.last_month, found.persons) == (2, 9, 5)
    assert found.registered == (0, 4, 5, 0, 0, 0, 0, 0, 1, 0, 0, 0)
    assert (found.forfaits_billed, found.regularised) == (12, 2)


def test_forfaits_of_a_house_are_quantities_not_months() -> None:
    found = house_of([line(1, 3), line(1, -1), line(2, -2), line(3, 0)])
    assert (found.forfaits_billed, found.regularised) == (3, 3)


def test_attributed_to_the_house() -> None:
    six = range(1, 7)
    lines = [
        *crowd(3, *six, name="stays"),
        *crowd(1, *range(1, 6), name="short"),
        *crowd(1, *six, name="elsewhere"),
        *crowd(2, *six, name="left"),
        *crowd(2, *range(6, 13), name="left", house="B"),
    ]
    dmg = [{"patient_id": "elsewhere0", "practice_id": "GP"}]
    assert house_of(lines, dmg=dmg).attributed == 3
    assert house_of(lines, dmg=dmg, threshold=5).attributed == 4


def test_who_is_no_beneficiary_is_attributed_all_the_same() -> None:
    lines = crowd(5, *range(1, 7))
    assert house_of(lines).attributed == house_of(lines, residents(A=(LIEGE, 5))).attributed == 5


def test_residents_are_patients_of_the_house() -> None:
    lines = [*crowd(6), *crowd(1, name="other", house="B")]
    rows = [*residents(A=(LIEGE, 5), other=(LIEGE, 1), nobody=(LIEGE, 3)), person("A5", "999")]
    assert house_of(lines, rows).residents == 5


def test_with_4_persons_there_is_no_breakdown() -> None:
    found = house_of(crowd(4), residents(A=(LIEGE, 4)))
    assert (found.registered, found.attributed, found.zone, found.residents, found.far) == (None,) * 5
    assert (found.persons, found.forfaits_billed, found.lines, found.amounts[0]) == (4, 4, 4, Decimal(20))


def test_with_5_persons_there_is_one() -> None:
    found = house_of(crowd(5), residents(A=(LIEGE, 5)))
    assert (found.registered, found.attributed) == ((5, *[0] * 11), 0)
    assert (found.zone, found.residents, found.far) == ((LIEGE,), 5, 0)


def test_persons_are_not_those_of_one_month() -> None:
    lines = [line(month, patient=str(month)) for month in range(1, 6)]
    assert house_of(lines).registered == (1, 1, 1, 1, 1, *[0] * 7)


# --- unit amounts -----------------------------------------------------------------------------------------------------


def test_the_amount_of_a_month_is_that_of_most_lines() -> None:
    found = house_of([line(1, amount="20"), line(1, amount="20.00"), line(1, amount="18,52"), line(3, amount="19")])
    assert found.amounts == (Decimal(20), None, Decimal(19), *[None] * 9)
    assert (found.lines, found.lines_at_another_amount) == (4, 1)


def test_of_two_amounts_with_as_many_lines_the_smallest() -> None:
    found = house_of([line(1, amount="100"), line(1, amount="20"), line(1, amount="20"), line(1, amount="100")])
    assert (found.amounts[0], found.lines_at_another_amount) == (Decimal(20), 2)


def test_the_smallest_amount_is_the_smallest_number() -> None:
    assert house_of([line(1, amount="100"), line(1, amount="20")]).amounts[0] == Decimal(20)
    assert house_of([line(1, amount="20"), line(1, amount="-20")]).amounts[0] == Decimal(-20)


def test_it_is_the_most_lines_not_the_most_forfaits() -> None:
    lines = [line(1, 5, unit="18.00"), line(1, 1, unit="20.00"), line(1, -1, unit="20.00")]
    assert house_of(lines).amounts[0] == Decimal(20)


def test_a_line_with_quantity_0_is_not_among_the_lines() -> None:
    found = house_of([line(1, 0, amount="7"), line(1, 0, amount="7"), line(1), line(2, 0)])
    assert (found.lines, found.lines_at_another_amount, found.amounts[:2]) == (1, 0, (Decimal(20), None))


def test_a_line_that_takes_back_has_an_amount() -> None:
    found = house_of([line(1), line(1, -1, amount="-18.00"), line(2, -2, amount="-40.00")])
    assert found.amounts[:2] == (Decimal(18), Decimal(20))
    assert (found.lines, found.lines_at_another_amount) == (3, 1)


def test_a_line_that_takes_back_with_a_positive_amount_is_at_another_one() -> None:
    assert house_of([line(1), line(1), line(1, -1, amount="20.00")]).lines_at_another_amount == 1


def test_unit_amounts_are_compared_at_4_decimals() -> None:
    found = house_of([line(1, 3, amount="10.00"), line(1, -3, amount="-10.00"), line(1, 30, amount="100")])
    assert (found.amounts[0], found.lines_at_another_amount) == (Decimal("3.3333"), 0)
    # 33.34 ÷ 10 and 10 ÷ 3 are 0.0007 apart
    assert house_of([line(1, 3, amount="10.00"), line(1, 10, amount="33.34")]).lines_at_another_amount == 1


def test_amounts_may_differ_between_months_and_houses() -> None:
    lines = [line(1, unit="18"), line(2, unit="19"), line(1, unit="20", house="B")]
    assert work_out(lines).lines_at_another_amount == {"A": 0, "B": 0}
    assert work_out(lines).lines == {"A": 2, "B": 1}


# --- two years, mature ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("earlier", "expected"),
    [
        pytest.param({YEAR - 2: {"A": 5}}, True, id="two years to the month"),
        pytest.param({YEAR - 2: {"A": 4}}, True, id="and a month"),
        pytest.param({YEAR - 2: {"A": 1}}, True, id="all of that year"),
        pytest.param({YEAR - 2: {"A": 6}}, False, id="a month short"),
        pytest.param({YEAR - 2: {"A": 12}}, False, id="December"),
        pytest.param({YEAR - 2: {"A": 6}, YEAR - 3: {"A": 12}}, True, id="an earlier year still"),
        pytest.param({YEAR - 2: {}, YEAR - 9: {"A": 12}}, True, id="many years before, and away since"),
        pytest.param({YEAR - 2: {"A": 6}, YEAR - 3: {"A": None}}, False, id="earlier only without a counted month"),
        pytest.param({YEAR - 2: {"A": None}}, False, id="two years before without a counted month"),
        pytest.param({YEAR - 2: {"B": 1}}, False, id="another house"),
        pytest.param({YEAR - 2: {}}, False, id="built and not there"),
        pytest.param({}, None, id="nothing is known"),
        pytest.param({YEAR - 1: {"A": 1}}, None, id="last year says nothing"),
        pytest.param({YEAR - 3: {}}, None, id="two years before was not built"),
        pytest.param({YEAR - 3: {"A": 1}}, True, id="not built, but there before it"),
    ],
)
def test_in_the_system_for_two_years(earlier: dict[int, dict[str, int | None]], expected: bool | None) -> None:
    assert house_of(months(5, 6, 7), earlier=earlier).two_years is expected


def test_the_month_is_the_first_with_a_patient() -> None:
    lines = [line(3), line(3, -1), *months(5)]
    assert house_of(lines, earlier={YEAR - 2: {"A": 5}}).two_years is True
    assert house_of(lines, earlier={YEAR - 2: {"A": 6}}).two_years is False


def test_without_a_counted_month_there_is_no_month_to_be_two_years_before() -> None:
    lines = [line(12, -1)]
    for earlier in ({}, {YEAR - 2: {}}, {YEAR - 2: {"A": 1}}, {YEAR - 2: {}, YEAR - 3: {"A": 1}}):
        assert house_of(lines, earlier=earlier).two_years is None


@pytest.mark.parametrize("year", [2003, 2004])
def test_the_first_two_years_know_nothing(year: int) -> None:
    found = house_of(crowd(500, year=year), year=year, earlier={2003: {"A": 1}} if year == 2004 else {})
    assert (found.two_years, found.status) == (None, "unknown")


def test_2005_is_the_first_year_that_may_know() -> None:
    assert house_of(crowd(500, year=2005), year=2005, earlier={2003: {"A": 1}, 2004: {"A": 1}}).status == "mature"


OLD, NEW, NOT_KNOWN = {YEAR - 2: {"A": 1}}, {YEAR - 2: dict[str, int | None]()}, dict[int, dict[str, int | None]]()


@pytest.mark.parametrize(
    ("people", "earlier", "expected"),
    [
        (500, OLD, "mature"),
        (499, OLD, "beginner"),
        (500, NEW, "beginner"),
        (499, NEW, "beginner"),
        (500, NOT_KNOWN, "unknown"),
        (499, NOT_KNOWN, "beginner"),
    ],
)
def test_mature_is_two_years_and_500_patients(people: int, earlier: Any, expected: str) -> None:
    assert house_of(crowd(people), earlier=earlier).status == expected


def test_the_patients_are_those_of_the_first_month() -> None:
    lines = [*crowd(499), *crowd(300, 2, name="later")]
    assert house_of(lines, earlier=OLD).status == "beginner"
    lines = [*crowd(1, 1, name="early"), *crowd(600, 2, name="later")]
    assert house_of(lines, earlier=OLD).status == "beginner"
    lines = [line(1), line(1, -1), *crowd(500, 2)]
    assert house_of(lines, earlier=OLD).status == "mature"


@pytest.mark.parametrize(
    ("sample", "people", "expected"),
    [
        ("0.02", 10, "mature"),
        ("0.02", 9, "beginner"),
        ("0.07", 35, "mature"),  # 500 × 0.07 is not 35 in floating point
        ("0.005", 3, "mature"),  # 2.5
        ("0.005", 2, "beginner"),
        ("0.002", 1, "mature"),
        ("1.0", 10, "beginner"),
    ],
)
def test_of_a_sample_500_is_a_share(sample: str, people: int, expected: str) -> None:
    assert house_of(crowd(people), earlier=OLD, sample=sample).status == expected


# --- zone and far away ------------------------------------------------------------------------------------------------


def zone_of(**people_in: tuple[str, int]) -> tuple[str, ...] | None:
    lines = [each for name, (_, people) in people_in.items() for each in crowd(people, name=name)]
    return house_of(lines, residents(**people_in)).zone


def test_exactly_95_percent_is_enough() -> None:
    assert zone_of(most=(LIEGE, 19), one=(NAMUR, 1)) == (LIEGE,)
    assert zone_of(most=(LIEGE, 38), one=(NAMUR, 1), other=(WAVRE, 1)) == (LIEGE,)


def test_less_than_95_percent_is_not() -> None:
    assert zone_of(most=(LIEGE, 18), one=(NAMUR, 1)) == (LIEGE, NAMUR)


def test_most_patients_first_and_of_equals_the_smallest_code() -> None:
    assert zone_of(a=(LIEGE, 2), b=(NAMUR, 3), c=(WAVRE, 2), d=(BRUSSEL, 2)) == (NAMUR, BRUSSEL, WAVRE, LIEGE)


def test_it_stops_at_the_first_with_which_95_percent_are_reached() -> None:
    # 19 of 20 with the smaller code of the two single ones
    assert zone_of(a=(LIEGE, 18), b=(NAMUR, 1), c=(WAVRE, 1)) == (LIEGE, WAVRE)


def test_unknown_residences_are_not_among_the_whole() -> None:
    assert zone_of(a=(LIEGE, 19), b=(NAMUR, 1), c=("999", 10), d=("", 1)) == (LIEGE,)


def test_no_residence_is_known() -> None:
    assert zone_of(a=("999", 5)) is None
    found = house_of(crowd(5))
    assert (found.zone, found.residents, found.far) == (None, 0, 0)


def test_the_residence_is_the_last_one_of_the_year() -> None:
    rows = [*residents(A=(LIEGE, 5)), *(person(f"A{n}", NAMUR, since="2024-11-01") for n in range(5))]
    assert house_of(crowd(5), rows).zone == (NAMUR,)


def test_a_municipality_that_is_not_of_the_year_is_no_residence() -> None:
    areas = area_table([place for place in PLACES if place.code != NAMUR], with_sectors=False)
    rows = residents(a=(LIEGE, 5), b=(NAMUR, 6))
    found = house_of([*crowd(5, name="a"), *crowd(6, name="b")], rows, areas=areas)
    assert (found.zone, found.residents, found.far) == ((LIEGE,), 5, 0)


def far_from(home: str, place: str) -> int | None:
    lines = [*crowd(6, name="home"), *crowd(1, name="away")]
    return house_of(lines, residents(home=(home, 6), away=(place, 1))).far


def test_far_away_is_a_province_that_is_not_next_to_it() -> None:
    assert far_from(LIEGE, LIEGE) == 0
    assert far_from(LIEGE, NAMUR) == 0
    assert far_from(LIEGE, CHARLEROI) == 1
    assert far_from(GENT, LEUVEN) == 0
    assert far_from(GENT, HASSELT) == 1


def test_brussels_is_next_to_both_brabants_and_to_nothing_else() -> None:
    near = {place.code for place in PLACES if far_from(BRUSSEL, place.code) == 0}
    assert {place.province for place in PLACES if place.code in near} == {"04000", "20001", "20002"}


def test_neighbours() -> None:
    """Every province with those it borders, from the map."""
    provinces = {place.province for place in PLACES}
    assert len(provinces) == 11
    borders = {home: {other for other in provinces if next_to(home, other)} for home in provinces}
    assert {home: len(others) for home, others in borders.items()} == {
        "04000": 2,
        "10000": 3,
        "20001": 7,
        "20002": 5,
        "30000": 2,
        "40000": 4,
        "50000": 5,
        "60000": 5,
        "70000": 3,
        "80000": 2,
        "90000": 4,
    }
    assert borders["60000"] == {"20001", "20002", "70000", "80000", "90000"}
    assert all(home not in others for home, others in borders.items())


def test_the_province_is_that_of_the_first_municipality_of_the_zone() -> None:
    # Ghent has most; those of Brugge are next door, those of Arlon are in the zone and far away all the same.
    people = {"a": (GENT, 4), "b": (ARLON, 3), "c": (BRUGGE, 2)}
    lines = [each for name, (_, count) in people.items() for each in crowd(count, name=name)]
    found = house_of(lines, residents(**people))
    assert (found.zone, found.far) == ((GENT, ARLON, BRUGGE), 3)


def far_outside(home: int, away: int, unknown: int = 0) -> bool:
    lines = [*crowd(home, name="home"), *crowd(away, name="away"), *crowd(unknown, name="unknown")]
    rows = residents(home=(LIEGE, home), away=(BRUGGE, away))
    return bool(work_out(lines, rows).patients_far_outside)


def test_exactly_20_percent_is_not_too_many() -> None:
    assert not far_outside(20, 5)
    assert far_outside(19, 5)
    assert not far_outside(24, 6)
    assert far_outside(23, 6)


def test_4_persons_are_not_too_many() -> None:
    assert not far_outside(5, 4)
    assert far_outside(6, 5)


def test_the_share_is_of_the_known_residences() -> None:
    assert far_outside(19, 5, unknown=50)


# --- amounts of houses ------------------------------------------------------------------------------------------------


def billed_at(year: int = YEAR, **amounts: str) -> list[Text]:
    """house=unit amount: one patient of each house, in January."""
    return [line(1, house=house, patient=house, unit=unit, year=year) for house, unit in amounts.items()]


def test_beginners_at_another_amount_than_most() -> None:
    found = work_out(billed_at(A="20", B="20", C="18"))
    assert found.deviating_beginners == {("C", 1)}
    assert found.beginners_with_amount == {("A", 1), ("B", 1), ("C", 1)}


def test_of_as_many_beginners_the_smallest_amount_is_theirs() -> None:
    assert work_out(billed_at(A="20", B="18")).deviating_beginners == {("A", 1)}
    assert work_out(billed_at(A="20")).deviating_beginners == set()


def test_it_is_the_most_houses_not_the_most_lines() -> None:
    lines = [*crowd(9, house="A", unit="20"), *crowd(1, house="B", unit="25"), *crowd(1, house="C", unit="25")]
    assert work_out(lines).deviating_beginners == {("A", 1)}


def test_each_month_by_itself() -> None:
    lines = [*months(1, 2, unit="20"), *months(1, house="B", unit="20"), *months(2, house="B", unit="18")]
    found = work_out(lines)
    assert found.deviating_beginners == {("A", 2)}
    assert found.beginners_with_amount == {("A", 1), ("A", 2), ("B", 1), ("B", 2)}


def test_a_house_of_lines_that_were_taken_back_has_an_amount() -> None:
    lines = [*billed_at(B="20", C="20"), line(1, -1, house="A", unit="18")]
    assert work_out(lines).deviating_beginners == {("A", 1)}


EVERYBODY_OLD = {2010: {"A": 1, "B": 1, "C": 1, "D": 1}}


def mature(year: int, *numbers: int) -> Capitation:
    """Mature houses: A and B at 20 euro, C at 18; D is a beginner at 15."""
    lines = []
    for house, unit in {"A": "20", "B": "20", "C": "18"}.items():
        lines += crowd(2, *numbers, house=house, unit=unit, year=year)
    lines += crowd(1, *numbers, house="D", unit="15", year=year)
    earlier = EVERYBODY_OLD | {year - 2: EVERYBODY_OLD[2010]}
    return work_out(lines, year=year, sample="0.004", earlier=earlier)


def test_mature_houses_do_not_differ_before_may_2013() -> None:
    assert mature(2012, 1, 12).deviating_mature == {("C", 1), ("C", 12)}
    assert mature(2013, 4, 5).deviating_mature == {("C", 4)}
    assert mature(2013, 4, 5).mature_with_amount == {("A", 4), ("B", 4), ("C", 4)}
    assert mature(2013, 5, 6).mature_with_amount == set()
    assert mature(2014, 1, 4).mature_with_amount == set()


def test_beginners_are_alike_in_all_years() -> None:
    assert mature(2014, 1).deviating_beginners == set()
    assert mature(2014, 1).beginners_with_amount == {("D", 1)}
    for year in (2003, 2012, 2013, 2024):
        assert work_out(billed_at(year, A="20", B="18"), year=year).deviating_beginners == {("A", 1)}


def test_houses_of_unknown_status_are_in_neither() -> None:
    found = work_out(billed_at(2012, A="20", B="18"), year=2012, sample="0.002")
    assert {house.status for house in found.houses.values()} == {"unknown"}
    assert (found.beginners_with_amount, found.mature_with_amount) == (set(), set())


# --- houses that appear and vanish ------------------------------------------------------------------------------------


def test_houses_appear_and_vanish() -> None:
    now = work_out([*months(1), *months(1, house="B"), line(1, -1, house="C")]).houses
    before = work_out([*months(1, house="B", year=2023), *months(1, house="D", year=2023)], year=2023).houses
    assert appearing(now, before) == {"A", "C"}
    assert vanishing(now, before) == {"D"}
    assert houses_of_both_years(now, before) == {"A", "B", "C", "D"}


# --- contributions ----------------------------------------------------------------------------------------------------


def paid(amount: str, patient: str = "P", household: str = "F", house: str = "A") -> Text:
    return {"patient_id": patient, "household_id": household, "house_id": house, "amount_eur": amount}


def above(*rows: Text) -> tuple[set[str], set[str]]:
    found = work_out([], contributions=rows)
    return found.above_per_patient, found.above_per_household


def test_at_most_two_euro_fifty_for_a_patient() -> None:
    assert above(paid("2.50")) == (set(), set())
    assert above(paid("2.51")) == ({"P"}, set())
    assert above(paid("1,50"), paid("1.00")) == (set(), set())
    assert above(paid("1,50"), paid("1.01")) == ({"P"}, set())


def test_of_whatever_house_and_household() -> None:
    assert above(paid("1.50"), paid("1.50", house="B", household="G")) == ({"P"}, set())


def test_a_contribution_given_back_counts() -> None:
    assert above(paid("2.50"), paid("2.50"), paid("-2.50")) == (set(), set())


def test_at_most_twelve_euro_fifty_for_a_household() -> None:
    five = [paid("2.50", patient=str(number), house="AB"[number % 2]) for number in range(5)]
    assert above(*five) == (set(), set())
    assert above(*five, paid("0.01", patient="6")) == (set(), {"F"})
    assert above(*five, paid("2.50", patient="6", household="G")) == (set(), set())


# --- the strategies ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_strategies_are_rich() -> None:
    """Batch after batch until all is met: what a seed gives depends on the version, and on which modules are loaded."""
    wanted = {
        "more than one forfait",
        "two houses, no transfer",
        "transfer",
        "transfer in January",
        "transfer in December",
        "three houses",
        "gap",
        "gap at the side of another house",
        "registration without a counted month",
        "house without a counted month",
        "patient without beneficiary row",
        "several amounts in a month",
        "tie of amounts",
        "line with quantity 0",
        "beginner",
        "mature",
        "unknown",
        "exactly mature",
        "one short of mature",
        "two years: True",
        "two years: False",
        "two years: None",
        "two years to the month",
        "deviating beginner",
        "deviating mature",
        "4 persons",
        "5 persons",
        "zone of one",
        "zone of several",
        "zone that leaves somebody out",
        "exactly 95 %",
        "exactly 20 %",
        "far outside",
        "some far away",
    }
    found: set[str] = set()
    for batch in range(20):

        @seed(batch)
        @examples(100, quick=100, database=None)
        @given(delivered=system_deliveries())
        def look(delivered: Deliveries) -> None:
            found.update(peculiarities(delivered))

        look()
        if found >= wanted:
            break
    assert found >= wanted
