"""People who are insured in a year: births, arrivals, deaths, moves, the preferential tariff.

Nobody is stored. A person is a number from 0 to ``ever_insured(scale)``; what the number means is drawn anew for each
year with the same result.
"""

from dataclasses import dataclass

import numpy as np

from mm_pipeline.demo import facts
from mm_pipeline.demo.hashing import Bools, Dice, Ints
from mm_pipeline.demo.places import Country
from mm_pipeline.dimensions import AGE_CLASS_STARTS

#: Chances in all, and those of them to arrive from abroad, one for each age from 0 to 44; the others are to be born here.
ARRIVAL_CHANCES, ARRIVAL_AGES = 160, 45

#: Years from one move of a person to the next: longer than the period, so that nobody moves twice.
MOVE_CYCLE = 32

#: Share of persons with the preferential tariff: in 1/1000 by region, and relative to it, in %, by age class.
PREFERENTIAL = np.array([157, 217, 293])
PREFERENTIAL_BY_AGE = np.array([105, 95, 80, 85, 115, 160, 190])

_COHORT_YEARS = np.array([first + offset for first in facts.COHORTS for offset in range(5)])
_COHORT_ENDS = np.cumsum([1000 * size for size in facts.COHORTS.values() for _ in range(5)])
_AGE_CLASS = np.searchsorted(AGE_CLASS_STARTS, np.arange(AGE_CLASS_STARTS[-1] + 1), side="right")
_ALIVE = np.array([facts.interpolate(facts.SURVIVORS, age) for age in range(max(facts.SURVIVORS) + 1)])


@dataclass(frozen=True)
class People:
    """The insured of one year, one number each. ``index`` is the person, the same in every year.

    ``entry_year`` is the year of birth or arrival, ``point`` the place of residence (``places``) on 31 December and
    ``point_before`` that of 1 January, ``municipality`` and ``municipality_before`` theirs; they differ where ``moved``.
    """

    year: int
    index: Ints
    birth_year: Ints
    entry_year: Ints
    death_year: Ints
    point: Ints
    point_before: Ints
    municipality: Ints
    municipality_before: Ints
    moved: Bools

    def ages(self, year: int) -> Ints:
        """The position of each person's age class, at 31 December of the year."""
        return _AGE_CLASS[np.clip(year - self.birth_year, 0, len(_AGE_CLASS) - 1)]

    def preferential(self, dice: Dice, region: Ints, year: int) -> Bools:
        """Whether each person has the preferential tariff; the share grows from 18 % to 20 % in twenty years."""
        growth = 985 + 3 * (year - facts.FIRST_YEAR)
        share = PREFERENTIAL[region] * PREFERENTIAL_BY_AGE[self.ages(year)] * growth
        return dice.below("preferential", self.index, 1000 * 100 * 1000) < share


def ever_insured(scale: float) -> int:
    """The number of persons over all years."""
    return max(round(int(_COHORT_ENDS[-1]) * scale), 1)


def people_of(dice: Dice, country: Country, year: int, start: int, stop: int) -> People:
    """The persons from ``start`` to before ``stop`` who are insured in the year, for at least a day."""
    index = np.arange(start, stop)
    draw = dice.below("birth", index, int(_COHORT_ENDS[-1]))
    birth_year = _COHORT_YEARS[np.searchsorted(_COHORT_ENDS, draw, side="right")]
    arrival = dice.below("arrival", index, ARRIVAL_CHANCES)
    entry_year = birth_year + np.where(arrival < ARRIVAL_AGES, arrival, 0)
    # The cohorts count those who were alive before the first year, so deaths can only come after it.
    age_known = np.maximum(facts.FIRST_YEAR - 1 - birth_year, 0)
    rank = dice.below("death", index, _ALIVE[age_known])
    death_year = birth_year + np.searchsorted(-_ALIVE, -rank)
    insured = (entry_year <= year) & (death_year >= year)
    index, birth_year, entry_year, death_year = np.stack([index, birth_year, entry_year, death_year])[:, insured]

    move_year = facts.FIRST_YEAR + dice.below("move", index, MOVE_CYCLE)
    moves = (entry_year < move_year) & (move_year < death_year)
    point_before = dice.spread("home", index)
    already = moves & (move_year < year)
    point_before[already] = country.move(dice, index[already], point_before[already])
    moved = moves & (move_year == year)
    point = point_before.copy()
    point[moved] = country.move(dice, index[moved], point[moved])
    before = country.municipality_of(point_before)
    municipality = before.copy()
    municipality[moved] = country.municipality_of(point[moved])
    return People(year, index, birth_year, entry_year, death_year, point, point_before, municipality, before, moved)


def move_month(dice: Dice, index: Ints) -> Ints:
    """The month of moving, 1 to 11, so that a registration that the move ends still ends within the year."""
    return 1 + dice.below("month of moving", index, 11)
