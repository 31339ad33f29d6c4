"""The attacker himself, on tables small enough to count by hand, and against trying every table there is."""

import itertools
from collections import defaultdict

import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st

from mm_pipeline_tests.properties import attacker
from mm_pipeline_tests.support.examples import examples
from mm_pipeline_tests.support.small_tables import (
    Area,
    Group,
    SmallTable,
    carried_on,
    masked,
    revisions,
    rows_of,
    tables,
    thresholds,
)

T = 5
PARENT = {"municipality": "11000", "arrondissement": "10000", "province": "02000", "region": "BE", "country": ""}


def row(level, code, people, patients, category=("total", "total"), parent=None, **more):
    return {
        "level": level,
        "area_code": code,
        "parent_code": PARENT[level] if parent is None else parent,
        "dimension": category[0],
        "category": category[1],
        "beneficiaries": people,
        "patients": patients,
        **more,
    }


def sector(name, people, patients, **more):
    return row("sector", f"11001{name}-", people, patients, parent="11001", **more)


def of(level, code, category=("total", "total")):
    return (level, code, *category)


MUNICIPALITY = of("municipality", "11001")
RESIDUAL = of("sector", "11001ZZZZ")
MALE, FEMALE = ("sex", "M"), ("sex", "F")
MINOR, ADULT, OLD = (("age_group", each) for each in ("0-17", "18-64", "65+"))


def ends(*releases, threshold=T):
    return attacker.intervals(releases, threshold)


# --- one release, by hand --------------------------------------------------------------------------------------------


def test_a_lone_hidden_cell_is_between_one_and_all():
    found = ends([row("municipality", "11001", 20, None)])
    assert found[MUNICIPALITY, "beneficiaries"] == (20, 20)
    assert found[MUNICIPALITY, "patients"] == (1, 20)
    assert found[MUNICIPALITY, "others"] == (0, 19)


def test_a_hidden_number_of_people_with_nothing_above_has_no_upper_end():
    found = ends([row("municipality", "11001", None, None)])
    assert found[MUNICIPALITY, "beneficiaries"] == (1, None)
    assert found[MUNICIPALITY, "patients"] == (0, None)
    assert found[MUNICIPALITY, "others"] == (0, None)
    assert attacker.broken([[row("municipality", "11001", None, None)]], T) == []


def test_a_hidden_cell_is_what_the_others_leave():
    release = [
        row("arrondissement", "11000", 100, 30),
        row("municipality", "11001", 40, None),
        row("municipality", "11002", 60, 27),
    ]
    assert ends(release)[MUNICIPALITY, "patients"] == (3, 3)
    assert attacker.broken([release], T) == [(MUNICIPALITY, "patients")]


def test_two_hidden_cells_share_what_is_left_and_each_has_at_least_one():
    release = [
        row("arrondissement", "11000", 100, 10),
        row("municipality", "11001", 40, None),
        row("municipality", "11002", 60, None),
    ]
    assert ends(release)[MUNICIPALITY, "patients"] == (1, 9)
    assert attacker.broken([release], T) == []


def test_a_few_shared_by_two_are_few_for_each():
    release = [
        row("arrondissement", "11000", 100, 5),
        row("municipality", "11001", 40, None),
        row("municipality", "11002", 60, None),
    ]
    assert ends(release)[MUNICIPALITY, "patients"] == (1, 4)
    assert attacker.broken([release], T) == [
        (MUNICIPALITY, "patients"),
        (of("municipality", "11002"), "patients"),
    ]


def test_others_add_up_too():
    """93 of 100 are patients, so 7 others are spread over two cells: 40 - 33 = 7 at most in either."""
    release = [
        row("arrondissement", "11000", 100, 93),
        row("municipality", "11001", 40, None),
        row("municipality", "11002", 60, None),
    ]
    found = ends(release)
    assert found[MUNICIPALITY, "patients"] == (33, 40)
    assert found[MUNICIPALITY, "others"] == (0, 7)


@pytest.mark.parametrize(
    ("people", "patients", "figures"),
    [
        (20, 0, []),
        (20, 4, ["patients"]),
        (20, 5, []),
        (20, 15, []),
        (20, 16, ["others"]),
        (20, 20, ["others"]),
        (0, 0, []),
        (4, 0, ["beneficiaries", "others"]),
    ],
)
def test_a_shown_figure_is_judged_as_the_primary_rule_would(people, patients, figures):
    release = [row("municipality", "11001", people, patients)]
    assert attacker.broken([release], T) == [(MUNICIPALITY, figure) for figure in sorted(figures)]


def test_of_as_many_people_as_the_threshold_the_hidden_patients_are_fine():
    """N = 5: n is 1..5 and m is 0..4, which is as wide as it can be."""
    assert attacker.broken([[row("municipality", "11001", 5, None)]], T) == []
    assert attacker.broken([[row("municipality", "11001", 5, None)]], 6) != []


def test_nobody_but_patients_is_broken_though_no_figure_is_small():
    """In 11001 and 11002, 50 and 60 of 110 people are patients but for three at most."""
    release = [
        row("arrondissement", "11000", 110, 108),
        row("municipality", "11001", 50, None),
        row("municipality", "11002", 60, None),
    ]
    assert ends(release)[MUNICIPALITY, "others"] == (0, 2)
    assert (MUNICIPALITY, "others") in attacker.broken([release], T)


def test_an_empty_cell_is_no_disclosure():
    release = [row("municipality", "11001", None, None), sector("A00", 0, 0), sector("A01", None, None)]
    assert ends(release)[of("sector", "11001A00-"), "others"] == (0, 0)
    assert attacker.broken([release], T) == []


def test_the_unknown_sector_takes_part():
    release = [row("municipality", "11001", 50, 20), sector("A00", 30, 12), sector("A01", 17, None)]
    found = ends(release)
    assert found[RESIDUAL, "beneficiaries"] == (3, 3)
    assert found[RESIDUAL, "patients"] == (0, 3)
    assert found[of("sector", "11001A01-"), "patients"] == (5, 8)
    assert (RESIDUAL, "beneficiaries") in attacker.broken([release], T)


def test_without_sectors_there_is_no_unknown_sector():
    assert RESIDUAL[:2] not in {cell[:2] for cell, _ in ends([row("municipality", "11001", 50, 20)])}


def test_the_unassigned_take_part_with_every_category():
    rows = [row("country", "BE", 100, 50)]
    rows += [row("country", "BE", people, n, category) for category, people, n in [(MALE, 50, 30), (FEMALE, 50, 20)]]
    rows += [row("region", "02000", 90, 45)]
    rows += [row("region", "02000", 45, None, category) for category in (MALE, FEMALE)]
    found = ends(rows)
    unassigned = of("unassigned", "unassigned")
    assert found[unassigned, "beneficiaries"] == (10, 10)
    assert found[unassigned, "patients"] == (5, 5)
    # 30 - M of the region are 0..5 and add up to 5 with 20 - F of the region.
    assert found[of("unassigned", "unassigned", MALE), "patients"] == (0, 5)
    assert found[of("region", "02000", MALE), "patients"] == (25, 30)
    assert found[of("region", "02000", FEMALE), "patients"] == (15, 20)


def test_without_regions_there_are_no_unassigned():
    assert {cell[0] for cell, _ in ends([row("country", "BE", 100, 50)])} == {"country"}


def test_brussels_is_an_area_on_two_levels():
    rows = [
        row("region", "04000", 50, 20),
        row("province", "04000", 50, None, parent="04000"),
        row("arrondissement", "21000", 50, None, parent="04000"),
    ]
    found = ends(rows)
    assert found[of("province", "04000"), "patients"] == (20, 20)
    assert found[of("arrondissement", "21000"), "patients"] == (20, 20)


def test_age_classes_add_up_to_their_group():
    classes = {"18-64": ("18-24", "25-44", "45-64"), "65+": ("65-74", "75-84", "85+"), "0-17": ("0-17",)}
    rows = [row("arrondissement", "11000", 90, 30)]
    for group, names in classes.items():
        rows.append(row("arrondissement", "11000", 30, 10, ("age_group", group)))
        rows += [row("arrondissement", "11000", 30 // len(names), None, ("age_class", name)) for name in names]
    found = ends(rows)
    assert found[of("arrondissement", "11000", ("age_class", "0-17")), "patients"] == (10, 10)
    # No class shows its patients, so a zero may be hidden (R2); if one does, none of the others is.
    assert found[of("arrondissement", "11000", ("age_class", "85+")), "patients"] == (0, 10)
    next(each for each in rows if each["category"] == "18-24")["patients"] = 2
    assert ends(rows)[of("arrondissement", "11000", ("age_class", "85+")), "patients"] == (1, 8)


# --- zeros -----------------------------------------------------------------------------------------------------------


def bounds(*rows):
    return attacker.lower_bounds({attacker.cell_of(each): each for each in rows})


def test_a_hidden_figure_is_at_least_one():
    assert bounds(row("municipality", "11001", 9, None)) == {(MUNICIPALITY, "patients"): 1}


def test_patients_may_be_none_where_the_people_are_hidden_too():
    assert bounds(row("municipality", "11001", None, None)) == {
        (MUNICIPALITY, "beneficiaries"): 1,
        (MUNICIPALITY, "patients"): 0,
    }


@pytest.mark.parametrize(
    ("total", "people", "patients"),
    [((9, None), 1, 0), ((None, None), 0, 0), ((9, 3), 1, 0)],
)
def test_zeros_of_a_breakdown_are_hidden_with_their_total(total, people, patients):
    found = bounds(row("municipality", "11001", *total), row("municipality", "11001", None, None, MALE))
    assert found[of("municipality", "11001", MALE), "beneficiaries"] == people
    assert found[of("municipality", "11001", MALE), "patients"] == patients


def test_patients_of_a_breakdown_whose_total_shows_them_are_at_least_one():
    for total, least in ((None, 0), (3, 1)):
        women = row("municipality", "11001", 5, 2, FEMALE)
        found = bounds(row("municipality", "11001", 9, total), row("municipality", "11001", 4, None, MALE), women)
        assert found[of("municipality", "11001", MALE), "patients"] == least


def test_zeros_of_a_breakdown_are_hidden_where_none_of_its_categories_shows_its_patients():
    man = of("municipality", "11001", MALE), "patients"
    total, men = row("municipality", "11001", 9, 3), row("municipality", "11001", 4, None, MALE)
    for women, least in (((5, None), 0), ((5, 2), 1), ((5, 0), 1), ((0, 0), 0), ((None, None), 0)):
        assert bounds(total, men, row("municipality", "11001", *women, FEMALE))[man] == least
    other = row("municipality", "11001", 9, 3, ("preferential", "0"))
    assert bounds(total, men, row("municipality", "11001", 5, None, FEMALE), other)[man] == 0, "of another breakdown"
    elsewhere = row("municipality", "11002", 5, 2, FEMALE)
    assert bounds(total, men, row("municipality", "11001", 5, None, FEMALE), elsewhere)[man] == 0, "of another area"


def test_zeros_of_sectors_are_hidden_where_no_sector_shows_its_patients_and_never_of_beneficiaries():
    first = of("sector", "11001A00-"), "patients"
    assert bounds(sector("A00", 9, None), sector("A01", 9, None))[first] == 0
    assert bounds(sector("A00", 9, None), sector("A01", 9, 2))[first] == 1
    assert bounds(sector("A00", 9, None), sector("A01", 0, 0))[first] == 0
    assert bounds(sector("A00", 9, None), sector("A01", None, None))[first] == 0
    people = of("sector", "11001A01-"), "beneficiaries"
    assert bounds(sector("A00", 9, None), sector("A01", None, None))[people] == 1
    assert bounds(sector("A00", 0, 0), sector("A01", None, None))[people] == 1
    assert bounds(sector("A00", None, None), sector("A01", None, None))[people] == 1


def test_sectors_of_another_municipality_do_not_matter():
    other = row("sector", "11002A00-", 9, 2, parent="11002")
    assert bounds(sector("A00", 9, None), other)[of("sector", "11001A00-"), "patients"] == 0


# --- releases that contradict themselves -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "release",
    [
        [row("municipality", "11001", 5, 6)],
        [row("arrondissement", "11000", 9, 3), row("municipality", "11001", 9, 4)],
        [row("arrondissement", "11000", 9, 0), row("municipality", "11001", 9, None)],
        [row("municipality", "11001", 50, 20), sector("A00", 51, 20)],
    ],
)
def test_a_contradiction_is_none_of_the_readers_business(release):
    with pytest.raises(attacker.ContradictionError):
        attacker.broken([release], T)


def test_a_cell_that_is_there_twice_is_refused():
    with pytest.raises(ValueError, match="twice"):
        attacker.broken([[row("municipality", "11001", 9, 3)] * 2], T)


# --- several releases, by hand ---------------------------------------------------------------------------------------


def three(first, second, third, whole, versions=(0, 0, 0, 0)):
    codes = ("11001", "11002", "11004")
    rows = [row("arrondissement", "11000", 300, whole, version=versions[3])]
    rows += [
        row("municipality", code, 100, n, version=version)
        for code, n, version in zip(codes, (first, second, third), versions, strict=False)
    ]
    return rows


def test_what_an_earlier_release_showed_is_known():
    newest, earlier = three(None, None, 60, 80), three(None, 15, None, 80)
    assert ends(newest)[MUNICIPALITY, "patients"] == (1, 19)
    assert ends(newest, earlier)[MUNICIPALITY, "patients"] == (5, 5)
    assert attacker.broken([newest, earlier], T) == []
    assert attacker.broken([newest, earlier], 6) == [(MUNICIPALITY, "patients")]


def test_a_changed_cell_is_another_one():
    newest, earlier = three(None, None, 60, 80, (0, 1, 1, 1)), three(None, 15, None, 80)
    assert ends(newest, earlier)[MUNICIPALITY, "patients"] == (1, 19)


def test_the_difference_of_two_releases_is_known():
    """Of three hidden cells one changed, and the whole rose by three: so did that cell, which had one at least."""
    newest, earlier = three(None, None, None, 83, (0, 1, 0, 1)), three(None, None, None, 80)
    changed = of("municipality", "11002"), "patients"
    assert ends(newest)[changed] == (1, 81)
    assert ends(newest, earlier)[changed] == (4, 81)
    assert ends(earlier, newest)[changed] == (1, 78)


def test_of_two_lower_bounds_the_tighter_one_holds():
    def by_sex(total, version):
        return [
            row("municipality", "11001", 9, total, version=version),
            row("municipality", "11001", 5, None, MALE, version=0),
            row("municipality", "11001", 4, None if total is None else 2, FEMALE, version=version),
        ]

    male = of("municipality", "11001", MALE), "patients"
    assert ends(by_sex(None, 0))[male] == (0, 5)
    assert ends(by_sex(None, 0), by_sex(None, 0))[male] == (0, 5)
    # What one release shows of the women tells that a hidden zero of the men would show, in both.
    lowest, _ = ends(by_sex(None, 0), by_sex(6, 1))[male]
    assert lowest >= 1


def test_residuals_are_the_same_only_when_they_carry_a_version():
    newest = [row("municipality", "11001", 50, 20), sector("A00", 30, 15), sector("A01", 10, None)]
    earlier = [
        row("municipality", "11001", 52, 22, version=1),
        sector("A00", 33, 16, version=1),
        sector("A01", 10, None, version=1),
    ]
    residual = row("sector", "11001ZZZZ", None, None, parent="11001")
    assert ends(newest)[RESIDUAL, "patients"] == (0, 4)
    assert ends(newest, earlier)[RESIDUAL, "patients"] == (0, 4)
    with pytest.raises(attacker.ContradictionError):  # 10 unknown now, 9 then
        ends([*newest, {**residual, "version": 0}], [*earlier, {**residual, "version": 0}])
    earlier[1] = sector("A00", 32, 20, version=1)
    assert ends([*newest, {**residual, "version": 1}], [*earlier, {**residual, "version": 1}])[
        RESIDUAL, "patients"
    ] == (0, 1)
    assert ends([*newest, {**residual, "version": 1}], [*earlier, {**residual, "version": 2}])[
        RESIDUAL, "patients"
    ] == (0, 4)


def test_the_cells_of_all_releases_are_judged():
    gone = [row("municipality", "11001", 9, 3, version=0), row("municipality", "11002", 90, 30, version=0)]
    now = [row("municipality", "11001", 90, 30, version=1)]
    for releases in ([now, gone], [gone, now], [gone]):
        assert attacker.broken(releases, T) == [(of("municipality", "11001"), "patients")]


def test_a_figure_that_did_not_change_is_known_whatever_the_other_does():
    def release(people, patients, people_version):
        each = row("municipality", "11001", people, patients)
        return [{**each, "version_beneficiaries": people_version, "version_patients": 0}]

    key = of("municipality", "11001"), "patients"
    assert ends(release(60, None, 1), release(50, 30, 0))[key] == (30, 30)
    assert ends(release(60, None, 1))[key] == (1, 60)


@pytest.mark.parametrize(
    ("people", "change", "expected"), [(60, 1, (30, 40)), (45, -1, (25, 30)), (60, 0, (1, 60)), (45, 0, (1, 45))]
)
def test_of_persons_who_only_came_or_went_none_to_all_are_patients(people, change, expected):
    now = [{**row("municipality", "11001", people, None, version=1), "change": change}]
    assert (
        ends(now, [row("municipality", "11001", 50, 30, version=0)])[of("municipality", "11001"), "patients"]
        == expected
    )


def test_who_came_is_counted_once_however_many_sums_he_is_in():
    """Nothing at all is shown, so bounds alone tell little: the search would try every number for each figure.

    Men and minors did not change; women came, adults as well as old ones, and no patient. So two women at least are none.
    """

    def release(version, change):
        return [
            {
                **row("municipality", "11001", None, None, category),
                "version_beneficiaries": version * (category not in (MALE, MINOR)),
                "version_patients": 0,
                "change": change * (category not in (MALE, MINOR)),
            }
            for category in (attacker.TOTAL, MALE, FEMALE, MINOR, ADULT, OLD)
        ]

    found = attacker.intervals([release(1, 1), release(0, 0)], T, patience=100)
    assert found[of("municipality", "11001", FEMALE), "others"] == (2, None)


# --- against every table there is ------------------------------------------------------------------------------------

PLACES = {
    "two sectors": (
        [("municipality", "11001", "11000"), ("sector", "11001A00-", "11001"), ("sector", "11001A01-", "11001")],
        [("11001", "11001A00-"), ("11001", "11001A01-"), ("11001", "")],
    ),
    "two municipalities": (
        [("arrondissement", "11000", "10000"), ("municipality", "11001", "11000"), ("municipality", "11002", "11000")],
        [("11001", ""), ("11002", "")],
    ),
    "a country": ([("country", "BE", ""), ("region", "02000", "BE")], [("11001", ""), ("", "")]),
    "a sector and a neighbour": (
        [
            ("arrondissement", "11000", "10000"),
            ("municipality", "11001", "11000"),
            ("municipality", "11002", "11000"),
            ("sector", "11001A00-", "11001"),
        ],
        [("11001", "11001A00-"), ("11001", ""), ("11002", "")],
    ),
}
LADDER = [
    ("country", "BE", ""),
    ("region", "02000", "BE"),
    ("province", "10000", "02000"),
    ("arrondissement", "11000", "10000"),
    ("municipality", "11001", "11000"),
    ("municipality", "11002", "11000"),
]
LEVELS = ("country", "region", "province", "arrondissement", "municipality", "sector")


@st.composite
def tiny(draw):
    """A table of at most seven people, in two or three places, by sex or not."""
    areas, leaves = PLACES[draw(st.sampled_from(sorted(PLACES)))]
    dimensions = draw(st.sampled_from([(), ("sex",), ("preferential",)]))
    counts = [(0, 0)] * (len(leaves) * (2 if dimensions else 1))
    for _ in range(draw(st.integers(1, 7 if len(counts) < 5 else 5))):
        which = draw(st.integers(0, len(counts) - 1))
        people, patients = counts[which]
        counts = [*counts[:which], (people + 1, patients + draw(st.integers(0, 1))), *counts[which + 1 :]]
    return little_of(areas, leaves, dimensions, counts)


def little_of(areas, leaves, dimensions, counts):
    kinds = {(): [("M", "0")], ("sex",): [("M", "0"), ("F", "0")], ("preferential",): [("M", "0"), ("M", "1")]}
    micro = itertools.product(leaves, kinds[dimensions])
    groups = [
        Group(*leaf, sex, "0-17", preferential, *count)
        for (leaf, (sex, preferential)), count in zip(micro, counts, strict=True)
    ]
    levels = [LEVELS.index(area[0]) for area in areas]
    every = [Area(*area) for area in dict.fromkeys([*LADDER, *areas])]
    if (top := LEVELS[min(levels)]) != "country":
        # One area of the top level: what is beside it has nobody.
        every = [area for area in every if area.level != top or area.code == areas[0][1]]
    return SmallTable(tuple(every), top, LEVELS[max(levels)], dimensions, tuple(groups))


def every_table(small, release):
    """(cell -> (N, n), residuals included) of every table of as many people that shows what the release shows.

    Tried person by person, not cell by cell: what adds up does so because people are in it.
    """
    keys = []
    for group in small.groups:
        places = [("country", "BE")] if group.municipality == "" else [("sector", group.sector)]
        if group.municipality != "":
            above = {("municipality", group.municipality)}
            above |= {(level, code) for level, code, _ in LADDER if level != "municipality"}
            places += sorted(above)
        if group.sector == "":
            places = [place for place in places if place[0] != "sector"]
            places.append(("unassigned", "unassigned") if group.municipality == "" else ("sector", "11001ZZZZ"))
            if group.municipality == "11002":
                places.pop()
        kinds = [("total", "total")]
        kinds += [(name, getattr(group, name)) for name in small.dimensions]
        keys.append([
            (*place, *kind) for place in places for kind in kinds if place[0] != "sector" or kind[0] == "total"
        ])  # fmt: skip
    shown = {attacker.cell_of(each): (each["beneficiaries"], each["patients"]) for each in release}
    least = attacker.lower_bounds({attacker.cell_of(each): each for each in release})
    residuals = set(attacker.residuals_of({attacker.cell_of(each): each for each in release}))
    cells = set(shown) | residuals
    everybody = sum(group.people for group in small.groups)
    for people in compositions(everybody, len(keys)):
        for patients in itertools.product(*(range(number + 1) for number in people)):
            table = dict.fromkeys(cells, (0, 0))
            for places, number, n in zip(keys, people, patients, strict=True):
                for cell in places:
                    if cell in table:
                        table[cell] = (table[cell][0] + number, table[cell][1] + n)
            if all(
                (known is None and table[cell][which] >= least[cell, figure]) or known == table[cell][which]
                for cell, figures in shown.items()
                for which, (figure, known) in enumerate(zip(("beneficiaries", "patients"), figures, strict=True))
            ):
                yield table


def compositions(whole, parts):
    if parts == 1:
        yield (whole,)
        return
    for first in range(whole + 1):
        for others in compositions(whole - first, parts - 1):
            yield (first, *others)


def summed_up(solutions):
    seen = defaultdict(set)
    for table in solutions:
        for cell, (people, patients) in table.items():
            seen[cell, "beneficiaries"].add(people)
            seen[cell, "patients"].add(patients)
            seen[cell, "others"].add(people - patients)
    return {key: (min(values), max(values)) for key, values in seen.items()}


@st.composite
def hidden_cells(draw, rates):
    """Some figures of a table, but never the number of people of its top, without which there is no end of tables."""
    cells = [attacker.cell_of(each) for each in rows_of(rates) if not attacker.is_residual(each)]
    top = min(cells, key=lambda cell: (LEVELS.index(cell[0]), cell[2] != "total"))
    chosen = draw(
        st.lists(st.tuples(st.sampled_from(cells), st.sampled_from(["patients", "beneficiaries"])), min_size=1)
    )
    return [(cell, "patients" if cell == top else figure) for cell, figure in chosen]


@examples(150)
@given(tiny(), st.data())
def test_the_intervals_are_those_of_every_table(small, data):
    release = rows_of(masked(small.table(), data.draw(hidden_cells(small.table()))))
    expected = summed_up(every_table(small, release))
    event(f"hidden: {sum(each['patients'] is None for each in release)}")
    assert ends(release) == expected


@examples(60)
@given(tiny(), st.data())
def test_the_intervals_are_those_of_every_pair_of_tables(earlier, data):
    groups = list(earlier.groups)
    which = data.draw(st.integers(0, len(groups) - 1))
    moved = data.draw(st.integers(-1, 1))
    people = max(0, groups[which].people + moved)
    assume(people or len(groups) > 1)
    patients = min(people, max(0, groups[which].patients + data.draw(st.integers(-1, 1))))
    groups[which] = Group(*[*vars(groups[which]).values()][:5], people, patients)
    revised = SmallTable(earlier.areas, earlier.top, earlier.lowest, earlier.dimensions, tuple(groups))
    truths = [revised.table(), earlier.table()]
    masks = [masked(truth, data.draw(hidden_cells(truth))) for truth in truths]
    releases = [rows_of(release) for release in carried_on(masks, truths, data.draw(st.booleans()))]

    def version_of(release, position):
        shown = [each for each in release if not attacker.is_residual(each)]
        residuals = attacker.residuals_of({attacker.cell_of(each): each for each in shown})
        return {
            **{(residual, figure): ("none", position) for residual in residuals for figure in (0, 1)},
            **{
                (attacker.cell_of(each), figure): each[name]
                for each in release
                for figure, name in enumerate(("version_beneficiaries", "version_patients"))
            },
        }

    version = [version_of(release, position) for position, release in enumerate(releases)]
    shared = sorted(one for one in version[0] if version[0][one] == version[1].get(one))
    changes = {attacker.cell_of(each): each["change"] for each in releases[0] if each["change"]}

    def of_shared(table):
        return tuple(table.get(cell, (0, 0))[figure] for cell, figure in shared)

    def agree(new, old):
        """Where persons only came or only went, it is one at least, and the patients among them are none to all."""
        for cell, change in changes.items():
            (people, patients), (before, patients_before) = new.get(cell, (0, 0)), old.get(cell, (0, 0))
            moved = change * (people - before)
            if moved < 1 or not 0 <= change * (patients - patients_before) <= moved:
                return False
        return True

    tables_of = [
        list(every_table(small, [each for each in release if not attacker.is_residual(each)]))
        for small, release in zip((revised, earlier), releases, strict=True)
    ]
    possible = defaultdict(list)
    for table in tables_of[1]:
        possible[of_shared(table)].append(table)
    both = [table for table in tables_of[0] if any(agree(table, old) for old in possible[of_shared(table)])]
    alone = summed_up(tables_of[0])
    expected = summed_up(both)
    event(f"the earlier release tells something: {alone != expected}")
    assert ends(*releases) == expected


@examples(40)
@given(st.data())
def test_the_truth_is_within_and_the_same_release_twice_tells_nothing_new(data):
    threshold = data.draw(thresholds)
    rates = data.draw(tables(threshold))
    cells = [attacker.cell_of(each) for each in rows_of(rates)]
    chosen = data.draw(st.lists(st.tuples(st.sampled_from(cells), st.sampled_from(attacker.FIGURES[:2]))))
    release = rows_of(masked(rates, chosen))
    found = ends(release, threshold=threshold)
    for each in rows_of(rates):
        figures = {**each, "others": each["beneficiaries"] - each["patients"]}
        for figure in attacker.FIGURES:
            lowest, highest = found.get((attacker.cell_of(each), figure), (0, None))
            assert lowest <= figures[figure]
            assert highest is None or figures[figure] <= highest
    assert ends(release, release, threshold=threshold) == found


@examples(30)
@given(st.data())
def test_an_earlier_release_never_widens_an_interval(data):
    threshold = data.draw(thresholds)
    earlier, revised = data.draw(revisions(threshold))[:2]
    masks = []
    for truth in (revised, earlier):
        cells = [attacker.cell_of(each) for each in rows_of(truth)]
        chosen = data.draw(st.lists(st.tuples(st.sampled_from(cells), st.sampled_from(attacker.FIGURES[:2]))))
        masks.append(masked(truth, chosen))
    releases = [rows_of(release) for release in carried_on(masks, [revised, earlier], data.draw(st.booleans()))]
    alone, together = ends(releases[0], threshold=threshold), ends(*releases, threshold=threshold)
    assert set(alone) == set(together)
    for key, (lowest, highest) in together.items():
        assert alone[key][0] <= lowest
        assert alone[key][1] is None or (highest is not None and highest <= alone[key][1])
    event(f"the earlier release tells something: {alone != together}")
