"""Revisions: what the reader of a year's earlier releases knows when it is released again.

A figure that did not change is the same unknown in both. Of a cell that changed, the reader is taken to know whether it only
gained or only lost persons: then n changed by no more than N. So the earlier releases join the system of the new one.
"""

import hashlib
from collections.abc import Iterator, Sequence, Set
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd

from mm_pipeline.dimensions import COUNTS, KEY
from mm_pipeline.disclosure.primary_rule import Counts
from mm_pipeline.disclosure.suppression import SuppressionPattern, apply_rules, lower_bounds
from mm_pipeline.disclosure.system import COLUMNS, FIGURES, Before, Figure, Positions, System, areas_of, system_of

THRESHOLD = "threshold"
"""Dimension under which :func:`mm_pipeline.statistic.sensitivity.threshold_counts` are recorded beside a release."""
SHOWS: dict[Figure, str] = {"beneficiaries": "shows_beneficiaries", "patients": "shows_patients"}
"""Figure -> the column that says whether a release showed it."""


def disclosed(rates: pd.DataFrame, protected: pd.DataFrame) -> pd.DataFrame:
    """The record of a release: the counts it was made from, and which it showed. Confidential; for the next release.

    Columns ``level``, ``area_code``, ``parent_code``, ``dimension``, ``category``, ``beneficiaries``, ``patients`` (the
    true counts of ``sector_rates``) and ``shows_beneficiaries``, ``shows_patients`` (whether the release showed them).
    """
    shown = protected.set_index(KEY)[COUNTS].notna().reindex(pd.MultiIndex.from_frame(rates[KEY]), fill_value=False)
    return rates[COLUMNS].assign(**{name: shown[figure].to_numpy(dtype=bool) for figure, name in SHOWS.items()})


def releases_of(kept: pd.DataFrame, among: Set[str] | None = None) -> list[pd.DataFrame]:
    """The releases in a table of :func:`remembered`, oldest first; ``among``: only those with these digests."""
    return [release[release["dimension"] != THRESHOLD] for release in _tables(kept, among)]


def thresholds_of(kept: pd.DataFrame, among: Set[str] | None = None) -> pd.DataFrame:
    """The :func:`threshold_cells` of the last of these releases; empty where earlier versions of the program kept none."""
    last = [kept[:0], *_tables(kept, among)][-1]
    return last[last["dimension"] == THRESHOLD]


def threshold_cells(counts: pd.DataFrame) -> pd.DataFrame:
    """``threshold_counts`` with the columns of :func:`disclosed`: a cell for each number of forfaits, none of them shown."""
    cells = counts.assign(dimension=THRESHOLD, category=counts["threshold"].map("{:02d}".format))
    return cells[COLUMNS].assign(**dict.fromkeys(SHOWS.values(), False))


def threshold_counts(cells: pd.DataFrame) -> pd.DataFrame:
    """The ``threshold_counts`` in cells of :func:`threshold_cells`."""
    return cells.assign(threshold=cells["category"].astype("int32"))[[*COLUMNS[:3], "threshold", *COUNTS]]


def _tables(kept: pd.DataFrame, among: Set[str] | None) -> list[pd.DataFrame]:
    if among is not None:
        kept = kept[kept["digest"].isin(among)]
    return [release for _, release in kept.groupby("release", sort=True)]


def digest_of(protected: pd.DataFrame) -> str:
    """SHA-256 of the cells of a protected table and of the figures that it shows."""
    shown = protected.sort_values(KEY)[[*KEY, "parent_code", *COUNTS]].astype(dict.fromkeys(COUNTS, "Int64"))
    return hashlib.sha256(shown.to_csv(index=False).encode()).hexdigest()


def remembered(
    kept: pd.DataFrame, now: pd.DataFrame, *, digest: str, disclosure_threshold: int, released: Set[str]
) -> pd.DataFrame:
    """The records that a later release must take into account: those of ``kept`` that were ``released``, then ``now``.

    ``kept`` has the columns of ``now`` (:func:`disclosed`) and ``release``, ``digest``, ``threshold``; it may be empty.
    ``released``: digests. A table that was never released is dropped. Two releases that show the same but were made from
    different hidden counts are both kept.
    """
    now = now.assign(digest=digest, threshold=disclosure_threshold)
    # Hidden counts can differ where what is shown does not.
    before = [table for table in _tables(kept, released) if not is_same(table, now, [*COLUMNS, "digest"])]
    tables = [table.assign(release=number) for number, table in enumerate([*before, now], 1)]
    return pd.concat(tables, ignore_index=True)


def is_same(table: pd.DataFrame, other: pd.DataFrame, columns: list[str]) -> bool:
    """Whether two tables of cells are the same in these columns, in whatever order their rows are."""
    rows, others = (each.sort_values(KEY)[columns].to_numpy(dtype=object) for each in (table, other))
    return len(rows) == len(others) and bool((rows == others).all())


def retained_pattern(system: System, release: pd.DataFrame) -> SuppressionPattern:
    """The pattern of a release (see :func:`disclosed`), carried over to the cells of ``system``.

    What was hidden stays hidden, except zeros that must be shown. Cells that the release did not have are not hidden.
    """
    shown = release.set_index(KEY)[list(SHOWS.values())].reindex(pd.MultiIndex.from_frame(system.cells[KEY]))
    pattern = SuppressionPattern(
        *((~shown[name].fillna(True).to_numpy(dtype=bool)) | system.is_residual for name in SHOWS.values())
    )
    apply_rules(system, pattern)
    while True:
        lowest = lower_bounds(system, pattern)
        wrong = {figure: pattern[figure] & (system.value(figure) < lowest[figure]) for figure in FIGURES}
        if not any(cells.any() for cells in wrong.values()):
            return pattern
        pattern.beneficiaries &= ~wrong["beneficiaries"]
        pattern.patients &= ~(wrong["patients"] | (wrong["beneficiaries"] & (system.beneficiaries == 0)))


def released_pattern(system: System, release: pd.DataFrame) -> SuppressionPattern:
    """The suppression pattern of a release (see :func:`disclosed`), residuals included; ``system``: the release's own."""
    residuals = np.ones(len(system) - len(release), dtype=bool)
    return SuppressionPattern(*(np.append(~release[shows].to_numpy(dtype=bool), residuals) for shows in SHOWS.values()))


def as_published(releases: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """Releases as the audit reads them, newest first. ``releases``: see :func:`disclosed`; oldest first.

    Figures only where they were shown, of residuals never. ``version_beneficiaries`` and ``version_patients``: the same
    number in all releases for a figure that did not change. ``change``: since the release before, as far as its two figures
    tell, the cell gained persons and lost none (1), lost some and gained none (-1), or anything else (0).
    """
    tables: list[pd.DataFrame] = []
    numbers: dict[tuple[object, ...], int] = {}
    before: dict[tuple[object, ...], tuple[int, int]] = {}
    for release in releases:
        system = system_of(release)
        pattern = released_pattern(system, release)
        keys, counts = _keys(system), list(map(tuple, _counts(system).tolist()))
        table = system.cells.assign(
            change=[_direction(before.get(key, now), now) for key, now in zip(keys, counts, strict=True)]
        )
        for figure in FIGURES:
            values = zip(keys, system.value(figure).tolist(), strict=True)
            table[f"version_{figure}"] = [numbers.setdefault((figure, *value), len(numbers)) for value in values]
            table[figure] = pd.Series(system.value(figure), dtype="Int64").mask(pattern[figure])
        tables.append(table)
        before = dict(zip(keys, counts, strict=True))
    return tables[::-1]


def with_earlier(system: System, earlier: Sequence[pd.DataFrame]) -> System:
    """The joint system of a release and the earlier ones (see :func:`disclosed`), oldest first.

    The cells of ``system`` come first and keep their positions. A cell of an earlier release whose counts are both unchanged
    is the present cell. Any other has a position of its own; a count that it shares with another release is the same
    unknown (``System.same``). Where, as far as its counts tell, it only gained or only lost persons from one release to
    the next, these persons are a cell too, with a line: the larger value is the smaller one and the change.
    """
    at = {identity: position for position, identity in enumerate(_identities(system))}
    cells, counts = [system.cells], [_counts(system)]
    lines = dict.fromkeys(_lines(system, np.arange(len(system))))
    told: list[tuple[Positions, SuppressionPattern, dict[Figure, Counts]]] = []
    found: list[dict[tuple[object, ...], int]] = []
    for table in earlier:
        past = system_of(table)
        pattern = released_pattern(past, table)
        here = np.array([at.setdefault(identity, len(at)) for identity in _identities(past)])
        is_new = here >= sum(map(len, cells))
        cells.append(past.cells[is_new])
        counts.append(_counts(past)[is_new])
        lines |= dict.fromkeys(_lines(past, here))
        told.append((here, pattern, lower_bounds(past, pattern)))
        found.append(dict(zip(_keys(past), here.tolist(), strict=True)))
    found.append({key: position for position, key in enumerate(_keys(system))})

    value = np.concatenate(counts)
    changes: dict[tuple[int, int], None] = {}
    for before, after in pairwise(found):
        for key, new in after.items():
            old = before.get(key, new)
            direction = _direction(tuple(value[old]), tuple(value[new]))
            if direction:
                changes[(new, old) if direction > 0 else (old, new)] = None
    larger, smaller = (np.array([pair[side] for pair in changes], dtype="int64") for side in (0, 1))
    every = pd.concat(cells, ignore_index=True)
    # A line for each change: the larger value of the cell is the smaller one and the change.
    lines |= {(*pair, len(every) + number): None for number, pair in enumerate(changes)}
    every = pd.concat([every, every.iloc[larger]], ignore_index=True)
    value = np.concatenate([value, value[larger] - value[smaller]])

    size, extra = len(every), len(every) - len(system)
    is_change = np.arange(size) >= size - len(changes)
    # Of each figure the numbers of the positions' unknowns: equal for the same cell with the same count.
    asked = every.loc[~is_change, KEY].assign(**dict(zip(FIGURES, value[~is_change].T, strict=True)))
    unknown = {figure: asked.groupby([*KEY, figure], sort=False).ngroup().to_numpy() for figure in FIGURES}
    known = {figure: np.zeros(size, dtype=bool) for figure in FIGURES}
    hidden = {figure: is_change.copy() for figure in FIGURES}
    at_least = {figure: np.zeros(size, dtype="int64") for figure in FIGURES}
    at_least["beneficiaries"][is_change] = 1  # where a cell grew or shrank, at least one person came or went
    for here, pattern, lowest in told:
        for figure in FIGURES:
            known[figure][here[~pattern[figure]]] = True
            hidden[figure][here[pattern[figure]]] = True
            np.maximum.at(at_least[figure], here, np.where(pattern[figure], lowest[figure], 0))
    shown = {figure: known[figure].copy() for figure in FIGURES}
    for figure, number in unknown.items():
        for told_of in (known[figure][: len(number)], at_least[figure][: len(number)]):
            told_of[:] = pd.Series(told_of).groupby(number).transform("max")
    sizes = [len(line) for line in lines]
    itself = np.arange(len(system), size)
    none = np.full(extra, -1)
    return replace(
        system,
        cells=every,
        beneficiaries=value[:, 0],
        patients=value[:, 1],
        is_residual=np.concatenate([system.is_residual, np.zeros(extra, dtype=bool)]),
        line=np.repeat(np.arange(len(lines)), sizes),
        cell=np.array([cell for line in lines for cell in line], dtype="int64"),
        sign=np.array([sign for size in sizes for sign in (1, *[-1] * (size - 1))], dtype="int64"),
        same={figure: _pairs(number) for figure, number in unknown.items()},
        total=np.concatenate([system.total, itself]),
        parent=np.concatenate([system.parent, none]),
        group=np.concatenate([system.group, none]),
        within=areas_of(every),
        before=Before(np.arange(size) >= len(system), is_change, known, shown, hidden, at_least),
    )


def _direction(before: tuple[int, int], after: tuple[int, int]) -> int:
    """1 if a cell with these N and n may have only gained persons, -1 if it may have only lost some, else 0."""
    people, patients = after[0] - before[0], after[1] - before[1]
    if people and 0 <= abs(patients) <= abs(people) and people * patients >= 0:
        return 1 if people > 0 else -1
    return 0


def _pairs(unknown: Positions) -> Positions:
    """Pairs of positions with the same unknown; several are linked in a chain."""
    order = np.argsort(unknown, kind="stable")
    is_run = unknown[order][1:] == unknown[order][:-1]
    return np.column_stack([order[:-1][is_run], order[1:][is_run]])


def _keys(system: System) -> list[tuple[object, ...]]:
    return list(zip(*(system.cells[name] for name in KEY), strict=True))


def _identities(system: System) -> list[tuple[object, ...]]:
    """The identity of each cell across releases: its key and both its counts."""
    return list(zip(*(system.cells[name] for name in KEY), system.beneficiaries, system.patients, strict=True))


def _counts(system: System) -> Counts:
    return np.column_stack([system.beneficiaries, system.patients])


def _lines(system: System, here: Positions) -> Iterator[tuple[int, ...]]:
    """The lines of a system with its cells at the positions ``here``; in each the total comes first."""
    if not len(system.line):
        return
    for line in np.split(here[system.cell], np.flatnonzero(np.diff(system.line)) + 1):
        yield (int(line[0]), *sorted(line[1:].tolist()))
