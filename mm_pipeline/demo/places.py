"""Places where people live: municipalities laid out on one line, and their sectors and codes in a year.

The line has 2^32 points; each municipality of 2018 has a stretch as long as its population. A person has a point on
it, and everything about a place follows from that point: the municipality, the sector, the practices nearby. The line
is the same in every year and for every seed; only the codes change with the vintage.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mm_pipeline.demo import facts
from mm_pipeline.demo.hashing import POINTS, Dice, Ints

#: Smallest number of inhabitants of a municipality, so that it still has some at a scale of 0.01.
FEWEST_INHABITANTS = 1000

#: Seed of the geography, which does not depend on the seed of a delivery.
GEOGRAPHY = Dice(0)


@dataclass(frozen=True)
class Country:
    """The municipalities of 2018 by arrondissement, then code. Arrays have one number for each.

    ``region`` and ``arrondissement`` are positions (of facts.REGIONS; of the arrondissements in order of code),
    ``population`` counts the insured, ``bounds`` (one more) are the points where the stretches begin and end.
    """

    codes: list[str]
    region: Ints
    arrondissement: Ints
    population: Ints
    bounds: Ints

    def municipality_of(self, points: Ints) -> Ints:
        """The position of the municipality at each point."""
        return np.searchsorted(self.bounds, points, side="right") - 1

    def move(self, dice: Dice, index: Ints, points: Ints) -> Ints:
        """The new points of movers: half stay in the municipality, a third in the arrondissement, others go anywhere."""
        municipality = self.municipality_of(points)
        arrondissement = self.arrondissement[municipality]
        reach = dice.below("reach of the move", index, 100)
        near = [reach < 50, reach < 85]
        first = np.select(near, [municipality, np.searchsorted(self.arrondissement, arrondissement)], 0)
        following = np.searchsorted(self.arrondissement, arrondissement, side="right")
        start = self.bounds[first]
        end = self.bounds[np.select(near, [municipality + 1, following], len(self.codes))]
        # In 1/2^31 of the way from start to end: the whole line times 2^31 just fits 63 bits.
        return start + (dice.below("end of the move", index, 1 << 31) * (end - start) >> 31)


def country_of(areas: pa.Table) -> Country:
    """Lay out the municipalities of the area table of facts.BASE_YEAR."""
    parents = {(row["level"], row["area_code"]): row["parent_code"] for row in areas.to_pylist()}
    placed = sorted((above, code) for (level, code), above in parents.items() if level == "municipality")
    regions = [parents["province", parents["arrondissement", arrondissement]] for arrondissement, _ in placed]
    population = np.array(_populations(placed), np.int64)
    ends = np.cumsum(population)
    return Country(
        codes=[code for _, code in placed],
        region=np.array([facts.REGIONS.index(region) for region in regions]),
        arrondissement=np.unique([arrondissement for arrondissement, _ in placed], return_inverse=True)[1],
        population=population,
        bounds=np.concatenate([[0], ends * POINTS // ends[-1]]),
    )


def _populations(municipalities: list[tuple[str, str]]) -> list[int]:
    """Insured persons of each (arrondissement, municipality): towns as known, the rest of the arrondissement spread."""
    codes = [code for _, code in municipalities]
    # Sizes of the smaller ones vary tenfold, mostly towards the small.
    draws = GEOGRAPHY.below("population", np.array([int(code) for code in codes]), 1000).tolist()
    sizes = {code: 100 + draw * draw // 1000 for code, draw in zip(codes, draws, strict=True)}
    remaining = {code: 1000 * thousands for code, thousands in facts.ARRONDISSEMENTS.items()}
    shares: dict[str, int] = defaultdict(int)
    for arrondissement, code in municipalities:
        if code in facts.TOWNS:
            remaining[arrondissement] -= 1000 * facts.TOWNS[code]
        else:
            shares[arrondissement] += sizes[code]

    def inhabitants(arrondissement: str, code: str) -> int:
        if code in facts.TOWNS:
            return 1000 * facts.TOWNS[code]
        return max(remaining[arrondissement] * sizes[code] // shares[arrondissement], FEWEST_INHABITANTS)

    return [inhabitants(above, code) * facts.INSURED.get(above, 100) // 100 for above, code in municipalities]


@dataclass(frozen=True)
class Vintage:
    """The codes of a year.

    ``municipality_codes``: one for each municipality of the country. ``sector_codes``: all sectors of the first, then of the
    second, ... ``ends`` (one more): where each sector ends, in inhabitants. ``first`` (one more than municipalities): the
    position of the first sector of each.
    """

    municipality_codes: list[str]
    sector_codes: list[str]
    first: Ints
    ends: Ints

    def sector_of(self, country: Country, points: Ints, municipality: Ints) -> Ints:
        """The position in ``sector_codes`` of each point; a sector is a part of its municipality's stretch."""
        start, end = country.bounds[municipality], country.bounds[municipality + 1]
        low, high = self.ends[self.first[municipality]], self.ends[self.first[municipality + 1]]
        inhabitant = low + (points - start) * (high - low) // (end - start)
        return np.searchsorted(self.ends, inhabitant, side="right") - 1


def vintage_of(country: Country, areas: pa.Table, scale: float) -> Vintage:
    """The codes of municipalities and sectors in the area table of a year.

    A merged municipality holds the people of those it was made of. Where the table has no sectors for a municipality, they
    are invented. Either kind keeps the five digits of the municipality before the mergers, as in reality: whoever derives
    the municipality from the code of the sector is wrong for merged ones.
    """
    known: dict[str, list[str]] = defaultdict(list)
    vintage = set()
    for area in areas.select(["level", "area_code", "parent_code"]).to_pylist():
        if area["level"] == "municipality":
            vintage.add(area["area_code"])
        elif area["level"] == "sector":
            known[area["parent_code"]].append(area["area_code"])
    municipality_codes: list[str] = []
    sector_codes: list[str] = []
    first, sizes = [0], [np.zeros(1, np.int64)]
    for base, population in zip(country.codes, country.population.tolist(), strict=True):
        code = base if base in vintage else facts.MERGERS.get(base, base)
        municipality_codes.append(code)
        own = [sector for sector in known[code] if sector.startswith(base)] or known[code]
        own = own or _invented(base, max(round(population * scale / facts.SECTOR_MEAN), 1))
        sector_codes += own
        first.append(len(sector_codes))
        numbers = int(base) * 10_000 + np.arange(len(own))
        sizes.append(np.array(facts.SECTOR_SIZES)[GEOGRAPHY.below("sector", numbers, len(facts.SECTOR_SIZES))])
    return Vintage(municipality_codes, sector_codes, np.array(first), np.cumsum(np.concatenate(sizes)))


def _invented(base: str, count: int) -> list[str]:
    """Sector codes in Statbel's shape: ``11001A00-``, ``11001A01-``, ...: a letter for a part, two digits, one more."""
    parts = (divmod(number, 40) for number in range(count))
    return [f"{base}{chr(ord('A') + part)}{number:02d}{'--12-'[number % 5]}" for part, number in parts]
