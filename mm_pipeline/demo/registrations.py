"""Registrations: who is registered with which house, from which month to which.

A person is registered in a year if a draw of theirs, which stays the same for the years of an *era*, is below the rate of
people of their municipality, age and tariff. So people join and stay as rates rise, and reconsider at the end of an era.
The months of a year follow from the states of this year and the last.
"""

from typing import NamedTuple

import numpy as np

from mm_pipeline.demo import facts
from mm_pipeline.demo.hashing import Bools, Dice, Ints
from mm_pipeline.demo.houses import Houses, attraction
from mm_pipeline.demo.people import People, move_month
from mm_pipeline.demo.places import Country

#: Length of an era: years after which a person draws anew.
ERA = 8

#: Registration relative to the average, in %: by age class, and with the preferential tariff (second) against without.
#: Patients are 31 to 32 years old on average, and 36 to 39 % have that tariff.
BY_AGE = (155, 125, 130, 74, 39, 26, 16)
BY_PREFERENTIAL = (100, 228)

#: Registrations per attributed patient, in 1/1000 by region, given these factors and the way to six months without
#: another DMG. Measured, see the test of the rates.
REGISTERED = (907, 850, 803)

#: Joiners per 10 000 who first pay by act for one to three months: these precede the registration and are no gap.
TRIAL = 2000

#: Patients up to which a house gives none to a house without any.
FEWEST_PATIENTS = 5


class Registrations(NamedTuple):
    """Registrations by person, one row for a person and house with a month in the year: from ``first`` to ``last``.

    ``person``: the index in ``People``. Someone who changed house has two rows, the former house first.
    """

    person: Ints
    house: Ints
    first: Ints
    last: Ints


def registered(registrations: Registrations, houses: int) -> Ints:
    """The number of patients registered with each house in each month [house, month less 1]."""
    joined, left = np.zeros((houses, 13), np.int64), np.zeros((houses, 13), np.int64)
    np.add.at(joined, (registrations.house, registrations.first - 1), 1)
    np.add.at(left, (registrations.house, registrations.last), 1)
    return np.cumsum(joined - left, axis=1)[:, :12]


def only_ones(registrations: Registrations) -> Bools:
    """Whether each registration is the only one of its person."""
    _, which, counts = np.unique(registrations.person, return_inverse=True, return_counts=True)
    return counts[which] == 1


def with_a_patient_each(
    dice: Dice, country: Country, houses: Houses, registrations: Registrations, spared: Ints, year: int
) -> Registrations:
    """The registrations with a patient in every open house: where one has none, a person joining another joins it instead.

    In a small delivery a house may have no patients by chance. It would be missing in its first year and seem younger later
    on, or vanish and come back. Persons in ``spared``, and those of small houses, stay where they are.
    """
    house = registrations.house.copy()
    patients = np.bincount(house, minlength=len(houses.opening))
    empty = np.flatnonzero((houses.opening <= year) & (patients[: len(houses.opening)] == 0))
    if len(empty) == 0:
        return registrations
    joins = only_ones(registrations) & (registrations.first > 1) & (registrations.last == 12)
    rows = np.flatnonzero(joins & ~np.isin(registrations.person, spared))
    rows = rows[np.argsort(dice.roll("first patient", registrations.person[rows], year))]
    region = country.region[houses.municipality]
    for number in empty.tolist():
        near = rows[(region[house[rows]] == region[number]) & (patients[house[rows]] > FEWEST_PATIENTS)]
        if len(near):
            patients[house[near[0]]] -= 1
            house[near[0]] = number
            rows = rows[rows != near[0]]
    return registrations._replace(house=house)


def rates(country: Country, houses: Houses, year: int) -> Ints:
    """The shares of people who register, in 1/2^32 [municipality, age class, preferential]."""
    # Objects, as Python's integers are exact at any size.
    drawn, population = attraction(country, houses, year).astype(object), country.population.astype(object)
    share = np.zeros_like(drawn)
    for number, code in enumerate(facts.REGIONS):
        here = country.region == number
        target = facts.interpolate(facts.RATES[code], year, unit=1000) * REGISTERED[number]
        share[here] = (drawn[here] * population[here].sum() * target << 32) // (drawn[here].sum() * population[here])
    # All fractions of the formula are whole numbers: per 10 million, and so on.
    factors = np.outer(np.array(BY_AGE, object), np.array(BY_PREFERENTIAL, object))
    return (share[:, np.newaxis, np.newaxis] * factors // (10_000_000 * 1000 * 100 * 100)).astype(np.int64)


def registrations_of(dice: Dice, country: Country, houses: Houses, people: People) -> Registrations:
    """The registrations of the people in their year."""
    year = people.year
    house_before = _house(dice, country, houses, people, people.municipality_before, year - 1)
    house_before[people.entry_year == year] = -1
    house_now = _house(dice, country, houses, people, people.municipality, year)
    concerned = (house_before >= 0) | (house_now >= 0)
    house_before, house_now, index = house_before[concerned], house_now[concerned], people.index[concerned]
    was, is_, stays = house_before >= 0, house_now >= 0, house_before == house_now

    # A signature counts from the next month, a notice at the end of it; 0 is December of the year before.
    signature = np.where(people.moved[concerned], move_month(dice, index), dice.below("signature", index, 12, year))
    entry = 1 + dice.below("month of entry", index, 12)
    signature = np.where(people.entry_year[concerned] == year, entry, signature)
    trial = dice.chance("trial", index, TRIAL, year) * (1 + dice.below("months of trial", index, 3, year))
    joined = np.where(signature < 12, np.minimum(signature + 1 + trial, 12), 13)
    # Nobody can sign before the house opens, on 1 January. Without a house, the value is not used.
    joined = np.maximum(joined, np.where(houses.opening[house_now] == year, 2, 1))
    end_before = np.where(stays, 12, signature + 1)
    start_now = np.where(was, end_before + 1, joined)
    death = np.where(people.death_year[concerned] == year, 1 + dice.below("month of death", index, 12), 12)

    pairs = (
        (index, index),
        (house_before, house_now),
        (np.ones_like(index), start_now),
        (np.minimum(end_before, death), death),
    )
    columns = Registrations(*map(np.column_stack, pairs))
    held = np.column_stack([was, is_ & ~stays]) & (columns.first <= columns.last)
    return Registrations(*(column[held] for column in columns))


def _house(dice: Dice, country: Country, houses: Houses, people: People, municipality: Ints, year: int) -> Ints:
    """The house of each person, who lives in a municipality, at the end of a year; -1 for none."""
    preferential = people.preferential(dice, country.region[municipality], year)
    limit = rates(country, houses, year)[municipality, people.ages(year), preferential.astype(np.int64)]
    phase = dice.below("phase of the era", people.index, ERA)
    era = (year + phase) // ERA
    # The person and the era in one number; a person has 36 bits.
    choice = people.index + (era << 36)
    registered = dice.below("affinity", choice, 1 << 31) * 2 < limit
    result = np.full(len(people.index), -1, np.int64)
    since = (era * ERA - phase)[registered]
    result[registered] = houses.chosen(dice, choice[registered], municipality[registered], since)
    return result
