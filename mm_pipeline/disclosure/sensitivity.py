"""Protection of the sensitivity table: which minimum numbers of forfaits may be shown, for the country and the regions.

n(a, k) are the beneficiaries of area a with at least k forfaits, N(a) = n(a, 0) all of them; the *main* minimum is that of
``protected_rates`` (``minimum_forfaits``). An area *shows* some k. Whoever sees n(a, i) and n(a, j) knows how many have i
to j - 1 forfaits. So the shown k, with 0 and 13 at the ends, cut the persons of an area into *groups* of known size.
``docs/disclosure.md``, section 7, has the rules by which that may be (they are quoted here where they are followed), and why
the promise holds.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from itertools import combinations, pairwise

import pandas as pd

from mm_pipeline.dimensions import COUNTS

Chain = list[int]
"""Persons of an area with at least k forfaits, at position k: from 0 (all beneficiaries) to 13 (nobody)."""

MOST = 12
"""Forfaits in a year, at most: one a month."""
EXACTLY = 6
"""The formula of the source fiche asks for exactly six forfaits, whatever the setting."""


def protect_sensitivity(
    counts: pd.DataFrame,
    protected_totals: pd.DataFrame,
    minimum_forfaits: int,
    disclosure_threshold: int,
    earlier: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """The sensitivity table as it may be shown.

    ``counts``: :func:`mm_pipeline.statistic.sensitivity.threshold_counts`; only the country and the regions are used.
    ``protected_totals``: the rows of ``protected_rates`` of these areas with dimension total. ``minimum_forfaits``: the
    main minimum. ``earlier``: ``area_code`` and ``threshold`` of every cell of rule at_least that an earlier release of the
    year showed; None or empty if there is none.

    Columns ``level``, ``area_code``, ``parent_code``, ``rule`` (at_least, exactly), ``threshold``, ``beneficiaries`` and
    ``patients`` (Int64, empty where hidden), ``status`` (published, suppressed). "Exactly 6" is shown where 6 and 7 are.
    The same data give the same table, in whatever order their rows are.
    """
    counts = counts[counts["level"].isin(["country", "region"])]
    visible = set(protected_totals.loc[protected_totals["status"] == "published", "area_code"])
    chains: dict[str, Chain] = {
        area: [int(rows["beneficiaries"].iloc[0]), *map(int, rows.sort_values("threshold")["patients"]), 0]
        for area, rows in counts.groupby("area_code")
    }
    (country,) = set(counts.loc[counts["level"] == "country", "area_code"])
    regions = sorted(set(chains) - {country})
    before = {} if earlier is None else earlier.groupby("area_code")["threshold"].agg(set).to_dict()
    shown = _shown(chains, country, regions, visible, minimum_forfaits, disclosure_threshold, before)

    people = protected_totals.set_index("area_code")["beneficiaries"].astype("Int64")
    parent = counts.drop_duplicates("area_code").set_index("area_code")["parent_code"]
    rows = []
    for area in [country, *regions]:
        chain, seen = chains[area], shown[area]
        figures = [("at_least", k, chain[k], k in seen) for k in range(1, MOST + 1)]
        exactly = chain[EXACTLY] - chain[EXACTLY + 1]
        figures.append(("exactly", EXACTLY, exactly, {EXACTLY, EXACTLY + 1} <= seen))
        place = "country" if area == country else "region", area, parent[area]
        rows += [
            (*place, rule, k, people[area], n if is_shown else pd.NA, "published" if is_shown else "suppressed")
            for rule, k, n, is_shown in figures
        ]
    columns = ["level", "area_code", "parent_code", "rule", "threshold", *COUNTS, "status"]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({"threshold": "int32", "beneficiaries": "Int64", "patients": "Int64"})


def _shown(
    chains: dict[str, Chain],
    country: str,
    regions: Sequence[str],
    visible: AbstractSet[str],
    main: int,
    t: int,
    before: dict[str, set[int]],
) -> dict[str, set[int]]:
    """The minima that each area shows. ``visible``: areas whose patients ``protected_rates`` shows.

    A later release shows what was shown before (``before``), or, where this does not obey any more, the main one only.
    """
    # Rule 5: what ``protected_rates`` shows is shown; an area whose patients it hides shows nothing.
    least = {area: {main} if area in visible else set() for area in chains}
    every = set(range(1, MOST + 1))
    offered = {area: before.get(area, set()) if before else every for area in chains}

    # Where it hides two regions or the country, the country shows no other, and every region stands by itself.
    hidden = [area for area in regions if area not in visible]
    tells = country in visible and len(hidden) <= 1
    # Rule 2: every region but the last one (whose patients are hidden, or else the smallest) obeys by itself.
    last = hidden[0] if hidden else min(regions, key=lambda area: (chains[area][0], area))
    alone = [area for area in regions if area in visible and not (tells and area == last)]

    shown = least.copy()
    for area in alone:
        shown[area] = _choose([chains[area]], offered[area], main, t)
    if tells:
        # Rule 3: the country tells about the last region and the persons without a region together, two cells for each k.
        together = _less(chains[country], [chains[area] for area in alone])
        in_all = offered[country].intersection(*(shown[area] for area in alone))
        shown[country] = _choose([together], in_all, main, t, cells=2)
        if last in visible:  # Rule 4: where it shows a k too, the persons without a region are known as well.
            residual = _less(together, [chains[last]])
            shown[last] = _choose([chains[last], residual], offered[last] & shown[country], main, t)
    return least if before and shown != offered else shown


def _less(whole: Chain, parts: Sequence[Chain]) -> Chain:
    return [n - sum(below) for n, *below in zip(whole, *parts, strict=True)]


def _choose(chains: Sequence[Chain], offered: AbstractSet[int], main: int, t: int, *, cells: int = 1) -> set[int]:
    """The main minimum and those of ``offered`` at which all these chains may be cut.

    Of several choices, the one with most rows ("exactly 6" counts as one); then one with "exactly 6"; then the smallest.
    """

    def obeys(cuts: Sequence[int]) -> bool:
        return all(_is_safe(chain, i, j, cells, t) for chain in chains for i, j in pairwise(cuts))

    def worth(cuts: tuple[int, ...]) -> tuple[int, bool, list[int]]:
        exactly = {EXACTLY, EXACTLY + 1} <= {*cuts, main}
        return len(cuts) + exactly, exactly, [-k for k in cuts]

    chosen = {main}
    for low, high in ((0, main), (main, MOST + 1)):
        between = sorted(k for k in offered if low < k < high)
        # Rule 5: whether a side is cut depends only on what is known anyway, so that an uncut side tells nothing.
        if obeys([low, high]):
            choices = (cuts for size in range(len(between) + 1) for cuts in combinations(between, size))
            best = max((cuts for cuts in choices if obeys([low, *cuts, high])), key=worth)
            chosen.update(best)
    return chosen


def _is_safe(chain: Chain, low: int, high: int, cells: int, t: int) -> bool:
    """Whether the group with ``low`` to ``high`` - 1 forfaits obeys rule 1: of c cells it is empty or has at least t + c - 1
    persons, and below the lowest k it is not empty where anybody lives. ``cells``: cells per number of forfaits."""
    people = chain[low] - chain[high]
    if people == 0:
        return low > 0 or chain[0] == 0
    return people >= t + cells * (high - low) - 1
