"""What a delivery comes to, read again in plain Python: nothing of the package is asked.

Here: the lines and values of a text file, the values of a Parquet file as text, and the contract's verdict on a row. The
rules are those of ``docs/definition.md``; what is kept is compared with the lake row by row.
"""

import csv
import datetime
import hashlib
import math
import re
from decimal import Decimal
from typing import Any

import pyarrow as pa

from mm_pipeline_tests.properties.oracle import COLUMNS, FORFAIT_CODE, OLDEST_AGE, SEX_OF, real_date
from mm_pipeline_tests.support.midnight import brussels

DATASETS = {**COLUMNS, "contributions": ("patient_id", "household_id", "house_id", "amount_eur")}
ALIASES = {
    "SS00010": "patient_id",
    "PP0010": "patient_id",
    "SS00015": "service_date",
    "SS00020": "nomenclature_code",
    "SS00075": "house_id",
    "PP0015": "birth_year",
    "PP0020": "sex",
    "PP0025": "municipality_code",
}
_AMOUNT = r"[+-]?[0-9]{1,9}([.,][0-9]{1,2}0*)?"

_NOBODY = (
    "#bezug!|#calc!|#deel/0!|#div/0!|#getal!|#leeg!|#n/a|#n/a n/a|#n/b|#n/d|#na|#naam?|"
    "#name?|#nb|#nom?|#nombre!|#nul!|#null|#null!|#num!|#nv|#ref!|#spill!|#valeur!|"
    "#value!|#verw!|#waarde!|#wert!|#zahl!|1.#ind|1.#inf|1.#qnan|na|\\\\n|\\n|aucun|"
    "aucune|blank|dbnull|empty|geen|inconnu|inconnue|inf|infinity|keine|leeg|leer|"
    "missing|n.a|n.a.|n.d.|n.v.t.|n/a|n/d|na|na_character_|na_integer_|na_real_|nan|"
    "nat|nd|nil|non renseigné|none|not applicable|not available|nothing|nul|null|nvt|onbekend|"
    "onbekende|ongekend|pd.na|system.dbnull|unbekannt|undef|undefined|unknown|vide"
)
NOBODY = set(_NOBODY.split("|"))
"""What stands for no identifier, whatever its case; and a point with a letter."""

Row = dict[str, str]


def canonical(dataset: str, name: str) -> str | None:
    """The contract's name of a delivered column, None if it is not used."""
    known = {column.upper(): column for column in DATASETS[dataset]} | ALIASES
    column = known.get(name.upper())
    return column if column in DATASETS[dataset] else None


def text_rows(dataset: str, content: bytes) -> list[tuple[int, Row | None]]:
    """Line number and values of each line that is not empty, but for the header; None where it cannot be split."""
    numbered = enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1)
    lines = [(number, line.removesuffix(b"\r").decode()) for number, line in numbered if line not in (b"", b"\r")]
    header = lines[0][1]
    delimiter = ";" if header.count(";") > header.count(",") else ","
    titles = next(csv.reader([header], delimiter=delimiter, strict=True, skipinitialspace=True))
    names = [canonical(dataset, name.strip()) for name in titles]
    rows: list[tuple[int, Row | None]] = []
    for number, line in lines[1:]:
        values = _split(line, delimiter) if "\r" not in line and len(line.encode()) <= 1 << 21 else None
        fits = values is not None and len(values) == len(names)
        rows.append((number, _named(names, values) if fits and values else None))
    return rows


def _named(names: list[str | None], values: list[str]) -> Row:
    return {name: value.strip(" \t") for name, value in zip(names, values, strict=True) if name}


def _split(text: str, delimiter: str) -> list[str] | None:
    if '"' not in text:
        return text.split(delimiter)
    try:
        values = next(csv.reader([text], delimiter=delimiter, strict=True, skipinitialspace=True))
    except csv.Error:
        return None
    if any(len(value) > 131_072 for value in values):
        return None
    if any(value.startswith("\t") and value.lstrip(" \t").startswith('"') for value in values):
        return None
    return values


def parquet_rows(dataset: str, table: pa.Table) -> list[tuple[int, Row | None]]:
    """Row number from 1 and values as text."""
    columns = [(canonical(dataset, name), table.column(i)) for i, name in enumerate(table.column_names)]
    texts = {name: [_text(value) for value in _in_belgium(column.to_pylist())] for name, column in columns if name}
    return [(i + 1, {name: values[i].strip(" \t") for name, values in texts.items()}) for i in range(table.num_rows)]


def _in_belgium(values: list[Any]) -> list[Any]:
    """Times without a zone are in UTC where all of them then are midnights of Belgium."""
    times = [value for value in values if isinstance(value, datetime.datetime) and not value.tzinfo]
    there = {time: time.replace(tzinfo=datetime.UTC).astimezone(brussels()) for time in times}
    if times and all(time.time() == datetime.time() for time in there.values()):
        return [None if value is None else there[value] for value in values]
    return values


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    if isinstance(value, Decimal):
        return str(int(value)) if value == value.to_integral_value() else str(value)
    if isinstance(value, bytes):
        return value.decode("ascii", "backslashreplace")
    if isinstance(value, datetime.datetime):
        return str((value.astimezone(brussels()) if value.tzinfo else value).date())
    return str(value)


def bad_column(dataset: str, year: int, row: Row) -> str | None:
    """The column that a row is quarantined for; None if it is kept; "ignored" if it is legal and not used."""
    if dataset == "forfaits":
        if not re.fullmatch("[0-9]{1,6}", whole(row["nomenclature_code"])):
            return "nomenclature_code"
        if whole(row["nomenclature_code"]) != FORFAIT_CODE:
            return "ignored"
    for column in ("patient_id", "household_id", "house_id", "practice_id"):
        if column in row and not is_identifier(row[column]):
            return column
    for column in DATASETS[dataset]:
        if not _is_good(column, row[column], year):
            return column
    return None


def whole(value: str) -> str:
    """A whole number or code without the zeros that a column of numbers gave it."""
    before, point, after = value.partition(".")
    if point and not after.strip("0"):
        return before
    return value.removesuffix(",0")


def is_identifier(value: str) -> bool:
    """Not empty, no missing value written out, and no number that has lost digits."""
    low = value.lower()
    if not any(map(str.isalnum, low)):
        return False
    bare = low.lstrip(" \t\u00a0'\"`<([{+-").rstrip(" \t\u00a0'\"`>)]}")
    if len(low) <= 20 and (bare in NOBODY or (len(bare) == 2 and bare[0] == "." and "a" <= bare[1] <= "z")):
        return False
    while low and not (low[0].isalnum() or low[0] in ".,"):
        low = low[1:]
    while low and not (low[-1].isalnum() or low[-1] in ".,"):
        low = low[:-1]
    digits, point, decimals = low.replace(",", ".").partition(".")
    if point and len(digits) > 15 and _is_number(digits) and not decimals.strip("0"):
        return False
    mantissa, letter, exponent = low.replace("d", "e").partition("e")
    whole_part, point, decimals = mantissa.removesuffix(" ").replace(",", ".").partition(".")
    if not letter or not all(map(_is_number, filter(None, (whole_part, decimals)))) or not (whole_part or point):
        return True
    before = exponent.replace(",", ".").partition(".")[0].removeprefix(" ")
    if point:
        return not _is_number(before.lstrip("+-"))
    return not (_is_number(before.lstrip("+")) and (before.startswith("+") or " " in low))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _is_good(column: str, value: str, year: int) -> bool:
    match column:
        case "service_date":
            day = real_date(value)
            return day is not None and day.year == year
        case "quantity":
            return bool(re.fullmatch(r"[+-]?[0-9]{1,9}", whole(value)))
        case "amount_eur":
            return bool(re.fullmatch(_AMOUNT, value))
        case "birth_year":
            return bool(re.fullmatch(r"[0-9]{4}", whole(value))) and year - OLDEST_AGE <= int(value[:4]) <= year
        case "sex":
            return whole(value) in SEX_OF
        case "preferential":
            return whole(value) in ("0", "1")
        case "valid_from":
            day = real_date(value) if value else datetime.date(year, 1, 1)
            return day is not None and day <= datetime.date(year, 12, 31)
    return True


def kept(dataset: str, year: int, rows: list[Row], secret: str) -> list[tuple[Any, ...]]:
    """What the lake must hold of the rows that are kept, in the order of its columns, sorted."""
    if dataset == "forfaits":
        found = [
            (
                key(secret, ":", row["patient_id"]),
                row["house_id"],
                real_date(row["service_date"]),
                whole(row["nomenclature_code"]),
                int(whole(row["quantity"])),
                Decimal(row["amount_eur"].replace(",", ".")),
            )
            for row in rows
        ]
    elif dataset == "dmg":
        found = [(key(secret, ":", row["patient_id"]), row["practice_id"]) for row in rows]
    elif dataset == "contributions":
        found = [
            (
                key(secret, ":", row["patient_id"]),
                key(secret, ":household:", row["household_id"]),
                row["house_id"],
                Decimal(row["amount_eur"].replace(",", ".")),
            )
            for row in rows
        ]
    else:
        last: dict[str, tuple[Any, ...]] = {}
        for row in rows:
            since = real_date(row["valid_from"]) if row["valid_from"] else datetime.date(year, 1, 1)
            order = (
                since,
                whole(row["municipality_code"]),
                row["sector_code"],
                row["birth_year"][:4],
                SEX_OF[whole(row["sex"])],
                whole(row["preferential"]),
            )
            last[row["patient_id"]] = max(last.get(row["patient_id"], order), order)
        found = [
            (key(secret, ":", person), int(born), sex, int(preferential), municipality or None, sector or None, since)
            for person, (since, municipality, sector, born, sex, preferential) in last.items()
        ]
    return sorted(found, key=repr)


def key(secret: str, mark: str, pseudonym: str) -> int:
    return int(hashlib.sha256(f"{secret}{mark}{pseudonym}".encode()).hexdigest()[:16], 16) - 2**63
