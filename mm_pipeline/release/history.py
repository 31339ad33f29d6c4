"""History of the release: number, date, and how many cells each release changed. Not here: metadata files.

The history is part of the release itself (``changelog.json``), so that whoever has a release has its history. It counts
the cells of ``rates.*``: a release that differs only in metadata or code is the same release.
"""

import datetime
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import TypeAdapter

from mm_pipeline.errors import ReleaseError
from mm_pipeline.release.files import CHECKSUMS, manifest_of
from mm_pipeline.release.revisions import KEY, Changes, Group, by_year, compare, read_revisions, reasons_of, rows_of
from mm_pipeline.schemas import RELEASED_REVISIONS

CHANGELOG_JSON, CHANGELOG_MD = "changelog.json", "CHANGELOG.md"
RATES, SENSITIVITY = "rates.parquet", "sensitivity.parquet"

FIRST = "First release: there is no earlier one to compare with."
BEGINS_ANEW = (
    "The changelog of the earlier release is missing or cannot be read: release numbers begin anew at 1, and "
    "the table of revisions with them. To keep them, put changelog.json back from a copy of that release and release again."
)
SENSITIVITY_CHANGED = "The sensitivity table changed."
REVISIONS_BEGIN = (
    "The table of revisions of the earlier releases was not there or cannot be read: it says nothing of them. To have it, "
    "put revisions.* back from a copy of the release before this one and release again."
)
NOT_COMPARED = "The figures of the earlier release are missing or cannot be read: they were not compared."


@dataclass(frozen=True)
class Release:
    """A release. ``date``: the day its figures last changed. ``years``: the years it holds."""

    number: int
    date: datetime.date
    years: tuple[int, ...]
    synthetic: bool

    @property
    def span(self) -> str:
        """The years in words: ``2003–2006, 2008``."""
        return span(self.years)


@dataclass(frozen=True)
class Entry:
    """A release in the history. ``changes``: by year, empty where the figures could not be compared.

    ``reasons``: why figures of a year changed (``revisions.REASONS``); earlier versions of the program recorded none.
    ``manifest``: SHA-256 of the ``SHA256SUMS`` of an archived release, else empty.
    """

    release: Release
    changes: Mapping[int, Changes]
    notes: tuple[str, ...] = ()
    reasons: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    manifest: str = ""


_ENTRIES = TypeAdapter(tuple[Entry, ...])


@dataclass(frozen=True)
class History:
    """All releases, the newest first.

    ``revisions``: what they changed (columns of ``schemas.RELEASED_REVISIONS``); empty where the history was only read.
    """

    entries: tuple[Entry, ...]
    revisions: pa.Table = field(default_factory=RELEASED_REVISIONS.schema.empty_table, compare=False, repr=False)

    @property
    def release(self) -> Release:
        return self.entries[0].release

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on the newest release, such as that its history could not be read."""
        return self.entries[0].notes


def next_release(
    previous_series: Path | None,
    new_rates: pa.Table | Path,
    new_sensitivity: pa.Table,
    *,
    years: Iterable[int],
    synthetic: bool,
    today: datetime.date,
    causes: Mapping[int, tuple[str, ...]] | None = None,
) -> History:
    """The history with the release of these tables; the earlier one, with its number and date, where no cell differs.

    ``new_rates``: a table with the columns of ``schemas.RELEASED_RATES``, or its Parquet file; changed cells are counted.
    ``new_sensitivity``: only noted as changed or not. ``previous_series``: the folder released before; None or missing for
    the first release. ``causes``: by year, what it was made by and differs now. What cannot be read of the release before
    does not stop this one: a note of the newest entry and ``CHANGELOG.md`` say so.
    """
    new = _cells(new_rates)
    notes: list[str] = []
    groups: Mapping[Group, Changes] = {}
    past = History(())
    folder = previous_series
    if folder is None or not any((folder / name).exists() for name in (CHANGELOG_JSON, RATES)):
        groups = compare(new.schema.empty_table(), new)
        notes.append(FIRST)
    else:
        try:
            past = read_history(folder)
        except ReleaseError:
            notes.append(BEGINS_ANEW)
        try:
            old = _cells(folder / RATES)
        except (OSError, ValueError):
            notes.append(NOT_COMPARED)
        else:
            groups = compare(old, new)
            notes.extend(_columns_note(old.column_names, new.column_names))
        if not _holds(folder / SENSITIVITY, new_sensitivity):
            notes.append(SENSITIVITY_CHANGED)
    if folder is not None and past.entries:
        newest, *older = past.entries
        revisions = read_revisions(folder, newest.release.number)
        lost = [] if revisions is not None else [REVISIONS_BEGIN]
        past = past if revisions is None else replace(past, revisions=revisions)
        if not notes and all(changes.none for changes in groups.values()):
            said = tuple(dict.fromkeys((*newest.notes, *lost)))
            return replace(past, entries=(replace(newest, notes=said), *older))
        notes.extend(lost)
        past = replace(past, entries=(replace(newest, manifest=manifest_of(folder)), *older))

    release = Release(len(past.entries) + 1, today, tuple(sorted(years)), synthetic)
    changes = by_year(groups)
    reasons = reasons_of(changes, causes or {})
    entry = Entry(release, changes, tuple(notes), reasons)
    rows = rows_of(release.number, today, groups, reasons)
    return History((entry, *past.entries), pa.concat_tables([past.revisions, rows]))


def read_history(series: Path) -> History:
    """Read the history of a released folder (``changelog.json``). Raises ReleaseError if it is missing or damaged."""
    try:
        content = json.loads((series / CHANGELOG_JSON).read_text(encoding="utf-8"))
        entries = _ENTRIES.validate_python([{**entry, "release": entry} for entry in content["releases"]])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        entries = ()
    numbers = [entry.release.number for entry in entries]
    if not numbers or numbers != list(range(len(numbers), 0, -1)):
        raise ReleaseError(
            f"{series.name}/{CHANGELOG_JSON} is missing or holds no history of releases. Put it back from a copy of the "
            "release, or materialise published_series again: release numbers then begin anew at 1."
        )
    return History(entries)


def changelog_files(history: History) -> dict[str, str]:
    """The texts of ``changelog.json`` and ``CHANGELOG.md``, by file name."""
    entries = [
        {**entry.pop("release"), "notes": entry.pop("notes"), **entry}
        for entry in _ENTRIES.dump_python(history.entries, mode="json")
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
    # Through a file object, as = and * in the name of a folder would be taken for a partition or a pattern.
    table = pq.ParquetFile(rates).read() if isinstance(rates, Path) else rates
    if missing := {*KEY, "status"} - set(table.column_names):
        raise ValueError(f"a table of rates without the columns {', '.join(sorted(missing))}")
    return table


def _holds(file: Path, table: pa.Table) -> bool:
    """Whether the file has the same rows for the years that both have: an added or removed year changes no other."""
    try:
        earlier = pq.ParquetFile(file).read()
        if earlier.equals(table):
            return True
        both = set(earlier["year"].to_pylist()) & set(table["year"].to_pylist())
        of_both = pc.field("year").isin(sorted(both))
        return bool(both) and bool(earlier.filter(of_both).equals(table.filter(of_both)))
    except (OSError, ValueError, KeyError):
        return False


def _columns_note(old: list[str], new: list[str]) -> list[str]:
    differences = {"added": set(new) - set(old), "removed": set(old) - set(new)}
    said = [f"{kind}: {', '.join(sorted(names))}" for kind, names in differences.items() if names]
    return [f"Columns {'; '.join(said)}. Cells are compared by the columns that both releases have."] if said else []


def _in_words(value: float | None) -> str:
    text = "" if value is None else f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"
    return text.replace(",", " ")


def _markdown(history: History) -> str:
    head = ["year", *(name.replace("_", " ") for name in Changes.__dataclass_fields__), "why"]
    rule = ["---", *["---:"] * (len(head) - 2), "---"]
    parts = [
        "# Changelog of the release",
        "Every release of the figures of stat_003_007, the newest first. A cell is a row of `rates.csv`: a year, an area "
        "and a category. *Changed*: it is in both releases, and any published column differs; among these *newly hidden* "
        "(published before, suppressed now) and *newly shown* (the reverse). *Added*, *removed*: in one release only. "
        "*Largest change*: of the rate per 10 000, up or down, among the cells published in both. The same for each level "
        "and dimension is in `revisions.csv`.",
        "*Why* names what differs between the two releases of the year: *delivery* (a file of the year was delivered anew), "
        "*geography* (the tables of areas), *settings* (thresholds, names of columns), *code* (the program). Where several "
        "differ, nobody can tell which of them moved a figure. `provenance.json` of either release has the details.",
        "Earlier releases lie beside this folder, in `releases/<number>/`, with their checksums.",
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
            rows = [
                [str(year), *map(_in_words, asdict(of).values()), ", ".join(entry.reasons.get(year, ())) or "not kept"]
                for year, of in different.items()
            ]
            parts.append("\n".join(f"| {' | '.join(line)} |" for line in [head, rule, *rows]))
        if unchanged := [year for year in entry.changes if year not in different]:
            parts.append(f"Unchanged: {span(unchanged)}.")
        if entry.manifest:
            parts.append(f"Kept in `releases/{release.number}/`; SHA-256 of its `{CHECKSUMS}`: `{entry.manifest}`.")
    return "\n\n".join(parts) + "\n"
