"""The statistic, read slowly: the oracle that the engine is held against.

What belongs here: the definition, in the most obvious Python there is (dicts, sets, loops), one small function for
each sentence of it. What does not: speed, Dagster, Ibis, pandas, files, and above all anything out of `mm_pipeline`.
The oracle shares no line with the engine, so an error would have to be made twice to go unseen.

The three deliveries are lists of rows; a row is a dict of text, column name -> value, as it stands in the file. The
area table of the year is a list of dicts with `level`, `area_code` and `parent_code`.
"""

import datetime
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

Row = Mapping[str, str]
RateKey = tuple[str, str, str, str]  # (level, area_code, dimension, category)
RateValue = tuple[str, int, int]  # (parent_code, beneficiaries, patients)
Place = tuple[str, str]  # (level, area_code): Brussels has one code at two levels
Houses = dict[str, set[int]]  # house_id -> the months that count there, for one patient

FORFAIT_CODE = "109616"
THRESHOLD = 6
FIRST_SECTOR_YEAR = 2005
OLDEST_AGE = 125
COUNTRY: Place = ("country", "BE")

COLUMNS = {
    "forfaits": ("patient_id", "house_id", "service_date", "nomenclature_code", "quantity", "amount_eur"),
    "beneficiaries": (
        "patient_id",
        "birth_year",
        "sex",
        "preferential",
        "municipality_code",
        "sector_code",
        "valid_from",
    ),
    "dmg": ("patient_id", "practice_id"),
}
SEX_OF = {"M": "M", "m": "M", "1": "M", "F": "F", "f": "F", "2": "F"}
AGE_GROUPS = (("0-17", 0, 17), ("18-64", 18, 64), ("65+", 65, OLDEST_AGE))
AGE_CLASSES = (
    ("0-17", 0, 17),
    ("18-24", 18, 24),
    ("25-44", 25, 44),
    ("45-64", 45, 64),
    ("65-74", 65, 74),
    ("75-84", 75, 84),
    ("85+", 85, OLDEST_AGE),
)
CATEGORIES = {
    "total": ("total",),
    "sex": ("M", "F"),
    "age_group": tuple(name for name, _, _ in AGE_GROUPS),
    "age_class": tuple(name for name, _, _ in AGE_CLASSES),
    "preferential": ("0", "1"),
}
LEVEL_ABOVE = {
    "sector": "municipality",
    "municipality": "arrondissement",
    "arrondissement": "province",
    "province": "region",
    "region": "country",
}


@dataclass(frozen=True)
class Result:
    """Everything the engine must agree with."""

    rates: dict[RateKey, RateValue]
    accounting: dict[str, tuple[int, int, int, int]]
    """dataset -> (delivered, kept, ignored by rule, quarantined)"""
    quarantined: dict[str, set[int]]
    """dataset -> indexes of its quarantined rows, the first row being 0"""
    patients: dict[str, tuple[int, str]]
    """attributed patient -> (forfaits, house_id), whether among the beneficiaries or not"""
    not_beneficiaries: int
    """how many of these patients are not among the beneficiaries"""


@dataclass(frozen=True)
class Forfait:
    patient_id: str
    house_id: str
    month: int
    quantity: int


@dataclass(frozen=True)
class Beneficiary:
    """A person as one row has him, from `valid_from` on."""

    patient_id: str
    birth_year: int
    sex: str
    preferential: str
    municipality_code: str
    sector_code: str
    valid_from: datetime.date


@dataclass(frozen=True)
class Dmg:
    patient_id: str
    practice_id: str


class Refusal(Enum):
    """Why a row is not kept."""

    IGNORED = "ignored by rule"
    QUARANTINED = "quarantined"


Value = TypeVar("Value")


@dataclass(frozen=True)
class Read(Generic[Value]):
    """A delivery after reading: the rows that are kept, and what became of the others."""

    kept: list[Value]
    ignored: int
    quarantined: set[int]


def statistic(
    year: int,
    forfaits: Sequence[Row],
    beneficiaries: Sequence[Row],
    dmg: Sequence[Row],
    areas: Sequence[Row],
    threshold: int = THRESHOLD,
) -> Result:
    """The whole definition, from the deliveries of one year to its table of rates."""
    billed = read_delivery(read_forfait, year, forfaits)
    rows = read_delivery(read_beneficiary, year, beneficiaries)
    records = read_delivery(read_dmg, year, dmg)

    persons = last_rows(rows.kept)
    patients = attributed(counted_months(billed.kept), records.kept, threshold)

    earlier_residences = len(rows.kept) - len(persons)
    return Result(
        rates=count_rates(year, persons, set(patients), areas),
        accounting={
            "forfaits": (len(forfaits), len(billed.kept), billed.ignored, len(billed.quarantined)),
            "beneficiaries": (
                len(beneficiaries),
                len(persons),
                rows.ignored + earlier_residences,
                len(rows.quarantined),
            ),
            "dmg": (len(dmg), len(records.kept), records.ignored, len(records.quarantined)),
        },
        quarantined={
            "forfaits": billed.quarantined,
            "beneficiaries": rows.quarantined,
            "dmg": records.quarantined,
        },
        patients=patients,
        not_beneficiaries=len(set(patients) - set(persons)),
    )


def sensitivity(
    year: int,
    forfaits: Sequence[Row],
    beneficiaries: Sequence[Row],
    dmg: Sequence[Row],
    areas: Sequence[Row],
) -> dict[tuple[str, str, int], RateValue]:
    """(level, area_code, threshold) -> what the whole definition gives the country and the regions at this threshold."""
    counts = {}
    for threshold in range(1, 13):
        rates = statistic(year, forfaits, beneficiaries, dmg, areas, threshold).rates
        for (level, code, dimension, _), value in rates.items():
            if level in ("country", "region") and dimension == "total":
                counts[level, code, threshold] = value
    return counts


# --- reading: one value, one row, one delivery ------------------------------------------------------------------------


def stripped(row: Row, column: str) -> str:
    """The value without the blanks around it; '' is empty."""
    return row[column].strip(" \t")


def as_whole(value: str) -> str:
    """A whole number without the decimals that a column of numbers gave it: 21004.0, 21004. and 21004,0 are 21004."""
    if value.endswith(",0"):
        return value[:-2]
    without_zeros = value.rstrip("0")
    return without_zeros[:-1] if without_zeros.endswith(".") else value


NO_IDENTIFIERS = ("", "na", "n/a", "<na>", "nan", "null", "none", "nil", "\\n", ".", "?", "-", "unknown", "onbekend")


def names_somebody(identifier: str) -> bool:
    """Whether it is an identifier: not a missing value that is written out, nor a number that has lost digits."""
    small = identifier.lower()
    is_rounded = re.fullmatch(r"[0-9]+[.,][0-9]*e[+]?[0-9]+|[0-9]+e[+][0-9]+|[0-9]{16,}[.,]0*", small)
    return small not in NO_IDENTIFIERS and any(map(str.isalnum, small)) and not is_rounded


def real_date(value: str) -> datetime.date | None:
    """The date that is written as YYYY-MM-DD or YYYYMMDD; None for anything else."""
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8}", value):
        return None
    digits = value.replace("-", "")
    try:
        return datetime.date(int(digits[0:4]), int(digits[4:6]), int(digits[6:8]))
    except ValueError:
        return None


def read_forfait(year: int, row: Row) -> Forfait | Refusal:
    code = as_whole(stripped(row, "nomenclature_code"))
    if not re.fullmatch(r"[0-9]{1,6}", code):
        return Refusal.QUARANTINED
    if code != FORFAIT_CODE:
        return Refusal.IGNORED
    patient_id, house_id = stripped(row, "patient_id"), stripped(row, "house_id")
    if not (names_somebody(patient_id) and names_somebody(house_id)):
        return Refusal.QUARANTINED
    service_date = real_date(stripped(row, "service_date"))
    if service_date is None or service_date.year != year:
        return Refusal.QUARANTINED
    quantity = as_whole(stripped(row, "quantity"))
    if not re.fullmatch(r"[+-]?[0-9]{1,9}", quantity):
        return Refusal.QUARANTINED
    if not re.fullmatch(r"[+-]?[0-9]{1,9}([.,][0-9]{1,2})?", stripped(row, "amount_eur")):
        return Refusal.QUARANTINED
    return Forfait(patient_id, house_id, service_date.month, int(quantity))


def read_beneficiary(year: int, row: Row) -> Beneficiary | Refusal:
    patient_id = stripped(row, "patient_id")
    if not names_somebody(patient_id):
        return Refusal.QUARANTINED
    born = as_whole(stripped(row, "birth_year"))
    if not re.fullmatch(r"[0-9]{4}", born):
        return Refusal.QUARANTINED
    birth_year = int(born)
    if birth_year < year - OLDEST_AGE or birth_year > year:
        return Refusal.QUARANTINED
    sex = as_whole(stripped(row, "sex"))
    if sex not in SEX_OF:
        return Refusal.QUARANTINED
    preferential = as_whole(stripped(row, "preferential"))
    if preferential not in ("0", "1"):
        return Refusal.QUARANTINED
    since = stripped(row, "valid_from")
    valid_from = datetime.date(year, 1, 1) if since == "" else real_date(since)
    if valid_from is None or valid_from > datetime.date(year, 12, 31):
        return Refusal.QUARANTINED
    return Beneficiary(
        patient_id,
        birth_year,
        SEX_OF[sex],
        preferential,
        as_whole(stripped(row, "municipality_code")),
        stripped(row, "sector_code"),
        valid_from,
    )


def read_dmg(year: int, row: Row) -> Dmg | Refusal:
    patient_id, practice_id = stripped(row, "patient_id"), stripped(row, "practice_id")
    if not (names_somebody(patient_id) and names_somebody(practice_id)):
        return Refusal.QUARANTINED
    return Dmg(patient_id, practice_id)


def read_delivery(read: Callable[[int, Row], Value | Refusal], year: int, rows: Sequence[Row]) -> Read[Value]:
    kept: list[Value] = []
    ignored = 0
    quarantined: set[int] = set()
    for index, row in enumerate(rows):
        value = read(year, row)
        if value is Refusal.QUARANTINED:
            quarantined.add(index)
        elif value is Refusal.IGNORED:
            ignored += 1
        else:
            assert not isinstance(value, Refusal)
            kept.append(value)
    return Read(kept, ignored, quarantined)


# --- who is a patient -------------------------------------------------------------------------------------------------


def counted_months(billed: Sequence[Forfait]) -> dict[str, Houses]:
    """patient -> house -> the months in which the house billed him a net quantity of one or more."""
    net: Counter[tuple[str, str, int]] = Counter()
    for forfait in billed:
        net[forfait.patient_id, forfait.house_id, forfait.month] += forfait.quantity
    months: dict[str, Houses] = {}
    for (patient_id, house_id, month), quantity in net.items():
        if quantity >= 1:
            months.setdefault(patient_id, {}).setdefault(house_id, set()).add(month)
    return months


def number_of_forfaits(houses: Houses) -> int:
    """FF_MH: the calendar months that count at one house or more; two houses in one month are one month."""
    return len(set().union(*houses.values()))


def main_house(houses: Houses) -> str:
    """The house with most months; of equals, the one that billed latest; of equals again, the smallest id as text."""
    most = max(len(months) for months in houses.values())
    houses = {house_id: months for house_id, months in houses.items() if len(months) == most}
    latest = max(max(months) for months in houses.values())
    return min(house_id for house_id, months in houses.items() if max(months) == latest)


def has_other_dmg(patient_id: str, houses: Houses, records: Sequence[Dmg]) -> bool:
    """Whether any DMG of the patient is held by a practice that is not one of the houses with a counted month."""
    return any(record.patient_id == patient_id and record.practice_id not in houses for record in records)


def attributed(months: dict[str, Houses], records: Sequence[Dmg], threshold: int) -> dict[str, tuple[int, str]]:
    patients = {}
    for patient_id, houses in months.items():
        forfaits = number_of_forfaits(houses)
        if forfaits >= threshold and not has_other_dmg(patient_id, houses, records):
            patients[patient_id] = (forfaits, main_house(houses))
    return patients


# --- who is a beneficiary, and where ----------------------------------------------------------------------------------


def order_of(row: Beneficiary) -> tuple[datetime.date, str, str, str, str, str]:
    """The rows of one person in order of time; rows of the same day in an order that is arbitrary, but fixed."""
    return (
        row.valid_from,
        row.municipality_code,
        row.sector_code,
        str(row.birth_year),
        row.sex,
        row.preferential,
    )


def last_rows(rows: Sequence[Beneficiary]) -> dict[str, Beneficiary]:
    """person -> the row that counts: the last one."""
    persons: dict[str, Beneficiary] = {}
    for row in rows:
        if row.patient_id not in persons or order_of(row) > order_of(persons[row.patient_id]):
            persons[row.patient_id] = row
    return persons


def category_of(age: int, classes: Sequence[tuple[str, int, int]]) -> str:
    for name, youngest, oldest in classes:
        if youngest <= age <= oldest:
            return name
    raise ValueError(f"age {age} is in no class")


def categories_of(year: int, person: Beneficiary) -> dict[str, str]:
    """dimension -> the category of the person."""
    age = year - person.birth_year
    return {
        "total": "total",
        "sex": person.sex,
        "age_group": category_of(age, AGE_GROUPS),
        "age_class": category_of(age, AGE_CLASSES),
        "preferential": person.preferential,
    }


def area_parents(areas: Sequence[Row]) -> dict[Place, str]:
    parents: dict[Place, str] = {}
    for area in areas:
        place = (area["level"], area["area_code"])
        assert place not in parents, f"{place} stands twice in the area table"
        parents[place] = area["parent_code"]
    return parents


def is_unknown_sector(sector_code: str) -> bool:
    return sector_code.endswith("ZZZZ") or not re.fullmatch(r"[0-9]{5}[0-9A-Z-]{4}", sector_code)


def named_sectors(persons: Sequence[Beneficiary], parents: Mapping[Place, str]) -> dict[str, str]:
    """Without a sector table: sector -> the municipality where most of those who name it live, the smallest of equals.

    Only who lives in a municipality of the area table has a say.
    """
    votes: dict[str, Counter[str]] = {}
    for person in persons:
        if ("municipality", person.municipality_code) in parents and not is_unknown_sector(person.sector_code):
            votes.setdefault(person.sector_code, Counter())[person.municipality_code] += 1
    municipality_of = {}
    for sector_code, counts in votes.items():
        most = max(counts.values())
        municipality_of[sector_code] = min(code for code, count in counts.items() if count == most)
    return municipality_of


def sector_of(person: Beneficiary, municipality_of: Mapping[str, str]) -> str:
    """The sector the person counts in: his own, or the unknown one of his municipality."""
    known = not is_unknown_sector(person.sector_code)
    if known and municipality_of.get(person.sector_code) == person.municipality_code:
        return person.sector_code
    return person.municipality_code + "ZZZZ"


def places_of(person: Beneficiary, parents: Mapping[Place, str]) -> list[Place]:
    """The areas of the area table the person counts in, from the municipality up; the country alone if unassigned."""
    level, code = "municipality", person.municipality_code
    if (level, code) not in parents:
        return [COUNTRY]
    places = [(level, code)]
    while level != "country":
        level, code = LEVEL_ABOVE[level], parents[level, code]
        places.append((level, code))
    return places


# --- the table --------------------------------------------------------------------------------------------------------


def dimensions_of(level: str) -> list[str]:
    if level == "sector":
        return ["total"]
    if level == "municipality":
        return ["total", "sex", "age_group", "preferential"]
    return ["total", "sex", "age_group", "age_class", "preferential"]


def count_rates(
    year: int,
    persons: Mapping[str, Beneficiary],
    patients: set[str],
    areas: Sequence[Row],
) -> dict[RateKey, RateValue]:
    parents = area_parents(areas)
    sectors = {code: parent for (level, code), parent in parents.items() if level == "sector"}
    parents = {place: parent for place, parent in parents.items() if place[0] != "sector"}
    if year >= FIRST_SECTOR_YEAR:
        if not sectors:
            sectors = named_sectors(list(persons.values()), parents)
        municipality_of = dict(sectors)
        for person in persons.values():
            if ("municipality", person.municipality_code) in parents:
                sectors[sector_of(person, municipality_of)] = person.municipality_code
        parents |= {("sector", code): municipality for code, municipality in sectors.items()}

    beneficiaries: Counter[RateKey] = Counter()
    counted: Counter[RateKey] = Counter()
    for person in persons.values():
        places = places_of(person, parents)
        if year >= FIRST_SECTOR_YEAR and places != [COUNTRY]:
            places.append(("sector", sector_of(person, municipality_of)))
        categories = categories_of(year, person)
        for level, code in places:
            for dimension in dimensions_of(level):
                key = (level, code, dimension, categories[dimension])
                beneficiaries[key] += 1
                if person.patient_id in patients:
                    counted[key] += 1

    rates = {}
    for (level, code), parent in parents.items():
        for dimension in dimensions_of(level):
            for category in CATEGORIES[dimension]:
                key = (level, code, dimension, category)
                rates[key] = (parent, beneficiaries[key], counted[key])
    return rates
