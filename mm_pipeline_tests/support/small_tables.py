"""Random small `sector_rates`, made from groups of persons so that they add up, small enough to be searched through.

Rich in what disclosure control stumbles over: zeros, cells where everybody is a patient, cells on either side of the
threshold, residuals (unknown sectors, the unassigned) of every size, areas with a single child, Brussels, tables without
sectors and tables that are only a part of the country.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from hypothesis import strategies as st

from mm_pipeline_tests.properties import attacker

LEVELS = ("country", "region", "province", "arrondissement", "municipality", "sector")
VERSIONED = ["version", "version_beneficiaries", "version_patients", "change"]
KEY = ["level", "area_code", "dimension", "category"]
COLUMNS = ["year", "level", "area_code", "parent_code", *KEY[2:], "beneficiaries", "patients"]
COLUMNS += ["rate_per_10000", "rate_percent"]
AGE_CLASSES = ("0-17", "18-24", "25-44", "45-64", "65-74", "75-84", "85+")
GROUP_OF = {name: group for group, names in attacker.CLASSES.items() for name in names}
CATEGORIES = {**attacker.BREAKDOWNS, "age_class": AGE_CLASSES}
UNASSIGNED = ""  # as a municipality

AREAS = {  # two regions, one of them Brussels, whose region and province have one code
    "02000": {"10000": {"11000": ["11001", "11002", "11004"], "12000": ["12014"]}, "20000": {"24000": ["24062"]}},
    "04000": {"04000": {"21000": ["21004", "21005"]}},
}


@dataclass(frozen=True)
class Group:
    """``people`` of one place and kind, of whom ``patients`` are affiliated."""

    municipality: str
    sector: str  # "" is unknown
    sex: str
    age_class: str
    preferential: str
    people: int
    patients: int


@dataclass(frozen=True)
class Area:
    level: str
    code: str
    parent: str


@dataclass(frozen=True)
class SmallTable:
    """A table before it is counted."""

    areas: tuple[Area, ...]
    """every area, also those of levels that the table lacks"""
    top: str
    lowest: str
    dimensions: tuple[str, ...]
    groups: tuple[Group, ...]
    empty_residuals: bool = False
    """whether an unknown sector has a row where nobody lives in it"""

    def table(self) -> pd.DataFrame:
        return table_of(self)


def dimensions_at(level: str, dimensions: Sequence[str]) -> list[str]:
    if level == "sector":
        return []
    return [name for name in dimensions if not (level == "municipality" and name == "age_class")]


def is_between(top: str, level: str, lowest: str) -> bool:
    return LEVELS.index(top) <= LEVELS.index(level) <= LEVELS.index(lowest)


def number_of_cells(areas: Iterable[Area], dimensions: Sequence[str]) -> int:
    return sum(
        1 + sum(len(CATEGORIES[dimension]) for dimension in dimensions_at(area.level, dimensions)) for area in areas
    )


def table_of(small: SmallTable) -> pd.DataFrame:
    """`sector_rates` of the groups."""
    parent = {(area.level, area.code): area.parent for area in small.areas}
    areas = [area for area in small.areas if is_between(small.top, area.level, small.lowest)]
    if small.lowest == "sector":
        unknown = {group.municipality for group in small.groups if group.sector == "" and group.people > 0}
        everywhere = {area.code for area in areas if area.level == "municipality"}
        with_row = everywhere if small.empty_residuals else everywhere & unknown
        areas += [Area("sector", f"{code}ZZZZ", code) for code in sorted(with_row)]

    counts: dict[tuple[str, ...], list[int]] = {}
    for area in areas:
        counts[area.level, area.code, *attacker.TOTAL] = [0, 0]
        for dimension in dimensions_at(area.level, small.dimensions):
            for category in CATEGORIES[dimension]:
                counts[area.level, area.code, dimension, category] = [0, 0]
    for group in small.groups:
        places = [("country", "BE")]
        if group.municipality != UNASSIGNED:
            places = [("sector", group.sector or f"{group.municipality}ZZZZ")]
            code = group.municipality
            for level in reversed(LEVELS[:-1]):
                places.append((level, code))
                code = parent[level, code]
        kinds = {
            attacker.TOTAL,
            ("sex", group.sex),
            ("age_group", GROUP_OF[group.age_class]),
            ("age_class", group.age_class),
            ("preferential", group.preferential),
        }
        for place in places:
            for kind in kinds:
                if (count := counts.get((*place, *kind))) is not None:
                    count[0] += group.people
                    count[1] += group.patients

    parent.update({(area.level, area.code): area.parent for area in areas})
    rows = [
        (
            2024,
            *key[:2],
            parent[key[0], key[1]],
            *key[2:],
            people,
            patients,
            10_000 * patients / people if people else None,
            100 * patients / people if people else None,
        )
        for key, (people, patients) in counts.items()
    ]
    table = pd.DataFrame(rows, columns=COLUMNS).astype(
        {"year": "int32", "beneficiaries": "int64", "patients": "int64", "rate_per_10000": float, "rate_percent": float}
    )
    return table.sort_values(KEY, ignore_index=True)


# --- random ones -----------------------------------------------------------------------------------------------------

thresholds = st.sampled_from([2, 3, 5, 5])


@st.composite
def small_tables(draw: Callable[..., Any], threshold: int, most_cells: int = 36) -> SmallTable:
    """The areas, the dimensions and the groups of a table of at most ``most_cells`` cells (more only for its areas)."""
    top = draw(st.sampled_from(["country", "country", "region", "province", "arrondissement", "municipality"]))
    lowest = draw(st.sampled_from(["sector", "sector", "sector", "municipality", "municipality", "province"]))
    if LEVELS.index(lowest) <= LEVELS.index(top):
        lowest = "sector"
    areas, leaves = _areas(draw, top, lowest)
    shown = [area for area in areas if is_between(top, area.level, lowest)]
    if draw(st.booleans()):
        wanted = [draw(st.sampled_from(["sex", "age_group", "preferential"]))]
    else:
        wanted = draw(st.permutations(["sex", "age_group", "preferential"]))
    if "age_group" in wanted and draw(st.booleans()):
        wanted.insert(wanted.index("age_group") + 1, "age_class")
    dimensions: list[str] = []
    for dimension in wanted:
        if dimension == "age_class" and "age_group" not in dimensions:
            continue
        if number_of_cells(shown, [*dimensions, dimension]) <= most_cells:
            dimensions.append(dimension)

    if top == "country":
        leaves = [*leaves, (UNASSIGNED, "")]
    biggest = draw(st.sampled_from([threshold + 1, 3 * threshold, 30]))
    groups = [
        group for leaf in leaves for group in _groups(draw, leaf, dimensions, threshold, biggest, lowest == "sector")
    ]
    return SmallTable(tuple(areas), top, lowest, tuple(dimensions), tuple(groups), draw(st.booleans()))


def _areas(draw: Callable[..., Any], top: str, lowest: str) -> tuple[list[Area], list[tuple[str, str]]]:
    """A part of the country around one area of the level ``top``, and where people live: (municipality, sector)."""
    areas: list[Area] = []
    leaves: list[tuple[str, str]] = []

    def some(codes: Iterable[str], only_one: bool) -> list[str]:
        codes = list(codes)
        if only_one:
            return [draw(st.sampled_from(codes))]
        return sorted(draw(st.lists(st.sampled_from(codes), min_size=1, max_size=len(codes), unique=True)))

    def add(level: str, code: str, parent: str) -> None:
        areas.append(Area(level, code, parent))

    add("country", "BE", "")
    for region in some(AREAS, top != "country"):
        add("region", region, "BE")
        for province in some(AREAS[region], top in LEVELS[2:]):
            add("province", province, region)
            for arrondissement in some(AREAS[region][province], top in LEVELS[3:]):
                add("arrondissement", arrondissement, province)
                for municipality in some(AREAS[region][province][arrondissement], top == "municipality"):
                    add("municipality", municipality, arrondissement)
                    most = 5 if top in LEVELS[3:] else 3
                    sectors = [f"{municipality}A{n:02d}-" for n in range(draw(st.integers(0, most)))]
                    for sector in sectors if lowest == "sector" else []:
                        add("sector", sector, municipality)
                        leaves.append((municipality, sector))
                    leaves.append((municipality, ""))
    return areas, leaves


def _groups(
    draw: Callable[..., Any],
    leaf: tuple[str, str],
    dimensions: Sequence[str],
    threshold: int,
    biggest: int,
    has_sectors: bool,
) -> list[Group]:
    def kinds(*names: str) -> st.SearchStrategy[str]:
        # What the table does not show is not worth a choice.
        return st.sampled_from(names)

    many = 1 if not dimensions or leaf[1] else 3
    is_residual = leaf[1] == "" and (has_sectors or leaf[0] == UNASSIGNED)
    return [
        Group(
            *leaf,
            draw(kinds("M", "F")) if "sex" in dimensions else "M",
            draw(kinds(*AGE_CLASSES)) if "age_group" in dimensions else "0-17",
            draw(kinds("0", "1")) if "preferential" in dimensions else "0",
            *draw(_counts(threshold, biggest)),
        )
        for _ in range(draw(st.integers(0 if is_residual else 1, many)))
    ]


@st.composite
def _counts(draw: Callable[..., Any], threshold: int, biggest: int) -> tuple[int, int]:
    """(people, patients), each with the threshold in view."""
    people = draw(
        st.one_of(
            st.integers(threshold, max(biggest, threshold)),
            st.integers(0, biggest),
            st.sampled_from([0, 1, threshold - 1, threshold, threshold + 1, 2 * threshold]),
        )
    )
    middle = max(0, min(people, people - threshold))
    patients = draw(
        st.one_of(
            st.integers(min(threshold, middle), middle),
            st.sampled_from([0, middle, people // 2]),
            st.integers(0, people),
        )
        if draw(st.integers(0, 9))
        else st.just(people)
    )
    return people, patients


def tables(threshold: int, most_cells: int = 36) -> st.SearchStrategy[pd.DataFrame]:
    return small_tables(threshold, most_cells).map(table_of)


@st.composite
def revisions(draw: Callable[..., Any], threshold: int, most_cells: int = 24) -> list[pd.DataFrame]:
    """Two or three tables of the same areas, oldest first: beneficiaries, patients or both are delivered anew.

    A few people more, fewer or elsewhere in one to three groups, or in all.
    """
    small = draw(small_tables(threshold, most_cells))
    tables = [table_of(small)]
    for _ in range(draw(st.sampled_from([1, 1, 2]))):
        groups = list(small.groups)
        anew = draw(st.sampled_from(["beneficiaries", "patients", "both"]))
        steps = draw(
            st.sampled_from([[0, 1, 2], [0, -1, -2], [0, 0, 1, -1, 2, threshold, -threshold], [0, 5 * threshold]])
        )
        every = range(len(groups))
        some = (
            every
            if draw(st.booleans()) or not groups
            else draw(st.lists(st.sampled_from(every), min_size=1, max_size=3))
        )
        for which in some:
            people, patients = groups[which].people, groups[which].patients
            if anew != "patients":
                people = max(0, people + draw(st.sampled_from(steps)))
            if anew != "beneficiaries":
                patients = max(0, patients + draw(st.sampled_from(steps)))
            groups[which] = replace(groups[which], people=people, patients=min(people, patients))
        small = replace(small, groups=tuple(groups))
        tables.append(table_of(small))
    return tables


def medium_table(seed: int) -> pd.DataFrame:
    """A whole country in small: every level and dimension, some 480 cells, municipalities of up to 2 000 people."""
    dice = random.Random(seed)
    areas = [Area("country", "BE", "")]
    groups: list[Group] = []

    def settle(municipality: str, sector: str, people: int, rate: float) -> None:
        spread: dict[tuple[str, str, str], list[int]] = {}
        for _ in range(people):
            kind = dice.choice("MF"), dice.choices(AGE_CLASSES, [4, 2, 5, 5, 2, 1, 0.4])[0], dice.choice("0001")
            count = spread.setdefault(kind, [0, 0])
            count[0] += 1
            count[1] += dice.random() < rate
        groups.extend(Group(municipality, sector, *kind, *count) for kind, count in spread.items())

    for region, provinces in AREAS.items():
        areas.append(Area("region", region, "BE"))
        for province, arrondissements in provinces.items():
            areas.append(Area("province", province, region))
            for arrondissement, municipalities in arrondissements.items():
                areas.append(Area("arrondissement", arrondissement, province))
                start = int(arrondissement) + 101
                for municipality in [*municipalities, *(str(start + n) for n in range(3))]:
                    areas.append(Area("municipality", municipality, arrondissement))
                    rate = dice.choice([0.002, 0.01, 0.05, 0.2])
                    for n in range(dice.randint(3, 14)):
                        code = f"{municipality}A{n:02d}-"
                        areas.append(Area("sector", code, municipality))
                        settle(municipality, code, dice.choice([0, 3, 20, 60, 120, 200]), rate)
                    settle(municipality, "", dice.choice([0, 2, 9, 30]), rate)
    settle(UNASSIGNED, "", dice.choice([0, 3, 40]), 0.1)
    dimensions = ("sex", "age_group", "age_class", "preferential")
    return table_of(SmallTable(tuple(areas), "country", "sector", dimensions, tuple(groups)))


# --- hidden figures --------------------------------------------------------------------------------------------------


def masked(rates: pd.DataFrame, hidden: Iterable[tuple[attacker.Cell, str]]) -> pd.DataFrame:
    """A release of ``rates`` without the ``hidden`` (cell, figure), but zeros are shown where the rule shows them.

    A reader counts on that rule, so a release that broke it would be a contradiction.
    """
    rows = [row for row in rows_of(rates) if not attacker.is_residual(row)]
    truth = {attacker.cell_of(row): row for row in rows}
    shown = {cell: dict(row) for cell, row in truth.items()}
    for cell, figure in hidden:
        if cell in shown:
            shown[cell]["patients"] = None
            if figure == "beneficiaries":
                shown[cell]["beneficiaries"] = None
    for cell, row in shown.items():
        if row["beneficiaries"] == 0:
            row["patients"] = truth[cell]["patients"]
    while True:
        wrong = [
            (cell, figure)
            for (cell, figure), least in attacker.lower_bounds(shown).items()
            if truth[cell][figure] < least
        ]
        if not wrong:
            break
        for cell, figure in wrong:
            shown[cell][figure] = truth[cell][figure]
            if shown[cell]["beneficiaries"] == 0:
                shown[cell]["patients"] = 0
    return release_of(shown.values())


def release_of(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """`protected_rates` of rows whose hidden figures are None; the rates and the status follow."""
    rows = [dict(row) for row in rows]
    for row in rows:
        row["status"] = "suppressed" if row["patients"] is None else "published"
        if row["patients"] is None:
            row["rate_per_10000"] = row["rate_percent"] = None
        elif row["beneficiaries"]:
            row["rate_per_10000"] = 10_000 * row["patients"] / row["beneficiaries"]
            row["rate_percent"] = 100 * row["patients"] / row["beneficiaries"]
    table = pd.DataFrame(
        rows, columns=[*COLUMNS, "status"] + [name for name in VERSIONED if any(name in r for r in rows)]
    )
    return table.astype(
        {"year": "int32", "beneficiaries": "Int64", "patients": "Int64", "rate_per_10000": float, "rate_percent": float}
    ).sort_values(KEY, ignore_index=True)


def carried_on(
    releases: Sequence[pd.DataFrame], truths: Sequence[pd.DataFrame], with_residuals: bool
) -> list[pd.DataFrame]:
    """Releases of a year, newest first, each figure with a version by which those that did not change are known, and each
    cell with whether it only grew or only shrank.

    ``truths`` are their `sector_rates`; ``with_residuals``: the residuals have rows, for nothing but their versions.
    """
    before: dict[attacker.Cell, tuple[int, int]] = {}
    result: list[pd.DataFrame] = []
    for release, truth in zip(reversed(releases), reversed(truths), strict=True):
        rows = rows_of(release)
        counts = {
            attacker.cell_of(row): (row["beneficiaries"], row["patients"])
            for row in rows_of(truth)
            if not attacker.is_residual(row)
        }
        residuals = attacker.residuals_of({attacker.cell_of(row): row for row in rows})
        for residual in residuals:
            counts[residual] = _left_over(residual, truth)
        known = {cell: told_of(counts[cell], before.get(cell)) for cell in counts}
        before = counts
        if with_residuals:
            template = {**rows[0], "beneficiaries": None, "patients": None}
            for level, code, dimension, category in residuals:
                place = {"level": level, "area_code": code, "parent_code": "BE" if code == "unassigned" else code[:5]}
                rows.append({**template, **place, "dimension": dimension, "category": category})
        result.append(release_of({**row, **known[attacker.cell_of(row)]} for row in rows))
    return result[::-1]


def told_of(now: tuple[int, int], before: tuple[int, int] | None) -> dict[str, int]:
    """What a reader of two releases is taken to know of a cell: which figures are the same, if persons only came or went.

    The figure itself serves as its version.
    """
    people, patients = (a - b for a, b in zip(now, before or now, strict=True))
    change = 0
    if people > 0 and 0 <= patients <= people:
        change = 1
    if people < 0 and people <= patients <= 0:
        change = -1
    return {"version_beneficiaries": now[0], "version_patients": now[1], "change": change}


def _left_over(residual: attacker.Cell, truth: pd.DataFrame) -> tuple[int, int]:
    """What a residual truly counts: the area less its children."""
    rows = rows_of(truth)
    whole = ("country", "BE") if residual[0] == "unassigned" else ("municipality", residual[1][:5])
    below = attacker.LEVEL_BELOW[whole[0]]
    counts = [0, 0]
    for row in rows:
        if (row["dimension"], row["category"]) != residual[2:]:
            continue
        sign = (row["level"], row["area_code"]) == whole
        sign -= row["level"] == below and row["parent_code"] == whole[1] and not attacker.is_residual(row)
        counts = [counts[0] + sign * row["beneficiaries"], counts[1] + sign * row["patients"]]
    return counts[0], counts[1]


def rows_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a DataFrame as the attacker wants them: whole numbers, and None where a figure is empty."""
    columns = {
        name: [
            None if pd.isna(value) else int(value) if name in ("beneficiaries", "patients", *VERSIONED) else value
            for value in table[name].tolist()
        ]
        for name in table.columns
    }
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
