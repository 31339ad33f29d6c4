"""The tables of the workbook and the content of their cells. Not here: anything of Excel, or the words of headings."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from mm_pipeline.dimensions import BREAKDOWNS
from mm_pipeline.release.codelists import ABOVE_SECTORS, in_reading_order

SHORTHAND = HIDDEN, CARE, NOT_APPLICABLE = "[c]", "[u]", "[z]"
"""Shorthand of the Government Analysis Function: confidential, low reliability, not applicable."""

TREND = "municipalities_trend"
"""Name of the table with a column for each year; it has rates only."""

_NAMES = {"fr": ("fr", "nl"), "nl": ("nl", "fr"), "de": ("de", "fr"), "en": ("fr", "nl")}
"""Language -> the two languages of the area names, so that every place has the name that its people use."""

_RATE = ("rate_per_10000", "rate_per_10000_lower", "rate_per_10000_upper")
_STANDARDISED = tuple(name.replace("rate", "standardised") for name in _RATE)
_FIGURES = ("beneficiaries", "patients", *_RATE, "reliability")
_ORDER = ("level", "area_code", "year", "rule", "threshold", "category")
"""From the country down, and for each area by year."""


class Page(NamedTuple):
    """A table of the workbook, with its name in ``texts/workbook.json``.

    ``columns``: column -> cells; a column is one of the released table, a dimension (for its categories) or a year (for
    rates). ``pinned``: number of columns, from the first, that stay in view.
    """

    name: str
    columns: Mapping[str, Sequence[Any]]
    years: tuple[int, ...]
    pinned: int = 0


def pages(
    rates: pa.Table, standardised: pa.Table, sensitivity: pa.Table, labels: Mapping[str, Any], language: str
) -> Iterator[Page]:
    """The tables that have rows, in their order, from the released ones. ``labels``: of codes, in one language."""
    area = ("area_code", *(f"area_name_{other}" for other in _NAMES[language]))
    rates, standardised, sensitivity = (
        in_reading_order(table, [key for key in _ORDER if key in table.column_names])
        for table in (rates.filter(pc.field("level").isin(ABOVE_SECTORS)), standardised, sensitivity)
    )
    totals = rates.filter(pc.field("dimension") == "total")
    towns = totals.filter(pc.field("level") == "municipality")
    newest = pc.field("year") == pc.max(totals["year"])

    def rows_of(*levels: str, dimension: str = "total") -> pa.Table:
        return rates.filter(pc.field("level").isin(levels) & (pc.field("dimension") == dimension))

    places = ("year", "level", *area)
    wanted = [
        ("regions", rows_of("country", "region"), places, _FIGURES),
        ("provinces", rows_of("province"), ("year", *area), _FIGURES),
        ("arrondissements", rows_of("arrondissement"), ("year", *area), _FIGURES),
        ("municipalities_newest", towns.filter(newest), area, _FIGURES),
        (TREND, towns, area, ()),
        ("municipalities", towns, ("year", *area), _FIGURES),
        *(
            (dimension, rows_of(*ABOVE_SECTORS[:3], dimension=dimension), (*places, dimension), _FIGURES)
            for dimension in BREAKDOWNS
        ),
        ("standardised", standardised, places, ("rate_per_10000", *_STANDARDISED)),
        ("sensitivity", sensitivity, (*places, "rule", "threshold"), _FIGURES[:-1]),
    ]
    for name, rows, keys, figures in wanted:
        if len(rows):
            years = tuple(pc.unique(rows["year"]).to_pylist())
            if name == TREND:
                yield Page(name, _trend(rows, keys), years, pinned=2)
            else:
                yield Page(name, {column: _cells(rows, column, labels) for column in (*keys, *figures)}, years)


def _cells(rows: pa.Table, column: str, labels: Mapping[str, Any]) -> list[Any]:
    if column in BREAKDOWNS:
        return [labels["category"][column][code] for code in rows["category"].to_pylist()]
    values = rows[column].to_pylist()
    if column in ("level", "rule"):
        return [labels[column][code] for code in values]
    if column.startswith("area_name_"):
        return [name or code for name, code in zip(values, rows["area_code"].to_pylist(), strict=True)]
    if column == "reliability":
        marks = {"care": CARE, "reliable": labels["reliability"]["reliable"], None: None}
        values = [marks[value] for value in values]
    missing = [HIDDEN if status == "suppressed" else NOT_APPLICABLE for status in rows["status"].to_pylist()]
    return [why if value is None else value for value, why in zip(values, missing, strict=True)]


def _trend(rows: pa.Table, keys: Sequence[str]) -> dict[str, list[Any]]:
    """The rates with a row for each area, under its newest names, and a column for each year."""
    cells = {column: _cells(rows, column, {}) for column in (*keys, "year", "rate_per_10000")}
    newest = dict(zip(cells["area_code"], zip(*(cells[key] for key in keys), strict=True), strict=True))
    rate = dict(zip(zip(cells["area_code"], cells["year"], strict=True), cells["rate_per_10000"], strict=True))
    return {key: [area[place] for area in newest.values()] for place, key in enumerate(keys)} | {
        str(year): [rate.get((code, year), NOT_APPLICABLE) for code in newest] for year in sorted(set(cells["year"]))
    }
