"""Secondary suppression: the search for the cells that must be hidden, figure by figure.

For each hidden figure that is small, feasible alternatives (:mod:`~mm_pipeline.disclosure.alternatives`) are sought in which
it reaches t and takes t values in all; the shown cells that the cheapest of them moves are hidden as well. Each
alternative is a whole table that the reader cannot tell from the true one. So it is a proof, and stays one whatever is
hidden later. In the end, cells that later alternatives have made needless are shown again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice

import numpy as np

from mm_pipeline.dimensions import LEVELS
from mm_pipeline.disclosure.alternatives import Alternative, Block, Room, room_of
from mm_pipeline.disclosure.primary_rule import Counts, Flags
from mm_pipeline.disclosure.protection_levels import ALL, ProtectionLevels, plainly_known
from mm_pipeline.disclosure.proved_ranges import ProvedRanges
from mm_pipeline.disclosure.suppression import SuppressionPattern, apply_rules, hide_group, primary_pattern
from mm_pipeline.disclosure.system import FIGURES, TARGETS, Figure, Positions, System, Target

Scope = tuple[str, int]
"""A level and the number of an area of that level (``System.within``)."""
WHOLE: Scope = ("", -1)
"""The scope of the whole table."""
State = tuple[SuppressionPattern, ProvedRanges, dict[Target, Flags] | None, bool]
"""What a search has come to: pattern, ranges, what is plainly known, and whether that was found before more was hidden."""


def _figures_of(target: Target) -> tuple[Figure, ...]:
    """The figures that may be hidden to protect a target, the more useful first."""
    return ("beneficiaries",) if target == "beneficiaries" else ("patients", "beneficiaries")


class Search:
    """The growing suppression pattern of a system, and the ranges proved under it.

    ``start``: a pattern of the first cells to begin with. Then all blocks are searched before anything more is hidden for a
    figure, so that a sufficient pattern stays as it is. ``highest``: the highest level on which more may be hidden.
    ``failed``: in the end, the cells that could not be protected; in a first release there are none.
    """

    def __init__(
        self,
        system: System,
        disclosure_threshold: int,
        start: SuppressionPattern | None = None,
        *,
        highest: str = LEVELS[0],
    ) -> None:
        self._system = system
        self._t = disclosure_threshold
        self._pattern = primary_pattern(system, disclosure_threshold)
        if start is not None:
            for figure in FIGURES:
                self._pattern[figure][: len(start[figure])] |= start[figure]
            apply_rules(system, self._pattern)
        self._given = self._pattern.copy()
        self._starts_anew = start is None
        self._levels = ProtectionLevels(system, disclosure_threshold)
        self._proved = ProvedRanges.initial(system)
        self._is_of_sectors = (system.cells["level"] == "sector").to_numpy(dtype=bool)
        self._blocks: dict[tuple[Scope, bool], Block] = {}
        # Blocks in which an alternative moves other unprotected figures too. In larger ones it would move many cells, and
        # no longer protect any of them when one is shown again.
        self._local: set[Block] = set()
        self._rooms: dict[Block, tuple[bytes, Room]] = {}
        self._plain: dict[Target, Flags] | None = None
        self._is_plain_old = False
        above = LEVELS[: LEVELS.index(highest)]
        self._stays_shown = system.before.is_past | system.cells["level"].isin(above).to_numpy(dtype=bool)
        before = system.before
        self._must = not before.is_past.any() and not any(before.known[figure].any() for figure in FIGURES)
        self.failed: list[int] = []

    def pattern(self) -> SuppressionPattern:
        """Hide cells until every figure that can be protected is. Returns the suppression pattern."""
        while True:
            before = (self._pattern.beneficiaries.sum(), self._pattern.patients.sum())
            self.failed = [
                cell
                for cell, target in self._unmet_in_order()
                if self._is_unmet(cell, target) and not self._satisfy(cell, target)
            ]
            if before == (self._pattern.beneficiaries.sum(), self._pattern.patients.sum()):
                break
        self._clear_up()
        return self._pattern

    def _unmet_in_order(self) -> Iterator[tuple[int, Target]]:
        """Unprotected figures: sensitive ones first, then by level and totals, as later ones can use what these hide."""
        for is_sensitive in (True, False):
            for target in TARGETS:
                unmet = self._unmet(target) & (self._levels.is_sensitive[target] == is_sensitive)
                for cell in self._levels.order[unmet[self._levels.order]]:
                    yield int(cell), target

    def _is_unmet(self, cell: int, target: Target) -> bool:
        return bool(self._unmet(target, np.array([cell]))[0])

    def _unmet(self, target: Target, cells: Positions | slice = ALL) -> Flags:
        return self._levels.unmet(target, self._pattern, self._proved, cells)

    # --- how a figure is protected ------------------------------------------------------------------------------------

    def _satisfy(self, cell: int, target: Target) -> bool:
        if not self._levels.is_sensitive[target][cell] and not self._could_be_small(cell, target):
            return True
        scopes = list(self._scopes(cell, target))
        if scopes[0][0] == "municipality" and self._satisfied_in(scopes[:1], cell, target):
            return True
        # Either cells elsewhere or its whole group (R2), whichever hides less.
        best = self._attempt(lambda: self._satisfied_in(scopes, cell, target))
        if best is None or best[0] > self._worth_of_group(cell):
            group = self._attempt(lambda: self._satisfied_without_group(cell, target))
            if group is not None and (best is None or group[0] <= best[0]):
                best = group
        if best is None and not self._stays_shown[~self._system.before.is_past].any():
            best = self._attempt(lambda: self._satisfied_at_any_price(cell, target))
            assert best is not None or not self._must, "with everything hidden, every figure is free"
        if best is not None:
            self._restore(best[1])
        return best is not None

    def _satisfied_at_any_price(self, cell: int, target: Target) -> bool:
        """Hide by R2, then R1 area by area up to the top, then whole areas: with everything hidden, any figure is free."""
        if self._satisfied_without_group(cell, target):
            return True
        total = int(self._system.total[cell])
        while total >= 0:
            for figure in _figures_of(target):
                self._pattern[figure][total] = True
                self._grown()
                if self._satisfied_in([WHOLE], cell, target):
                    return True
            total = int(self._system.parent[total])
        for scope in list(self._scopes(cell, target)):
            inside = self._block(scope, joint=True).cells
            self._pattern.beneficiaries[inside[self._system.beneficiaries[inside] > 0]] = True
            self._grown()
            if self._satisfied_in([WHOLE], cell, target):
                return True
        return False

    def _satisfied_without_group(self, cell: int, target: Target) -> bool:
        """Hide the patients of the cell's whole group, zeros included (R2). Returns whether that helps."""
        group = self._group_of(cell)
        if target == "beneficiaries" or group < 0 or self._stays_shown[self._system.group == group].any():
            return False
        hide_group(self._system, self._pattern, group)
        self._grown()
        return self._satisfied_in(list(self._scopes(cell, target)), cell, target)

    def _worth_of_group(self, cell: int) -> float:
        """The worth of what is lost if the patients of the cell's whole group are hidden."""
        inside = self._system.group == self._group_of(cell)
        return float(self._system.weight[inside & ~self._pattern.patients & (self._system.beneficiaries > 0)].sum())

    def _group_of(self, cell: int) -> int:
        """The group of a cell; of an unknown sector, that of the sectors of its municipality."""
        group, municipality = self._system.group, self._system.within["municipality"]
        if self._is_of_sectors[cell] and group[cell] < 0:
            beside = self._is_of_sectors & (group >= 0) & (municipality == municipality[cell])
            return int(group[beside][0]) if beside.any() else -1
        return int(group[cell])

    def _satisfied_in(self, scopes: Sequence[Scope], cell: int, target: Target) -> bool:
        """Take alternatives in the first of these blocks, small to large, that suffice. Returns whether one does."""
        for free in (False,) if self._starts_anew else (True, False):
            for scope in scopes:
                if any(self._satisfied_by(block, cell, target, free=free) for block in self._ways(scope, cell, target)):
                    return True
        return False

    def _ways(self, scope: Scope, cell: int, target: Target) -> Iterator[Block]:
        """The block with every N standing still, then with hidden N moving as well, each where it may be of use."""
        people, hidden = self._system.beneficiaries[cell], self._pattern.beneficiaries
        if target != "beneficiaries" and people >= self._t:
            yield self._block(scope, joint=False)
        moves = hidden & ~self._system.is_residual & ~self._system.before.is_change
        if hidden[cell] or moves[self._block(scope, joint=False).cells].any():
            yield self._block(scope, joint=True)

    def _satisfied_by(self, block: Block, cell: int, target: Target, *, free: bool = False) -> bool:
        """Take the cheapest alternatives of a block: first up to t, then until the figure takes t values."""
        value = int(self._system.value(target)[cell])
        cap = int(self._levels.cap(target, self._pattern, np.array([cell]))[0])
        if self._proved.highest(target)[cell] < cap:
            alternative = self._cheapest(block, cell, target, cap - value, free)
            if alternative is None:
                return False
            self._take(block, alternative)
        while True:
            low, high = int(self._proved.lowest(target)[cell]), int(self._proved.highest(target)[cell])
            missing = self._t - 1 - (high - low)
            for further in range(missing, 0, -1):
                alternative = self._cheapest(block, cell, target, low - further - value, free)
                if alternative is None or alternative.cost > 0:
                    upwards = self._cheapest(block, cell, target, high + further - value, free)
                    if alternative is None or (upwards is not None and upwards.cost < alternative.cost):
                        alternative = upwards
                if alternative is not None:
                    self._take(block, alternative)
                    break
            else:
                return missing <= 0

    def _could_be_small(self, cell: int, target: Target) -> bool:
        """Whether the reader could take a figure for a sensitive one, given what is hidden so far."""
        if self._is_plainly_known(cell, target):
            return False
        value = int(self._system.value(target)[cell])
        by = 1 if value == 0 else self._t - 1 - value
        if self._proved.highest(target)[cell] - value >= by > 0 or self._proved.lowest(target)[cell] - value <= by < 0:
            return True
        # m = 0 in a cell that may have people: could all of them be patients?
        also: list[tuple[Target, int]] = [("patients", 1)] if target == "others" and value == 0 else []
        questions: list[tuple[Target, int]] = [(target, by), *also]
        return any(
            block.cheapest(cell, asked, to, self._room(block), free=True) is not None
            for block in (self._block(scope, joint=True) for scope in self._scopes(cell, target))
            for asked, to in questions
        )

    def _is_plainly_known(self, cell: int, target: Target) -> bool:
        # What is not known stays so while more is hidden.
        if self._plain is None or (self._is_plain_old and self._plain[target][cell]):
            self._plain, self._is_plain_old = plainly_known(self._system, self._pattern), False
        return bool(self._plain[target][cell])

    def _cheapest(self, block: Block, cell: int, target: Target, by: int, free: bool = False) -> Alternative | None:
        """The cheapest alternative, including those that hide a total first: R1 gives its breakdowns more room."""
        along = partial(self._along, block) if block in self._local and not free else None
        alternative = block.cheapest(cell, target, by, self._room(block), free=free, along=along)
        if alternative is None or alternative.cost == 0:
            return alternative
        moved = alternative.cells[alternative.change["patients"] != 0]
        totals = np.append(moved[~self._system.is_breakdown[moved]], self._system.total[cell])
        for total in totals[~self._pattern.patients[totals] & ~self._stays_shown[totals]]:
            price = float(self._room(block).cost["patients"][block.place[int(total)]])
            if price >= alternative.cost:
                continue
            hidden = self._pattern.copy()
            hidden.patients[total] = True
            apply_rules(self._system, hidden)
            found = block.cheapest(cell, target, by, self._room_of(block, hidden))
            if found is not None and found.cost + price < alternative.cost:
                alternative = replace(found, cost=found.cost + price, total=int(total))
        return alternative

    def _along(self, block: Block) -> dict[Figure, Counts]:
        """The ways of a block's figures that are not protected yet: up, or down where the others are to go up."""
        people, n, others = (self._unmet(target, block.cells).astype("int64") for target in TARGETS)
        return {"beneficiaries": people, "patients": n - others}

    # --- trying -------------------------------------------------------------------------------------------------------

    def _copy(self) -> State:
        return self._pattern.copy(), self._proved.copy(), self._plain, self._is_plain_old

    def _restore(self, state: State) -> None:
        self._pattern, self._proved, self._plain, self._is_plain_old = state

    def _attempt(self, way: Callable[[], bool]) -> tuple[float, State] | None:
        """The loss by ``way``, and the state that it leads to; None if ``way`` fails. This search is not changed."""
        before = self._copy()
        succeeded = way()
        weight, was = self._system.weight, before[0]
        lost = sum(weight[self._pattern[figure] & ~was[figure]].sum() for figure in FIGURES)
        after = self._pattern, self._proved, self._plain, self._is_plain_old
        self._restore(before)
        return (float(lost), after) if succeeded else None

    # --- clearing up --------------------------------------------------------------------------------------------------

    def _clear_up(self) -> None:
        """Show again the cells that others, hidden later, made needless: totals first, then those with most people.

        Sectors are left out: one of them is enough for another, and it is not hidden before it is needed.
        """
        system, pattern = self._system, self._pattern
        is_breakdown = system.is_breakdown
        needless = pattern.patients & ~self._given.patients & (system.patients > 0)
        needless &= ~self._is_of_sectors & ~pattern.beneficiaries
        for cell in np.lexsort((-system.beneficiaries, is_breakdown)):
            # A breakdown of a hidden total is hidden with it.
            if needless[cell] and not (is_breakdown[cell] and self._pattern.patients[system.total[cell]]):
                before = self._copy()
                if not self._can_show(int(cell)):
                    self._restore(before)

    def _can_show(self, cell: int) -> bool:
        """Show a cell. Returns whether the figures that its moving protected are still protected without it."""
        system = self._system
        touched = system.total == cell
        touched[cell] = True
        if system.group[cell] >= 0:
            touched |= system.group == system.group[cell]
        self._pattern.patients[
            touched & (system.patients == 0) & ~self._given.patients & ~self._pattern.beneficiaries
        ] = False
        self._pattern.patients[cell] = False
        # What was unprotected before is not small enough to tell anything.
        harmless = {target: self._unmet(target) for target in TARGETS}
        self._proved = self._proved.without(touched)
        for target in TARGETS:
            for other in np.flatnonzero(self._unmet(target) & ~harmless[target]):
                # Nearby only: further away the search takes long and shows few more.
                joint = bool(self._pattern.beneficiaries[other])
                blocks = (self._block(scope, joint) for scope in islice(self._scopes(int(other), target), 2))
                if self._is_unmet(int(other), target) and not any(
                    self._satisfied_by(block, int(other), target, free=True) for block in blocks
                ):
                    return False
        return True

    # --- alternatives ----------------------------------------------------------------------------------------------------

    def _take(self, block: Block, alternative: Alternative) -> None:
        """Hide what the alternative moves, and record the ranges it proves, and its reverse where that is feasible."""
        if alternative.cost > 0:
            if alternative.total is not None:
                self._pattern.patients[alternative.total] = True
            for figure, change in alternative.change.items():
                self._pattern[figure][alternative.cells[change != 0]] = True
            self._grown()
        places = np.flatnonzero(np.any(list(alternative.change.values()), axis=0))
        cells, n = alternative.cells[places], alternative.change["patients"][places]
        people = alternative.change["beneficiaries"][places] if "beneficiaries" in alternative.change else 0 * n
        change = np.stack([people, n, people - n])
        self._proved.add(cells, change)
        # The reverse adds up as well; it is feasible where each cell has the room for it.
        room = self._room(block)
        has_room = all(
            (-moved <= room.up[figure][places]).all() and (moved <= room.down[figure][places]).all()
            for figure, moved in zip(FIGURES, (people, n), strict=True)
        )
        if has_room and (people - n <= self._system.others[cells]).all():
            self._proved.add(cells, -change)

    def _grown(self) -> None:
        apply_rules(self._system, self._pattern)
        self._is_plain_old = True

    def _room(self, block: Block) -> Room:
        """The room of a block under the present pattern."""
        hidden = self._pattern.beneficiaries[block.cells].tobytes() + self._pattern.patients[block.cells].tobytes()
        if self._rooms.get(block, (b"",))[0] != hidden:
            self._rooms[block] = hidden, self._room_of(block, self._pattern)
        return self._rooms[block][1]

    def _room_of(self, block: Block, pattern: SuppressionPattern) -> Room:
        return room_of(self._system, pattern, block.cells, 8 * self._t, self._stays_shown)

    # --- areas --------------------------------------------------------------------------------------------------------

    def _scopes(self, cell: int, target: Target) -> Iterator[Scope]:
        """The scopes in which a cell is tried, small to large: sectors by themselves where their total is shown."""
        within = self._system.within
        total = self._system.parent[cell]
        if self._is_of_sectors[cell] and total >= 0 and not self._pattern[_figures_of(target)[0]][total]:
            yield "municipality", int(within["municipality"][cell])
        for level in ("arrondissement", "province", "region"):
            if within[level][cell] >= 0:
                yield level, int(within[level][cell])
        yield WHOLE

    def _block(self, scope: Scope, joint: bool) -> Block:
        if (scope, joint) not in self._blocks:
            level, number = scope
            inside = np.ones(len(self._system), dtype=bool)
            if scope != WHOLE:
                inside = self._system.within[level] == number
            if level == "municipality":
                inside &= self._is_of_sectors
            block = self._blocks[scope, joint] = Block(self._system, np.flatnonzero(inside), joint=joint)
            if level == "arrondissement" and not joint:
                self._local.add(block)
        return self._blocks[scope, joint]
