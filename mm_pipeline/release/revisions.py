"""Revisions: what a release changed against the one before and why, and the table ``revisions.*``.

The counts by year, level and dimension follow from the two released tables alone, so that whoever has both can repeat
them. Not here: the number and the date of a release (``history``), and what a year was made by (``metadata/provenance``).
"""

import datetime
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from mm_pipeline.release.codelists import LABELS
from mm_pipeline.schemas import RELEASED_REVISIONS

REVISIONS = "revisions.parquet"

KEY = ("year", "level", "area_code", "dimension", "category")
"""Key of a cell, by which releases are compared."""

DELIVERY, GEOGRAPHY, SETTINGS, CODE = "delivery", "geography", "settings", "code"
FIRST_OF_YEAR, LEFT_OUT, UNKNOWN = "first release of the year", "year left out", "not known"
REASONS = (DELIVERY, GEOGRAPHY, SETTINGS, CODE, FIRST_OF_YEAR, LEFT_OUT, UNKNOWN)
"""Why the cells of a year changed. The first four may occur together; then it is not known which changed a figure."""

SEPARATOR = "; "

Group = tuple[int, str, str]
"""Year, level and dimension of cells that are counted together."""


@dataclass(frozen=True)
class Changes:
    """Numbers of changed cells against the earlier release. ``newly_hidden`` and ``newly_shown`` are among ``changed``."""

    cells: int
    """Cells in this release."""
    changed: int
    """Cells in both releases of which any published column differs."""
    added: int
    removed: int
    newly_hidden: int
    """Cells whose ``status`` was published and is suppressed."""
    newly_shown: int
    """Cells whose ``status`` was suppressed and is published."""
    largest_change: float | None = None
    """Largest change of a rate per 10 000, up or down, among cells published in both; None without any or if unknown."""

    @property
    def none(self) -> bool:
        return not (self.changed or self.added or self.removed)

    def __add__(self, other: "Changes") -> "Changes":
        pairs = {name: (value, getattr(other, name)) for name, value in asdict(self).items()}
        largest = max((each for each in pairs.pop("largest_change") if each is not None), default=None)
        return Changes(**{name: sum(pair) for name, pair in pairs.items()}, largest_change=largest)


def compare(old: pa.Table, new: pa.Table) -> dict[Group, Changes]:
    """The changes of each year, level and dimension, over the columns that both tables have. Empty equals empty."""
    both = [name for name in new.column_names if name in old.column_names and name not in KEY]
    differs = " OR ".join(f'old_cells."{name}" IS DISTINCT FROM new_cells."{name}"' for name in both)
    change = "abs(new_cells.rate_per_10000 - old_cells.rate_per_10000)" if "rate_per_10000" in both else "NULL::DOUBLE"
    levels, dimensions = list(LABELS["level"]), list(LABELS["dimension"])
    with duckdb.connect() as engine:
        engine.register("old", old)
        engine.register("new", new)
        rows = engine.sql(f"""
            SELECT year, level, dimension,
                count(new_cells.present),
                count(*) FILTER (old_cells.present AND new_cells.present AND ({differs})),
                count(*) FILTER (old_cells.present IS NULL),
                count(*) FILTER (new_cells.present IS NULL),
                count(*) FILTER (old_cells.status = 'published' AND new_cells.status = 'suppressed'),
                count(*) FILTER (old_cells.status = 'suppressed' AND new_cells.status = 'published'),
                round(max({change}) FILTER (old_cells.status = 'published' AND new_cells.status = 'published'), 6)
                    -- a difference of two doubles is not exact
            FROM (SELECT *, true AS present FROM old) AS old_cells
            FULL JOIN (SELECT *, true AS present FROM new) AS new_cells USING ({", ".join(KEY)})
            GROUP BY year, level, dimension
            ORDER BY year,  -- in reading order, and after that what no code list has
                list_position({levels}, level) NULLS LAST, level,
                list_position({dimensions}, dimension) NULLS LAST, dimension
        """).fetchall()
    return {(year, level, dimension): Changes(*counts) for year, level, dimension, *counts in rows}


def by_year(groups: Mapping[Group, Changes]) -> dict[int, Changes]:
    """The changes summed by year."""
    years: dict[int, Changes] = {}
    for (year, _level, _dimension), changes in groups.items():
        years[year] = years[year] + changes if year in years else changes
    return years


def reasons_of(years: Mapping[int, Changes], causes: Mapping[int, tuple[str, ...]]) -> dict[int, tuple[str, ...]]:
    """The reasons of each year with a change. ``causes``: what differs of the years that both releases have."""
    reasons: dict[int, tuple[str, ...]] = {}
    for year, changes in years.items():
        if changes.cells == changes.added and not changes.removed:
            reasons[year] = (FIRST_OF_YEAR,)
        elif not changes.cells:
            reasons[year] = (LEFT_OUT,)
        elif not changes.none:
            reasons[year] = causes.get(year) or (UNKNOWN,)
    return reasons


def rows_of(
    number: int, date: datetime.date, groups: Mapping[Group, Changes], reasons: Mapping[int, tuple[str, ...]]
) -> pa.Table:
    """The rows of one release, one for each group that it changed. Columns of ``schemas.RELEASED_REVISIONS``."""
    rows = [
        {"release": number, "release_date": date, "year": year, "level": level, "dimension": dimension}
        | {**asdict(changes), "reasons": SEPARATOR.join(reasons[year])}
        for (year, level, dimension), changes in groups.items()
        if not changes.none
    ]
    return pa.Table.from_pylist(rows, schema=RELEASED_REVISIONS.schema)


def read_revisions(series: Path, releases: int) -> pa.Table | None:
    """Read the table of a released folder. None if it is missing, damaged, or not of the first ``releases`` releases."""
    try:
        table = pq.ParquetFile(series / REVISIONS).read()
    except (OSError, ValueError):
        return None
    is_ours = table.schema.equals(RELEASED_REVISIONS.schema)
    return table if is_ours and set(table["release"].to_pylist()) <= set(range(1, releases + 1)) else None
