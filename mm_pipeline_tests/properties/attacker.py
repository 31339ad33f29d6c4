"""The reader who wants to know: what the figures of a release leave open, by search alone.

What belongs here: the specification of the disclosure control in the most obvious Python there is (dicts, lists,
recursion), so that an error of the protection or of the audit would have to be made twice to go unseen. What does not:
pandas, a solver, and above all anything out of `mm_pipeline`.

A release is a list of rows, a row a dict in the shape of `protected_rates`: hidden figures are None. By
`version_beneficiaries` and `version_patients` (or `version` for both) a figure is known in another release; `change` says of
a cell that since the release before persons only came (1) or only went (-1). Several releases of a year are given newest
first. The answers are exact: a figure's interval goes from the smallest to the largest whole number that some completion of
all releases together gives it, the bounds of which are shown by a completion that was found on the inside and by an
exhausted search on the outside.
"""

import itertools
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis.errors import UnsatisfiedAssumption

Row = Mapping[str, Any]
Release = Sequence[Row]
Cell = tuple[str, str, str, str]  # (level, area_code, dimension, category)
Unknown = tuple[Cell, object, str]  # (cell, version, figure)
Versions = tuple[object, object]  # of beneficiaries and of patients
Interval = tuple[int, int | None]  # None: without an upper end
Terms = list[tuple[int, int]]  # (variable, +1 or -1)

LEVEL_BELOW = {
    "country": "region",
    "region": "province",
    "province": "arrondissement",
    "arrondissement": "municipality",
    "municipality": "sector",
}
BREAKDOWNS = {
    "sex": ("M", "F"),
    "age_group": ("0-17", "18-64", "65+"),
    "preferential": ("0", "1"),
}
CLASSES = {
    "0-17": ("0-17",),
    "18-64": ("18-24", "25-44", "45-64"),
    "65+": ("65-74", "75-84", "85+"),
}
TOTAL = ("total", "total")
FIGURES = ("beneficiaries", "patients", "others")
UNASSIGNED = "unassigned"


class ContradictionError(Exception):
    """No table at all agrees with the releases."""


class TooHardError(UnsatisfiedAssumption):
    """The search gave up: the tables of a test are meant to be small. An example that is drawn at random is drawn anew."""


def intervals(releases: Sequence[Release], threshold: int, patience: int = 20_000) -> dict[tuple[Cell, str], Interval]:
    """(cell, figure) -> (lowest, highest) for every figure of the newest release's cells and residuals, shown ones too."""
    newest = system_of(releases).newest
    found = conclusions(releases, threshold, patience)
    return {(cell, figure): found[cell, newest[cell], figure][0] for cell in newest for figure in FIGURES}


def broken(releases: Sequence[Release], threshold: int, patience: int = 20_000) -> list[tuple[Cell, str]]:
    """The (cell, figure) of any of the releases for which the promise does not hold, sorted."""
    found = conclusions(releases, threshold, patience)
    return sorted({(cell, figure) for (cell, _, figure), (_, is_wrong) in found.items() if is_wrong})


def conclusions(
    releases: Sequence[Release], threshold: int, patience: int = 20_000
) -> dict[tuple[Cell, Versions, str], tuple[Interval, bool]]:
    """(cell, versions, figure) -> the interval, and whether it breaks the promise; cells and residuals of all releases."""
    system = system_of(releases)
    every = {(cell, versions) for cells in system.cells.values() for cell, versions in cells.items()}
    wanted = {unknown_of(*one, figure) for one in every for figure in FIGURES}
    found = Search(system, threshold, patience).intervals(wanted)
    result = {}
    for cell, versions in every:
        people, patients, _ = (unknown_of(cell, versions, figure) for figure in FIGURES)
        for figure in FIGURES:
            interval = found[unknown_of(cell, versions, figure)]
            is_wrong = is_broken(figure, interval, found[patients], system.known.get(people), threshold)
            result[cell, versions, figure] = interval, is_wrong
    return result


def is_broken(figure: str, interval: Interval, patients: Interval, shown_people: int | None, threshold: int) -> bool:
    """The promise for one figure; ``patients`` is the interval of the cell's n, ``shown_people`` its N where shown."""
    lowest, highest = interval
    narrow = highest is not None and highest - lowest < threshold - 1
    can_be_small = lowest <= threshold - 1 and (highest is None or highest >= 1)
    cap = threshold
    if figure == "others" and shown_people is not None:
        # Not all of them are others, since a hidden n is at least 1: for N = t the others cannot be t.
        cap = min(threshold, shown_people - 1)
    if can_be_small and (narrow or (highest is not None and highest < cap)):
        return True
    may_have_patients = patients[1] is None or patients[1] > 0
    return figure == "others" and lowest == 0 and may_have_patients and narrow


# --- what the reader knows -------------------------------------------------------------------------------------------


@dataclass
class System:
    """Unknowns with what is known of them, and the sums that they are in."""

    newest: dict[Cell, Versions] = field(default_factory=dict)
    """cells and residuals of the newest release -> their versions, of beneficiaries and of patients"""
    cells: dict[int, dict[Cell, Versions]] = field(default_factory=dict)
    """the same for every release, 0 being the newest"""
    changed: dict[Cell, tuple[Versions, int]] = field(default_factory=dict)
    """of the last release that was added: the versions of its cells, and if they grew (1) or shrank (-1) since before"""
    sums: list[tuple[Cell, list[Cell]]] = field(default_factory=list)
    """of the last release that was added: (total, parts)"""
    known: dict[Unknown, int] = field(default_factory=dict)
    lowest: dict[Unknown, int] = field(default_factory=dict)
    """every unknown of every release -> its lower bound"""
    lines: set[tuple[Unknown, tuple[Unknown, ...]]] = field(default_factory=set)
    """(total, parts)"""


def system_of(releases: Sequence[Release]) -> System:
    system = System()
    for position, rows in enumerate(releases):
        _add_release(system, position, [dict(row) for row in rows])
    for (cell, version, figure), value in system.known.items():
        people, patients = (system.known.get((cell, version, name)) for name in ("beneficiaries", "patients"))
        if value < 0 or (people is not None and patients is not None and patients > people):
            raise ContradictionError(f"{figure} of {cell}: {value}")
    return system


def _add_release(system: System, position: int, rows: list[dict[str, Any]]) -> None:
    shown = {cell_of(row): row for row in rows if not is_residual(row)}
    carried = {cell_of(row): row for row in rows if is_residual(row)}
    if len(shown) + len(carried) != len(rows):
        raise ValueError("a cell is there twice")

    version: dict[Cell, Versions] = {cell: versions_of(row) for cell, row in shown.items()}
    for residual in residuals_of(shown):
        # A residual that carries no version is the same unknown in no other release.
        version[residual] = versions_of(carried[residual]) if residual in carried else (-1 - position, -1 - position)

    lowest = lower_bounds(shown)
    for cell, own in version.items():
        for figure in FIGURES:
            unknown = unknown_of(cell, own, figure)
            system.lowest[unknown] = max(system.lowest.get(unknown, 0), lowest.get((cell, figure), 0))
            value = shown[cell].get(figure) if cell in shown and figure != "others" else None
            if value is not None and system.known.setdefault(unknown, value) != value:
                raise ContradictionError(f"{figure} of {cell}: {value} and {system.known[unknown]}")
        people, patients, others = (unknown_of(cell, own, figure) for figure in FIGURES)
        system.lines.add((people, (patients, others)))
    lines = lines_of(shown)
    for total, parts in lines:
        for figure in FIGURES:
            terms = tuple(unknown_of(part, version[part], figure) for part in parts)
            system.lines.add((unknown_of(total, version[total], figure), terms))
    # Releases come newest first: the one that was added before this one says how it changed since this one.
    came: dict[Cell, tuple[Cell, Versions]] = {}
    for cell, (newer, change) in system.changed.items():
        if cell in version and change and version[cell] != newer:
            more, less = (newer, version[cell]) if change > 0 else (version[cell], newer)
            own = came[cell] = (cell, ("change", more, less))
            for figure in FIGURES:
                system.lowest[(*own, figure)] = int(figure == "beneficiaries")  # somebody came
                terms = (unknown_of(cell, less, figure), (*own, figure))
                system.lines.add((unknown_of(cell, more, figure), terms))
            people, patients, others = ((*own, figure) for figure in FIGURES)
            system.lines.add((people, (patients, others)))
    for total, parts in lines:
        # What came adds up as well. That follows from the sums of both releases, but bounds do not travel that far.
        if total in came and (total, parts) in system.sums:
            ways = {system.changed[part][1] for part in [total, *parts] if part in came}
            for figure in FIGURES:
                moved = [part for part in parts if not is_same(part, system.changed[part][0], version[part], figure)]
                if len(ways) == 1 and all(part in came for part in moved):
                    system.lines.add(((*came[total], figure), tuple((*came[part], figure) for part in moved)))
    system.sums = lines
    rows_by_cell = {**shown, **carried}
    system.changed = {cell: (own, rows_by_cell.get(cell, {}).get("change", 0)) for cell, own in version.items()}
    system.cells[position] = version
    if position == 0:
        system.newest = version


def versions_of(row: Row) -> Versions:
    """``version`` stands for both."""
    both = row.get("version", 0)
    return row.get("version_beneficiaries", both), row.get("version_patients", both)


def unknown_of(cell: Cell, versions: Versions, figure: str) -> Unknown:
    """A number of people has its own version, and so has one of patients; what is left has those of both."""
    people, patients = versions
    return cell, {"beneficiaries": people, "patients": patients, "others": versions}[figure], figure


def is_same(cell: Cell, one: Versions, other: Versions, figure: str) -> bool:
    return unknown_of(cell, one, figure) == unknown_of(cell, other, figure)


def cell_of(row: Row) -> Cell:
    return row["level"], row["area_code"], row["dimension"], row["category"]


def is_residual(row: Row) -> bool:
    return row["level"] == UNASSIGNED or (row["level"] == "sector" and row["area_code"].endswith("ZZZZ"))


def residuals_of(shown: Mapping[Cell, Row]) -> list[Cell]:
    """The children that are never published: the unknown sectors, and the country's unassigned in every category."""
    municipalities = {row["parent_code"] for cell, row in shown.items() if cell[0] == "sector"}
    residuals = [
        ("sector", f"{code}ZZZZ", *TOTAL) for code in sorted(municipalities) if ("municipality", code, *TOTAL) in shown
    ]
    if any(cell[0] == "region" for cell in shown):
        residuals += [(UNASSIGNED, UNASSIGNED, *cell[2:]) for cell in shown if cell[0] == "country"]
    return residuals


def lines_of(shown: Mapping[Cell, Row]) -> list[tuple[Cell, list[Cell]]]:
    """Everything that adds up in one release: (total, parts)."""
    residuals = residuals_of(shown)
    every = [*shown, *residuals]
    lines: list[tuple[Cell, list[Cell]]] = []

    children: dict[Cell, list[Cell]] = {}
    for cell, row in shown.items():
        for above, below in LEVEL_BELOW.items():
            if below == cell[0]:
                children.setdefault((above, row["parent_code"], *cell[2:]), []).append(cell)
    for total, parts in children.items():
        if total not in shown:
            continue
        level, code, *category = total
        residual = (
            ("sector", f"{code}ZZZZ", *category) if level == "municipality" else (UNASSIGNED, UNASSIGNED, *category)
        )
        has_residual = level in ("municipality", "country")
        lines.append((total, [*parts, residual] if has_residual else parts))

    for level, code, *category in every:
        wholes = []
        if tuple(category) == TOTAL:
            wholes = list(BREAKDOWNS.items())
        elif category[0] == "age_group":
            wholes = [("age_class", CLASSES[category[1]])]
        for dimension, names in wholes:
            parts = [(level, code, dimension, name) for name in names]
            there = [part for part in parts if part in shown or part in residuals]
            if there and there != parts:
                raise ValueError(f"an incomplete breakdown: {there}")
            if there:
                lines.append(((level, code, *category), parts))
    return lines


def lower_bounds(shown: Mapping[Cell, Row]) -> dict[tuple[Cell, str], int]:
    """Zeros are shown: what a hidden figure of one release is at least, which is 1 but for the exceptions."""
    bounds: dict[tuple[Cell, str], int] = {}

    def together(row: Row) -> list[Row]:
        level, code, dimension, _ = cell_of(row)
        if level == "sector":
            return [r for cell, r in shown.items() if cell[0] == "sector" and r["parent_code"] == row["parent_code"]]
        if dimension == "total":
            return [row | {"patients": 0, "beneficiaries": 1}]
        return [r for cell, r in shown.items() if cell[:3] == (level, code, dimension)]

    for cell, row in shown.items():
        level, code, dimension, _ = cell
        for figure in ("beneficiaries", "patients"):
            if row[figure] is not None:
                continue
            at_least = 1
            if figure == "patients" and row["beneficiaries"] is None:
                at_least = 0
            total = shown.get((level, code, *TOTAL))
            if dimension != "total" and total is not None and total[figure] is None:
                at_least = 0
            # The patients of all sectors of a municipality, or of all categories of a breakdown, may be hidden as a whole.
            # Where one of them shows N = 0 it shows n = 0 too, whatever the others do.
            if figure == "patients" and all(
                other["patients"] is None for other in together(row) if other["beneficiaries"] != 0
            ):
                at_least = 0
            bounds[cell, figure] = at_least
    return bounds


# --- what that leaves open -------------------------------------------------------------------------------------------


class Search:
    """Depth-first search with propagation of bounds, exact, over the figures that are not known.

    N, n and m are three unknowns of each cell (N = n + m), and every sum is written for all three: the third one
    follows from the other two, but bounds travel further with it.

    Figures without an upper end. Only where a hidden N has no shown N above it, a figure can be as large as one likes;
    a search needs an end, though. Every upper bound that there is comes from adding and subtracting lines, so it is
    not above ``enough`` = all the known numbers of the lines, all the lower bounds, and 3t on top. Whether a figure
    has an upper end is thus the question whether it can be ``enough``, which is asked with room for the others (eight
    times that) to go along. Were a bounded figure taken for an unbounded one, the promise would not notice: it only
    asks whether the interval reaches t and is t wide.
    """

    def __init__(self, system: System, threshold: int, patience: int) -> None:
        self.patience = patience
        self.index: dict[Unknown, int] = {unknown: number for number, unknown in enumerate(system.lowest)}
        self.low = list(system.lowest.values())
        for unknown, value in system.known.items():
            self.low[self.index[unknown]] = value
        shown = sum(system.known.values())
        self.enough = shown + sum(self.low) + 3 * threshold
        self.high = [8 * self.enough] * len(self.low)
        for unknown, value in system.known.items():
            self.high[self.index[unknown]] = value
        self.lines: list[Terms] = []
        for total, parts in system.lines:
            terms = Counter(self.index[part] for part in parts)
            terms[self.index[total]] -= 1
            self.lines.append([(variable, sign) for variable, sign in terms.items() if sign])
        self.lines_with: list[list[int]] = [[] for _ in self.low]
        for number, line in enumerate(self.lines):
            for variable, _ in line:
                self.lines_with[variable].append(number)
        if not self.propagate(self.low, self.high, range(len(self.lines))):
            raise ContradictionError("no table agrees with the releases")
        for line in self.differences():
            for variable, _ in line:
                self.lines_with[variable].append(len(self.lines))
            self.lines.append(line)

    def differences(self) -> list[Terms]:
        """Lines less one another, where several unknowns cancel out.

        They follow from the lines and say nothing new, but bounds do not travel through an unknown that stands in two
        lines: what two overlapping sums differ by (two releases, above all) is seen at once only in their difference.
        """
        free = {}
        for number, line in enumerate(self.lines):
            terms = {variable: sign for variable, sign in line if self.low[variable] < self.high[variable]}
            free[number] = terms, sum(sign * self.low[variable] for variable, sign in line if variable not in terms)
        seen: set[frozenset[tuple[int, int]]] = set()
        result: list[Terms] = []
        for (one, constant), (other, less) in itertools.combinations(free.values(), 2):
            common = one.keys() & other.keys()
            if len(common) < 2:
                continue
            factor = -1 if sum(one[variable] * other[variable] for variable in common) > 0 else 1
            terms = {
                variable: total
                for variable in one.keys() | other.keys()
                if (total := one.get(variable, 0) + factor * other.get(variable, 0))
            }
            if any(abs(sign) > 1 for sign in terms.values()) or frozenset(terms.items()) in seen:
                continue
            seen.add(frozenset(terms.items()))
            # The known part of the sum stands there as one more number, which is fixed.
            rest = constant + factor * less
            self.low.append(abs(rest))
            self.high.append(abs(rest))
            self.lines_with.append([])
            result.append([*sorted(terms.items()), (len(self.low) - 1, 1 if rest >= 0 else -1)])
        return result

    def intervals(self, unknowns: Iterable[Unknown]) -> dict[Unknown, Interval]:
        part_of: dict[int, list[int]] = {}
        witnesses: dict[int, list[dict[int, int]]] = {}
        free = [variable for variable in range(len(self.low)) if self.low[variable] < self.high[variable]]
        for part in self.parts(free, self.low, self.high):
            found = self.ask(part, {}, None)
            if found is None:
                raise ContradictionError("no table agrees with the releases")
            shared = [found]
            for variable in part:
                part_of[variable], witnesses[variable] = part, shared
        result: dict[Unknown, Interval] = {}
        for unknown in unknowns:
            variable = self.index[unknown]
            if variable not in part_of:
                result[unknown] = self.low[variable], self.low[variable]
            else:
                result[unknown] = self.ends(variable, part_of[variable], witnesses[variable])
        return result

    def ends(self, variable: int, part: list[int], witnesses: list[dict[int, int]]) -> Interval:
        lowest = self.end(variable, part, witnesses, -1, self.low[variable])
        highest = self.high[variable]
        if highest > self.enough:
            found = self.ask(part, {variable: (self.enough, highest)}, max(witnesses, key=lambda each: each[variable]))
            if found is not None:
                # Not kept as a plain_reader: a search that starts near it wanders among large numbers.
                return lowest, None
            highest = self.enough - 1
        return lowest, self.end(variable, part, witnesses, 1, highest)

    def end(self, variable: int, part: list[int], witnesses: list[dict[int, int]], sign: int, outer: int) -> int:
        """The last value in the direction ``sign`` that the figure can take; none is beyond ``outer``."""
        nearest = max(witnesses, key=lambda each: sign * each[variable])
        # The outermost value first, which mostly is possible; then halves of what is left.
        first = outer
        while (inner := nearest[variable]) != outer:
            found = self.ask(part, {variable: (min(first, outer), max(first, outer))}, nearest)
            if found is None:
                outer = first - sign
            else:
                witnesses.append(found)
                nearest = found
            first = nearest[variable] + sign * ((abs(outer - nearest[variable]) + 1) // 2)
        return inner

    def ask(
        self, part: list[int], within: dict[int, tuple[int, int]], near: dict[int, int] | None
    ) -> dict[int, int] | None:
        """A completion of the figures of ``part`` with some of them held ``within`` bounds; None when there is none."""
        low, high = self.low.copy(), self.high.copy()
        touched = set()
        for variable, (least, most) in within.items():
            low[variable], high[variable] = max(low[variable], least), min(high[variable], most)
            touched.update(self.lines_with[variable])
            if low[variable] > high[variable]:
                return None
        if not self.propagate(low, high, touched):
            return None
        self.steps = 0
        return self.solve(part, low, high, near or {})

    def solve(
        self, variables: list[int], low: list[int], high: list[int], near: dict[int, int]
    ) -> dict[int, int] | None:
        """What is left after each choice falls apart into parts that have nothing to do with each other."""
        solution = {variable: low[variable] for variable in variables}
        free = [variable for variable in variables if low[variable] < high[variable]]
        for part in sorted(self.parts(free, low, high), key=len):
            found = self.branch(part, low, high, near)
            if found is None:
                return None
            solution.update(found)
        return solution

    def branch(self, part: list[int], low: list[int], high: list[int], near: dict[int, int]) -> dict[int, int] | None:
        self.steps += 1
        if self.steps > self.patience:
            raise TooHardError(f"{len(part)} figures")
        variable = min(part, key=lambda each: (high[each] - low[each], -len(self.lines_with[each]), each))
        least, most = low[variable], high[variable]
        value = min(max(near.get(variable, least), least), most)
        for first, last in ((value, value), (least, value - 1), (value + 1, most)):
            if first > last:
                continue
            lower, higher = low.copy(), high.copy()
            lower[variable], higher[variable] = first, last
            if self.propagate(lower, higher, self.lines_with[variable]):
                found = self.solve(part, lower, higher, near)
                if found is not None:
                    return found
        return None

    def propagate(self, low: list[int], high: list[int], lines: Iterable[int]) -> bool:
        """Narrow the bounds in place by every line until nothing moves; False when a line cannot add up."""
        waiting = deque(lines)
        queued = set(waiting)
        while waiting:
            number = waiting.popleft()
            queued.discard(number)
            line = self.lines[number]
            least = most = 0
            for variable, sign in line:
                if sign > 0:
                    least += low[variable]
                    most += high[variable]
                else:
                    least -= high[variable]
                    most -= low[variable]
            if least > 0 or most < 0:
                return False
            if least == most:
                continue
            # A line is zero in all: with the others at their least, a term has -least to go up from its own least.
            for variable, sign in line:
                down, up = low[variable], high[variable]
                if down == up:
                    continue
                if sign > 0:
                    new_down, new_up = max(down, up - most), min(up, down - least)
                else:
                    new_down, new_up = max(down, up + least), min(up, down + most)
                if new_down > new_up:
                    return False
                if new_down > down or new_up < up:
                    low[variable], high[variable] = new_down, new_up
                    # The sums of this line in hand are wider than the truth now, which is only slower.
                    for other in self.lines_with[variable]:
                        if other not in queued:
                            queued.add(other)
                            waiting.append(other)
        return True

    def parts(self, free: list[int], low: list[int], high: list[int]) -> list[list[int]]:
        """The variables in groups such that no line joins two groups."""
        left = set(free)
        parts = []
        for start in free:
            if start not in left:
                continue
            left.remove(start)
            part = [start]
            for variable in part:
                for number in self.lines_with[variable]:
                    for other, _ in self.lines[number]:
                        if other in left:
                            left.remove(other)
                            part.append(other)
            parts.append(sorted(part))
        return parts
