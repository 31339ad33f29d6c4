"""Every table that the pipeline keeps: its columns, their types and meaning, and the order of its rows.

The lake refuses to write anything else, Dagster shows it as column schema, the docs and the release quote it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from mm_pipeline.dimensions import CATEGORIES, CELL, KEY


@dataclass(frozen=True)
class Column:
    name: str
    type: pa.DataType
    description: str


@dataclass(frozen=True)
class Table:
    """A kept table. ``order`` are the sort keys that make its file reproducible; empty: the order of the delivery."""

    name: str
    columns: tuple[Column, ...]
    order: tuple[str, ...] = ()
    of_people: bool = False
    """Whether each row is of a person or a few, so that how many rows there are is told in round numbers only."""

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([(column.name, column.type) for column in self.columns])

    @property
    def column_names(self) -> list[str]:
        return [column.name for column in self.columns]


def _table(name: str, *columns: Column, order: Sequence[str] = (), of_people: bool = False) -> Table:
    return Table(name, columns, tuple(order), of_people)


YEAR = Column("year", pa.int32(), "calendar year")
_LEVEL = Column("level", pa.string(), "country, region, province, arrondissement, municipality or sector")
_PARENT_CODE = Column("parent_code", pa.string(), "the area one level up; empty for BE")
PATIENT_KEY = Column(
    "patient_key", pa.int64(), "keyed 64-bit hash of the delivered pseudonym; the pseudonym itself is not kept"
)
HOUSE_ID = Column("house_id", pa.string(), "maison médicale, as delivered")
SEX = Column("sex", pa.string(), "M or F")
PREFERENTIAL = Column("preferential", pa.int32(), "preferential tariff (BIM/RVV): 0 or 1")
BIRTH_YEAR = Column("birth_year", pa.int32(), "year of birth")

RAW_FORFAITS = _table(
    "raw_forfaits",
    PATIENT_KEY,
    HOUSE_ID,
    Column("service_date", pa.date32(), "day of the billed service; its month is the month of the forfait"),
    Column("nomenclature_code", pa.string(), "109616, the maison médicale forfait; other codes are not kept"),
    Column("quantity", pa.int32(), "billed quantity; negative for a regularisation"),
    Column("amount_eur", pa.decimal128(12, 2), "billed amount in euro"),
    of_people=True,
)
RAW_DMG = _table(
    "raw_dmg",
    PATIENT_KEY,
    Column("practice_id", pa.string(), "practice that holds a global medical record (DMG) of the patient"),
    of_people=True,
)
RAW_BENEFICIARIES = _table(
    "raw_beneficiaries",
    PATIENT_KEY,
    BIRTH_YEAR,
    SEX,
    PREFERENTIAL,
    Column("municipality_code", pa.string(), "NIS code of the municipality as delivered; empty when missing"),
    Column("sector_code", pa.string(), "statistical sector as delivered; empty when missing"),
    Column("valid_from", pa.date32(), "first day of this residence; 1 January of the year when not delivered"),
    of_people=True,
)
RAW_CONTRIBUTIONS = _table(
    "raw_contributions",
    PATIENT_KEY,
    Column("household_key", pa.int64(), "keyed 64-bit hash of the delivered pseudonym of the household"),
    HOUSE_ID,
    Column("amount_eur", pa.decimal128(12, 2), "contribution in euro that the house asked of the patient"),
    of_people=True,
)
GEOGRAPHY = _table(
    "geography",
    _LEVEL,
    Column("area_code", pa.string(), "NIS code, sector code, or BE"),
    _PARENT_CODE,
    Column("name_fr", pa.string(), "French name"),
    Column("name_nl", pa.string(), "Dutch name"),
    Column("name_de", pa.string(), "German name"),
    order=("level", "area_code"),
)
_FIRST_MONTH = Column("first_month", pa.int32(), "first counted month, 1 to 12; empty without one")
_LAST_MONTH = Column("last_month", pa.int32(), "last counted month, 1 to 12; empty without one")
_QUANTITY = Column("quantity", pa.int64(), "net billed quantity, regularisations included")
_REGULARISED = Column("regularised", pa.int64(), "forfaits taken back: the sum of the negative quantities, as positive")
_MONTHS_AS_BITS = "as 12 bits: January is 1, December 2048"
REGISTRATIONS = _table(
    "registrations",
    PATIENT_KEY,
    HOUSE_ID,
    Column("months", pa.int32(), f"counted months (net quantity 1 or more), {_MONTHS_AS_BITS}"),
    Column("months_twice", pa.int32(), f"months with a net quantity of 2 or more, {_MONTHS_AS_BITS}"),
    _FIRST_MONTH,
    _LAST_MONTH,
    _QUANTITY,
    _REGULARISED,
    order=("patient_key", "house_id"),
    of_people=True,
)
FORFAITS_PER_PATIENT = _table(
    "forfaits_per_patient",
    PATIENT_KEY,
    Column("forfaits", pa.int32(), "FF_MH: months of the year with a counted forfait at any house, 0 to 12"),
    Column("house_id", pa.string(), "house with most counted months (tie: billed latest, then smallest id)"),
    Column("houses", pa.list_(pa.field("element", pa.string())), "every house with a counted month, sorted"),
    _FIRST_MONTH,
    _LAST_MONTH,
    Column(
        "gaps", pa.int32(), "months between the first and the last without a forfait, also from one house to the next"
    ),
    Column("months_billed_twice", pa.int32(), "months with more than one forfait, at one house or at several"),
    _QUANTITY,
    _REGULARISED,
    order=("patient_key",),
    of_people=True,
)
ATTRIBUTED_PATIENTS = _table(
    "attributed_patients",
    PATIENT_KEY,
    Column("forfaits", pa.int32(), "FF_MH, from the threshold (6) to 12"),
    HOUSE_ID,
    Column("is_beneficiary", pa.bool_(), "whether the person is in the beneficiaries delivery; only these count"),
    BIRTH_YEAR,
    SEX,
    PREFERENTIAL,
    Column("municipality_code", pa.string(), "NIS code of the last residence in the year, as delivered"),
    Column("sector_code", pa.string(), "sector of the last residence in the year, as delivered"),
    order=("patient_key",),
    of_people=True,
)
HOUSES = _table(
    "houses",
    HOUSE_ID,
    _FIRST_MONTH,
    _LAST_MONTH,
    Column("persons", pa.int64(), "patients with a counted month at this house"),
    Column("registered", pa.list_(pa.field("element", pa.int64())), "of them in each month, January first"),
    Column("attributed", pa.int64(), "patients whom the statistic attributes to this house"),
    Column("forfaits_billed", pa.int64(), "sum of the positive quantities"),
    _REGULARISED,
    Column(
        "amounts",
        pa.list_(pa.field("element", pa.decimal128(14, 4))),
        "amount in euro for a patient in each month, January first; empty in a month without a line",
    ),
    Column("lines", pa.int64(), "billed lines of a quantity other than 0"),
    Column("lines_at_another_amount", pa.int64(), "of them at another amount than the house's of the month"),
    Column("two_years", pa.bool_(), "in the system for at least two years; empty: not known"),
    Column("status", pa.string(), "beginner, mature (two years and 500 registered patients) or unknown"),
    Column(
        "zone",
        pa.list_(pa.field("element", pa.string())),
        "municipalities where 95 % of its patients live, those with most patients first",
    ),
    Column("residents", pa.int64(), "patients whose residence is a municipality of the year"),
    Column("far", pa.int64(), "of them, those who live neither in the province of the zone nor in one next to it"),
    order=("house_id",),
)
"""``registered``, ``attributed``, ``zone``, ``residents`` and ``far`` are empty where ``persons`` is a small number."""
BENEFICIARY_COUNTS = _table(
    "beneficiary_counts",
    Column("municipality_code", pa.string(), "municipality of the year's vintage; empty: unassigned"),
    Column("sector_code", pa.string(), "statistical sector, <NIS5>ZZZZ where unknown; empty: unassigned"),
    SEX,
    Column("age_class", pa.string(), "age at 31 December in seven classes"),
    PREFERENTIAL,
    Column("beneficiaries", pa.int64(), "distinct persons"),
    order=CELL,
    of_people=True,
)
_BENEFICIARIES = Column("beneficiaries", pa.int64(), "persons in the beneficiaries delivery of the year")
_RATE_COLUMNS = (
    YEAR,
    _LEVEL,
    Column("area_code", pa.string(), "NIS code, sector code (<NIS5>ZZZZ: unknown sector), or BE"),
    _PARENT_CODE,
    Column("dimension", pa.string(), " or ".join([", ".join([*CATEGORIES][:-1]), [*CATEGORIES][-1]])),
    Column("category", pa.string(), "category of the dimension"),
    _BENEFICIARIES,
    Column("patients", pa.int64(), "beneficiaries attributed to a maison médicale"),
    Column("rate_per_10000", pa.float64(), "10 000 x patients / beneficiaries; empty where nobody lives"),
    Column("rate_percent", pa.float64(), "100 x patients / beneficiaries; empty where nobody lives"),
)
SECTOR_RATES = _table("sector_rates", *_RATE_COLUMNS, order=KEY)
THRESHOLD_COUNTS = _table(
    "threshold_counts",
    YEAR,
    Column("level", pa.string(), "country, region, province or arrondissement"),
    Column("area_code", pa.string(), "NIS code, or BE"),
    _PARENT_CODE,
    Column("threshold", pa.int32(), "number of forfaits, 1 to 12"),
    _BENEFICIARIES,
    Column("patients", pa.int64(), "beneficiaries who would be attributed if this number of forfaits were enough"),
    order=("level", "area_code", "threshold"),
)
_STATUS = Column("status", pa.string(), "published or suppressed")
PROTECTED_RATES = _table("protected_rates", *_RATE_COLUMNS, _STATUS, order=KEY)
_SENSITIVITY_COLUMNS = (
    YEAR,
    Column("level", pa.string(), "country or region"),
    *THRESHOLD_COUNTS.columns[2:4],
    Column("rule", pa.string(), "at_least or exactly this number of forfaits"),
    *THRESHOLD_COUNTS.columns[4:],
)
_SENSITIVITY_ORDER = ("level", "area_code", "rule", "threshold")
PROTECTED_SENSITIVITY = _table("protected_sensitivity", *_SENSITIVITY_COLUMNS, _STATUS, order=_SENSITIVITY_ORDER)
DISCLOSED_RATES = _table(
    "disclosed_rates",
    Column("release", pa.int32(), "1 for the first release of the year, 2 for what was released after a revision ..."),
    Column("digest", pa.string(), "of the protected table, as in releases"),
    Column("threshold", pa.int32(), "the disclosure threshold it was protected with"),
    # Its dimension "threshold", not in sector_rates, holds threshold_counts: patients with at least that many forfaits.
    *_RATE_COLUMNS[:-2],
    Column("shows_beneficiaries", pa.bool_(), "whether the release shows the number of beneficiaries"),
    Column("shows_patients", pa.bool_(), "whether the release shows the number of patients"),
    order=("release", *KEY),
)
"""What each release of a year was made from and what it showed, so that a later one does not give it away."""
CLEARED = _table(
    "cleared",
    YEAR,
    Column("digest", pa.string(), "of the protected tables, rates and sensitivity, that passed their checks"),
    order=("digest",),
)
"""What may be released: ``published_year`` publishes no other table."""
RELEASES = _table(
    "releases",
    YEAR,
    Column("digest", pa.string(), "of a protected table that was released"),
    Column("threshold", pa.int32(), "forfaits from which a patient counted in it"),
    order=("digest",),
)
SHOWN_SENSITIVITY = _table(
    "shown_sensitivity",
    *THRESHOLD_COUNTS.columns[:3],
    THRESHOLD_COUNTS.columns[4],
    order=("level", "area_code", "threshold"),
)
"""The thresholds that releases of a year have shown: a later one shows no other, so that it gives nothing away."""

LAKE_TABLES = {table.name: table for table in list(vars().values()) if isinstance(table, Table)}
"""Those above; the ones below are only released, or hold what could not be used."""

_INTERVAL = (
    Column("rate_per_10000_lower", pa.float64(), "lower end of the 95 % Wilson interval of the rate"),
    Column("rate_per_10000_upper", pa.float64(), "upper end of the 95 % Wilson interval of the rate"),
)
_NAMES = (
    Column("area_name_fr", pa.string(), "French name of the area; empty for a sector of a year without a sector table"),
    Column("area_name_nl", pa.string(), "Dutch name of the area"),
    Column("area_name_de", pa.string(), "German name of the area"),
)
_SYNTHETIC = Column("synthetic", pa.bool_(), "true when made from demonstration deliveries")
RELEASED_RATES = _table(
    "rates",
    *PROTECTED_RATES.columns,
    *_INTERVAL,
    Column("reliability", pa.string(), "reliable, or care: fewer than 20 patients or 50 beneficiaries"),
    Column(
        "geography_vintage",
        pa.int32(),
        "the area as it was on 31 December of this year; of a sector, the year of the sector table (empty: none)",
    ),
    *_NAMES,
    _SYNTHETIC,
    order=KEY,
)
RELEASED_STANDARDISED = _table(
    "standardised",
    *_RATE_COLUMNS[:4],
    Column("rate_per_10000", pa.float64(), "the rate of rates.csv, for comparison"),
    Column(
        "standardised_per_10000",
        pa.float64(),
        "the rate if the area had the ages of the European Standard Population 2013",
    ),
    Column("standardised_per_10000_lower", pa.float64(), "lower end of its 95 % interval"),
    Column("standardised_per_10000_upper", pa.float64(), "upper end of its 95 % interval"),
    Column("status", pa.string(), "published, or suppressed: the rate of an age class is hidden"),
    *_NAMES,
    _SYNTHETIC,
    order=("level", "area_code"),
)
RELEASED_SENSITIVITY = _table(
    "sensitivity",
    *_SENSITIVITY_COLUMNS,
    Column("rate_per_10000", pa.float64(), "10 000 x patients / beneficiaries"),
    *_INTERVAL,
    _STATUS,
    *_NAMES,
    _SYNTHETIC,
    order=_SENSITIVITY_ORDER,
)
RELEASED_REVISIONS = _table(
    "revisions",
    Column("release", pa.int32(), "number of the release that changed these cells"),
    Column("release_date", pa.date32(), "its date"),
    YEAR,
    _LEVEL,
    _RATE_COLUMNS[4],
    Column("cells", pa.int64(), "cells of this year, level and dimension in this release"),
    Column("changed", pa.int64(), "of them, those of which any published column differs from the release before"),
    Column("added", pa.int64(), "of them, those that the release before did not have"),
    Column("removed", pa.int64(), "cells that only the release before had"),
    Column("newly_hidden", pa.int64(), "of those changed: published before, suppressed now"),
    Column("newly_shown", pa.int64(), "of those changed: suppressed before, published now"),
    Column(
        "largest_change",
        pa.float64(),
        "largest difference of rate_per_10000, up or down, among the cells published in both, rounded to six decimals; "
        "empty: there is none",
    ),
    Column("reasons", pa.string(), "what differs between the two releases of the year, separated by a semicolon"),
    order=("release", "year", "level", "dimension"),
)
"""What each release changed against the one before, of every year, level and dimension that it changed."""
QUARANTINE = _table(
    "quarantine",
    Column("line", pa.int64(), "line of the file (the header is line 1), or row of a Parquet file (from 1)"),
    Column("column", pa.string(), "column at fault; empty when the line as a whole is"),
    Column("reason", pa.string(), "what was found wrong"),
    Column("raw_line", pa.string(), "the line as delivered"),
    order=("line",),
)
