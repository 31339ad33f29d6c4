"""The released tables: the columns added to the protected ones, and the order of rows. Not here: files (``files``)."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mm_pipeline.release.codelists import in_reading_order
from mm_pipeline.release.interval import needs_care, wilson
from mm_pipeline.schemas import RELEASED_RATES, RELEASED_SENSITIVITY, Table

KEYS = ("release", "year", "level", "area_code", "dimension", "category", "rule", "threshold")
"""Columns that make up keys: those that a table has, together identify its rows."""


def released_rates(protected: pa.Table, areas: pa.Table, *, sector_vintage: int | None, synthetic: bool) -> pa.Table:
    """The released rates of one year, from the country down to the sectors. Columns of ``schemas.RELEASED_RATES``.

    ``protected``: columns of ``schemas.PROTECTED_RATES``. ``areas``: the area table of the year (``level``,
    ``area_code``, ``name_fr``, ``name_nl``, ``name_de``). ``sector_vintage``: the year of its sector table, if there
    is one.
    """
    table = _with_interval(protected)
    has_rate = pc.is_valid(table["rate_per_10000"])
    care = needs_care(*_counts(table))
    reliability = pc.if_else(has_rate, pa.array(np.where(care, "care", "reliable"), pa.string()), None)
    vintage = pc.if_else(pc.equal(table["level"], "sector"), pa.scalar(sector_vintage, pa.int32()), table["year"])
    table = table.append_column("reliability", reliability).append_column("geography_vintage", vintage)
    return _finished(table, RELEASED_RATES, areas, synthetic)


def released_sensitivity(protected: pa.Table, areas: pa.Table, *, synthetic: bool) -> pa.Table:
    """The released sensitivity table of one year (columns of ``schemas.RELEASED_SENSITIVITY``), of the protected one."""
    patients, people = _counts(protected)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = pa.array(10_000 * patients / people, pa.float64(), from_pandas=True)
    table = _with_interval(protected.append_column("rate_per_10000", rate))
    return _finished(table, RELEASED_SENSITIVITY, areas, synthetic)


def _counts(table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Patients and beneficiaries; NaN where hidden."""
    patients, people = (table[name].cast(pa.float64()).to_numpy() for name in ("patients", "beneficiaries"))
    return patients, people


def _with_interval(table: pa.Table) -> pa.Table:
    for name, share in zip(("lower", "upper"), wilson(*_counts(table)), strict=True):
        column = pa.array(10_000 * share, pa.float64(), from_pandas=True)
        table = table.append_column(f"rate_per_10000_{name}", column)
    return table


def _finished(table: pa.Table, shape: Table, areas: pa.Table, synthetic: bool) -> pa.Table:
    """The table with names of areas and the mark of synthetic data, in reading order, with the columns of ``shape``."""
    names = areas.select(["level", "area_code"])
    for language in ("fr", "nl", "de"):
        name = areas[f"name_{language}"]
        names = names.append_column(f"area_name_{language}", pc.if_else(pc.equal(name, ""), None, name))
    table = table.join(names, ["level", "area_code"], join_type="left outer")
    table = table.append_column("synthetic", pa.array([synthetic] * len(table), pa.bool_()))
    keys = [key for key in KEYS if key in table.column_names]
    return in_reading_order(table.select(shape.column_names), keys).cast(shape.schema)
