"""What is billed and held: the forfaits of the registrations, and the global medical records (DMG).

The forfaits carry the agency's own variable names where they are known, and dates as YYYYMMDD.
"""

import numpy as np
import pyarrow as pa

from mm_pipeline.demo.hashing import POINTS, Dice, Ints
from mm_pipeline.demo.identifiers import pseudonyms
from mm_pipeline.demo.people import People
from mm_pipeline.demo.registrations import Registrations

FORFAIT = "109616"

#: Other codes of the nomenclature in the extract (consultations and a visit), with fees in cents.
OTHER_CODES = {"101032": 1700, "101076": 2700, "103132": 3800}

#: What the month of a registration can look like, and how many of 10 000 do: the quantities of its rows, 0 for a row
#: of another code. Plain; regularised; regularised and billed again; billed twice and regularised; with another act.
PLAIN, REGULARISED, BILLED_AGAIN, BILLED_TWICE, OTHER_ACT = (1,), (1, -1), (1, -1, 1), (1, 1, -1), (1, 0)
MONTHS = {PLAIN: 9550, REGULARISED: 50, BILLED_AGAIN: 50, BILLED_TWICE: 40, OTHER_ACT: 310}

#: Shares in 1/10 000: registered people with a month without forfait; months not dated on the first.
GAP, OTHER_DAY = 100, 200

#: General practices at scale 1.
PRACTICES = 8192

#: Of 1000 registered people, how many hold a DMG with their house only, with another practice too, with that only.
#: Of 1000 others, how many hold one, two with two practices, one delivered twice.
DMG_REGISTERED, DMG_OTHERS = (835, 35, 30), (690, 15, 5)

DMG_SCHEMA = pa.schema([("patient_id", pa.string()), ("practice_id", pa.string())])


def forfaits(dice: Dice, registrations: Registrations, providers: pa.StringArray, amounts: Ints, year: int) -> pa.Table:
    """The rows of the forfaits by person and month; ``amounts`` in cents [house, month less 1]."""
    months = registrations.last - registrations.first + 1
    row, place = _unfold(months)
    index, house, month = registrations.person[row], registrations.house[row], registrations.first[row] + place
    gap = dice.chance("gap", index, GAP, year) & (month == 1 + dice.below("month of the gap", index, 12, year))
    index, house, month = index[~gap], house[~gap], month[~gap]

    # Person, month and house in one number: 36, 4 and 9 bits.
    key = index + (month << 36) + (house << 40)
    day = np.where(dice.chance("other day", key, OTHER_DAY, year), 2 + dice.below("day", key, 27, year), 1)
    pattern = np.searchsorted(np.cumsum(list(MONTHS.values())), dice.below("pattern", key, 10_000, year), side="right")
    row, place = _unfold(np.array([len(rows) for rows in MONTHS])[pattern])
    quantity = np.array([(*rows, 0, 0)[:3] for rows in MONTHS])[pattern[row], place]
    index, house, month, day, key = (values[row] for values in (index, house, month, day, key))
    other = quantity == 0
    code = np.where(other, 1 + dice.below("other code", key, len(OTHER_CODES), year), 0)
    cents = np.where(other, np.array([0, *OTHER_CODES.values()])[code], amounts[house, month - 1] * quantity)
    return pa.table(
        {
            "SS00010": pseudonyms(dice, index),
            "SS00075": providers.take(pa.array(house)),
            "SS00015": year * 10_000 + month * 100 + day,
            "SS00020": pa.array([FORFAIT, *OTHER_CODES]).take(pa.array(code)),
            "quantity": np.where(other, 1, quantity),
            "amount_eur": _euros(cents),
        }
    )


def dmg(dice: Dice, people: People, registrations: Registrations, providers: pa.StringArray, houses: int) -> pa.Table:
    """The records by person; ``houses`` says after how many ``providers`` the general practices begin.

    A practice has patients of one stretch of the country. Someone who changed house still has the record at the
    former one, which is an own house as well.
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
    first = np.where(
        own >= 0, np.choose(patient, [own, own, nearby, none]), np.choose(other, [nearby, nearby, nearby, none])
    )
    second = np.where(
        own >= 0, np.choose(patient, [none, nearby, none, none]), np.choose(other, [none, another, nearby, none])
    )
    held = np.column_stack([first, second]).ravel()
    index = np.repeat(people.index, 2)
    columns = [pseudonyms(dice, index[held >= 0]), providers.take(pa.array(held[held >= 0]))]
    return pa.table(columns, schema=DMG_SCHEMA)


def _unfold(counts: Ints) -> tuple[Ints, Ints]:
    """The positions 0, 1, ... each as often as its count, and how many of the same came before."""
    row = np.repeat(np.arange(len(counts)), counts)
    return row, np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)


def _euros(cents: Ints) -> pa.Array:
    """Amounts as text with two decimals."""
    known, which = np.unique(cents, return_inverse=True)
    texts = [f"{'-' if amount < 0 else ''}{abs(amount) // 100}.{abs(amount) % 100:02d}" for amount in known.tolist()]
    return pa.array(texts, pa.string()).take(pa.array(which))
