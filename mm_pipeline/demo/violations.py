"""Planted violations: each year a known, small number of cases that break a rule of ``docs/capitation.md``.

Everything else in the deliveries obeys these rules, so that a check of one finds the cases made here and no others. They
are drawn among the *steady* patients of the first piece of persons: registered all year with one house that has some more
of them. Each kind has persons of its own, and in the other months nothing happens to these.

In a small delivery there are fewer: at most one in 100 of the steady patients for each kind, one in 50 for the ghost
house, half of the changes of house, and one in 20 of those who pay a contribution. Below a scale of 0.01 the rules on
amounts and on houses that come and go may have no planted cases, and natural ones, because the few patients of a house
come and go by chance.
"""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from mm_pipeline.demo import contributions
from mm_pipeline.demo.contributions import Contributions
from mm_pipeline.demo.hashing import Bools, Dice, Ints
from mm_pipeline.demo.houses import BEGINNER_PATIENTS, OWN_AMOUNTS_SINCE, Paid, amounts, in_first_month, mature
from mm_pipeline.demo.people import People
from mm_pipeline.demo.places import Country
from mm_pipeline.demo.registrations import Registrations, only_ones

#: Cases of each kind in a year, if the delivery is large enough; ``planted`` has the differences between years.
PLANTED = {
    "one_forfait_a_month": 6,  # patients billed twice in a month, in two rows or with a quantity of 2
    "one_house_a_month": 6,  # patients with a forfait of another house too, in the midst of their registration
    "gaps_in_registrations": 6,  # patients with a month that was not billed, or billed and taken back
    "registration_in_month_of_leaving": 6,  # changes of house with a month that both bill
    "forfaits_of_beneficiaries": 6,  # patients who are no beneficiaries
    "one_amount_a_house": 6,  # rows with another amount than those of their house
    "one_amount_for_beginners": 12,  # months of a beginner house, one house, that is paid another amount than the others
    "one_amount_before_may_2013": 12,  # months of a mature house, in the same way
    "houses_come_and_go": 1,  # the ghost house, which is there in this year only
    "patients_near_their_house": 1,  # the same
    "contribution_per_patient": 6,  # patients who pay too much
    "contribution_per_household": 6,  # households who pay too much
}

#: Patients of the ghost house, who come from all over the country.
GHOST_PATIENTS = 20

#: First year in which a house can be known to be mature, two years after the first year of all.
MATURE_SINCE = 2005

#: Persons per case at least: steady patients, those for the ghost house, changes of house, persons who pay.
ONE_OF, ONE_OF_FOR_GHOST, ONE_OF_CHANGES, ONE_OF_PAYERS = 100, 50, 2, 20

#: Steady patients of a house with planted cases at least: it keeps some, and its amount remains that of most rows.
STEADY_PATIENTS = 5

#: Quantities of the rows of a planted month: as usual; twice, in two rows or in one; nothing; billed and taken back.
ONCE, TWICE, TWO_AT_ONCE, NOTHING, TAKEN_BACK = (1,), (1, 1), (2,), (), (1, -1)

#: Excess of the amount of a planted row and of a planted house over the others, in cents.
MORE_IN_A_ROW, MORE_FOR_A_HOUSE = 100, 150

#: Household that pays too much: number of members, and the payment of each in cents.
MEMBERS, PAID_BY_MEMBER = 6, 240

#: First number of households of planted cases, above the numbers of persons.
OTHER_HOUSEHOLDS = 1 << 40


class Month(NamedTuple):
    """A month of a patient with one registration: the quantities of its rows, and the cents by which they are off."""

    person: int
    month: int
    rows: tuple[int, ...]
    cents: int


class Violations(NamedTuple):
    """The planted cases of a year. ``persons`` (sorted) are all of their persons; ``unlisted`` are no beneficiaries."""

    persons: Ints
    unlisted: Ints
    months: list[Month]


def planted(year: int) -> dict[str, int]:
    """The number of cases of each kind in the delivery of a year: ``PLANTED``, without the kinds that it cannot have."""
    months = _months_before_own_amounts(year) if year >= MATURE_SINCE else 0
    absent = ("contribution_per_patient", "contribution_per_household") if year < contributions.FIRST_YEAR else ()
    return PLANTED | {"one_amount_before_may_2013": months} | dict.fromkeys(absent, 0)


def plant(
    dice: Dice, country: Country, people: People, registrations: Registrations, ghost: int
) -> tuple[Registrations, Violations]:
    """The registrations with the planted ones, and the other violations. ``ghost``: the number of the ghost house."""
    year = people.year
    steady = _in_drawn_order(dice, registrations.person, _steady(registrations), year)
    haunted = _scattered(country, people, registrations, steady)
    haunted = haunted[: min(GHOST_PATIENTS, len(steady) // ONE_OF_FOR_GHOST)]
    others = steady[~np.isin(steady, haunted)]
    checks = ("one_forfait_a_month", "gaps_in_registrations", "one_amount_a_house", "forfaits_of_beneficiaries")
    sizes = [min(PLANTED[check], len(steady) // ONE_OF) for check in (*checks, "one_house_a_month")]
    *chosen, _ = np.split(others, np.cumsum(sizes))
    person, house = registrations.person, registrations.house
    twice, unbilled, unusual, unlisted = (person[rows] for rows in chosen[:-1])
    inner = 2 + dice.below("month of a violation", person, 10, year)  # February to November
    months = [
        *(Month(who, 6, TWO_AT_ONCE if case % 2 else TWICE, 0) for case, who in enumerate(twice.tolist())),
        *(
            Month(who, month, TAKEN_BACK if case % 2 else NOTHING, 0)
            for case, (who, month) in enumerate(zip(unbilled.tolist(), inner[chosen[1]].tolist(), strict=True))
        ),
        # Each in another month, so that no house has two in one month.
        *(Month(who, 12 - case, ONCE, MORE_IN_A_ROW) for case, who in enumerate(unusual.tolist())),
    ]
    elsewhere = _other_houses(house[chosen[-1]].tolist(), house[others[::-1]].tolist())
    doubled = chosen[-1][: len(elsewhere)]
    changes = _in_drawn_order(dice, person, _changes(registrations), year)
    changes = changes[: min(PLANTED["registration_in_month_of_leaving"], len(changes) // ONE_OF_CHANGES)]

    first, house = registrations.first.copy(), house.copy()
    first[changes + 1] -= 1
    house[haunted] = ghost
    at = doubled + 1
    result = Registrations(
        np.insert(person, at, person[doubled]),
        np.insert(house, at, elsewhere),
        np.insert(first, at, inner[doubled]),
        np.insert(registrations.last, at, inner[doubled]),
    )
    concerned = np.concatenate([haunted, *chosen, changes])
    return result, Violations(np.unique(person[concerned]), unlisted, months)


def with_other_amounts(dice: Dice, paid: Paid, year: int, scale: float) -> Ints:
    """The amounts in cents [house, month less 1], others than the rules have for one beginner and one mature house.

    The beginner house has too few patients to be mature at any age. Each needs another one of its kind to be compared with:
    of two equally frequent amounts the smaller counts as usual, and the planted one is larger.
    """
    result = amounts(dice, paid, year, scale)
    numbers = np.arange(len(paid.opening))
    registered, limit = in_first_month(paid.registered), BEGINNER_PATIENTS * scale
    # The last number is that of the ghost house.
    all_year = (paid.registered.min(axis=1) > 0) & (numbers < len(numbers) - 1)
    small = all_year & (registered < limit)
    some = paid.registered.max(axis=1) >= STEADY_PATIENTS
    for house in _one_of(dice, small & some, small, year):
        result[house] += MORE_FOR_A_HOUSE
    if year >= MATURE_SINCE:
        large = all_year & mature(paid, year, scale)
        for house in _one_of(dice, large & (2 * registered >= 3 * limit) & (paid.opening <= year - 4), large, year):
            result[house, : _months_before_own_amounts(year)] += MORE_FOR_A_HOUSE
    return result


def _months_before_own_amounts(year: int) -> int:
    """The number of months of the year in which mature houses are all paid the same amount."""
    return sum((year, month) < OWN_AMOUNTS_SINCE for month in range(1, 13))


def with_other_contributions(dice: Dice, asked: Contributions, year: int) -> Contributions:
    """The contributions, too high for some patients and for the members of some households together.

    Half of these patients pay in one row, the others in two, some of them at two houses. A household that pays too much has
    six members, none of whom pays too much alone.
    """
    order = _in_drawn_order(dice, asked.person, np.arange(len(asked.person)), year)
    available = len(order) // ONE_OF_PAYERS
    patients = order[: min(PLANTED["contribution_per_patient"], available)]
    households = min(PLANTED["contribution_per_household"], available // MEMBERS)
    members = order[len(patients) :][: households * MEMBERS]

    person, household, house, cents = (column.copy() for column in asked)
    household[patients] = OTHER_HOUSEHOLDS + person[patients]
    household[members] = OTHER_HOUSEHOLDS + np.repeat(person[members[::MEMBERS]], MEMBERS)
    cents[members] = PAID_BY_MEMBER
    at_once, twice = patients[::2], patients[1::2]
    cents[at_once] = 260 + 40 * np.arange(len(at_once))
    cents[twice] = 150
    again = house[twice]
    elsewhere = _other_houses(again[::2].tolist(), house[order[::-1]].tolist())
    again[::2][: len(elsewhere)] = elsewhere
    return Contributions(
        np.insert(person, twice + 1, person[twice]),
        np.insert(household, twice + 1, household[twice]),
        np.insert(house, twice + 1, again),
        np.insert(cents, twice + 1, cents[twice]),
    )


def _in_drawn_order(dice: Dice, person: Ints, rows: Ints, year: int) -> Ints:
    """The rows in random order, another one each year."""
    return rows[np.argsort(dice.roll("violation", person[rows], year))]


def _steady(registrations: Registrations) -> Ints:
    """The rows of people registered with one house from January to December, where it has several such."""
    steady = only_ones(registrations) & (registrations.first == 1) & (registrations.last == 12)
    several = np.bincount(registrations.house[steady]) >= STEADY_PATIENTS
    return np.flatnonzero(steady)[several[registrations.house[steady]]]


def _changes(registrations: Registrations) -> Ints:
    """The rows of registrations that are followed by another one in the next month, from February on."""
    person, last = registrations.person, registrations.last
    follows = (person[1:] == person[:-1]) & (registrations.first[1:] == last[:-1] + 1)
    return np.flatnonzero(follows & (last[:-1] > 1))


def _scattered(country: Country, people: People, registrations: Registrations, rows: Ints) -> Ints:
    """Rows of people from all over the country: one per municipality, from each province in turn."""
    municipality = people.municipality[np.searchsorted(people.index, registrations.person[rows])]
    one_of_each = np.sort(np.unique(municipality, return_index=True)[1])
    provinces: Counter[str] = Counter()
    rounds = []
    for number in municipality[one_of_each].tolist():
        code = country.codes[number]
        # The codes of a province begin with a digit of its own, except in former Brabant.
        province = code[:2] if code[:2] in ("21", "25") else code[:1]
        rounds.append(provinces[province])
        provinces[province] += 1
    return rows[one_of_each[np.argsort(np.array(rounds, np.int64), kind="stable")]]


def _other_houses(own: Iterable[int], candidates: list[int]) -> list[int]:
    """Another house for each house, until there is no other."""
    others = []
    for case, house in enumerate(own):
        if (other := next((candidate for candidate in candidates[case:] if candidate != house), None)) is None:
            break
        others.append(other)
    return others


def _one_of(dice: Dice, candidates: Bools, among: Bools, year: int) -> list[int]:
    """One random candidate, or none if it would be alone ``among`` those it is compared with."""
    houses = np.flatnonzero(candidates) if np.sum(among) > 1 else np.empty(0, np.int64)
    return houses[np.argsort(dice.roll("house of a violation", houses, year))][:1].tolist()
