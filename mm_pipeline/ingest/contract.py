"""Contracts of the delivered datasets: columns, aliases, and the rules a row must pass to be kept.

A rule is an SQL condition over the delivered *text* (blanks around a value already removed, empty = NULL) that is
true of a bad row. The first rule that a row breaks gives its quarantine reason. Source: ``docs/definition.md``, and
``docs/capitation.md`` for the contributions.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

from mm_pipeline import schemas

MM_FORFAIT = "109616"
"""Nomenclature code of the maison médicale forfait (source fiche)."""

OLDEST_AGE = 125
"""Highest plausible age; the oldest person whose age is proven died at 122."""

DATES = frozenset({"service_date", "valid_from"})

_NO_AMOUNT = "not an amount in euro with at most 2 decimals"

_NOTHING = (
    r"na|n/a|n.a.|n.a|nd|n.d.|n/d|nvt|n.v.t.|nan|nat|pd.na|inf|infinity|1.#ind|1.#qnan|1.#inf|null|nul|nil|none|nothing|"
    r"\n|\\n|undef|undefined|dbnull|system.dbnull|na_character_|na_integer_|na_real_|missing|blank|empty|unknown|leeg|geen|"
    "not available|not applicable|onbekend|onbekende|ongekend|vide|aucun|aucune|inconnu|inconnue|non renseigné|leer|keine|"
    # Excel, in the languages of the country too
    "unbekannt|#n/a|#na|#n/a n/a|#null!|#null|#ref!|#value!|#name?|#num!|#div/0!|#spill!|#calc!|#n/b|#nb|#waarde!|#verw!|"
    "#deel/0!|#naam?|#getal!|#leeg!|#nv|#wert!|#bezug!|#zahl!|#n/d|#valeur!|#nom?|#nombre!|#nul!"
)
_WORDS_FOR_NOTHING = (*_NOTHING.split("|"), *(f".{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"))  # SAS, Stata
"""Lower-case spellings by which tools and people say that there is no value. Each would be taken for one person or house."""

_LONGEST_WORD = 20

_LOST_DIGITS = (
    r"[^\pL\pN.,]*"  # what a spreadsheet puts around it: a sign, an apostrophe, ="
    r"(\d*[.,]\d*\s?[eEdD]\s?[+-]?\d+|\d+\s?[eEdD]\s?\+\d+|\d+\s[eEdD]\s?\d+|\d{16,}[.,]0*)"
    r"([.,]0*)?[^\pL\pN]*"
)
"""Pattern of identifiers that a spreadsheet or a floating-point column spoilt.

Such as 1.23457E+15, .12346E+16, 1e+15 and 1234567890123456.0. Not 12e34, which is hexadecimal, nor 7.0: a shorter number
keeps all its digits.
"""

_DECIMALS_OF_A_WHOLE_NUMBER = r"(\.0*|,00?)"
"""Pattern of decimals that a floating-point or decimal column adds: 21004.0 (not 1,000, which may be a thousand)."""

AGENCY_NAMES = {
    "SS00010": "patient_id",
    "PP0010": "patient_id",
    "SS00015": "service_date",
    "SS00020": "nomenclature_code",
    "SS00075": "house_id",
    "PP0015": "birth_year",
    "PP0020": "sex",
    "PP0025": "municipality_code",
}
"""The agency's own variable names -> canonical names."""


@dataclass(frozen=True)
class Rule:
    """A rule: rows for which the SQL condition ``broken`` is true are quarantined, for ``column``, with ``reason``."""

    column: str
    broken: str
    reason: str


KEYS = {"patient_id": ("patient_key", ":"), "household_id": ("household_key", ":household:")}
"""Pseudonyms that are not kept -> the key that replaces them: 64 bits of SHA-256 over secret, mark and pseudonym.

Column and mark of the key. The marks keep a person and a household with equal pseudonyms apart.
"""


@dataclass(frozen=True)
class Dataset:
    """The contract of one dataset of a year.

    ``typed``: column of the raw table -> SQL over the delivered text, NULL where the text cannot be read (it must never
    fail, as it is computed for bad rows too). In ``rules`` and ``ignored``, a delivered column goes by its name and a typed
    one by ``typed.<name>``. ``ignored``: condition of a legal row that the statistic does not use (``ignored_reason``). It
    is evaluated after the first ``rules_first`` rules, so that such a row need only be right in what the condition reads.
    """

    name: str
    table: schemas.Table
    columns: tuple[str, ...]
    rules: tuple[Rule, ...]
    typed: dict[str, str]
    ignored: str = "FALSE"
    ignored_reason: str = ""
    rules_first: int = 0

    @property
    def identifiers(self) -> dict[str, str]:
        """Column of pseudonyms -> the column of the raw table that distinguishes them: their key, or they themselves."""
        return {name: KEYS.get(name, (name,))[0] for name in self.columns if name.endswith("_id")}


def _like(column: str, pattern: str, value: str) -> str:
    """SQL: ``value`` where the text matches, NULL elsewhere. DuckDB's casts alone are too lenient: 1.5 becomes 2."""
    return f"CASE WHEN regexp_full_match({column}, '{pattern}') THEN {value} END"


def _coded(text: str, meaning: dict[str, str]) -> str:
    """SQL: the meaning of a code, NULL for any other text."""
    cases = " ".join(f"WHEN '{code}' THEN {value}" for code, value in meaning.items())
    return f"CASE {text} {cases} END"


def _date(column: str) -> str:
    """SQL: the date of a text YYYY-MM-DD or YYYYMMDD, else NULL. Year 0, which DuckDB has, is refused."""
    # Not a cast, which takes seven times as long: the country has millions of dates.
    iso = _like(column, r"\d{4}-\d{2}-\d{2}", f"try_strptime({column}, '%Y-%m-%d')::DATE")
    compact = _like(column, r"\d{8}", f"try_strptime({column}, '%Y%m%d')::DATE")
    read = f"CASE length({column}) WHEN 10 THEN {iso} WHEN 8 THEN {compact} END"
    return f"CASE WHEN NOT starts_with({column}, '0000') THEN {read} END"


def _amount(column: str) -> str:
    """SQL: the amount in euro, negative for a correction. A point or a comma, and at most 2 decimals that are not 0."""
    value = f"try_cast(replace({column}, ',', '.') AS DECIMAL(12, 2))"
    return _like(column, r"[+-]?\d{1,9}([.,]\d{1,2}0*)?", value)


def _whole(column: str, digits: int) -> str:
    """SQL: the text of a whole number or code, without the decimals that a floating-point column added.

    A text with the usual number of ``digits`` is taken as it is, for speed.
    """
    bare = f"regexp_replace({column}, '{_DECIMALS_OF_A_WHOLE_NUMBER}$', '')"
    has_point = f"contains({column}, '.') OR contains({column}, ',')"
    return f"CASE WHEN length({column}) = {digits} THEN {column} WHEN {has_point} THEN {bare} ELSE {column} END"


def _identifier(column: str, legal: Collection[str]) -> tuple[Rule, ...]:
    """The rules of a column of pseudonyms. ``legal``: those that break them but are right (``MM_LEGAL_IDS``)."""
    # Length and single characters first: what follows costs ten times as much, and the country has millions of rows.
    ends_in_digit = f"right({column}, 1) BETWEEN '0' AND '9'"
    # With quotes or brackets around it; and marks alone: an identifier has a letter or a digit.
    nothing = rf"[\s\pZ''\"`<(\[{{+-]*({_any_of(_WORDS_FOR_NOTHING)})?[\s\pZ''\"`>)\]}}]*|[^\pL\pN]+"
    is_short = f"length({column}) <= {_LONGEST_WORD} AND NOT {ends_in_digit}"
    is_nothing = f"{is_short} AND regexp_full_match(lower({column}), '{nothing}')"
    has_mark = " OR ".join(f"contains({column}, '{mark}')" for mark in ".,+ ")
    may_be_a_number = f"({column} < '@' OR {column} >= '\u2212') AND ({has_mark})"  # a digit, a sign, ="
    is_rounded = f"{may_be_a_number} AND regexp_full_match({column}, '{_LOST_DIGITS}')"
    illegal = f" AND NOT regexp_full_match({column}, '{_any_of(legal)}')" if legal else ""
    return (
        Rule(column, f"{column} IS NULL", "empty"),
        Rule(column, f"{is_nothing}{illegal}", "a missing value that is written out (such as NA or NULL)"),
        Rule(column, f"{is_rounded}{illegal}", "an identifier that has lost digits (such as 1.2E+15)"),
    )


def _any_of(values: Collection[str]) -> str:
    """SQL pattern of any of the values. Not IN or a list: the engine makes a join of more than a few, losing row order."""
    return "|".join(map(re.escape, values)).replace("'", "''")


def _unreadable(column: str, reason: str) -> Rule:
    return Rule(column, f"typed.{column} IS NULL", reason)


def forfaits(year: int, legal_ids: Collection[str] = ()) -> Dataset:
    """The contract of the forfaits of a year. ``legal_ids``: see ``MM_LEGAL_IDS``."""
    return Dataset(
        name="forfaits",
        table=schemas.RAW_FORFAITS,
        columns=("patient_id", "house_id", "service_date", "nomenclature_code", "quantity", "amount_eur"),
        typed={
            "house_id": "house_id",
            "service_date": _date("service_date"),
            "nomenclature_code": _like(_whole("nomenclature_code", 6), r"\d{1,6}", _whole("nomenclature_code", 6)),
            "quantity": _like(_whole("quantity", 1), r"[+-]?\d{1,9}", f"try_cast({_whole('quantity', 1)} AS INTEGER)"),
            "amount_eur": _amount("amount_eur"),
        },
        rules=(
            _unreadable("nomenclature_code", "not a nomenclature code of 1 to 6 digits"),
            *_identifier("patient_id", legal_ids),
            *_identifier("house_id", legal_ids),
            _unreadable("service_date", "not a date YYYY-MM-DD or YYYYMMDD"),
            Rule("service_date", f"year(typed.service_date) <> {year}", f"a date outside {year}"),
            _unreadable("quantity", "not a whole number"),
            _unreadable("amount_eur", _NO_AMOUNT),
        ),
        rules_first=1,
        ignored=f"typed.nomenclature_code <> '{MM_FORFAIT}'",
        ignored_reason=f"another nomenclature code than {MM_FORFAIT}",
    )


def beneficiaries(year: int, legal_ids: Collection[str] = ()) -> Dataset:
    """The contract of the beneficiaries of a year. ``legal_ids``: see ``MM_LEGAL_IDS``."""
    oldest = year - OLDEST_AGE
    is_outside = f"typed.birth_year NOT BETWEEN {oldest} AND {year}"
    return Dataset(
        name="beneficiaries",
        table=schemas.RAW_BENEFICIARIES,
        columns=("patient_id", "birth_year", "sex", "preferential", "municipality_code", "sector_code", "valid_from"),
        typed={
            "birth_year": _like(_whole("birth_year", 4), r"\d{4}", f"try_cast({_whole('birth_year', 4)} AS INTEGER)"),
            "sex": _coded(_whole("sex", 1), {"M": "'M'", "m": "'M'", "1": "'M'", "F": "'F'", "f": "'F'", "2": "'F'"}),
            "preferential": _coded(_whole("preferential", 1), {"0": "0::INTEGER", "1": "1::INTEGER"}),
            "municipality_code": _whole("municipality_code", 5),
            "sector_code": "sector_code",
            "valid_from": f"CASE WHEN valid_from IS NULL THEN DATE '{year}-01-01' ELSE {_date('valid_from')} END",
        },
        rules=(
            *_identifier("patient_id", legal_ids),
            _unreadable("birth_year", "not a year of four digits"),
            Rule("birth_year", is_outside, f"a year of birth outside {oldest} to {year}"),
            _unreadable("sex", "not M or F (or 1 or 2)"),
            _unreadable("preferential", "not 0 or 1"),
            _unreadable("valid_from", "not a date YYYY-MM-DD or YYYYMMDD"),
            Rule("valid_from", f"typed.valid_from > DATE '{year}-12-31'", f"a date after {year}"),
        ),
        # Several rows a person are legal; the definition says which of them is the last (statistic.residence).
        ignored_reason="an earlier residence of a person with several rows",
    )


def dmg(year: int, legal_ids: Collection[str] = ()) -> Dataset:
    """The contract of the global medical records (DMG) of a year. ``legal_ids``: see ``MM_LEGAL_IDS``."""
    return Dataset(
        name="dmg",
        table=schemas.RAW_DMG,
        columns=("patient_id", "practice_id"),
        rules=(*_identifier("patient_id", legal_ids), *_identifier("practice_id", legal_ids)),
        typed={"practice_id": "practice_id"},
    )


def contributions(year: int, legal_ids: Collection[str] = ()) -> Dataset:
    """The contract of the contributions of a year. ``legal_ids``: see ``MM_LEGAL_IDS``."""
    return Dataset(
        name="contributions",
        table=schemas.RAW_CONTRIBUTIONS,
        columns=("patient_id", "household_id", "house_id", "amount_eur"),
        typed={"house_id": "house_id", "amount_eur": _amount("amount_eur")},
        rules=(
            *_identifier("patient_id", legal_ids),
            *_identifier("household_id", legal_ids),
            *_identifier("house_id", legal_ids),
            _unreadable("amount_eur", _NO_AMOUNT),
        ),
    )


DATASETS = {contract.__name__: contract for contract in (forfaits, beneficiaries, dmg, contributions)}
"""Name of a dataset -> its contract, from the year and the legal pseudonyms."""
OPTIONAL = frozenset({"contributions"})
"""Datasets that a year may be without: nothing of the statistic is made from them."""
