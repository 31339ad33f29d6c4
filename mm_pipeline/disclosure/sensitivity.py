"""Protection of the sensitivity table: which minimum numbers of forfaits may be shown, for the country and the regions.

n(a, k) are the beneficiaries of area a with at least k forfaits, N(a) = n(a, 0) all of them; the *main* minimum is that of
``protected_rates`` (``minimum_forfaits``). An area *shows* some k. Whoever sees n(a, i) and n(a, j) knows how many have i
to j - 1 forfaits. So the shown k, with 0 and 13 at the ends, cut the persons of an area into *groups* of known size. A
*cell* is the persons of one area with one number of forfaits; no cell's size is published as such.

The rules, t being the disclosure threshold; ``docs/disclosure.md``, section 7, has them in full, and why the promise holds:

1. A group of c cells (an area's persons with one number of forfaits) is empty or has at least t + c - 1 persons. The
   persons below the lowest k are never empty where anybody lives.
2. Every region but the *last* one obeys this by itself. The last is the one whose patients ``protected_rates`` hides, or,
   where it hides none, the one with the fewest beneficiaries.
3. The country shows a k only where all regions but the last do, so it tells about the last region and the beneficiaries
   without a region (the *residual*) together: they obey as one area, of two cells for each number of forfaits.
4. The last region shows a k only where the country does; then the residual is known as well, and both obey.
5. What ``protected_rates`` shows is shown. Where it hides the patients of an area, this area shows nothing; where it hides
   two regions, the country shows no other k (and where it hides the country, the country none, and every region
   stands by itself). Where a group that ``protected_rates`` alone tells does not obey, it is not cut at all.

A later release of a year shows the k that were shown before, no other; or, where these do not obey any more or another area
is hidden, the main one only.
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
    """The minima that each area shows. ``visible``: areas whose patients ``protected_rates`` shows."""
    least = {area: {main} if area in visible else set() for area in chains}
    every = set(range(1, MOST + 1))
    offered = {area: before.get(area, set()) if before else every for area in chains}

    hidden = [area for area in regions if area not in visible]
    tells = country in visible and len(hidden) <= 1
    last = hidden[0] if hidden else min(regions, key=lambda area: (chains[area][0], area))
    alone = [area for area in regions if area in visible and not (tells and area == last)]

    shown = least.copy()
    for area in alone:
        shown[area] = _choose([chains[area]], offered[area], main, t)
    if tells:
        together = _less(chains[country], [chains[area] for area in alone])
        in_all = offered[country].intersection(*(shown[area] for area in alone))
        shown[country] = _choose([together], in_all, main, t, cells=2)
        if last in visible:
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
        # Whether a side is cut depends only on what is known anyway, so that an uncut side tells nothing.
        if obeys([low, high]):
            choices = (cuts for size in range(len(between) + 1) for cuts in combinations(between, size))
            best = max((cuts for cuts in choices if obeys([low, *cuts, high])), key=worth)
            chosen.update(best)
    return chosen


def _is_safe(chain: Chain, low: int, high: int, cells: int, t: int) -> bool:
    """Whether the group with ``low`` to ``high`` - 1 forfaits obeys rule 1. ``cells``: cells per number of forfaits."""
    people = chain[low] - chain[high]
    if people == 0:
        return low > 0 or chain[0] == 0
    return people >= t + cells * (high - low) - 1
