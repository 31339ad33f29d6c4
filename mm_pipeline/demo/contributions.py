"""Contributions that houses ask of their patients: what each patient paid in the year, by household."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from mm_pipeline.demo.csv_files import euros
from mm_pipeline.demo.hashing import Dice, Ints
from mm_pipeline.demo.identifiers import household_pseudonyms, pseudonyms
from mm_pipeline.demo.registrations import Registrations

#: The first year with a delivery, some years after that of the forfaits.
FIRST_YEAR = 2010

#: Shares in 1/10 000 of houses that ask for a contribution, of their patients who pay it, and of patients who live in
#: the household of the previous patient.
ASKING, PAYING, SAME_HOUSEHOLD = 3300, 9000, 6000

#: Contribution that a house asks in a year, in cents: lowest, step, number of steps; 2.50 euro is the ceiling.
LOWEST, STEP, STEPS = 50, 10, 21

#: Largest household. Its members together stay below its ceiling of 12.50 euro.
MEMBERS = 4


class Contributions(NamedTuple):
    """Payments, one row each. ``household`` is the number of its first member."""

    person: Ints
    household: Ints
    house: Ints
    cents: Ints


def contributions_of(dice: Dice, registrations: Registrations, spared: Ints, year: int) -> Contributions:
    """The payments of patients to their first house of the year, by house. Persons in ``spared`` pay nothing."""
    # Of all registrations of a person, the first one.
    person, row = np.unique(registrations.person, return_index=True)
    house = registrations.house[row]
    pays = dice.chance("asks a contribution", house, ASKING) & dice.chance("pays a contribution", person, PAYING, year)
    pays &= ~np.isin(person, spared)
    person, house = person[pays], house[pays]
    order = np.argsort(house, kind="stable")
    person, house = person[order], house[order]
    _, starts, counts = np.unique(house, return_index=True, return_counts=True)
    # A household consists of consecutive patients of one house.
    place = np.arange(len(house)) - np.repeat(starts, counts)
    begins = (place % MEMBERS == 0) | ~dice.chance("same household", person, SAME_HOUSEHOLD)
    household = person[np.maximum.accumulate(np.where(begins, np.arange(len(person)), 0))]
    return Contributions(person, household, house, LOWEST + STEP * dice.below("contribution", house, STEPS))


def table(dice: Dice, contributions: Contributions, providers: pa.StringArray) -> pa.Table:
    """The payments as rows of the delivery."""
    return pa.table(
        {
            "patient_id": pseudonyms(dice, contributions.person),
            "household_id": household_pseudonyms(dice, contributions.household),
            "house_id": providers.take(pa.array(contributions.house)),
            "amount_eur": euros(contributions.cents),
        }
    )
