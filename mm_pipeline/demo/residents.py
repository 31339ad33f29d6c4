"""Beneficiaries dataset: plain names of columns, ISO dates, several rows for those who moved."""

import numpy as np
import pyarrow as pa

from mm_pipeline.demo.hashing import Bools, Dice, Ints
from mm_pipeline.demo.identifiers import pseudonyms
from mm_pipeline.demo.people import People, move_month
from mm_pipeline.demo.places import Country, Vintage

#: Women per 10 000 insured.
WOMEN = 5080

#: Unknown sectors and unknown municipalities, per 10 000.
UNKNOWN_SECTOR, UNKNOWN_MUNICIPALITY = 50, 20

#: Spellings of an unknown municipality.
NO_MUNICIPALITY = ("0", "995", "999", None)


def beneficiaries(dice: Dice, country: Country, vintage: Vintage, people: People, unlisted: Ints) -> pa.Table:
    """The insured with their residences, without the ``unlisted``: one row, or two in the year of a move, in any order."""
    year = people.year
    listed = np.flatnonzero(~np.isin(people.index, unlisted))
    row = np.repeat(listed, 1 + people.moved[listed])
    index, moved = people.index[row], people.moved[row]
    second = np.concatenate([[False], row[1:] == row[:-1]])
    after = moved & (second ^ dice.chance("order of rows", index, 5000, year))
    sex_codes = ["1", "2"] if year % 3 == 0 else ["M", "F"]  # every third year others
    region = country.region[people.municipality]
    points = np.where(after, people.point[row], people.point_before[row])
    municipality = np.where(after, people.municipality[row], people.municipality_before[row])
    municipality_code, sector_code = _places(dice, country, vintage, index, points, municipality)
    return pa.table(
        {
            "patient_id": pseudonyms(dice, index),
            "birth_year": people.birth_year[row],
            "sex": pa.array(sex_codes).take(pa.array(dice.chance("female", index, WOMEN).astype(np.int64))),
            "preferential": people.preferential(dice, region, year)[row].astype(np.int64),
            "municipality_code": municipality_code,
            "sector_code": sector_code,
            "valid_from": _days_of_move(dice, index, after, year),
        }
    )


def _places(
    dice: Dice, country: Country, vintage: Vintage, index: Ints, points: Ints, municipality: Ints
) -> tuple[pa.StringArray, pa.StringArray]:
    """The codes of municipalities and sectors, some of either unknown."""
    sector = vintage.sector_of(country, points, municipality)
    municipalities, sectors = len(country.codes), len(vintage.sector_codes)
    # After the sectors come <NIS5>ZZZZ of each municipality, then an empty code.
    unknown = dice.chance("unknown sector", index, UNKNOWN_SECTOR)
    written = dice.chance("unknown written", index, 5000)
    sector = np.where(unknown, np.where(written, sectors + municipality, sectors + municipalities), sector)
    nowhere = dice.chance("unknown municipality", index, UNKNOWN_MUNICIPALITY)
    sector = np.where(nowhere, sectors + municipalities, sector)
    kind = dice.below("kind of unknown", index, len(NO_MUNICIPALITY))
    municipality = np.where(nowhere, municipalities + kind, municipality)
    zzzz = [f"{code}ZZZZ" for code in vintage.municipality_codes]
    return (
        pa.array([*vintage.municipality_codes, *NO_MUNICIPALITY]).take(pa.array(municipality)),
        pa.array([*vintage.sector_codes, *zzzz, None]).take(pa.array(sector)),
    )


def _days_of_move(dice: Dice, index: Ints, after: Bools, year: int) -> pa.Array:
    """The first day at the new address; empty (1 January) for the others."""
    texts = [f"{year}-{month:02d}-{day:02d}" for month in range(1, 13) for day in range(1, 29)]
    position = np.zeros(len(index), np.int64)
    position[after] = (move_month(dice, index[after]) - 1) * 28 + dice.below("day of moving", index[after], 28)
    return pa.array(texts).take(pa.array(position, mask=~after))
