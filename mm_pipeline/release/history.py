"""The history of the release: its number, its date, and how many cells each release changed. Not here: metadata files.

The history is kept in what is released itself (``changelog.json``), so that whoever has a release has its history. It
counts the cells of ``rates.*``: a release that differs in metadata or by new code alone is the same release.
"""

import datetime
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from mm_pipeline.errors import ReleaseError

CHANGELOG_JSON, CHANGELOG_MD = "changelog.json", "CHANGELOG.md"
RATES, SENSITIVITY = "rates.parquet", "sensitivity.parquet"

KEY = ("year", "level", "area_code", "dimension", "category")
"""What makes a cell of one release the same cell in another."""

FIRST = "First release: there is no earlier one to compare with."
BEGINS_ANEW = (
    "The changelog of the earlier release is missing or cannot be read: release numbers begin anew at 1. "
    "To keep them, put changelog.json back from a copy of that release and release again."
)
SENSITIVITY_CHANGED = "The sensitivity table changed."
NOT_COMPARED = "The figures of the earlier release are missing or cannot be read: they were not compared."


@dataclass(frozen=True)
class Release:
    """``date``: of the day its figures last changed. ``years``: the years it holds."""

    number: int
    date: datetime.date
    years: tuple[int, ...]
    synthetic: bool

    @property
    def span(self) -> str:
        """The years in words: ``2003–2006, 2008``."""
        return span(self.years)


@dataclass(frozen=True)
class Changes:
    """Cells of one year against the earlier release. ``newly_hidden`` and ``newly_shown`` are among ``changed``."""

    cells: int
    """Cells of the year in this release."""
    changed: int
    """In both, and any published column differs."""
    added: int
    removed: int
    newly_hidden: int
    """``status`` was published and is suppressed."""
    newly_shown: int
    """``status`` was suppressed and is published."""

    @property
    def none(self) -> bool:
        return not (self.changed or self.added or self.removed)


@dataclass(frozen=True)
class Entry:
    """One release; ``changes`` by year, empty where the figures could not be compared."""

    release: Release
    changes: Mapping[int, Changes]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class History:
    """All releases, the newest first."""

    entries: tuple[Entry, ...]

    @property
    def release(self) -> Release:
        return self.entries[0].release

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said of the newest release, such as that its history could not be read."""
        return self.entries[0].notes


def next_release(
    previous_series: Path | None,
    new_rates: pa.Table | Path,
    new_sensitivity: pa.Table,
    *,
    years: Iterable[int],
    synthetic: bool,
    today: datetime.date,
) -> History:
    """The history with these tables in it: ``new_rates`` (columns of ``catalogue.RELEASED_RATES``; a table, or its Parquet
    file), of which the changed cells are counted, and ``new_sensitivity``, of which only is said whether it changed.

    ``previous_series``: the folder that was released before (``changelog.json``, ``rates.parquet``); None, or not there,
    for the first release. When no cell differs, the history is the earlier one: number and date stay. A history or figures
    that cannot be read do not stop the release; a note of the new entry says so, and so does ``CHANGELOG.md``.
    """
    new, release_years = _cells(new_rates), tuple(sorted(years))
    folder = previous_series if previous_series is not None and previous_series.is_dir() else None
    if folder is None or not any((folder / name).exists() for name in (CHANGELOG_JSON, RATES)):
        first = Release(1, today, release_years, synthetic)
        return History((Entry(first, compare(new.schema.empty_table(), new), (FIRST,)),))

    notes: list[str] = []
    earlier = None
    try:
        earlier = read_history(folder)
    except ReleaseError:
        notes.append(BEGINS_ANEW)
    changes: Mapping[int, Changes] = {}
    try:
        old = _cells(folder / RATES)
    except (OSError, ValueError):
        notes.append(NOT_COMPARED)
    else:
        changes = compare(old, new)
        notes.extend(_columns_note(old.column_names, new.column_names))
    if not _holds(folder / SENSITIVITY, new_sensitivity):
        notes.append(SENSITIVITY_CHANGED)
    release = Release(earlier.release.number + 1 if earlier else 1, today, release_years, synthetic)
    if earlier and not notes and all(year.none for year in changes.values()):
        return earlier
    return History((Entry(release, changes, tuple(notes)), *(earlier.entries if earlier else ())))


def read_history(series: Path) -> History:
    """The history that a released folder holds (``changelog.json``); ReleaseError when it is missing or damaged."""
    try:
        content = json.loads((series / CHANGELOG_JSON).read_text(encoding="utf-8"))
        entries = tuple(_entry(entry) for entry in content["releases"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        entries = ()
    numbers = [entry.release.number for entry in entries]
    if not numbers or numbers != list(range(len(numbers), 0, -1)):
        raise ReleaseError(
            f"{series.name}/{CHANGELOG_JSON} is missing or holds no history of releases. Put it back from a copy of the "
            "release, or materialise published_series again: release numbers then begin anew at 1."
        )
    return History(entries)


def compare(old: pa.Table, new: pa.Table) -> dict[int, Changes]:
    """How the cells of each year differ, over the columns that both tables have. Empty equals empty."""
    both = [name for name in new.column_names if name in old.column_names and name not in KEY]
    differs = " OR ".join(f'old_cells."{name}" IS DISTINCT FROM new_cells."{name}"' for name in both)
    matched = "(old_cells.present AND new_cells.present)"
    with duckdb.connect() as engine:
        engine.register("old", old)
        engine.register("new", new)
        rows = engine.sql(f"""
            SELECT year,
                count(new_cells.present),
                count(*) FILTER ({matched} AND ({differs})),
                count(*) FILTER (old_cells.present IS NULL),
                count(*) FILTER (new_cells.present IS NULL),
                count(*) FILTER (old_cells.status = 'published' AND new_cells.status = 'suppressed'),
                count(*) FILTER (old_cells.status = 'suppressed' AND new_cells.status = 'published')
            FROM (SELECT *, true AS present FROM old) AS old_cells
            FULL JOIN (SELECT *, true AS present FROM new) AS new_cells USING ({", ".join(KEY)})
            GROUP BY year ORDER BY year
        """).fetchall()
    return {year: Changes(*counts) for year, *counts in rows}


def changelog_files(history: History) -> dict[str, str]:
    """``changelog.json`` and ``CHANGELOG.md``: file name -> text."""
    entries = [
        {
            **asdict(entry.release),
            "date": entry.release.date.isoformat(),
            "notes": entry.notes,
            "changes": {str(year): asdict(changes) for year, changes in entry.changes.items()},
        }
        for entry in history.entries
    ]
    text = json.dumps({"releases": entries}, indent=1, ensure_ascii=False) + "\n"
    return {CHANGELOG_JSON: text, CHANGELOG_MD: _markdown(history)}


def span(years: Iterable[int]) -> str:
    """Years in words: ``2003–2006, 2008``."""
    runs: list[list[int]] = []
    for year in sorted(years):
        if runs and year == runs[-1][-1] + 1:
            runs[-1].append(year)
        else:
            runs.append([year])
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _cells(rates: pa.Table | Path) -> pa.Table:
    # Through a file object: a folder's name with = or * in it is neither a partition nor a pattern.
    table = pq.ParquetFile(rates).read() if isinstance(rates, Path) else rates
    if missing := {*KEY, "status"} - set(table.column_names):
        raise ValueError(f"a table of rates without the columns {', '.join(sorted(missing))}")
    return table


def _holds(file: Path, table: pa.Table) -> bool:
    try:
        return bool(pq.ParquetFile(file).read().equals(table))
    except (OSError, ValueError):
        return False


def _entry(content: Mapping[str, Any]) -> Entry:
    release = Release(
        number=int(content["number"]),
        date=datetime.date.fromisoformat(content["date"]),
        years=tuple(int(year) for year in content["years"]),
        synthetic=bool(content["synthetic"]),
    )
    changes = {int(year): Changes(**counts) for year, counts in content["changes"].items()}
    return Entry(release, changes, tuple(str(note) for note in content["notes"]))


def _columns_note(old: list[str], new: list[str]) -> list[str]:
    differences = {"added": set(new) - set(old), "removed": set(old) - set(new)}
    said = [f"{kind}: {', '.join(sorted(names))}" for kind, names in differences.items() if names]
    return [f"Columns {'; '.join(said)}. Cells are compared by the columns that both releases have."] if said else []


def _markdown(history: History) -> str:
    parts = [
        "# Changelog of the release",
        "Every release of the figures of stat_003_007, the newest first. A cell is a row of `rates.csv`: a year, an area "
        "and a category. *Changed*: it is in both releases, and any published column differs; among these *newly hidden* "
        "(published before, suppressed now) and *newly shown* (the reverse). *Added*, *removed*: in one release only.",
    ]
    for entry in history.entries:
        release = entry.release
        mark = " Synthetic data (for demonstration)." if release.synthetic else ""
        parts += [
            f"## Release {release.number} ({release.date.isoformat()})",
            f"Years {release.span}.{mark}",
            *entry.notes,
        ]
        different = {year: changes for year, changes in entry.changes.items() if not changes.none}
        if different:
            parts.append(_markdown_table(different))
        if unchanged := [year for year in entry.changes if year not in different]:
            parts.append(f"Unchanged: {span(unchanged)}.")
    return "\n\n".join(parts) + "\n"


def _markdown_table(changes: Mapping[int, Changes]) -> str:
    head = ["year", *(name.replace("_", " ") for name in Changes.__dataclass_fields__)]
    rows = [
        [str(year), *(f"{count:,}".replace(",", " ") for count in asdict(of).values())] for year, of in changes.items()
    ]
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
