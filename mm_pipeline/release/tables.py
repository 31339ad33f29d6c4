"""The released tables: the columns added to the protected ones, and the order of rows. Not here: files (``files``)."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mm_pipeline.release.codelists import LABELS
from mm_pipeline.release.interval import needs_care, wilson
from mm_pipeline.schemas import RELEASED_RATES, RELEASED_SENSITIVITY, Table

_READING_ORDER = {name: tuple(LABELS[name]) for name in ("level", "dimension", "rule")}
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
    """The released sensitivity table of one year. Columns of ``schemas.RELEASED_SENSITIVITY``.

    ``protected``: columns of ``schemas.PROTECTED_SENSITIVITY``.
    """
    patients, people = _counts(protected)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = pa.array(10_000 * patients / people, pa.float64(), from_pandas=True)
    return _finished(
        _with_interval(protected.append_column("rate_per_10000", rate)), RELEASED_SENSITIVITY, areas, synthetic
    )


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
    names = areas.select(["level", "area_code", "name_fr", "name_nl", "name_de"])
    names = names.rename_columns(["level", "area_code", "area_name_fr", "area_name_nl", "area_name_de"])
    for position, name in enumerate(names.column_names[2:], 2):
        column = names[name]
        names = names.set_column(position, name, pc.if_else(pc.equal(column, ""), None, column))
    table = table.join(names, ["level", "area_code"], join_type="left outer")
    table = table.append_column("synthetic", pa.array([synthetic] * len(table), pa.bool_()))
    keys = [key for key in KEYS if key in table.column_names]
    ranks = {
        f"{key} rank": pc.index_in(table[key], pa.array(_READING_ORDER[key])) for key in keys if key in _READING_ORDER
    }
    for name, rank in ranks.items():
        table = table.append_column(name, rank)
    order = [(f"{key} rank" if key in _READING_ORDER else key, "ascending") for key in keys]
    return table.sort_by(order).select(shape.column_names).cast(shape.schema)
