"""What must be hidden: a search for movements, figure by figure.

For each hidden figure that is small, movements (:mod:`~mm_pipeline.disclosure.movement`) are looked for that take it up
to t and over t values in all; the shown cells that the cheapest of them moves are hidden as well. Each movement found
is a whole table that the reader cannot tell from the true one, so it is a proof, and it stays one whatever is hidden
later. In the end cells are shown again that later movements have made needless.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mm_pipeline.dimensions import LEVELS
from mm_pipeline.disclosure.mask import Mask, complete, hide_group, primary_mask
from mm_pipeline.disclosure.movement import Block, Movement, Room, room_of
from mm_pipeline.disclosure.needs import ALL, Needs, plainly_known
from mm_pipeline.disclosure.proofs import Proofs
from mm_pipeline.disclosure.rule import Counts, Flags
from mm_pipeline.disclosure.system import AIMS, FIGURES, Aim, Figure, Positions, System

Scope = tuple[str, int]
"""A level and the number of an area (``System.within``)."""
WHOLE: Scope = ("", -1)


def _figures_of(aim: Aim) -> tuple[Figure, ...]:
    """What may be hidden for a figure's sake, the more useful first."""
    return ("beneficiaries",) if aim == "beneficiaries" else ("patients", "beneficiaries")


class Search:
    """The mask as it grows, and what is proved of it.

    ``start``: what is hidden already, of the first cells. Then a figure is looked at in all blocks before anything more is
    hidden for it, so that a mask that is good already stays as it is. ``highest``: the highest level of which anything more
    may be hidden. ``failed``: the cells that nothing helped, in the end; of a first release there are none.
    """

    def __init__(
        self,
        system: System,
        threshold: int,
        start: Mask | None = None,
        *,
        highest: str = LEVELS[0],
    ) -> None:
        self._system = system
        self._t = threshold
        self._mask = primary_mask(system, threshold)
        if start is not None:
            for figure in FIGURES:
                self._mask[figure][: len(start[figure])] |= start[figure]
            complete(system, self._mask)
        self._given = self._mask.copy()
        self._starts_anew = start is None
        self._needs = Needs(system, threshold)
        self._proofs = Proofs.none(system)
        self._is_of_sectors = (system.cells["level"] == "sector").to_numpy(dtype=bool)
        self._blocks: dict[tuple[Scope, bool], Block] = {}
        self._rooms: dict[Block, tuple[bytes, Room]] = {}
        self._plain: dict[Aim, Flags] | None = None
        self._is_plain_old = False
        above = LEVELS[: LEVELS.index(highest)]
        self._stays_shown = system.before.is_past | system.cells["level"].isin(above).to_numpy(dtype=bool)
        before = system.before
        self._must = not before.is_past.any() and not any(before.known[figure].any() for figure in FIGURES)
        self.failed: list[int] = []

    def mask(self) -> Mask:
        """Hide until no figure is in need that anything can be done about."""
        while True:
            before = (self._mask.beneficiaries.sum(), self._mask.patients.sum())
            self.failed = [
                cell
                for cell, aim in self._unmet_in_order()
                if self._is_unmet(cell, aim) and not self._satisfy(cell, aim)
            ]
            if before == (self._mask.beneficiaries.sum(), self._mask.patients.sum()):
                break
        self._clear_up()
        return self._mask

    def _unmet_in_order(self) -> Iterator[tuple[int, Aim]]:
        """Sensitive figures first; upper levels and totals first: what they hide is free for what comes after."""
        for is_sensitive in (True, False):
            for aim in AIMS:
                unmet = self._unmet(aim) & (self._needs.is_sensitive[aim] == is_sensitive)
                for cell in self._needs.order[unmet[self._needs.order]]:
                    yield int(cell), aim

    def _is_unmet(self, cell: int, aim: Aim) -> bool:
        return bool(self._unmet(aim, np.array([cell]))[0])

    def _unmet(self, aim: Aim, cells: Positions | slice = ALL) -> Flags:
        return self._needs.unmet(aim, self._mask, self._proofs, cells)

    # --- how a need is met --------------------------------------------------------------------------------------------

    def _satisfy(self, cell: int, aim: Aim) -> bool:
        if not self._needs.is_sensitive[aim][cell] and not self._could_be_small(cell, aim):
            return True
        scopes = list(self._scopes(cell, aim))
        if scopes[0][0] == "municipality" and self._satisfied_in(scopes[:1], cell, aim):
            return True
        # Cells elsewhere, or the whole of its group (R2), whichever hides less.
        elsewhere = self._attempt(lambda: self._satisfied_in(scopes, cell, aim))
        group = None
        if elsewhere is None or elsewhere.loss > self._worth_of_group(cell):
            group = self._attempt(lambda: self._satisfied_without_group(cell, aim))
        found = [state for state in (group, elsewhere) if state is not None]
        if not found and not self._stays_shown[~self._system.before.is_past].any():
            last_resort = self._attempt(lambda: self._satisfied_at_any_price(cell, aim))
            assert last_resort is not None or not self._must, "with everything hidden, every figure is free"
            found = [last_resort] if last_resort is not None else []
        if found:
            self._restore(min(found, key=lambda state: state.loss))
        return bool(found)

    def _satisfied_at_any_price(self, cell: int, aim: Aim) -> bool:
        """R2, then R1 area by area up to the top, then all of the areas: with everything hidden, every figure is free."""
        if self._satisfied_without_group(cell, aim):
            return True
        total = int(self._system.total[cell])
        while total >= 0:
            for figure in _figures_of(aim):
                self._mask[figure][total] = True
                self._grown()
                if self._satisfied_in([WHOLE], cell, aim):
                    return True
            total = int(self._system.parent[total])
        for scope in list(self._scopes(cell, aim)):
            inside = self._block(scope, joint=True).cells
            inside = inside[(self._system.beneficiaries[inside] > 0)]
            self._mask.beneficiaries[inside] = True
            self._grown()
            if self._satisfied_in([WHOLE], cell, aim):
                return True
        return False

    def _satisfied_without_group(self, cell: int, aim: Aim) -> bool:
        """R2: hide the patients of its whole group, zeros included, if that helps."""
        group = self._group_of(cell)
        if aim == "beneficiaries" or group < 0 or self._stays_shown[self._system.group == group].any():
            return False
        hide_group(self._system, self._mask, group)
        self._grown()
        return self._satisfied_in(list(self._scopes(cell, aim)), cell, aim)

    def _worth_of_group(self, cell: int) -> float:
        """What is lost if the patients of its whole group are hidden."""
        inside = self._system.group == self._group_of(cell)
        return float(self._system.weight[inside & ~self._mask.patients & (self._system.beneficiaries > 0)].sum())

    def _group_of(self, cell: int) -> int:
        """The group of a cell; of an unknown sector, that of the sectors of its municipality."""
        group, system = self._system.group, self._system
        if self._is_of_sectors[cell] and group[cell] < 0:
            municipality = system.within["municipality"][cell]
            beside = self._is_of_sectors & (group >= 0) & (system.within["municipality"] == municipality)
            return int(group[beside][0]) if beside.any() else -1
        return int(group[cell])

    def _satisfied_in(self, scopes: Sequence[Scope], cell: int, aim: Aim) -> bool:
        """Whether movements in one of these blocks, small to large, do; they are taken."""
        for free in (False,) if self._starts_anew else (True, False):
            for scope in scopes:
                if any(self._satisfied_by(block, cell, aim, free=free) for block in self._ways(scope, cell, aim)):
                    return True
        return False

    def _ways(self, scope: Scope, cell: int, aim: Aim) -> Iterator[Block]:
        """A block with every N standing still, and with hidden N that move as well, where that may be of use."""
        people, hidden = self._system.beneficiaries[cell], self._mask.beneficiaries
        if aim != "beneficiaries" and people >= self._t:
            yield self._block(scope, joint=False)
        joint = self._block(scope, joint=True) if hidden[cell] else None
        moves = hidden & ~self._system.is_rest & ~self._system.before.is_change
        if joint is None and moves[self._block(scope, joint=False).cells].any():
            joint = self._block(scope, joint=True)
        if joint is not None:
            yield joint

    def _satisfied_by(self, block: Block, cell: int, aim: Aim, *, free: bool = False) -> bool:
        """Take the cheapest movements in a block that the figure needs: up to t first, then to its full width."""
        value, cap = int(self._system.value(aim)[cell]), int(self._needs.cap(aim, self._mask, np.array([cell]))[0])
        if self._proofs.highest(aim)[cell] < cap:
            movement = self._cheapest(block, cell, aim, cap - value, free)
            if movement is None:
                return False
            self._take(block, movement)
        while True:
            low, high = int(self._proofs.lowest(aim)[cell]), int(self._proofs.highest(aim)[cell])
            missing = self._t - 1 - (high - low)
            for further in range(missing, 0, -1):
                movement = self._cheapest(block, cell, aim, low - further - value, free)
                if movement is None or movement.cost > 0:
                    upwards = self._cheapest(block, cell, aim, high + further - value, free)
                    if movement is None or (upwards is not None and upwards.cost < movement.cost):
                        movement = upwards
                if movement is not None:
                    self._take(block, movement)
                    break
            else:
                return missing <= 0

    def _could_be_small(self, cell: int, aim: Aim) -> bool:
        """Whether a figure that is not sensitive could be taken for one that is, given what is hidden so far."""
        if self._is_plainly_known(cell, aim):
            return False
        value = int(self._system.value(aim)[cell])
        by = 1 if value == 0 else self._t - 1 - value
        if self._proofs.highest(aim)[cell] - value >= by > 0 or self._proofs.lowest(aim)[cell] - value <= by < 0:
            return True
        # Nobody, in a cell that may have people: whether all of them would be patients.
        also: list[tuple[Aim, int]] = [("patients", 1)] if aim == "others" and value == 0 else []
        questions: list[tuple[Aim, int]] = [(aim, by), *also]
        return any(
            block.cheapest(cell, asked, to, self._room(block), free=True) is not None
            for block in (self._block(scope, joint=True) for scope in self._scopes(cell, aim))
            for asked, to in questions
        )

    def _is_plainly_known(self, cell: int, aim: Aim) -> bool:
        # What is not known stays so while more is hidden.
        if self._plain is None or (self._is_plain_old and self._plain[aim][cell]):
            self._plain, self._is_plain_old = plainly_known(self._system, self._mask), False
        return bool(self._plain[aim][cell])

    def _cheapest(self, block: Block, cell: int, aim: Aim, by: int, free: bool = False) -> Movement | None:
        """The cheapest movement, also if a total were hidden first: R1 gives its breakdowns more room."""
        movement = block.cheapest(cell, aim, by, self._room(block), free=free)
        if movement is None or movement.cost == 0:
            return movement
        moved = movement.cells[movement.change["patients"] != 0]
        totals = np.append(moved[~self._system.is_breakdown[moved]], self._system.total[cell])
        for total in totals[~self._mask.patients[totals] & ~self._stays_shown[totals]]:
            price = float(self._room(block).cost["patients"][block.place(int(total))])
            if price >= movement.cost:
                continue
            hidden = self._mask.copy()
            hidden.patients[total] = True
            complete(self._system, hidden)
            found = block.cheapest(cell, aim, by, self._room_of(block, hidden))
            if found is not None and found.cost + price < movement.cost:
                movement = replace(found, cost=found.cost + price, total=int(total))
        return movement

    # --- trying -------------------------------------------------------------------------------------------------------

    def _state(self) -> "_State":
        return _State(self._mask.copy(), self._proofs.copy(), self._plain, self._is_plain_old)

    def _restore(self, state: "_State") -> None:
        self._mask, self._proofs = state.mask, state.proofs
        self._plain, self._is_plain_old = state.plain, state.is_plain_old

    def _attempt(self, way: Callable[[], bool]) -> "_State | None":
        """What a way leads to, and what is lost by it; None if it does not lead anywhere. Nothing is changed."""
        before = self._state()
        succeeded = way()
        weight = self._system.weight
        lost = sum(weight[self._mask[figure] & ~before.mask[figure]].sum() for figure in FIGURES)
        after = _State(self._mask, self._proofs, self._plain, self._is_plain_old, float(lost))
        self._restore(before)
        return after if succeeded else None

    # --- clearing up --------------------------------------------------------------------------------------------------

    def _clear_up(self) -> None:
        """Show again what other cells, hidden later, have made needless: the totals first, then what most people are in.

        Not of the sectors: there one cell does, and it is not hidden before it is needed.
        """
        system, mask = self._system, self._mask
        is_breakdown = system.is_breakdown
        needless = mask.patients & ~self._given.patients & (system.patients > 0)
        needless &= ~self._is_of_sectors & ~mask.beneficiaries
        for cell in np.lexsort((-system.beneficiaries, is_breakdown)):
            # A breakdown of a hidden total is hidden with it.
            if needless[cell] and not (is_breakdown[cell] and self._mask.patients[system.total[cell]]):
                before = self._state()
                if not self._can_show(int(cell)):
                    self._restore(before)

    def _can_show(self, cell: int) -> bool:
        """Show a cell, and see whether those that its moving has protected find another way among the hidden ones."""
        system = self._system
        touched = system.total == cell
        touched[cell] = True
        if system.group[cell] >= 0:
            touched |= system.group == system.group[cell]
        self._mask.patients[touched & (system.patients == 0) & ~self._given.patients & ~self._mask.beneficiaries] = (
            False
        )
        self._mask.patients[cell] = False
        # What is in need without it never was small enough to tell.
        harmless = {aim: self._unmet(aim) for aim in AIMS}
        self._proofs = self._proofs.without(touched)
        for aim in AIMS:
            for other in np.flatnonzero(self._unmet(aim) & ~harmless[aim]):
                scope = next(self._scopes(int(other), aim))
                block = self._block(scope, bool(self._mask.beneficiaries[other]))
                if self._is_unmet(int(other), aim) and not self._satisfied_by(block, int(other), aim, free=True):
                    return False
        return True

    # --- movements ----------------------------------------------------------------------------------------------------

    def _take(self, block: Block, movement: Movement) -> None:
        """Hide what the movement moves, and remember how far each figure goes by it, and by its reverse if that can be."""
        if movement.cost > 0:
            if movement.total is not None:
                self._mask.patients[movement.total] = True
            for figure, change in movement.change.items():
                self._mask[figure][movement.cells[change != 0]] = True
            self._grown()
        places = np.flatnonzero(np.any(list(movement.change.values()), axis=0))
        cells, n = movement.cells[places], movement.change["patients"][places]
        people = movement.change["beneficiaries"][places] if "beneficiaries" in movement.change else np.zeros_like(n)
        change = np.stack([people, n, people - n])
        self._proofs.add(cells, change)
        if self._can_be(block, places, -n, -people):
            self._proofs.add(cells, -change)

    def _can_be(self, block: Block, places: Positions, n: Counts, people: Counts) -> bool:
        """Whether cells of a block, hidden where they change, can change so as far as each of them is concerned."""
        room = self._room(block)
        changes: dict[Figure, Counts] = {"patients": n, "beneficiaries": people}
        within = all(
            (change <= room.up[figure][places]).all() and (-change <= room.down[figure][places]).all()
            for figure, change in changes.items()
        )
        return within and bool((n - people <= self._system.others[block.cells[places]]).all())

    def _grown(self) -> None:
        complete(self._system, self._mask)
        self._is_plain_old = True

    def _room(self, block: Block) -> Room:
        """How far the cells of a block may move as the mask stands, and what it costs to hide what is shown."""
        hidden = self._mask.beneficiaries[block.cells].tobytes() + self._mask.patients[block.cells].tobytes()
        if self._rooms.get(block, (b"",))[0] != hidden:
            self._rooms[block] = hidden, self._room_of(block, self._mask)
        return self._rooms[block][1]

    def _room_of(self, block: Block, mask: Mask) -> Room:
        return room_of(self._system, mask, block.cells, 8 * self._t, self._stays_shown)

    # --- areas --------------------------------------------------------------------------------------------------------

    def _scopes(self, cell: int, aim: Aim) -> Iterator[Scope]:
        """The blocks that a cell is tried in, small to large: sectors by themselves where their total is shown."""
        within = self._system.within
        total = self._system.parent[cell]
        if self._is_of_sectors[cell] and total >= 0 and not self._mask[_figures_of(aim)[0]][total]:
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
            self._blocks[scope, joint] = Block(self._system, np.flatnonzero(inside), joint=joint)
        return self._blocks[scope, joint]


@dataclass(frozen=True)
class _State:
    mask: Mask
    proofs: Proofs
    plain: dict[Aim, Flags] | None
    is_plain_old: bool
    loss: float = 0.0
