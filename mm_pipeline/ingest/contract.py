"""What each delivered dataset looks like: columns, aliases, and the rules a row must pass to be kept.

A rule is an SQL condition over the delivered *text* (blanks around a value already removed, empty = NULL) that is
true of a bad row. The first rule that a row breaks gives its quarantine reason. Source: ``docs/definition.md``.
"""

from collections.abc import Callable
from dataclasses import dataclass

from mm_pipeline import catalogue

MM_FORFAIT = "109616"
"""Nomenclature code of the maison médicale forfait (source fiche)."""

OLDEST_AGE = 125
"""No beneficiary is older; the oldest person whose age is proven died at 122."""

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
class Dataset:
    """The contract of one dataset of year ``year``.

    ``ignored`` is the condition of a legal row that the statistic does not use (``ignored_reason``); it is looked at
    after the first ``rules_first`` rules, so that such a row needs no more than what the condition reads. ``output``
    maps the columns of the raw table to SQL over the delivered text (never failing: it is computed for bad rows too).
    """

    name: str
    table: catalogue.Table
    columns: tuple[str, ...]
    rules: tuple[Rule, ...]
    output: dict[str, str]
    ignored: str = "FALSE"
    ignored_reason: str = ""
    rules_first: int = 0


def date_of(column: str) -> str:
    """SQL: the date in text written YYYY-MM-DD or YYYYMMDD, NULL for anything else."""
    return (
        f"CASE WHEN regexp_full_match({column}, '\\d{{4}}-\\d{{2}}-\\d{{2}}') THEN try_cast({column} AS DATE) "
        f"WHEN regexp_full_match({column}, '\\d{{8}}') THEN "
        f"try_cast({column}[1:4] || '-' || {column}[5:6] || '-' || {column}[7:8] AS DATE) END"
    )


def _missing(column: str) -> Rule:
    return Rule(column, f"{column} IS NULL", "empty")


def _no_date(column: str, *, may_be_empty: bool = False) -> Rule:
    present = f"{column} IS NOT NULL AND " if may_be_empty else ""
    return Rule(column, f"{present}{date_of(column)} IS NULL", "not a date YYYY-MM-DD or YYYYMMDD")


def _unlike(column: str, pattern: str, reason: str) -> Rule:
    return Rule(column, f"{column} IS NULL OR NOT regexp_full_match({column}, '{pattern}')", reason)


def _one_of(column: str, values: str, reason: str) -> Rule:
    return Rule(column, f"{column} IS NULL OR {column} NOT IN ({values})", reason)


def forfaits(year: int) -> Dataset:
    day = date_of("service_date")
    return Dataset(
        name="forfaits",
        table=catalogue.RAW_FORFAITS,
        columns=("patient_id", "house_id", "service_date", "nomenclature_code", "quantity", "amount_eur"),
        rules=(
            _unlike("nomenclature_code", r"\d{1,6}", "not a nomenclature code of 1 to 6 digits"),
            _missing("patient_id"),
            _missing("house_id"),
            _no_date("service_date"),
            Rule("service_date", f"year({day}) <> {year}", f"a date outside {year}"),
            # 1.0 is how a whole number looks after a detour through a floating-point column.
            _unlike("quantity", r"[+-]?\d{1,9}(\.0*)?", "not a whole number"),
            _unlike("amount_eur", r"[+-]?\d{1,9}([.,]\d{1,2}0*)?", "not an amount in euro with at most 2 decimals"),
        ),
        rules_first=1,
        ignored=f"nomenclature_code <> '{MM_FORFAIT}'",
        ignored_reason=f"another nomenclature code than {MM_FORFAIT}",
        output={
            "house_id": "house_id",
            "service_date": day,
            "nomenclature_code": "nomenclature_code",
            "quantity": "try_cast(split_part(quantity, '.', 1) AS INTEGER)",
            "amount_eur": "try_cast(replace(amount_eur, ',', '.') AS DECIMAL(12, 2))",
        },
    )


def beneficiaries(year: int) -> Dataset:
    valid_from = date_of("valid_from")
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
        rules=(
            _missing("patient_id"),
            _unlike("birth_year", r"\d{4}(\.0)?", "not a year of four digits"),
            Rule(
                "birth_year",
                f"try_cast(birth_year[1:4] AS INTEGER) NOT BETWEEN {year - OLDEST_AGE} AND {year}",
                f"a year of birth outside {year - OLDEST_AGE} to {year}",
            ),
            _one_of("sex", "'M', 'F', '1', '2', 'm', 'f'", "not M or F (or 1 or 2)"),
            _one_of("preferential", "'0', '1'", "not 0 or 1"),
            _no_date("valid_from", may_be_empty=True),
            Rule("valid_from", f"{valid_from} > DATE '{year}-12-31'", f"a date after {year}"),
        ),
        output={
            "birth_year": "try_cast(birth_year[1:4] AS INTEGER)",
            "sex": "CASE WHEN sex IN ('M', 'm', '1') THEN 'M' ELSE 'F' END",
            "preferential": "try_cast(preferential AS INTEGER)",
            "municipality_code": "municipality_code",
            "sector_code": "sector_code",
            "valid_from": f"coalesce({valid_from}, DATE '{year}-01-01')",
        },
        # Several rows a person are legal: which of them is the last is the definition's matter (statistic.residence).
        ignored_reason="an earlier residence of a person with several rows",
    )


def dmg(year: int) -> Dataset:
    return Dataset(
        name="dmg",
        table=catalogue.RAW_DMG,
        columns=("patient_id", "practice_id"),
        rules=(_missing("patient_id"), _missing("practice_id")),
        output={"practice_id": "practice_id"},
    )


DATASETS: dict[str, Callable[[int], Dataset]] = {"forfaits": forfaits, "beneficiaries": beneficiaries, "dmg": dmg}
