"""Reads a delivery against ``docs/capitation.md`` with dictionaries and loops: slow, and nothing of the pipeline's own.

Each function returns the cases that break one rule.
"""

import csv
import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from itertools import combinations
from pathlib import Path

FORFAIT = "109616"
MONTHS = range(1, 13)

#: Provinces that share a border, by the digits that their municipalities begin with: 21 is Brussels, 25 Walloon
#: Brabant, and 2 the rest of former Brabant.
NEIGHBOURS = {
    "1": {"4", "2", "7"},
    "2": {"1", "4", "5", "6", "7", "21", "25"},
    "21": {"2", "25"},
    "25": {"2", "21", "5", "6", "9"},
    "3": {"4", "5"},
    "4": {"1", "2", "3", "5"},
    "5": {"3", "4", "2", "25", "9"},
    "6": {"7", "2", "25", "9", "8"},
    "7": {"1", "2", "6"},
    "8": {"6", "9"},
    "9": {"5", "25", "6", "8"},
}

House = str
Patient = str
#: Net quantities of the twelve months.
Net = list[int]


class Reading:
    """The good lines of one year."""

    def __init__(self, folder: Path, municipalities: set[str]) -> None:
        self.year = int(folder.name)
        self.municipalities = municipalities
        self.sample = json.loads((folder / "manifest.json").read_text(encoding="utf-8")).get("sample", 1)
        self.lines: list[tuple[Patient, House, int, int, Decimal]] = []
        self.net: dict[tuple[Patient, House], Net] = defaultdict(lambda: [0] * 13)
        for fields in _rows(folder / "forfaits.csv.gz", ";"):
            if len(fields) != 6 or not fields[0] or fields[3] != FORFAIT:
                continue
            patient, house, day, _, quantity, euro = fields
            try:
                month = date(int(day[:4]), int(day[4:6]), int(day[6:])).month
                number = int(quantity)
            except ValueError:
                continue
            if int(day[:4]) == self.year:
                self.lines.append((patient, house, month, number, Decimal(euro)))
                self.net[patient, house][month] += number
        self.houses_of: dict[Patient, dict[House, Net]] = defaultdict(dict)
        self.patients: dict[House, list[Counter[Patient]]] = defaultdict(lambda: [Counter() for _ in range(13)])
        for (patient, house), net in self.net.items():
            self.houses_of[patient][house] = net
            for month in MONTHS:
                if net[month] >= 1:
                    self.patients[house][month][patient] += 1
        self.residence: dict[Patient, tuple[str, str]] = {}
        for fields in _rows(folder / "beneficiaries.csv.gz", ","):
            if len(fields) == 7 and fields[0] in self.houses_of and fields[2] in ("1", "2", "M", "F"):
                latest = self.residence.get(fields[0])
                if latest is None or fields[6] > latest[0]:
                    self.residence[fields[0]] = (fields[6], fields[4])
        path = folder / "contributions.csv.gz"
        self.contributions = list(_rows(path, ",")) if path.exists() else None

    def first_month(self, house: House) -> int:
        """The first month in which the house has a patient."""
        return min(month for month in MONTHS if self.patients[house][month])

    def unit_amounts(self) -> dict[tuple[House, int], Counter[Decimal]]:
        """How many lines each house and month has at each amount for one forfait."""
        amounts: dict[tuple[House, int], Counter[Decimal]] = defaultdict(Counter)
        for _, house, month, quantity, euro in self.lines:
            amounts[house, month][round(euro / quantity, 4)] += 1
        return amounts


def _rows(path: Path, delimiter: str) -> Iterator[list[str]]:
    """The lines below the header."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = csv.reader(file, delimiter=delimiter)
        next(rows)
        yield from rows


def billed_twice(reading: Reading) -> set[tuple[Patient, House, int]]:
    return {(*key, month) for key, net in reading.net.items() for month in MONTHS if net[month] > 1}


def two_houses(reading: Reading) -> tuple[set[tuple[Patient, int]], set[tuple[Patient, int]]]:
    """The months of a patient at two houses: those that are no transfer, and those that are one."""
    wrong, transfers = set(), set()
    for patient, houses in reading.houses_of.items():
        for a, b in combinations(houses.values(), 2):
            for month in MONTHS:
                if a[month] >= 1 and b[month] >= 1:
                    ends = any(
                        (month == 12 or old[month + 1] < 1) and (month == 1 or new[month - 1] < 1)
                        for old, new in ((a, b), (b, a))
                    )
                    (transfers if ends else wrong).add((patient, month))
    return wrong, transfers


def gaps(reading: Reading) -> set[tuple[Patient, House, int]]:
    found = set()
    for (patient, house), net in reading.net.items():
        counted = [month for month in MONTHS if net[month] >= 1]
        for month in range(counted[0], counted[-1]) if counted else ():
            if all(other[month] < 1 for other in reading.houses_of[patient].values()):
                found.add((patient, house, month))
    return found


def no_beneficiaries(reading: Reading) -> set[Patient]:
    return {patient for patient in reading.houses_of if patient not in reading.residence}


def other_amounts(reading: Reading) -> list[tuple[House, int]]:
    """House and month of each line at another amount than its house's."""
    return [
        key
        for key, counts in reading.unit_amounts().items()
        for amount, lines in counts.items()
        if amount != usual(counts)
        for _ in range(lines)
    ]


def usual(counts: Mapping[Decimal, int]) -> Decimal:
    """The value that is there most often, the smallest of several."""
    return min(counts, key=lambda amount: (-counts[amount], amount))


def status(readings: Mapping[int, Reading], year: int, house: House) -> str:
    """Beginner, mature or unknown."""
    reading = readings[year]
    month = reading.first_month(house)
    if len(reading.patients[house][month]) < 500 * reading.sample:
        return "beginner"
    for earlier in (readings[other] for other in readings if other <= year - 2 and house in readings[other].patients):
        if earlier.year < year - 2 or earlier.first_month(house) <= month:
            return "mature"
    return "beginner" if year - 2 in readings else "unknown"


def unlike_the_others(readings: Mapping[int, Reading], year: int, wanted: str) -> set[tuple[House, int]]:
    """House and month where a house of this status is not paid as most of them."""
    houses = {house for house in readings[year].patients if status(readings, year, house) == wanted}
    amounts = {key: usual(counts) for key, counts in readings[year].unit_amounts().items() if key[0] in houses}
    found = set()
    for month in MONTHS:
        if wanted == "beginner" or (year, month) < (2013, 5):
            of_month = {house: amount for (house, when), amount in amounts.items() if when == month}
            if of_month:
                most = usual(Counter(of_month.values()))
                found |= {(house, month) for house, amount in of_month.items() if amount != most}
    return found


def far_from_their_house(reading: Reading) -> set[House]:
    """Houses with at least five persons, and more than a fifth of those with a residence, who live far away."""
    found = set()
    for house, months in reading.patients.items():
        persons = {patient for month in months for patient in month}
        homes = [reading.residence.get(patient, ("", ""))[1] for patient in persons]
        homes = [home for home in homes if home in reading.municipalities]
        if homes:
            counts = Counter(homes)
            heart = province(min(counts, key=lambda code: (-counts[code], code)))
            far = sum(province(home) not in NEIGHBOURS[heart] | {heart} for home in homes)
            if far >= 5 and 5 * far > len(homes):
                found.add(house)
    return found


def province(code: str) -> str:
    return code[:2] if code[:2] in ("21", "25") else code[:1]


def paid(reading: Reading, column: int) -> dict[str, list[Decimal]]:
    """The contributions of each patient (column 0) or household (1)."""
    amounts: dict[str, list[Decimal]] = defaultdict(list)
    for row in reading.contributions or ():
        amounts[row[column]].append(Decimal(row[3]))
    return amounts
