"""Rates: the cells aggregated to every area of every level and every breakdown."""

import ibis
import ibis.expr.types as ir
from ibis import _

from mm_pipeline.dimensions import AGE_GROUPS, CATEGORIES, CELL, COUNTRY, FIRST_SECTOR_YEAR, LEVELS
from mm_pipeline.statistic.cells import whole

PER_10000, PER_100 = 10_000.0, 100.0


def dimensions_of(level: str) -> tuple[str, ...]:
    """The breakdowns of a level: fewer where areas are small (``docs/definition.md``)."""
    if level == "sector":
        return ("total",)
    if level == "municipality":
        return tuple(dimension for dimension in CATEGORIES if dimension != "age_class")
    return tuple(CATEGORIES)


def sector_rates(beneficiary_counts: ir.Table, patient_counts: ir.Table, geography: ir.Table, year: int) -> ir.Table:
    """Counts and rates of every area and breakdown. Columns of :data:`mm_pipeline.schemas.SECTOR_RATES`.

    An area of the year where nobody lives has a row with 0 and no rate. Sectors have rows from 2005 on, with totals only;
    they are those of the year's area table and those that beneficiaries were counted in (``<NIS5>ZZZZ`` among them).
    """
    nobody = ibis.literal(0, "int64")
    both = ibis.union(
        beneficiary_counts.select(*CELL, "beneficiaries", patients=nobody),
        patient_counts.select(*CELL, nobody.name("beneficiaries"), "patients"),
    )
    by_municipality = _added_up(both, [key for key in CELL if key != "sector_code"])
    long = _breakdowns(by_municipality).left_join(ladder(geography), "municipality_code")
    # An unassigned municipality is not in the ladder: it counts in the country alone.
    long = long.mutate(level=_.level.fill_null("country"), area_code=_.area_code.fill_null(COUNTRY))
    keys = ["level", "area_code", "dimension", "category"]
    counted = _added_up(long, keys)
    frame = _frame(geography.filter(_.level != "sector"))

    if year >= FIRST_SECTOR_YEAR:
        living = both.filter(_.sector_code.notnull())
        sectors = _added_up(living, ["sector_code", "municipality_code"])
        sectors = sectors.rename(area_code="sector_code", parent_code="municipality_code")
        total = ibis.literal("total")
        sectors = sectors.mutate(level=ibis.literal("sector"), dimension=total, category=total)
        counted = ibis.union(counted, sectors.select(counted.columns))
        named = ["level", "area_code", "parent_code"]
        listed = geography.filter(_.level == "sector").select(named)
        frame = ibis.union(frame, _frame(ibis.union(listed, sectors.select(named), distinct=True)))

    counts = frame.left_join(counted, keys).select(
        ibis.literal(year, "int32").name("year"),
        *("level", "area_code", "parent_code", "dimension", "category"),
        beneficiaries=_.beneficiaries.fill_null(0),
        patients=_.patients.fill_null(0),
    )
    return counts.mutate(rate_per_10000=rate(counts, PER_10000), rate_percent=rate(counts, PER_100))


def rate(counts: ir.Table, per: float) -> ir.Value:
    """``per`` x patients / beneficiaries; empty where nobody lives."""
    people = counts.beneficiaries.cast("float64").nullif(ibis.literal(0.0, "float64"))
    return counts.patients.cast("float64") * ibis.literal(per, "float64") / people


def _added_up(cells: ir.Table, keys: list[str]) -> ir.Table:
    return cells.group_by(keys).agg(beneficiaries=whole(_.beneficiaries.sum()), patients=whole(_.patients.sum()))


def _breakdowns(cells: ir.Table) -> ir.Table:
    """The cells once per dimension: ``municipality_code``, ``dimension``, ``category`` and the counts."""
    group_of = ibis.cases(*((_.age_class.isin(classes), group) for group, classes in AGE_GROUPS.items()))
    category = {
        "total": ibis.literal("total"),
        "sex": _.sex,
        "age_group": group_of,
        "age_class": _.age_class,
        "preferential": _.preferential.cast("string"),
    }
    counts = ("municipality_code", "beneficiaries", "patients")
    return ibis.union(
        *(
            cells.select(*counts, dimension=ibis.literal(dimension), category=category[dimension])
            for dimension in CATEGORIES
        )
    )


def ladder(geography: ir.Table) -> ir.Table:
    """The areas that each municipality lies in, itself included: ``municipality_code``, ``level``, ``area_code``."""
    # From the municipality up, each step with the parent of its area.
    areas = geography.select("level", "area_code", above=_.parent_code)
    step = areas.filter(_.level == "municipality").mutate(municipality_code=_.area_code)
    rungs = [step]
    for level in ("arrondissement", "province", "region", "country"):
        step = step.select("municipality_code", area_code=_.above)
        step = step.inner_join(areas.filter(_.level == level), "area_code").select(rungs[0].columns)
        rungs.append(step)
    return ibis.union(*rungs).select("municipality_code", "level", "area_code")


def _frame(areas: ir.Table) -> ir.Table:
    """The rows that the table must have: each area with each category of the breakdowns of its level."""
    rows = [
        {"level": level, "dimension": dimension, "category": category}
        for level in LEVELS
        for dimension in dimensions_of(level)
        for category in CATEGORIES[dimension]
    ]
    return areas.select("level", "area_code", "parent_code").inner_join(ibis.memtable(rows), "level")
