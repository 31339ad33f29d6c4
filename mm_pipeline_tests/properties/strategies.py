"""Random deliveries for the generative tests: whole small years, rich in everything that can go wrong.

What belongs here: Hypothesis strategies for `Delivery` (three deliveries of text and an area table) and `FileFormat`,
`write_delivery`, which puts a delivery on disk the way an extract may look, and `oddities`, which names what is special
about a delivery. What does not: expectations; those come from `oracle`.

Persons are drawn as biographies (a run of months at a house, a transfer, a tie, a correction ...) and then billed row
by row. Rows drawn independently would hardly ever make a patient of six months, and would test only zeros.
"""

import calendar
import csv
import gzip
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from mm_pipeline_tests.properties import oracle

YEARS = (2003, 2004, 2005, 2012, 2024)
USUAL_YEARS = (2024, 2012, 2005, 2024, 2003, 2004)
"""The years as they are drawn: most often one with sectors, and with municipalities that changed their code."""
MOST_PATIENTS = 25

TextRow = dict[str, str]


@dataclass(frozen=True)
class Delivery:
    """One year as it arrives: rows of text under their canonical names, and the area table of that year."""

    year: int
    forfaits: list[TextRow]
    beneficiaries: list[TextRow]
    dmg: list[TextRow]
    areas: list[TextRow]

    @property
    def datasets(self) -> dict[str, list[TextRow]]:
        return {"forfaits": self.forfaits, "beneficiaries": self.beneficiaries, "dmg": self.dmg}


# --- the area table ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Municipality:
    code: str
    arrondissement: str
    province: str
    region: str
    sectors: tuple[str, ...]
    first_year: int = 2003
    last_year: int = 2024


BRUSSELS = (
    Municipality("21004", "21000", "04000", "04000", ("21004A001", "21004A01-", "21004A1MJ")),
    Municipality("21009", "21000", "04000", "04000", ("21009A00-", "21009A2MJ")),
)
# Puurs-Sint-Amands took the code 12041 in 2019; its sectors kept the codes of the municipalities it was made from.
RECODED = (Municipality("12041", "12000", "10000", "02000", ("12030A000", "12030A01-", "12034A00-"), first_year=2019),)
FLANDERS = (
    Municipality("11002", "11000", "10000", "02000", ("11002A00-", "11002A01-", "1100212MQ")),
    Municipality("11001", "11000", "10000", "02000", ("11001A00-", "11001A020")),
    RECODED[0],
    Municipality("12030", "12000", "10000", "02000", ("12030A000", "12030A01-"), last_year=2018),
    Municipality("24062", "24000", "20001", "02000", ("24062A00-", "24062C0AJ")),
)
WALLONIA = (
    Municipality("62063", "62000", "60000", "03000", ("62063A00-", "62063A01-", "62063A6AP")),
    Municipality("62051", "62000", "60000", "03000", ("62051A001", "6205111MQ")),
    Municipality("52011", "52000", "50000", "03000", ("52011A00-", "5201112MQ")),
    Municipality("25112", "25000", "20002", "03000", ("25112A001",)),
)


def area_table(municipalities: Sequence[Municipality], with_sectors: bool) -> list[TextRow]:
    """The area table of these municipalities: everything above them, and their sectors if wanted."""
    parents = {("country", "BE"): ""}
    for each in municipalities:
        parents["region", each.region] = "BE"
        parents["province", each.province] = each.region
        parents["arrondissement", each.arrondissement] = each.province
        parents["municipality", each.code] = each.arrondissement
        if with_sectors:
            parents |= {("sector", sector): each.code for sector in each.sectors}
    return [{"level": level, "area_code": code, "parent_code": parent} for (level, code), parent in parents.items()]


@st.composite
def _municipalities(draw: DrawFn, year: int) -> list[Municipality]:
    """Two to four municipalities in two or three regions, Brussels always among them."""

    def of(pool: Sequence[Municipality]) -> list[Municipality]:
        return [each for each in pool if each.first_year <= year <= each.last_year]

    brussels = draw(st.sampled_from(BRUSSELS))
    pool = of(FLANDERS) + of(WALLONIA) + of(RECODED) * 4
    others = draw(st.lists(st.sampled_from(pool), min_size=1, max_size=3, unique=True))
    return [brussels, *others]


# --- values -----------------------------------------------------------------------------------------------------------

# In both pools the order as text is not the order as numbers, and ids that differ only in form are different persons.
NUMBER_IDS = ("1000", "7", "10", "100", "9", "0", "9223372036854775807", *(str(1001 + n) for n in range(18)))
TEXT_IDS = (
    *("P1", "p1", "7", "007", "7.0", "P10", 'a"b', "a,b", "a;b", "é-1", "12e34", "1E5", "x y"),
    *(f"P{n}" for n in range(11, 23)),
)
NUMBER_HOUSES = ("9", "10", "100", "2")
TEXT_HOUSES = ("H9", "H10", "h9", "MM;é,1")
NUMBER_PRACTICES = ("555", "90")
TEXT_PRACTICES = ("C1", 'Dr "X"', "H99")
NO_IDS = ("", "  ", "NA", "null", "NaN", "None", "\\N", ".", "1.23457E+15", "1,2e15", "1e+15", "####")

OTHER_CODES = ("101032", "9616", "0", "109617", "009616", "101032.0")
BAD_CODES = ("", "10961x", "1096160", "0109616", "-109616", "109616.5", "109 616")
GOOD_QUANTITIES = ("1,0", "1.", "+1", "1.000", "000000001", "-0", "2.0", "-1.00", "999999999")
BAD_QUANTITIES = ("", "1.5", "1,000", "one", "1e0", "1234567890", "--1", "+", ".0", "1.0.0", "- 1", "１")
GOOD_AMOUNTS = ("0", "-18,52", "+18.5", "123456789.99", "018.5")
BAD_AMOUNTS = ("", "12.345", "12.", ",5", "abc", "1,2,3", "1234567890", "1.234,50", "€5", "1 000", "1e2", "NaN")
GOOD_BIRTH_YEARS = ("1980.0", "1980.00", "1980.", "1980,0", "1999")
BAD_BIRTH_YEARS = ("", "198", "19800", "1980.5", "1,980", "1980.0.0", "abcd", "-198", "+1980", "80", "1850")
BAD_SEXES = ("", "3", "0", "X", "MF", "male", "1.5", "v")
BAD_PREFERENTIAL = ("", "2", "true", "J", "0.5", "-1", "01")
LOST_MUNICIPALITIES = (
    "",
    "0",
    "995",
    "999",
    "99999",
    "11000",
    "21000",
    "04000",
    "BE",
    "6206",
    "21004.5",
    "99999.0",
    "44021",
)
MALFORMED_SECTORS = ("", "ZZZZ", "21004zzzz", "21004a001", "21004A01", "21004A0100", "2100XA001", "21004A 01", "0")
UNKNOWN_SECTORS = ("99999X99-", "21004Z---", "11002ZZZA", "62063----")


def _bad_dates(year: int) -> tuple[str, ...]:
    no_such_day = f"{year}-02-30" if calendar.isleap(year) else f"{year}-02-29"
    return (
        "",
        f"{year - 1}-12-31",
        f"{year + 1}0101",
        no_such_day,
        no_such_day.replace("-", ""),
        f"{year}-13-01",
        f"{year}0001",
        f"01/05/{year}",
        f"{year}-5-1",
        f"{year}-05",
        f"{year}05010",
        f"{year}-0501",
        f"{year}-05-01 00:00:00",
        "abc",
    )


def _bad_valid_from(year: int) -> tuple[str, ...]:
    return tuple(value for value in _bad_dates(year) if value not in ("", f"{year - 1}-12-31"))


def _date_text(year: int, month: int, day: int, compact: bool) -> str:
    day = min(day, calendar.monthrange(year, month)[1])
    return f"{year}{month:02}{day:02}" if compact else f"{year}-{month:02}-{day:02}"


def _quantity_text(quantity: int, style: str) -> str:
    match style:
        case "signed":
            return f"{quantity:+d}"
        case "decimal":
            return f"{quantity}.0"
        case "padded":
            return f"{quantity:03d}"
    return str(quantity)


def _padded(row: TextRow, padding: tuple[str, str]) -> TextRow:
    left, right = padding
    return {column: f"{left}{value}{right}" for column, value in row.items()}


# --- biographies ------------------------------------------------------------------------------------------------------

Bill = dict[tuple[str, int], list[int]]  # (house, month) -> the quantities billed
RUN_LENGTHS = (6, 7, 12, 5, 6, 8, 6, 7, 10, 3, 1)
CAREERS = ("run", "run", "run", "transfer", "overlap", "tie", "full tie", "cancelled", "scatter", "nothing")
CORRECTIONS = ([1, 1], [1, -1], [1, -1, 1], [2], [2, -1], [-1], [0], [1, 1, -1, -1], [1, 1, -1], [2, -3, 1], [3])
DMG_KINDS = (
    (),
    (),
    ("own",),
    ("own",),
    ("own", "own"),
    ("main", "main"),
    (),
    ("foreign",),
    ("own", "foreign"),
    ("any house",),
    ("any house", "own"),
    ("last",),
)


@st.composite
def _bills(draw: DrawFn, houses: Sequence[str]) -> Bill:
    """What the houses bill for one patient in the year."""
    career = draw(st.sampled_from(CAREERS))
    if career == "nothing":
        return {}
    first = draw(st.integers(0, len(houses) - 1))
    a, b = houses[first], houses[(first + 1) % len(houses)]
    bill: Bill = {}
    if career == "scatter":
        for house in dict.fromkeys((a, b)):
            mask = draw(st.integers(0, 2**12 - 1))
            bill |= {(house, month): [1] for month in range(1, 13) if mask >> (month - 1) & 1}
    else:
        length = draw(st.sampled_from(RUN_LENGTHS))
        start = draw(st.integers(1, 13 - length))
        cancelled = None
        run = list(range(start, start + length))
        match career:
            case "run":
                spells = [(a, run)]
            case "cancelled":
                spells = [(a, run)]
                cancelled = draw(st.sampled_from(run))
            case "full tie":
                spells = [(a, run), (b, run)]
            case "tie":
                spells = [(a, run[: length // 2]), (b, run[(length + 1) // 2 :])]
            case _:
                cut = draw(st.integers(0, length - 1))
                spells = [(a, run[: cut + (career == "overlap")]), (b, run[cut:])]
        bill = {(house, month): [1] for house, months in spells for month in months}
        if cancelled and a != b:
            bill[b, cancelled] = [1, -1]
    for _ in range(draw(st.sampled_from((0, 1, 0, 2, 3)))):
        house, month = draw(st.sampled_from((a, a, b))), draw(st.integers(1, 12))
        bill[house, month] = list(draw(st.sampled_from(CORRECTIONS)))
    return bill


@st.composite
def _forfait_rows(draw: DrawFn, year: int, patient_id: str, bill: Bill) -> list[TextRow]:
    if not bill:
        return []
    day = draw(st.sampled_from((1, 15, 31)))
    compact = draw(st.booleans())
    style = draw(st.sampled_from(("plain", "plain", "signed", "decimal", "padded")))
    amount = draw(st.sampled_from(("18.52", "18,52", "20", "7.5")))
    rows = []
    for (house_id, month), quantities in bill.items():
        for n, quantity in enumerate(quantities):
            rows.append(
                {
                    "patient_id": patient_id,
                    "house_id": house_id,
                    "service_date": _date_text(year, month, day + n, compact),
                    "nomenclature_code": oracle.FORFAIT_CODE,
                    "quantity": _quantity_text(quantity, style),
                    "amount_eur": ("-" if quantity < 0 else "") + amount,
                }
            )
    return rows


@st.composite
def _dmg_rows(
    draw: DrawFn, patient_id: str, bill: Bill, houses: Sequence[str], practices: Sequence[str]
) -> list[TextRow]:
    billed = list(dict.fromkeys(house for house, _ in bill)) or list(houses)
    rows = []
    for kind in draw(st.sampled_from(DMG_KINDS)):
        match kind:
            case "own":
                practice_id = draw(st.sampled_from(billed))
            case "main":
                practice_id = billed[0]
            case "last":
                practice_id = billed[-1]
            case "any house":
                practice_id = draw(st.sampled_from(houses))
            case _:
                practice_id = draw(st.sampled_from(practices))
        rows.append({"patient_id": patient_id, "practice_id": practice_id})
    return rows


AGES = (40, 30, 17, 18, 0, 24, 25, 44, 45, 64, 65, 74, 75, 84, 85, 125, 0, 8)
RESIDENCES = ("one", "one", "one", "one", "one", "move", "move", "same day", "copy", "nobody")


@st.composite
def _places(draw: DrawFn, municipalities: Sequence[Municipality], claims: int) -> tuple[str, str]:
    """A municipality and a sector code, usually of that municipality; or what stands in their place.

    `claims` is how often the first sector of the first municipality is named, wherever the person lives: without a
    sector table several municipalities then lay claim to it.
    """
    here = draw(st.sampled_from(municipalities))
    elsewhere = municipalities[(municipalities.index(here) + 1) % len(municipalities)]
    sector_code = draw(
        st.sampled_from(
            here.sectors * 4
            + elsewhere.sectors[:1] * 2
            + municipalities[0].sectors[:1] * claims
            + (here.code + "ZZZZ", "", elsewhere.code + "ZZZZ")
            + MALFORMED_SECTORS
            + UNKNOWN_SECTORS
        )
    )
    municipality_code = draw(st.sampled_from((here.code,) * 30 + LOST_MUNICIPALITIES))
    return municipality_code, sector_code


@st.composite
def _beneficiary_rows(
    draw: DrawFn, year: int, patient_id: str, municipalities: Sequence[Municipality], claims: int, sexes: Sequence[str]
) -> list[TextRow]:
    residence = draw(st.sampled_from(RESIDENCES))
    if residence == "nobody":
        return []

    def row(birth_year: str, sex: str, preferential: str, valid_from: str) -> TextRow:
        municipality_code, sector_code = draw(_places(municipalities, claims))
        return {
            "patient_id": patient_id,
            "birth_year": birth_year,
            "sex": sex,
            "preferential": preferential,
            "municipality_code": municipality_code,
            "sector_code": sector_code,
            "valid_from": valid_from,
        }

    birth_year = str(year - draw(st.sampled_from(AGES)))
    sex = draw(st.sampled_from(sexes))
    preferential = draw(st.sampled_from("01"))
    # An empty date and both ways to write 1 January are the same day: ties of rows that do not look like ties.
    days = ("", f"{year}-01-01", f"{year}0101", f"{year}-07-01", f"{year}0701", f"{year - 1}-07-01", f"{year}-12-31")
    first = row(birth_year, sex, preferential, draw(st.sampled_from(days)))
    match residence:
        case "move":
            later = draw(st.lists(st.sampled_from(days), min_size=1, max_size=2))
            return [first, *(row(birth_year, sex, preferential, valid_from) for valid_from in later)]
        case "same day":
            # The same place on the same day: birth year, sex and tariff must decide.
            twin = {
                "birth_year": draw(st.sampled_from((birth_year, birth_year + ".0", str(year - 1)))),
                "sex": draw(st.sampled_from(sexes)),
                "preferential": draw(st.sampled_from("01")),
            }
            return [first, first | twin]
        case "copy":
            return [first, dict(first)]
    return [first]


# --- odd rows ---------------------------------------------------------------------------------------------------------
# Rows with one odd value in them. They look plausible otherwise, so that a row wrongly kept or dropped shows in the
# figures: an odd forfait may be somebody's sixth month, an odd beneficiary row is the latest of its person.


@st.composite
def _odd_forfait(draw: DrawFn, year: int, ids: Sequence[str], houses: Sequence[str]) -> TextRow:
    row = {
        "patient_id": draw(st.sampled_from(ids)),
        "house_id": draw(st.sampled_from(houses)),
        "service_date": f"{year}-{draw(st.integers(1, 12)):02}-01",
        "nomenclature_code": oracle.FORFAIT_CODE,
        "quantity": "1",
        "amount_eur": "18.52",
    }
    column = draw(st.sampled_from(("other code", "broken other code", "good", *row)))
    match column:
        case "other code":
            return row | {"nomenclature_code": draw(st.sampled_from(OTHER_CODES))}
        case "broken other code":
            return {
                "patient_id": "",
                "house_id": "",
                "service_date": draw(st.sampled_from(_bad_dates(year))),
                "nomenclature_code": draw(st.sampled_from(OTHER_CODES)),
                "quantity": draw(st.sampled_from(BAD_QUANTITIES)),
                "amount_eur": draw(st.sampled_from(BAD_AMOUNTS)),
            }
        case "good":
            return row | {
                "quantity": draw(st.sampled_from(GOOD_QUANTITIES)),
                "amount_eur": draw(st.sampled_from(GOOD_AMOUNTS)),
            }
    bad: Mapping[str, Sequence[str]] = {
        "patient_id": NO_IDS,
        "house_id": NO_IDS,
        "service_date": _bad_dates(year),
        "nomenclature_code": BAD_CODES,
        "quantity": BAD_QUANTITIES,
        "amount_eur": BAD_AMOUNTS,
    }
    return row | {column: draw(st.sampled_from(bad[column]))}


@st.composite
def _odd_beneficiary(
    draw: DrawFn,
    year: int,
    ids: Sequence[str],
    municipalities: Sequence[Municipality],
    claims: int,
    sexes: Sequence[str],
) -> TextRow:
    municipality_code, sector_code = draw(_places(municipalities, claims))
    row = {
        "patient_id": draw(st.sampled_from(ids)),
        "birth_year": str(year - 50),
        "sex": sexes[0],
        "preferential": "0",
        "municipality_code": municipality_code,
        "sector_code": sector_code,
        "valid_from": f"{year}-12-31",
    }
    bad: Mapping[str, Sequence[str]] = {
        "birth_year": (*BAD_BIRTH_YEARS, str(year + 1), str(year - 126)),
        "patient_id": NO_IDS,
        "sex": BAD_SEXES,
        "preferential": BAD_PREFERENTIAL,
        "valid_from": _bad_valid_from(year),
        "good": (*GOOD_BIRTH_YEARS, str(year), str(year - 125)),
    }
    column = draw(st.sampled_from(tuple(bad)))
    value = draw(st.sampled_from(bad[column]))
    return row | {"birth_year" if column == "good" else column: value}


@st.composite
def _odd_dmg(draw: DrawFn, ids: Sequence[str], practices: Sequence[str]) -> TextRow:
    row = {"patient_id": draw(st.sampled_from(ids)), "practice_id": draw(st.sampled_from(practices))}
    return row | {draw(st.sampled_from(tuple(row))): draw(st.sampled_from(NO_IDS))}


# --- a whole year -----------------------------------------------------------------------------------------------------


def _shuffled(rows: list[TextRow], order: int) -> list[TextRow]:
    """The rows in one of several orders; drawing a permutation of hundreds of rows would cost too much."""
    if order == 0:
        return rows
    return sorted(rows, key=lambda row: _hash_of("|".join(row.values()), order))


def _hash_of(value: str, salt: int) -> int:
    """A small hash that is the same in every process."""
    result = salt
    for character in value:
        result = (result * 31 + ord(character) * (salt + 1)) % 1_000_003
    return result


@st.composite
def deliveries(
    draw: DrawFn,
    years: Sequence[int] = USUAL_YEARS,
    most_patients: int = MOST_PATIENTS,
    with_sectors: bool | None = None,
) -> Delivery:
    """A whole year. `with_sectors` asks for a sector table, or for none; by default some years have one."""
    year = draw(st.sampled_from(years))
    municipalities = draw(_municipalities(year))
    if with_sectors is None:
        with_sectors = draw(st.sampled_from((True, False, True)))
    areas = area_table(municipalities, with_sectors and year >= oracle.FIRST_SECTOR_YEAR)
    claims = 3 if with_sectors else draw(st.sampled_from((6, 40, 80)))

    numbers = draw(st.booleans())
    ids = (NUMBER_IDS if numbers else TEXT_IDS)[: draw(st.integers(1, most_patients))]
    houses = (NUMBER_HOUSES if numbers else TEXT_HOUSES)[: draw(st.sampled_from((3, 2, 1, 4)))]
    practices = NUMBER_PRACTICES if numbers else TEXT_PRACTICES
    sexes = draw(st.sampled_from(("MF", "12", "MFmf12")))
    with_blanks = draw(st.sampled_from((False, False, True)))

    forfaits: list[TextRow] = []
    beneficiaries: list[TextRow] = []
    dmg: list[TextRow] = []
    for patient_id in ids:
        bill = draw(_bills(houses))
        padding = draw(st.sampled_from((("", ""), ("", ""), (" ", ""), ("", "  ")))) if with_blanks else ("", "")
        for rows, drawn in (
            (forfaits, draw(_forfait_rows(year, patient_id, bill))),
            (beneficiaries, draw(_beneficiary_rows(year, patient_id, municipalities, claims, sexes))),
            (dmg, draw(_dmg_rows(patient_id, bill, houses, practices))),
        ):
            rows += [_padded(row, padding) for row in drawn]

    forfaits += draw(st.lists(_odd_forfait(year, ids, houses), max_size=6))
    beneficiaries += draw(st.lists(_odd_beneficiary(year, ids, municipalities, claims, sexes), max_size=4))
    dmg += draw(st.lists(_odd_dmg(ids, practices), max_size=2))
    return Delivery(
        year,
        _shuffled(forfaits or [_another_forfait(year, houses[0])], draw(st.integers(0, 3))),
        _shuffled(beneficiaries or [_another_beneficiary(year, sexes)], draw(st.integers(0, 3))),
        _shuffled(dmg or [{"patient_id": "8", "practice_id": practices[0]}], draw(st.integers(0, 3))),
        areas,
    )


def _another_forfait(year: int, house_id: str) -> TextRow:
    """For a year without any: no file is empty."""
    return {
        "patient_id": "8",
        "house_id": house_id,
        "service_date": f"{year}-01-01",
        "nomenclature_code": oracle.FORFAIT_CODE,
        "quantity": "1",
        "amount_eur": "18.52",
    }


def _another_beneficiary(year: int, sexes: Sequence[str]) -> TextRow:
    return {
        "patient_id": "8",
        "birth_year": str(year - 50),
        "sex": sexes[0],
        "preferential": "0",
        "municipality_code": "21004",
        "sector_code": "",
        "valid_from": "",
    }


# --- files ------------------------------------------------------------------------------------------------------------

ALIASES = {
    "patient_id": ("SS00010", "PP0010"),
    "service_date": ("SS00015",),
    "nomenclature_code": ("SS00020",),
    "house_id": ("SS00075",),
    "birth_year": ("PP0015",),
    "sex": ("PP0020",),
    "municipality_code": ("PP0025",),
}
ID_COLUMNS = ("patient_id", "house_id", "practice_id")
EXTRA_COLUMN = "remark"
EXTRA_VALUE = "n/a"
LARGEST_INTEGER = 2**63 - 1


@dataclass(frozen=True)
class FileFormat:
    """How one file looks."""

    dataset: str
    kind: str = "csv"
    """csv, csv.gz or parquet"""
    delimiter: str = ","
    bom: bool = False
    quoted: bool = False
    """every value in quotes; otherwise only those that need them"""
    line_end: str = "\n"
    names: tuple[tuple[str, str], ...] = ()
    """(canonical name, the alias that stands in the header)"""
    order: tuple[str, ...] = ()
    """canonical names in the order of the file, perhaps with the extra column; empty: the usual order"""
    integer_ids: bool = False
    """Parquet only: ids as int64 where all of a column are integers"""

    @property
    def columns(self) -> tuple[str, ...]:
        return self.order or oracle.COLUMNS[self.dataset]

    @property
    def header(self) -> list[str]:
        return [dict(self.names).get(column, column) for column in self.columns]

    @property
    def file_name(self) -> str:
        return f"{self.dataset}.{self.kind}"


@st.composite
def file_formats(draw: DrawFn, dataset: str, kinds: Sequence[str] = ("csv", "csv.gz", "parquet")) -> FileFormat:
    columns = oracle.COLUMNS[dataset]
    kind = draw(st.sampled_from(kinds))
    names = []
    if draw(st.booleans()):
        for column in columns:
            alias = draw(st.sampled_from((column, *ALIASES.get(column, ()))))
            if alias != column:
                names.append((column, alias))
    extra = draw(st.sampled_from(((), (EXTRA_COLUMN,))))
    order = draw(st.permutations((*columns, *extra)))
    if kind == "parquet":
        return FileFormat(dataset, kind, names=tuple(names), order=tuple(order), integer_ids=draw(st.booleans()))
    return FileFormat(
        dataset,
        kind,
        delimiter=draw(st.sampled_from(",;")),
        bom=draw(st.booleans()),
        quoted=draw(st.booleans()),
        line_end=draw(st.sampled_from(("\n", "\r\n"))),
        names=tuple(names),
        order=tuple(order),
    )


def formats(kinds: Sequence[str] = ("csv", "csv.gz", "parquet")) -> SearchStrategy[dict[str, FileFormat]]:
    """A format for each of the three files."""
    return st.fixed_dictionaries({dataset: file_formats(dataset, kinds) for dataset in oracle.COLUMNS})


PLAIN_FORMATS = {dataset: FileFormat(dataset) for dataset in oracle.COLUMNS}


def write_delivery(
    folder: Path, delivery: Delivery, formats: Mapping[str, FileFormat] = PLAIN_FORMATS
) -> dict[str, Path]:
    """Writes the three files into the folder (made if need be); the path of each."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for dataset, rows in delivery.datasets.items():
        how = formats[dataset]
        paths[dataset] = folder / how.file_name
        if how.kind == "parquet":
            pq.write_table(_arrow_table(rows, how), paths[dataset])
        else:
            content = _csv_bytes(rows, how)
            paths[dataset].write_bytes(gzip.compress(content, mtime=0) if how.kind == "csv.gz" else content)
    return paths


def _value(row: TextRow, column: str) -> str:
    return EXTRA_VALUE if column == EXTRA_COLUMN else row[column]


def _csv_bytes(rows: Sequence[TextRow], how: FileFormat) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.writer(
        file,
        delimiter=how.delimiter,
        lineterminator=how.line_end,
        quoting=csv.QUOTE_ALL if how.quoted else csv.QUOTE_MINIMAL,
    )
    writer.writerow(how.header)
    writer.writerows([_value(row, column) for column in how.columns] for row in rows)
    return file.getvalue().encode("utf-8-sig" if how.bom else "utf-8")


def _arrow_table(rows: Sequence[TextRow], how: FileFormat) -> pa.Table:
    arrays = []
    for column in how.columns:
        values = [_value(row, column) or None for row in rows]
        if how.integer_ids and column in ID_COLUMNS and all(value is None or _is_integer(value) for value in values):
            arrays.append(pa.array([None if value is None else int(value) for value in values], pa.int64()))
        else:
            arrays.append(pa.array(values, pa.string()))
    return pa.table(arrays, names=how.header)


def _is_integer(value: str) -> bool:
    """Whether the text is what an integer looks like: 007 is not."""
    return re.fullmatch(r"0|[1-9][0-9]{0,18}", value) is not None and int(value) <= LARGEST_INTEGER


# --- what is special about a delivery ---------------------------------------------------------------------------------


def oddities(delivery: Delivery, threshold: int = oracle.THRESHOLD) -> set[str]:
    """Names of everything odd that occurs: for `hypothesis.event`, and to know that the strategies stay rich."""
    year, areas = delivery.year, delivery.areas
    result = oracle.statistic(year, delivery.forfaits, delivery.beneficiaries, delivery.dmg, areas, threshold)
    billed = oracle.read_delivery(oracle.read_forfait, year, delivery.forfaits).kept
    rows = oracle.read_delivery(oracle.read_beneficiary, year, delivery.beneficiaries).kept
    records = oracle.read_delivery(oracle.read_dmg, year, delivery.dmg).kept
    persons = oracle.last_rows(rows)
    months = oracle.counted_months(billed)
    parents = oracle.area_parents(areas)
    net: Counter[tuple[str, str, int]] = Counter()
    for forfait in billed:
        net[forfait.patient_id, forfait.house_id, forfait.month] += forfait.quantity

    found: set[str] = {f"year {year}", "sector table" if _has(areas, "sector") else "no sector table"}

    def note(name: str, occurs: object) -> None:
        if occurs:
            found.add(name)

    note("attributed patient", result.patients)
    note("attributed and beneficiary", any(patient in persons for patient in result.patients))
    note("attributed, no beneficiary", result.not_beneficiaries)
    note("negative quantity", any(forfait.quantity < 0 for forfait in billed))
    note("billed month nets to zero", any(quantity == 0 for quantity in net.values()))
    note("billed month nets below zero", any(quantity < 0 for quantity in net.values()))
    note("billed month nets to two or more", any(quantity >= 2 for quantity in net.values()))
    note("several rows in a month", len(billed) > len(net))

    for patient, houses in months.items():
        forfaits = oracle.number_of_forfaits(houses)
        practices = {record.practice_id for record in records if record.patient_id == patient}
        most = max(len(each) for each in houses.values())
        largest = [each for each in houses.values() if len(each) == most]
        latest = max(max(each) for each in largest)
        note("one month short", forfaits == threshold - 1)
        note("exactly the threshold", forfaits == threshold)
        note("one month over", forfaits == threshold + 1)
        note("several houses", len(houses) > 1)
        note("two houses in one month", sum(len(each) for each in houses.values()) > forfaits)
        note("threshold reached by several houses only", most < threshold <= forfaits)
        note("tie of houses, the latest wins", len(largest) > 1 and sum(max(each) == latest for each in largest) == 1)
        note("tie of houses, the smallest id wins", sum(max(each) == latest for each in largest) > 1)
        if forfaits >= threshold:
            billed_at = {forfait.house_id for forfait in billed if forfait.patient_id == patient}
            note("own-house DMG", practices & set(houses))
            note("several DMGs", len(practices) > 1)
            note("excluded by a foreign DMG", practices - set(houses))
            note("excluded beside an own-house DMG", practices - set(houses) and practices & set(houses))
            note("excluded by a house without a counted month", practices & (billed_at - set(houses)))

    by_person: dict[str, list[oracle.Beneficiary]] = {}
    for row in rows:
        by_person.setdefault(row.patient_id, []).append(row)
    for each in by_person.values():
        note("several rows of a person", len(each) > 1)
        note("exact duplicate of a beneficiary row", len(set(each)) < len(each))
        last = [row for row in set(each) if row.valid_from == max(other.valid_from for other in each)]
        note("tie of valid_from", len(last) > 1)
        note("tie of valid_from in one place", len(last) > len({(r.municipality_code, r.sector_code) for r in last}))
    note("row of an earlier year", any(row.valid_from.year < year for row in rows))

    claims: dict[str, Counter[str]] = {}
    for person in persons.values():
        note("born in the year", person.birth_year == year)
        note("patient born in the year", person.birth_year == year and person.patient_id in result.patients)
        if ("municipality", person.municipality_code) not in parents:
            note("unassigned municipality", True)
            note("unassigned patient", person.patient_id in result.patients)
        elif year >= oracle.FIRST_SECTOR_YEAR:
            code = person.sector_code
            malformed = oracle.is_unknown_sector(code)
            note("sector empty or ZZZZ", code == "" or code.endswith("ZZZZ"))
            note("sector malformed", malformed and code != "" and not code.endswith("ZZZZ"))
            if not malformed:
                claims.setdefault(code, Counter())[person.municipality_code] += 1
                if _has(areas, "sector"):
                    parent = parents.get(("sector", code))
                    note("sector not in the table", parent is None)
                    note("sector of another municipality", parent not in (None, person.municipality_code))
                    note("sector counted", parent == person.municipality_code)
                    note("sector's first five digits mislead", code[:5] != parent == person.municipality_code)
    if not _has(areas, "sector"):
        note("one sector named in several municipalities", any(len(each) > 1 for each in claims.values()))
        for claim in claims.values():
            tied = sum(count == max(claim.values()) for count in claim.values())
            note("sector given to the municipality with most", len(claim) > 1 and tied == 1)
            note("sector given to the smallest of equals", tied > 1)

    for dataset, (_, _, ignored, quarantined) in result.accounting.items():
        note(f"{dataset}: ignored by rule", ignored)
        note(f"{dataset}: quarantined", quarantined)
    every_value = [value for rows in delivery.datasets.values() for row in rows for value in row.values()]
    note("blanks around values", any(value != value.strip() for value in every_value))
    note(
        "nobody lives in a municipality",
        any(value[1] == 0 for key, value in result.rates.items() if key[0] == "municipality" and key[2] == "total"),
    )
    ids = [
        row[column].strip()
        for rows in delivery.datasets.values()
        for row in rows
        for column in ID_COLUMNS
        if column in row
    ]
    note("all ids are integers", all(value in NO_IDS or _is_integer(value) for value in ids))
    note("ids are strings", not all(value in NO_IDS or _is_integer(value) for value in ids))
    note("sex as 1/2", any(row["sex"].strip() in ("1", "2") for row in delivery.beneficiaries))
    return found


def _has(areas: Sequence[TextRow], level: str) -> bool:
    return any(area["level"] == level for area in areas)
