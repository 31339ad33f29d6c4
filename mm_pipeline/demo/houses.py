"""Maisons médicales: where and when they open, who can reach which, and what they are paid.

A house is a number, in order of opening. Sites do not depend on the seed: they follow from the populations.
"""

from collections import Counter
from dataclasses import dataclass
from math import isqrt
from typing import NamedTuple

import numpy as np

from mm_pipeline.demo import facts
from mm_pipeline.demo.hashing import Bools, Dice, Ints
from mm_pipeline.demo.places import GEOGRAPHY, Country

#: Opening year of the oldest houses.
FIRST_OPENING = 1985

#: Municipalities, per 10 000 without a house, that share the houses of their arrondissement.
SHARING = 6000

#: Patients of a house in its first, second, ... year, in tenths of those of a full house.
GROWTH = (3, 6, 8, 10)

#: A house is a beginner until it has been in the system for two years, and while it has fewer registered patients.
#: Both are examined once a year, in the first month with a patient. Its own first one is not before February, so that
#: the two years are over in the January of its fourth year.
BEGINNER_YEARS, BEGINNER_PATIENTS = 2, 500

#: From May 2013 on mature houses are each paid an amount of their own.
OWN_AMOUNTS_SINCE = (2013, 5)


@dataclass(frozen=True)
class Houses:
    """The houses, and which of them the people of each municipality can reach.

    ``municipality`` (position in the country) and ``opening`` (year, on 1 January): one number a house. ``reachable``: the
    houses of each municipality in turn, its own or those that it shares, by opening; ``offset`` and ``count``
    [municipality, year - FIRST_OPENING]: the part that is open to its people. ``sharing``: whether a municipality shares
    the houses of its arrondissement while it has none.
    """

    municipality: Ints
    opening: Ints
    sharing: Bools
    reachable: Ints
    offset: Ints
    count: Ints

    def chosen(self, dice: Dice, choice: Ints, municipality: Ints, year: Ints) -> Ints:
        """The house that each newcomer of a year chooses; ``choice`` is the index of the draw.

        Before the first house of the municipality, it is that one. The later-opened of two draws counts: new houses have
        capacity left, so that they grow faster than the old ones.
        """
        count = self.count[municipality, year - FIRST_OPENING]
        number = np.maximum(dice.below("house", choice, count), dice.below("house", choice, count, when=1))
        return self.reachable[self.offset[municipality, year - FIRST_OPENING] + number]


def houses_of(country: Country) -> Houses:
    """All houses that ever open, with the tables of who can reach them."""
    sites = sorted(site for region in range(len(facts.REGIONS)) for site in _sites(country, region))
    municipality = np.array([site for _, site in sites])
    opening = np.array([year for year, _ in sites])
    years = range(FIRST_OPENING, facts.LAST_YEAR + 1)
    numbers = np.arange(len(country.codes))
    sharing = GEOGRAPHY.chance("sharing", numbers, SHARING)
    reachable: list[int] = []
    offset = np.zeros((len(numbers), len(years)), np.int64)
    count = np.zeros_like(offset)
    for number in numbers.tolist():
        shared = country.arrondissement[municipality] == country.arrondissement[number]
        # Its own houses, where there is one, take the place of those that it shares.
        for near in (np.flatnonzero(shared & sharing[number]), np.flatnonzero(municipality == number)):
            usable = np.searchsorted(opening[near], years, side="right")
            offset[number, usable > 0] = len(reachable)
            count[number, usable > 0] = usable[usable > 0]
            reachable += near.tolist()
        first = np.argmax(count[number] > 0)
        offset[number, :first], count[number, :first] = offset[number, first], 1
    return Houses(municipality, opening, sharing, np.array(reachable), offset, count)


def _sites(country: Country, region: int) -> list[tuple[int, int]]:
    """Opening year and municipality of each house of a region.

    Each opens in turn where there are most people per house (D'Hondt), with the population to the power of 1.25: so large
    towns have several, most small municipalities none.
    """
    open_in = facts.HOUSES[facts.REGIONS[region]]
    already = open_in[facts.FIRST_YEAR]
    openings = [FIRST_OPENING + (facts.FIRST_YEAR - FIRST_OPENING) * number // already for number in range(already)]
    for year in range(facts.FIRST_YEAR, facts.LAST_YEAR + 1):
        openings += [year] * (facts.interpolate(open_in, year) - len(openings))
    weights = {
        number: population * isqrt(isqrt(population))
        for number, population in enumerate(country.population.tolist())
        if country.region[number] == region
    }
    built: Counter[int] = Counter()
    sites = []
    for year in openings:
        site = max(weights, key=lambda number: weights[number] // (built[number] + 1))
        built[site] += 1
        sites.append((year, site))
    return sites


def attraction(country: Country, houses: Houses, year: int) -> Ints:
    """Patients whom the houses of a year attract from each municipality, in relative units."""
    age = np.clip(year - houses.opening, 0, len(GROWTH) - 1)
    size = np.where(houses.opening <= year, np.array(GROWTH)[age] * 1_000_000, 0)
    own, drawn, people = (np.zeros(len(country.codes), np.int64) for _ in range(3))
    np.add.at(own, houses.municipality, size)
    np.add.at(drawn, country.arrondissement, own)
    np.add.at(people, country.arrondissement, country.population)
    # A municipality that shares the houses of its arrondissement has a third of the rate of the arrondissement.
    shared = drawn[country.arrondissement] * country.population // people[country.arrondissement] // 3
    return np.where(own > 0, own, np.where(houses.sharing, shared, 0))


class Paid(NamedTuple):
    """The houses of a year, one row each: the year of opening, and the registered patients [house, month less 1]."""

    opening: Ints
    registered: Ints


def in_first_month(registered: Ints) -> Ints:
    """The number of patients of each house in the first month of the year in which it has any."""
    return registered[np.arange(len(registered)), np.argmax(registered > 0, axis=1)]


def mature(paid: Paid, year: int, scale: float) -> Bools:
    """Whether each house is mature, not a beginner. ``scale``: the threshold of 500 patients is scaled by it."""
    grown = in_first_month(paid.registered) >= BEGINNER_PATIENTS * scale
    return grown & (year - paid.opening > BEGINNER_YEARS)


def amounts(dice: Dice, paid: Paid, year: int, scale: float) -> Ints:
    """The amount that each house is paid for a patient and month, in cents [house, month less 1]: 10 to 25 euro, indexed."""
    elapsed = year - facts.FIRST_YEAR
    own = dice.below("amount", np.arange(len(paid.opening)), 400) - 200
    has_own = np.array([(year, month) >= OWN_AMOUNTS_SINCE for month in range(1, 13)])
    of_mature = 1137 + 48 * elapsed + np.outer(own, has_own)
    return np.where(mature(paid, year, scale)[:, np.newaxis], of_mature, 1052 + 45 * elapsed)
