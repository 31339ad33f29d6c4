"""What each delivered dataset looks like: columns, aliases, and the rules a row must pass to be kept.

A rule is an SQL condition over the delivered *text* (blanks around a value already removed, empty = NULL) that is
true of a bad row. The first rule that a row breaks gives its quarantine reason. Source: ``docs/definition.md``, and
``docs/capitation.md`` for the contributions.
"""

from collections.abc import Callable
from dataclasses import dataclass

from mm_pipeline import catalogue

MM_FORFAIT = "109616"
"""Nomenclature code of the maison médicale forfait (source fiche)."""

OLDEST_AGE = 125
"""No beneficiary is older; the oldest person whose age is proven died at 122."""

_NO_AMOUNT = "not an amount in euro with at most 2 decimals"

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
    """A row with ``broken`` true is quarantined, at fault in ``column``, with ``reason``."""

    column: str
    broken: str
    reason: str


@dataclass(frozen=True)
class Key:
    """A pseudonym and the key that takes its place: 64 bits of SHA-256 over secret, ``mark`` and pseudonym.

    The mark keeps a person and a household with equal pseudonyms apart.
    """

    column: str
    pseudonym: str
    mark: str


PATIENT = Key("patient_key", "patient_id", ":")
HOUSEHOLD = Key("household_key", "household_id", ":household:")


@dataclass(frozen=True)
class Dataset:
    """The contract of one dataset of a year.

    ``typed`` maps the columns of the raw table to SQL over the delivered text, NULL where the text cannot be read (never
    failing: it is computed for bad rows too). In ``rules`` and ``ignored`` a delivered column goes by its name and a
    typed one by ``typed.<name>``. ``ignored`` is the condition of a legal row that the statistic does not use
    (``ignored_reason``); it is looked at after the first ``rules_first`` rules, so that such a row needs no more than
    what the condition reads. The pseudonyms of ``keys`` are replaced by keys and not kept.
    """

    name: str
    table: catalogue.Table
    columns: tuple[str, ...]
    rules: tuple[Rule, ...]
    typed: dict[str, str]
    ignored: str = "FALSE"
    ignored_reason: str = ""
    rules_first: int = 0
    keys: tuple[Key, ...] = (PATIENT,)


def _like(column: str, pattern: str, value: str) -> str:
    """SQL: ``value`` where the text matches, NULL elsewhere. DuckDB's casts alone are too kind: 1.5 becomes 2."""
    return f"CASE WHEN regexp_full_match({column}, '{pattern}') THEN {value} END"


def _date(column: str) -> str:
    """SQL: the date in text written YYYY-MM-DD or YYYYMMDD. There is no year 0, though DuckDB has one."""
    # Not a cast: it takes seven times as long, and the country has millions of dates.
    iso = _like(column, r"\d{4}-\d{2}-\d{2}", f"try_strptime({column}, '%Y-%m-%d')::DATE")
    compact = _like(column, r"\d{8}", f"try_strptime({column}, '%Y%m%d')::DATE")
    read = f"CASE length({column}) WHEN 10 THEN {iso} WHEN 8 THEN {compact} END"
    return f"CASE WHEN NOT starts_with({column}, '0000') THEN {read} END"


def _amount(column: str) -> str:
    """SQL: the amount in euro, negative for a correction; with a point or a comma, and at most 2 decimals but zeros."""
    value = f"try_cast(replace({column}, ',', '.') AS DECIMAL(12, 2))"
    return _like(column, r"[+-]?\d{1,9}([.,]\d{1,2}0*)?", value)


def _missing(column: str) -> Rule:
    return Rule(column, f"{column} IS NULL", "empty")


def _unreadable(column: str, reason: str) -> Rule:
    return Rule(column, f"typed.{column} IS NULL", reason)


def forfaits(year: int) -> Dataset:
    return Dataset(
        name="forfaits",
        table=catalogue.RAW_FORFAITS,
        columns=("patient_id", "house_id", "service_date", "nomenclature_code", "quantity", "amount_eur"),
        typed={
            "house_id": "house_id",
            "service_date": _date("service_date"),
            "nomenclature_code": _like("nomenclature_code", r"\d{1,6}", "nomenclature_code"),
            # 1.0 is how a whole number looks after a detour through a floating-point column.
            "quantity": _like("quantity", r"[+-]?\d{1,9}(\.0*)?", "try_cast(quantity AS INTEGER)"),
            "amount_eur": _amount("amount_eur"),
        },
        rules=(
            _unreadable("nomenclature_code", "not a nomenclature code of 1 to 6 digits"),
            _missing("patient_id"),
            _missing("house_id"),
            _unreadable("service_date", "not a date YYYY-MM-DD or YYYYMMDD"),
            Rule("service_date", f"year(typed.service_date) <> {year}", f"a date outside {year}"),
            _unreadable("quantity", "not a whole number"),
            _unreadable("amount_eur", _NO_AMOUNT),
        ),
        rules_first=1,
        ignored=f"nomenclature_code <> '{MM_FORFAIT}'",
        ignored_reason=f"another nomenclature code than {MM_FORFAIT}",
    )


def beneficiaries(year: int) -> Dataset:
    oldest = year - OLDEST_AGE
    return Dataset(
        name="beneficiaries",
        table=catalogue.RAW_BENEFICIARIES,
        columns=(
            "patient_id",
            "birth_year",
            "sex",
            "preferential",
            "municipality_code",
            "sector_code",
            "valid_from",
        ),
        typed={
            "birth_year": _like("birth_year", r"\d{4}(\.0)?", "try_cast(birth_year AS INTEGER)"),
            "sex": "CASE WHEN sex IN ('M', 'm', '1') THEN 'M' WHEN sex IN ('F', 'f', '2') THEN 'F' END",
            "preferential": "CASE preferential WHEN '0' THEN 0::INTEGER WHEN '1' THEN 1::INTEGER END",
            "municipality_code": "municipality_code",
            "sector_code": "sector_code",
            "valid_from": f"CASE WHEN valid_from IS NULL THEN DATE '{year}-01-01' ELSE {_date('valid_from')} END",
        },
        rules=(
            _missing("patient_id"),
            _unreadable("birth_year", "not a year of four digits"),
            Rule(
                "birth_year",
                f"typed.birth_year NOT BETWEEN {oldest} AND {year}",
                f"a year of birth outside {oldest} to {year}",
            ),
            _unreadable("sex", "not M or F (or 1 or 2)"),
            _unreadable("preferential", "not 0 or 1"),
            _unreadable("valid_from", "not a date YYYY-MM-DD or YYYYMMDD"),
            Rule("valid_from", f"typed.valid_from > DATE '{year}-12-31'", f"a date after {year}"),
        ),
        # Several rows a person are legal: which of them is the last is the definition's matter (statistic.residence).
        ignored_reason="an earlier residence of a person with several rows",
    )


def dmg(year: int) -> Dataset:
    return Dataset(
        name="dmg",
        table=catalogue.RAW_DMG,
        columns=("patient_id", "practice_id"),
        rules=(_missing("patient_id"), _missing("practice_id")),
        typed={"practice_id": "practice_id"},
    )


def contributions(year: int) -> Dataset:
    return Dataset(
        name="contributions",
        table=catalogue.RAW_CONTRIBUTIONS,
        columns=("patient_id", "household_id", "house_id", "amount_eur"),
        rules=(
            _missing("patient_id"),
            _missing("household_id"),
            _missing("house_id"),
            _unreadable("amount_eur", _NO_AMOUNT),
        ),
        typed={"house_id": "house_id", "amount_eur": _amount("amount_eur")},
        keys=(PATIENT, HOUSEHOLD),
    )


DATASETS: dict[str, Callable[[int], Dataset]] = {
    "forfaits": forfaits,
    "beneficiaries": beneficiaries,
    "dmg": dmg,
    "contributions": contributions,
}
OPTIONAL = frozenset({"contributions"})
"""Datasets that a year may be without: nothing of the statistic is made from them."""
