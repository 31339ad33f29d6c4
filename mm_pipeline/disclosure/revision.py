"""A year that is released again: what the reader of the earlier releases knows.

Whoever has two releases of a year can subtract not only within each. A cell that did not change is the same unknown in
both: shown in one, it is known in the other; hidden in both, it must be able to move in both at once. So the earlier
releases join the system of the new one: unchanged cells stand in the lines of both, and a cell that changed has one
position for each of its values.
"""

import hashlib
from collections.abc import Iterator, Sequence, Set
from dataclasses import replace

import numpy as np
import pandas as pd

from mm_pipeline.disclosure.mask import Mask, lower_bounds
from mm_pipeline.disclosure.rule import Counts
from mm_pipeline.disclosure.system import (
    COLUMNS,
    COUNTS,
    FIGURES,
    KEY,
    Before,
    Figure,
    Positions,
    System,
    areas_of,
    system_of,
)

SHOWS: dict[Figure, str] = {"beneficiaries": "shows_beneficiaries", "patients": "shows_patients"}


def disclosed(rates: pd.DataFrame, protected: pd.DataFrame) -> pd.DataFrame:
    """What a release told, and what it was made from: to be kept confidential for the next release of the year.

    Columns ``level``, ``area_code``, ``parent_code``, ``dimension``, ``category``, ``beneficiaries``, ``patients`` (the
    true counts of ``sector_rates``) and ``shows_beneficiaries``, ``shows_patients`` (whether the release showed them).
    """
    shown = protected.set_index(KEY)[COUNTS].notna().reindex(pd.MultiIndex.from_frame(rates[KEY]), fill_value=False)
    return rates[COLUMNS].assign(**{name: shown[figure].to_numpy(dtype=bool) for figure, name in SHOWS.items()})


def releases_of(kept: pd.DataFrame, among: Set[str] | None = None) -> list[pd.DataFrame]:
    """The releases of a year, oldest first, of a table as :func:`remembered` makes it; ``among``: of these digests only."""
    if among is not None:
        kept = kept[kept["digest"].isin(among)]
    return [release for _, release in kept.groupby("release", sort=True)]


def digest_of(protected: pd.DataFrame) -> str:
    """What tells one protected table from another: a hash of its cells and of what it shows of them."""
    shown = protected.sort_values(KEY)[[*KEY, "parent_code", *COUNTS]].astype(dict.fromkeys(COUNTS, "Int64"))
    return hashlib.sha256(shown.to_csv(index=False).encode()).hexdigest()


def remembered(
    kept: pd.DataFrame, now: pd.DataFrame, *, digest: str, threshold: int, released: Set[str]
) -> pd.DataFrame:
    """What a later release must take into account: of ``kept`` what was ``released`` (digests), and what is made now.

    ``kept`` has the columns of ``now`` (:func:`disclosed`) and ``release``, ``digest``, ``threshold``; it may be empty.
    A table that never went out is forgotten. The one made now comes last.
    """
    tables = [*releases_of(kept, released - {digest}), now.assign(digest=digest, threshold=threshold)]
    return pd.concat([table.assign(release=number) for number, table in enumerate(tables, 1)], ignore_index=True)


def released_mask(system: System, rates: pd.DataFrame, release: pd.DataFrame) -> Mask | None:
    """The mask of a release (:func:`disclosed`), if it was made from these rates (sorted by KEY, as in ``system``)."""
    before = release.sort_values(KEY, ignore_index=True)
    if len(before) != len(rates) or not (before[COLUMNS].to_numpy() == rates[COLUMNS].to_numpy()).all():
        return None
    return mask_of(system, before)


def mask_of(system: System, release: pd.DataFrame) -> Mask:
    """What a release (:func:`disclosed`; ``system`` is made of it) did not show, the rests included."""
    hidden = {figure: np.ones(len(system), dtype=bool) for figure in FIGURES}
    for figure, shows in SHOWS.items():
        hidden[figure][: len(release)] = ~release[shows].to_numpy(dtype=bool)
    return Mask(hidden["beneficiaries"], hidden["patients"])


def as_published(releases: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """Releases (each as :func:`disclosed` gives it) as the audit reads several: figures only where they were shown, rests
    without any, and ``version``: in all releases the same number for a cell that did not change.
    """
    number: dict[tuple[object, ...], int] = {}
    tables = []
    for release in releases:
        system = system_of(release)
        mask = mask_of(system, release)
        table = system.cells.assign(version=[number.setdefault(key, len(number)) for key in _identities(system)])
        for figure in FIGURES:
            table[figure] = pd.Series(system.value(figure), dtype="Int64").mask(mask[figure])
        tables.append(table)
    return tables


def with_earlier(system: System, earlier: Sequence[pd.DataFrame]) -> System:
    """The system of a release together with the earlier ones (each as :func:`disclosed` gives it).

    The cells of ``system`` come first and keep their positions.
    """
    at = {key: position for position, key in enumerate(_identities(system))}
    cells, counts, lines = [system.cells], [_counts(system)], dict.fromkeys(_lines(system, np.arange(len(system))))
    told: list[tuple[Positions, Mask, dict[Figure, Counts]]] = []
    for table in earlier:
        past = system_of(table)
        mask = mask_of(past, table)
        here = np.array([at.setdefault(key, len(at)) for key in _identities(past)])
        is_new = here >= sum(map(len, cells))
        cells.append(past.cells[is_new])
        counts.append(_counts(past)[is_new])
        lines |= dict.fromkeys(_lines(past, here))
        told.append((here, mask, lower_bounds(past, mask)))

    size, extra = len(at), len(at) - len(system)
    before = Before(
        is_past=np.arange(size) >= len(system),
        known={figure: np.zeros(size, dtype=bool) for figure in FIGURES},
        hidden={figure: np.zeros(size, dtype=bool) for figure in FIGURES},
        at_least={figure: np.zeros(size, dtype="int64") for figure in FIGURES},
    )
    for here, mask, lowest in told:
        for figure in FIGURES:
            before.known[figure][here[~mask[figure]]] = True
            before.hidden[figure][here[mask[figure]]] = True
            at_least = np.where(mask[figure], lowest[figure], 0)
            before.at_least[figure][here] = np.maximum(before.at_least[figure][here], at_least)
    sizes = [len(line) for line in lines]
    every = pd.concat(cells, ignore_index=True)
    value = np.concatenate(counts)
    itself = np.arange(len(system), size)
    return replace(
        system,
        cells=every,
        beneficiaries=value[:, 0],
        patients=value[:, 1],
        is_rest=np.concatenate([system.is_rest, np.zeros(extra, dtype=bool)]),
        line=np.repeat(np.arange(len(lines)), sizes),
        cell=np.array([cell for line in lines for cell in line], dtype="int64"),
        sign=np.array([sign for size in sizes for sign in (1, *[-1] * (size - 1))], dtype="int64"),
        total=np.concatenate([system.total, itself]),
        parent=np.concatenate([system.parent, np.full(extra, -1)]),
        within=areas_of(every),
        before=before,
    )


def _identities(system: System) -> list[tuple[object, ...]]:
    """What makes a cell the same unknown: its name and both of its counts."""
    return list(zip(*(system.cells[name] for name in KEY), system.beneficiaries, system.patients, strict=True))


def _counts(system: System) -> Counts:
    return np.column_stack([system.beneficiaries, system.patients])


def _lines(system: System, here: Positions) -> Iterator[tuple[int, ...]]:
    """The lines, total first, at new positions of the cells."""
    if not len(system.line):
        return
    for line in np.split(here[system.cell], np.flatnonzero(np.diff(system.line)) + 1):
        yield (int(line[0]), *sorted(line[1:].tolist()))
