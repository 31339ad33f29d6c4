"""Counts of persons in the finest cells: sector x sex x age class x preferential tariff. Every figure is a sum of these."""

import functools
import operator

import ibis
import ibis.expr.types as ir
from ibis import _

from mm_pipeline.dimensions import AGE_CLASS_STARTS, AGE_CLASSES, CELL, UNKNOWN_SECTOR

SECTOR_CODE = "^[0-9]{5}[0-9A-Z-]{4}$"


def delivered_cells(people: ir.Table, year: int, name: str) -> ir.Table:
    """Counts of ``people`` (columns of ``raw_beneficiaries``, one row a person) by cell, residences as delivered.

    Columns: the five keys and ``name``. Ages are compared with the bounds of the classes and labelled after the count,
    since this is the one step that touches every person of the country.
    """
    age = year - people.birth_year
    class_number = functools.reduce(operator.add, ((age >= start).cast("int8") for start in AGE_CLASS_STARTS))
    keys = ["age" if key == "age_class" else key for key in CELL]
    counts = people.mutate(age=class_number).group_by(keys).agg(**{name: _.count()})
    label = ibis.cases(*((_.age == number, label) for number, label in enumerate(AGE_CLASSES)))
    return counts.mutate(age_class=label).select(*CELL, name)


def sectors_named(cells: ir.Table, municipalities: ir.Table) -> ir.Table:
    """The sectors of a year without a sector table: every well-formed code that its beneficiaries have.

    Columns ``sector_code``, ``municipality_code``. A sector lies in one municipality: where several are named for one
    code, in the one where most of its beneficiaries have it (tie: smallest code).
    """
    # Filtered before it is joined: a table that two joins begin with is written out twice by Ibis, and counted twice.
    well_formed = cells.filter(_.sector_code.re_search(SECTOR_CODE) & ~_.sector_code.endswith(UNKNOWN_SECTOR))
    named = well_formed.semi_join(municipalities, "municipality_code")
    votes = named.group_by("sector_code", "municipality_code").agg(votes=_.beneficiaries.sum())
    order = [_.votes.desc(), _.municipality_code]
    first = ibis.row_number().over(group_by="sector_code", order_by=order)
    return votes.mutate(rank=first).filter(_.rank == 0).select("sector_code", "municipality_code")


def resolved(cells: ir.Table, municipalities: ir.Table, sectors: ir.Table, name: str) -> ir.Table:
    """``cells`` with every residence resolved to an area of the year, aggregated again.

    ``municipalities``: ``municipality_code``. ``sectors``: ``sector_code``, ``municipality_code``. A municipality that
    the year does not know becomes empty (unassigned: counted in the country only). A sector that is missing, malformed,
    unknown, or in another municipality than the row's own becomes ``<NIS5>ZZZZ``. The municipality is never cut out
    of a sector code.
    """
    areas = sectors.mutate(known_sector=_.sector_code)
    of_year = municipalities.select("municipality_code").distinct().mutate(known=_.municipality_code)
    placed = cells.left_join(of_year, "municipality_code").drop("municipality_code_right")
    placed = placed.left_join(areas, ["sector_code", "municipality_code"])
    sector = ibis.coalesce(placed.known_sector, placed.known + UNKNOWN_SECTOR)
    placed = placed.mutate(municipality_code=_.known, sector_code=ibis.ifelse(_.known.notnull(), sector, None))
    return placed.group_by(CELL).agg(**{name: whole(_[name].sum())})


def whole(total: ir.Value) -> ir.Value:
    """A sum of counts as a 64-bit integer.

    DuckDB sums integers to 128 bits, which Parquet would hold as a double. Ibis takes them for 64 bits and drops a plain
    cast, so the cast goes by way of a decimal.
    """
    return total.cast("decimal(18,0)").cast("int64")


def beneficiary_counts(
    raw_beneficiaries: ir.Table, geography: ir.Table, year: int, *, has_sector_table: bool
) -> ir.Table:
    """Counts of beneficiaries by cell. Columns: the five keys and ``beneficiaries``.

    ``geography``: the area table of the year; ``has_sector_table``: whether it holds sectors.
    """
    cells = delivered_cells(raw_beneficiaries, year, "beneficiaries")
    municipalities = geography.filter(_.level == "municipality").select(municipality_code=_.area_code)
    if has_sector_table:
        sectors = geography.filter(_.level == "sector").select(sector_code=_.area_code, municipality_code=_.parent_code)
    else:
        sectors = sectors_named(cells, municipalities)
    return resolved(cells, municipalities, sectors, "beneficiaries")


def patient_counts(attributed_patients: ir.Table, beneficiary_counts: ir.Table, year: int) -> ir.Table:
    """Counts of attributed patients who are beneficiaries, by cell. Columns: the five keys and ``patients``.

    Each of them is one of the beneficiaries of a cell, so the areas of ``beneficiary_counts`` are all that can occur.
    """
    cells = delivered_cells(attributed_patients.filter(_.is_beneficiary), year, "patients")
    known = beneficiary_counts.filter(~_.sector_code.endswith(UNKNOWN_SECTOR))
    sectors = known.select("sector_code", "municipality_code").distinct()
    municipalities = beneficiary_counts.filter(_.municipality_code.notnull()).select("municipality_code").distinct()
    return resolved(cells, municipalities, sectors, "patients")
