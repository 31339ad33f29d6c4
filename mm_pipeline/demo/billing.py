"""Billing: the forfaits of the registrations, and the global medical records (DMG).

The forfaits carry the agency's own variable names where they are known, and dates as YYYYMMDD.
"""

import numpy as np
import pyarrow as pa

from mm_pipeline.demo.csv_files import euros
from mm_pipeline.demo.hashing import POINTS, Dice, Ints
from mm_pipeline.demo.identifiers import pseudonyms
from mm_pipeline.demo.people import People
from mm_pipeline.demo.registrations import Registrations
from mm_pipeline.demo.violations import NOTHING, TWICE, TWO_AT_ONCE, Violations

FORFAIT = "109616"

#: Other codes of the nomenclature in the extract (consultations and a visit), with fees in cents.
OTHER_CODES = {"101032": 1700, "101076": 2700, "103132": 3800}

#: Patterns of a billed month, per 10 000: the quantities of its rows, 0 for a row of another code. Plain; regularised
#: and billed again; billed twice and regularised; with another act.
PLAIN, BILLED_AGAIN, BILLED_TWICE, OTHER_ACT = (1,), (1, -1, 1), (1, 1, -1), (1, 0)
MONTHS = {PLAIN: 9600, BILLED_AGAIN: 50, BILLED_TWICE: 40, OTHER_ACT: 310}

#: Pattern of the last month of a registration that ends within the year, if billed by mistake and taken back.
REGULARISED = (1, -1)

#: All of these, and the patterns of planted violations.
PATTERNS = (*MONTHS, REGULARISED, TWICE, TWO_AT_ONCE, NOTHING)

#: Per 10 000: registrations of several months, ending within the year, that are billed a month too many; months not
#: dated on the first. The former is one month in 200 of all, as half of those who leave are still billed.
ONE_TOO_MANY, OTHER_DAY = 4700, 200

#: General practices at scale 1.
PRACTICES = 8192

#: Per 1000 registered people: those with a DMG at their house only, at another practice too, at that only. Per 1000
#: others: those with one DMG, with two at two practices, with one delivered twice.
DMG_REGISTERED, DMG_OTHERS = (835, 35, 30), (690, 15, 5)

DMG_SCHEMA = pa.schema([("patient_id", pa.string()), ("practice_id", pa.string())])


def forfaits(
    dice: Dice,
    registrations: Registrations,
    violations: Violations,
    providers: pa.StringArray,
    amounts: Ints,
    year: int,
) -> pa.Table:
    """The rows of the forfaits by person and month; ``amounts`` in cents [house, month less 1]."""
    registered = registrations.last - registrations.first + 1
    ends = np.cumsum(registered)
    row, place = _unfold(registered)
    index, house, month = registrations.person[row], registrations.house[row], registrations.first[row] + place

    # Person, month and house in one number: 36, 4 and 9 bits.
    key = index + (month << 36) + (house << 40)
    day = np.where(dice.chance("other day", key, OTHER_DAY, year), 2 + dice.below("day", key, 27, year), 1)
    pattern = np.searchsorted(np.cumsum(list(MONTHS.values())), dice.below("pattern", key, 10_000, year), side="right")
    spared = np.isin(registrations.person, violations.persons)
    pattern[spared[row]] = PATTERNS.index(PLAIN)
    # Only in the midst of a year and of a registration: what is billed in January, and in a patient's first month, is never
    # taken back.
    first, last = registrations.first, registrations.last
    drawn = dice.chance("one too many", registrations.person + (registrations.house << 40), ONE_TOO_MANY, year)
    one_too_many = drawn & (last > 1) & (last < 12) & (last > first) & ~spared
    pattern[ends[one_too_many] - 1] = PATTERNS.index(REGULARISED)
    more = np.zeros_like(month)
    for planted in violations.months:
        position = np.searchsorted(registrations.person, planted.person)
        if position < len(ends) and registrations.person[position] == planted.person:
            at = ends[position] - 1 - registrations.last[position] + planted.month
            pattern[at], more[at] = PATTERNS.index(planted.rows), planted.cents

    row, place = _unfold(np.array([len(rows) for rows in PATTERNS])[pattern])
    quantity = np.array([(*rows, 0, 0, 0)[:3] for rows in PATTERNS])[pattern[row], place]
    index, house, month, day, key, more = (values[row] for values in (index, house, month, day, key, more))
    other = quantity == 0
    code = np.where(other, 1 + dice.below("other code", key, len(OTHER_CODES), year), 0)
    cents = np.where(other, np.array([0, *OTHER_CODES.values()])[code], (amounts[house, month - 1] + more) * quantity)
    return pa.table(
        {
            "SS00010": pseudonyms(dice, index),
            "SS00075": providers.take(pa.array(house)),
            "SS00015": year * 10_000 + month * 100 + day,
            "SS00020": pa.array([FORFAIT, *OTHER_CODES]).take(pa.array(code)),
            "quantity": np.where(other, 1, quantity),
            "amount_eur": euros(cents),
        }
    )


def dmg(dice: Dice, people: People, registrations: Registrations, providers: pa.StringArray, houses: int) -> pa.Table:
    """The records (DMG) by person. ``houses``: number of houses in ``providers`` before the practices, ghost house included.

    A practice has patients of one stretch of the country. Someone who changed house still has the record at the former one,
    which is an own house as well.
    """
    practices = len(providers) - houses
    nearby = houses + (people.point * practices // POINTS)
    another = houses + dice.below("another practice", people.index, practices)
    none = np.full(len(people.index), -1)
    own = none.copy()
    # Backwards, so that the first of two registrations stays.
    own[np.searchsorted(people.index, registrations.person[::-1])] = registrations.house[::-1]
    draw = dice.below("dmg", people.index, 1000)
    # Behind the groups of a tuple: those who hold none.
    patient = np.searchsorted(np.cumsum(DMG_REGISTERED), draw, side="right")
    other = np.searchsorted(np.cumsum(DMG_OTHERS), draw, side="right")
    group = np.where(own >= 0, patient, len(DMG_REGISTERED) + 1 + other)
    first = np.choose(group, [own, own, nearby, none, nearby, nearby, nearby, none])
    second = np.choose(group, [none, nearby, none, none, none, another, nearby, none])
    held = np.column_stack([first, second]).ravel()
    index = np.repeat(people.index, 2)
    columns = [pseudonyms(dice, index[held >= 0]), providers.take(pa.array(held[held >= 0]))]
    return pa.table(columns, schema=DMG_SCHEMA)


def _unfold(counts: Ints) -> tuple[Ints, Ints]:
    """The positions 0, 1, ..., each repeated as often as its count, and the number of the repetition from 0."""
    row = np.repeat(np.arange(len(counts)), counts)
    return row, np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
