"""The audit on tables small enough to work out by hand: what it concludes, what it calls broken, what it refuses."""

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from mm_pipeline.disclosure.audit import Audit, audit
from mm_pipeline.errors import OperatorError

T = 5
KEY = ["level", "area_code", "dimension", "category"]


def table(*lines: str, version: int | None = None) -> pd.DataFrame:
    """Rows of protected_rates: ``level area parent dimension category N n``; a dot is hidden, several N n go round."""
    rows = []
    for line in lines:
        level, area, parent, dimension, category, people, patients, *own = line.split()
        rows.append(
            {
                "year": 2024,
                "level": level,
                "area_code": area,
                "parent_code": parent,
                "dimension": dimension,
                "category": category,
                "beneficiaries": None if people == "." else int(people),
                "patients": None if patients == "." else int(patients),
                "rate_per_10000": None,
                "rate_percent": None,
                "status": "suppressed" if patients == "." else "published",
            }
        )
        if own or version is not None:
            rows[-1]["version_beneficiaries"] = rows[-1]["version_patients"] = int(own[0]) if own else version
    frame = pd.DataFrame(rows)
    return frame.astype({"beneficiaries": "Int64", "patients": "Int64"})


def interval(result: Audit, area: str, figure: str, category: str = "total") -> tuple[int, int | None] | None:
    """(lowest, highest) as listed of the newest release, None where the figure is not listed."""
    rows = result.intervals[result.intervals.release == 0]
    rows = rows[(rows.area_code == area) & (rows.figure == figure) & (rows.category == category)]
    if rows.empty:
        return None
    assert len(rows) == 1
    lowest, highest = rows[["lowest", "highest"]].iloc[0]
    return lowest, None if pd.isna(highest) else highest


def broken(result: Audit) -> set[tuple[str, str, str]]:
    return set(result.violations[["area_code", "category", "figure"]].itertuples(index=False, name=None))


def sexes(total: str, men: str, women: str, area: str = "11001") -> list[str]:
    return [
        f"municipality {area} 11000 total total {total}",
        f"municipality {area} 11000 sex M {men}",
        f"municipality {area} 11000 sex F {women}",
    ]


def test_everything_shown_and_large_keeps_the_promise():
    result = audit(table(*sexes("200 100", "100 40", "100 60")), T)
    assert result.intervals.empty
    assert result.violations.empty


def test_zero_is_no_secret():
    assert audit(table(*sexes("200 40", "100 40", "100 0")), T).violations.empty


def test_the_only_hidden_cell_of_a_line_is_told_exactly():
    result = audit(table(*sexes("200 63", "100 60", "100 .")), T)
    assert interval(result, "11001", "patients", "F") == (3, 3)
    assert broken(result) == {("11001", "F", "patients")}


def test_an_only_hidden_cell_that_is_not_small_breaks_nothing():
    result = audit(table(*sexes("200 90", "100 60", "100 .")), T)
    assert interval(result, "11001", "patients", "F") == (30, 30)
    assert result.violations.empty


def ages(total: str, *groups: str) -> list[str]:
    names = ("0-17", "18-64", "65+")
    return [
        f"municipality 11001 11000 total total {total}",
        *(f"municipality 11001 11000 age_group {name} {group}" for name, group in zip(names, groups, strict=True)),
    ]


def test_two_hidden_cells_share_their_sum_and_zeros_are_shown():
    result = audit(table(*ages("300 29", "100 20", "100 .", "100 .")), T)
    assert interval(result, "11001", "patients", "18-64") == (1, 8)
    assert interval(result, "11001", "patients", "65+") == (1, 8)
    assert result.violations.empty


def test_r2_where_all_categories_of_a_breakdown_are_hidden_they_may_be_zero():
    result = audit(table(*sexes("200 5", "100 .", "100 .")), T)
    assert interval(result, "11001", "patients", "M") == (0, 5)
    assert result.violations.empty
    # The women are nobody, and that shows: they do not count.
    result = audit(table(*sexes("100 9", "100 .", "0 0")), T)
    assert interval(result, "11001", "patients", "M") == (9, 9)


@pytest.mark.parametrize(("together", "is_broken"), [(5, True), (6, False)])
def test_both_sides_of_the_narrowest_interval(together: int, is_broken: bool):
    """Each is 1 to 4 or 1 to 5: of four values none is t, five are enough."""
    result = audit(table(*ages(f"300 {20 + together}", "100 20", "100 .", "100 .")), T)
    assert interval(result, "11001", "patients", "65+") == (1, together - 1)
    assert broken(result) == ({("11001", group, "patients") for group in ("18-64", "65+")} if is_broken else set())


def test_others_are_judged_where_they_are_few():
    result = audit(table(*sexes("191 181", "100 .", "91 .")), T)
    assert interval(result, "11001", "patients", "F") == (81, 91)
    assert interval(result, "11001", "patients", "M") == (90, 100)
    assert result.violations.empty
    result = audit(table(*sexes("191 188", "100 .", "91 .")), T)
    assert interval(result, "11001", "others", "F") == (0, 3)
    assert broken(result) == {("11001", category, "others") for category in ("total", "M", "F")}


@pytest.mark.parametrize(
    ("shown", "figures"),
    [
        ("3 0", {"beneficiaries", "others"}),
        ("3 2", {"beneficiaries", "patients", "others"}),
        ("100 4", {"patients"}),
        ("100 96", {"others"}),
        ("100 100", {"others"}),
        ("100 5", set()),
        ("100 95", set()),
        ("5 0", set()),
        ("0 0", set()),
    ],
)
def test_a_shown_figure_that_should_be_hidden_is_a_violation(shown: str, figures: set[str]):
    result = audit(table(f"municipality 11001 11000 total total {shown}"), T)
    assert {figure for *_, figure in broken(result)} == figures


def test_the_threshold_counts():
    shown = table("municipality 11001 11000 total total 100 7")
    assert audit(shown, 7).violations.empty
    assert broken(audit(shown, 8)) == {("11001", "total", "patients")}


def test_of_as_many_people_as_the_threshold_others_are_at_most_one_less():
    """N = t, n in 1..t: others in 0..t-1 is all there can be, and no breach."""
    result = audit(table("municipality 11001 11000 total total 5 ."), T)
    assert interval(result, "11001", "patients") == (1, 5)
    assert result.violations.empty
    assert broken(audit(table("municipality 11001 11000 total total 4 ."), T)) == {
        ("11001", "total", figure) for figure in ("beneficiaries", "patients", "others")
    }


def test_r1_breakdowns_of_a_hidden_total_hide_zeros_too():
    result = audit(table(*sexes("200 .", "150 .", "50 .")), T)
    assert interval(result, "11001", "patients") == (1, 200)
    assert interval(result, "11001", "patients", "F") == (0, 50)
    # Without the total the table has no line, and one of the two no rule that would hide a zero.
    assert interval(audit(table(*sexes("200 .", "150 9", "50 .")[1:]), T), "11001", "patients", "F") == (1, 50)


def sectors(total: str, *shown: str, municipality: str = "11001") -> list[str]:
    return [
        f"municipality {municipality} {municipality[:2]}000 total total {total}",
        *(f"sector {municipality}A{i}- {municipality} total total {each}" for i, each in enumerate(shown)),
    ]


def test_r2_a_municipality_that_shows_no_sector_hides_zeros_too():
    result = audit(table(*sectors("300 20", "100 .", "100 .", "0 0")), T)
    assert interval(result, "11001A0-", "patients") == (0, 20)
    result = audit(table(*sectors("300 20", "100 .", "50 .", "50 10")), T)
    assert interval(result, "11001A0-", "patients") == (1, 9)


def test_beneficiaries_have_no_r2():
    """A sector may have its row only because somebody lives there."""
    assert interval(audit(table(*sectors("300 20", ". .", ". .")), T), "11001A0-", "beneficiaries") == (1, 299)
    five = audit(table(*sectors("5 .", ". .", ". .")), T)
    assert interval(five, "11001A0-", "beneficiaries") == (1, 4)
    assert ("11001A0-", "total", "beneficiaries") in broken(five)
    assert interval(audit(table(*sectors("300 20", ". .", "9 0")), T), "11001A0-", "beneficiaries") == (1, 291)


def test_the_unknown_sector_is_told_by_subtraction():
    result = audit(table(*sectors("203 60", "100 30", "100 30")), T)
    assert interval(result, "11001ZZZZ", "beneficiaries") == (3, 3)
    assert interval(result, "11001ZZZZ", "patients") == (0, 0)
    assert broken(result) == {("11001ZZZZ", "total", "beneficiaries"), ("11001ZZZZ", "total", "others")}
    assert set(result.intervals.level) == {"sector"}
    assert audit(table(*sectors("200 60", "100 30", "100 30")), T).violations.empty


def country(unassigned: tuple[int, int], hidden: bool = False) -> list[str]:
    """Two regions of 100 people each half of either sex, and ``unassigned`` (people, patients), all of them men."""
    people, patients = unassigned
    lines = [
        f"country BE - total total {200 + people} {80 + patients}",
        f"country BE - sex M {100 + people} {40 + patients}",
        "country BE - sex F 100 40",
    ]
    for region in ("02000", "03000"):
        lines += [
            f"region {region} BE total total 100 40",
            f"region {region} BE sex M 50 {'.' if hidden else 20}",
            f"region {region} BE sex F 50 {'.' if hidden else 20}",
        ]
    return lines


def test_the_unassigned_are_told_by_subtraction_in_every_category():
    result = audit(table(*country((10, 2))), T)
    assert broken(result) == {("unassigned", category, "patients") for category in ("total", "M")}
    assert interval(result, "unassigned", "patients", "F") == (0, 0)
    assert set(result.violations.level) == {"unassigned"}
    assert audit(table(*country((10, 5))), T).violations.empty


def test_the_breakdowns_of_the_unassigned_add_up():
    """2 patients of theirs are left over in all; none of their women, as they have none: so 2 of their men."""
    result = audit(table(*country((10, 2), hidden=True)), T)
    assert interval(result, "unassigned", "patients", "M") == (2, 2)
    assert interval(result, "02000", "patients", "M") == (0, 40)


def test_hidden_beneficiaries_and_patients_are_one_system():
    """Two sectors and the unknown one share 9 people, 8 of them patients."""
    result = audit(table(*sectors("109 38", "100 30", ". .", ". .")), T)
    assert interval(result, "11001A1-", "beneficiaries") == (1, 8)
    assert interval(result, "11001A1-", "patients") == (0, 8)
    # 9 - 8 = 1 other in all: seen only by taking N and n together.
    assert interval(result, "11001A1-", "others") == (0, 1)
    assert ("11001A1-", "total", "others") in broken(result)


def test_nothing_bounds_hidden_beneficiaries_of_the_top():
    result = audit(table("municipality 11001 11000 total total . ."), T)
    assert [interval(result, "11001", figure) for figure in ("beneficiaries", "patients", "others")] == [
        (1, None),
        (0, None),
        (0, None),
    ]
    assert result.violations.empty
    assert result.summary.narrowest.isna().all()


def test_hidden_beneficiaries_of_two_linked_breakdowns_without_a_bound():
    """A circle of equations that nothing bounds from above is left open too."""
    lines = sexes(". .", ". .", ". .") + [f"municipality 11001 11000 preferential {p} . ." for p in "01"]
    result = audit(table(*lines), T)
    assert interval(result, "11001", "others", "M") == (0, None)
    assert result.violations.empty


def test_age_classes_add_up_to_their_group():
    lines = [
        "arrondissement 11000 10000 total total 900 90",
        "arrondissement 11000 10000 age_group 0-17 300 30",
        "arrondissement 11000 10000 age_group 18-64 300 30",
        "arrondissement 11000 10000 age_group 65+ 300 30",
        "arrondissement 11000 10000 age_class 0-17 300 .",
        *(
            f"arrondissement 11000 10000 age_class {c} 100 {n}"
            for c, n in [("18-24", "20"), ("25-44", "."), ("45-64", ".")]
        ),
        *(f"arrondissement 11000 10000 age_class {c} 100 10" for c in ("65-74", "75-84", "85+")),
    ]
    result = audit(table(*lines), T)
    assert interval(result, "11000", "patients", "0-17") == (30, 30)
    assert interval(result, "11000", "patients", "25-44") == (1, 9)
    assert result.violations.empty


def test_brussels_is_region_and_province_of_one_code():
    lines = [
        "country BE - total total 1100 100",
        "region 02000 BE total total 500 50",
        "region 04000 BE total total 500 .",
        "province 04000 04000 total total 500 .",
        "arrondissement 21000 04000 total total 500 .",
        "municipality 21004 21000 total total 300 28",
        "municipality 21005 21000 total total 200 .",
    ]
    result = audit(table(*lines), T)
    # With the country's 50 less the unassigned, every level of Brussels is 29..50.
    for level in ("region", "province", "arrondissement"):
        rows = result.intervals[result.intervals.level == level]
        assert rows[["lowest", "highest"]].to_numpy().tolist() == [[29, 50]]
    assert interval(result, "21005", "patients") == (1, 22)
    # Hidden in the region alone it is hidden nowhere.
    lines[3] = "province 04000 04000 total total 500 48"
    result = audit(table(*lines), T)
    assert interval(result, "04000", "patients") == (48, 48)
    assert broken(result) == {("unassigned", "total", "patients")}


def test_a_table_may_be_a_part():
    """The sectors of a municipality that is not in the table are in no line."""
    result = audit(table(*sectors("300 20", "100 .", "200 15")[1:]), T)
    assert interval(result, "11001A0-", "patients") == (1, 100)
    assert "11001ZZZZ" not in set(result.intervals.area_code)


def test_a_cross_table_is_solved_across_its_lines():
    """With x men in the first area, it has 10 - x women, the second 8 - x men and 2 + x women."""
    lines = [
        "arrondissement 11000 10000 total total 400 20",
        "arrondissement 11000 10000 sex M 200 8",
        "arrondissement 11000 10000 sex F 200 12",
        *sexes("200 10", "100 .", "100 .", "11001"),
        *sexes("200 10", "100 .", "100 .", "11002"),
    ]
    result = audit(table(*lines), T)
    assert interval(result, "11001", "patients", "M") == (0, 8)
    assert interval(result, "11001", "patients", "F") == (2, 10)
    assert interval(result, "11002", "patients", "F") == (2, 10)
    assert result.violations.empty


def three_linked_breakdowns() -> list[str]:
    """A province whose lowest number of patients is 21 in real numbers and 22 in whole ones.

    In each of its two arrondissements municipalities 1, 2, 3 have a, b, c patients and 4, 5, 6 have 6 - a - b,
    6 - b - c, 6 - a - c, by a line of a sex, of preferential and of an age group. Hidden totals are at least 1, so
    two of a, b, c are at most 5 and all three at most 7.5: the arrondissement has 18 - 7.5 = 10.5 or more, in whole
    numbers 11 or more.
    """
    dimensions = {"sex": ["M", "F"], "preferential": ["0", "1"], "age_group": ["0-17", "18-64", "65+"]}
    # Per dimension, the municipalities whose patients are all in its first category; the others' are in the second.
    first = {"sex": (1, 2, 4), "preferential": (2, 3, 5), "age_group": (1, 3, 6)}

    def rows(level: str, area: str, parent: str, municipalities: int, numbers: dict[tuple[str, str], str]) -> list[str]:
        people = 120 * municipalities
        lines = [f"{level} {area} {parent} total total {people} ."]
        for dimension, categories in dimensions.items():
            lines += [
                f"{level} {area} {parent} {dimension} {c} {people // len(categories)} {numbers[dimension, c]}"
                for c in categories
            ]
        return lines

    def larger(first_category: int) -> dict[tuple[str, str], str]:
        return {(d, c): (str(first_category), ".", "0")[i] for d, cs in dimensions.items() for i, c in enumerate(cs)}

    lines = rows("province", "10000", "02000", 12, larger(12))
    for arrondissement in ("11", "12"):
        lines += rows("arrondissement", f"{arrondissement}000", "10000", 6, larger(6))
        for i in range(1, 7):
            numbers = {
                (d, c): "." if k == (0 if i in first[d] else 1) else "0"
                for d, cs in dimensions.items()
                for k, c in enumerate(cs)
            }
            lines += rows("municipality", f"{arrondissement}00{i}", f"{arrondissement}000", 1, numbers)
    return lines


def test_the_interval_is_of_whole_numbers_where_real_numbers_go_further():
    result = audit(table(*three_linked_breakdowns()), T)
    assert interval(result, "11000", "patients") == (11, 15)
    assert interval(result, "10000", "patients") == (22, 30)


def test_an_older_release_tells_what_the_newest_hides():
    older = table(*sexes("200 63", "100 60", "100 ."))
    newer = table(*sexes("200 63", "100 .", "100 ."))
    assert interval(audit(newer, T), "11001", "patients", "F") == (0, 63)
    result = audit([newer, older], T)
    assert interval(result, "11001", "patients", "F") == (3, 3)
    assert interval(result, "11001", "patients", "M") == (60, 60)
    assert broken(result) == {("11001", "F", "patients")}


def test_a_revised_cell_is_another_unknown_in_each_release():
    older = table(*sexes("200 63 0", "100 60 0", "100 . 0"))
    newer = table(*sexes("200 64 1", "100 . 1", "100 . 0"))
    # The women are the same as before: 3, so the men are 61.
    assert interval(audit([newer, older], T), "11001", "patients", "M") == (61, 61)
    newer = table(*sexes("200 64 1", "100 . 1", "100 . 1"))
    result = audit([newer, older], T)
    assert interval(result, "11001", "patients", "M") == (0, 64)
    assert result.violations.empty is False, "the older one shows that its women are 3"


def test_the_promise_is_for_every_release():
    older = table(*sexes("200 3 0", "100 0 0", "100 3 0"))
    newer = table(*sexes("200 90 1", "100 45 1", "100 45 1"))
    for releases, release in (([newer, older], 1), ([older, newer], 0)):
        violations = audit(releases, T).violations
        assert set(violations.release) == {release}
        assert set(violations.category) == {"total", "F"}


def revised(*rows: tuple[str, int, int, int]) -> pd.DataFrame:
    """Rows with the versions of N and of n, and whether they grew."""
    frame = table(*(line for line, *_ in rows))
    return frame.assign(
        **{
            name: [row[place] for row in rows]
            for place, name in enumerate(("version_beneficiaries", "version_patients", "change"), 1)
        }
    )


def test_an_unchanged_n_is_the_same_whatever_n_of_people_does():
    """Beneficiaries were delivered anew, forfaits were not: the men of the older table are those of the newer one."""
    men, women = "municipality 11001 11000 sex M", "municipality 11001 11000 sex F"
    total = "municipality 11001 11000 total total"
    older = revised((f"{total} 200 63", 0, 0, 0), (f"{men} 100 60", 0, 0, 0), (f"{women} 100 .", 0, 0, 0))
    newer = revised((f"{total} 220 63", 1, 0, 0), (f"{men} 110 .", 1, 0, 0), (f"{women} 110 .", 1, 0, 0))
    result = audit([newer, older], T)
    assert interval(result, "11001", "patients", "M") == (60, 60)
    assert interval(result, "11001", "patients", "F") == (3, 3)
    assert set(result.violations.release) == {0, 1}


def test_beneficiaries_that_an_older_release_shows_are_shown_whatever_n_does():
    """Of five people at least one is a patient, so four can be others and not five: that is no disclosure."""
    place, neighbour, both = "municipality 11001 11000", "municipality 11002 11000", "arrondissement 11000 10000"
    total = "total total"
    older = revised(
        (f"{both} {total} 105 50", 0, 0, 0), (f"{place} {total} 5 .", 0, 0, 0), (f"{neighbour} {total} 100 .", 0, 0, 0)
    )
    newer = revised(
        (f"{both} {total} 105 101", 0, 1, 0), (f"{place} {total} . .", 0, 1, 0), (f"{neighbour} {total} . .", 0, 1, 0)
    )
    result = audit([newer, older], T)
    assert interval(result, "11001", "patients") == (1, 5)
    assert interval(result, "11001", "others") == (0, 4)
    assert ("11001", "total", "others") not in broken(result)


@pytest.mark.parametrize(("change", "expected"), [(1, (50, 60)), (-1, (40, 50)), (0, (0, 70))])
def test_where_persons_only_came_n_grew_by_no_more_than_n_of_people(change: int, expected: tuple[int, int]):
    """50 of 100 were patients."""
    people = 110 if change >= 0 else 90
    lines = "municipality 11001 11000 sex M", "municipality 11001 11000 sex F", "municipality 11001 11000 total total"
    older = revised((f"{lines[2]} 200 70", 0, 0, 0), (f"{lines[0]} 100 50", 0, 0, 0), (f"{lines[1]} 100 20", 0, 0, 0))
    newer = revised(
        (f"{lines[2]} {100 + people} 70", 1, 0, 0),
        (f"{lines[0]} {people} .", 1, 1, change),
        (f"{lines[1]} 100 .", 0, 1, 0),
    )
    assert interval(audit([newer, older], T), "11001", "patients", "M") == expected


def test_the_difference_of_two_releases_tells():
    """The men are the same in both; only the newer one shows a total."""
    older = table(*sexes("200 . 0", "100 . 0", "100 50 0"))
    newer = table(*sexes("200 54 1", "100 . 0", "100 50 0"))
    result = audit([newer, older], T)
    assert interval(result, "11001", "patients", "M") == (4, 4)


def test_lower_bounds_are_the_tighter_of_the_releases():
    """R2 leaves 0 open in one release; the other shows a sector, and with it that the hidden ones are not 0."""
    quiet = table(*sectors("300 30 0", "100 . 0", "100 . 0", "50 . 0"))
    loud = table(*sectors("300 30 0", "100 . 0", "100 . 0", "50 10 1"))
    assert interval(audit(quiet, T), "11001A0-", "patients") == (0, 30)
    assert interval(audit([quiet, loud], T), "11001A0-", "patients")[0] == 1


def test_residuals_are_the_same_unknown_only_where_their_rows_say_so():
    def release(sector: str, total: str, residual: int | None) -> pd.DataFrame:
        lines = sectors(total, sector)
        return table(
            *lines, *([f"sector 11001ZZZZ 11001 total total . . {residual}"] if residual is not None else []), version=0
        )

    # The older release tells the residual: 10 people of whom 8 patients; the newer one has a revised sector.
    older = release("100 40 0", "110 48 0", 0)
    newer = release("100 . 1", "110 51 1", 0)
    result = audit([newer, older], T)
    assert interval(result, "11001ZZZZ", "patients") == (8, 8)
    assert interval(result, "11001A0-", "patients") == (43, 43)
    for carried in ((None, None), (None, 0), (0, None), (1, 0)):
        newer, older = release("100 . 1", "110 51 1", carried[0]), release("100 40 0", "110 48 0", carried[1])
        assert interval(audit([newer, older], T), "11001ZZZZ", "patients") == (0, 10)


def test_the_same_whatever_the_order_of_rows_and_run():
    shown = table(*three_linked_breakdowns(), *sectors("109 38", "100 30", ". .", ". .", municipality="21001"))
    result = audit(shown, T)
    for seed in range(3):
        other = audit(shown.sample(frac=1, random_state=seed), T)
        assert_frame_equal(result.intervals, other.intervals)
        assert_frame_equal(result.summary, other.summary)


def test_summary():
    result = audit(table(*sectors("309 48", "100 30", "200 9", ". .", ". .")), T)
    summary = result.summary.set_index(["level", "dimension"])
    sector = summary.loc["sector", "total"]
    assert sector[["cells", "visible", "hidden"]].tolist() == [4, 2, 2]
    assert sector.visible_share == 1.0
    # Two sectors and the unknown one share 9 people, all of them patients. The two sectors have at least 1 each, so
    # at most 8, and the unknown one 7.
    assert sector.narrowest == 7
    municipality = summary.loc["municipality", "total"]
    assert municipality.hidden == 0
    assert pd.isna(municipality.narrowest)


def test_visible_share_is_of_the_beneficiaries_that_are_shown():
    result = audit(table(*sexes("200 9", "150 .", "50 .")), T)
    assert result.summary.set_index("dimension").visible_share.to_dict() == {"sex": 0.0, "total": 1.0}


def test_hiding_one_figure_less_is_noticed():
    """Whichever hidden cell of the cross table is shown again, the audit finds the small one beside it."""
    lines = [
        "arrondissement 11000 10000 total total 400 62",
        "arrondissement 11000 10000 sex M 200 31",
        "arrondissement 11000 10000 sex F 200 31",
        *sexes("200 32", "100 .", "100 .", "11001"),
        *sexes("200 30", "100 .", "100 .", "11002"),
    ]
    assert audit(table(*lines), T).violations.empty
    truth = {4: "2", 5: "30", 7: "29", 8: "1"}
    for at, patients in truth.items():
        shown = list(lines)
        shown[at] = shown[at].removesuffix(".") + patients
        assert ("11001", "M", "patients") in broken(audit(table(*shown), T))


REFUSED = {
    "does not add up": sexes("200 63", "100 60", "100 4"),
    "people do not add up": sexes("201 .", "100 .", "100 ."),
    "parts above their total": sectors("100 20", "101 10"),
    "parts above their total with a hidden one": sexes("200 60", "100 60", "100 ."),
    "more hidden than there are people": sexes("200 60", "20 .", "180 30"),
    "more patients than people": ["municipality 11001 11000 total total 10 11"],
    "patients without people": ["municipality 11001 11000 total total . 11"],
    "twice": ["municipality 11001 11000 total total 10 5"] * 2,
    "negative": ["municipality 11001 11000 total total 10 -1"],
    "no such level": ["village 11001 11000 total total 10 5"],
    "no such category": ["municipality 11001 11000 sex X 10 5"],
    "a published residual": ["sector 11001ZZZZ 11001 total total 10 5"],
    "a hidden zero": sexes("200 60", "0 .", "200 60"),
}


@pytest.mark.parametrize("lines", REFUSED.values(), ids=REFUSED)
def test_a_table_that_contradicts_itself_is_refused_by_name(lines: list[str]):
    with pytest.raises(OperatorError, match="11001") as caught:
        audit(table(*lines), T)
    # Codes of areas and categories only, never a count.
    assert not [
        word for word in str(caught.value).replace(";", " ").replace(".", " ").split() if word in {"3", "4", "11"}
    ]


def test_a_contradiction_that_only_whole_numbers_show_is_refused():
    """As the three linked breakdowns, but the province shows the 21 patients that only halves of patients give."""
    lines = three_linked_breakdowns()
    lines[0] = lines[0].removesuffix(".") + "21"
    with pytest.raises(OperatorError, match="contradicts itself"):
        audit(table(*lines), T)


def test_releases_that_contradict_each_other_are_refused():
    one, other = table(*sexes("200 90", "100 50", "100 40")), table(*sexes("200 90", "100 49", "100 41"))
    with pytest.raises(OperatorError, match=r"one version shown differently.*11001 sex F"):
        audit([one, other], T)


def test_shapes_that_are_refused():
    good = table(*sexes("200 63", "100 60", "100 ."))
    for column in [*KEY, "parent_code", "beneficiaries", "patients"]:
        with pytest.raises(OperatorError, match=column):
            audit(good.drop(columns=column), T)
    with pytest.raises(OperatorError, match="not a number"):
        audit(good.astype({"patients": "object"}).fillna({"patients": "few"}), T)
    with pytest.raises(OperatorError, match="whole number"):
        audit(good.assign(beneficiaries=good.beneficiaries + 0.5), T)
    with pytest.raises(OperatorError, match="rate_percent"):
        audit(good.assign(rate_percent=1.0), T)
    with pytest.raises(OperatorError, match="status"):
        audit(good.assign(status="published"), T)
    with pytest.raises(OperatorError, match="several years"):
        audit([good, good.assign(year=2023)], T)
    with pytest.raises(OperatorError, match="no release"):
        audit([], T)


def test_nothing_of_the_table_is_in_the_repr():
    assert repr(audit(table(*sexes("200 63", "100 60", "100 .")), T)) == "Audit()"


def known(*facts: str) -> pd.DataFrame:
    """``level area dimension category figure at_least at_most``; a dot is empty."""
    frame = pd.DataFrame([fact.split() for fact in facts], columns=[*KEY, "figure", "at_least", "at_most"])
    ends = ["at_least", "at_most"]
    return frame.assign(**{end: pd.to_numeric(frame[end].replace(".", None)).astype("Int64") for end in ends})


GROUP = "municipality 11001 age_group 18-64 patients"


def test_what_is_known_of_one_cell_tells_of_another():
    """The two hidden groups share 9. Whoever knows five patients of the one knows that the other has at most 4."""
    shown = table(*ages("300 29", "100 20", "100 .", "100 ."))
    assert audit(shown, T).violations.empty
    result = audit(shown, T, known(f"{GROUP} 5 ."))
    assert interval(result, "11001", "patients", "65+") == (1, 4)
    assert broken(result) == {("11001", "65+", "patients")}


@pytest.mark.parametrize(
    ("fact", "shown"),
    [
        (f"{GROUP} . 3", ages("300 29", "100 20", "100 .", "100 .")),
        ("municipality 11001 sex M patients 98 .", sexes("191 181", "100 .", "91 .")),
    ],
    ids=["patients", "others"],
)
def test_a_figure_that_is_known_itself_is_no_violation(fact: str, shown: list[str]):
    assert audit(table(*shown), T, known(fact)).violations.empty


def test_a_leak_is_a_violation_however_little_is_known_of_it():
    result = audit(table(*sexes("200 63", "100 60", "100 .")), T, known("municipality 11001 sex F patients 0 ."))
    assert broken(result) == {("11001", "F", "patients")}


def test_a_figure_that_is_known_is_known_in_every_release_that_has_it():
    """Beneficiaries of the older release are others, so its men are another cell; patients are the same."""
    men, women, total = (f"municipality 11001 11000 {kind}" for kind in ("sex M", "sex F", "total total"))
    older = revised((f"{total} 200 63", 0, 0, 0), (f"{men} 100 .", 0, 0, 0), (f"{women} 100 .", 0, 0, 0))
    newer = revised((f"{total} 220 63", 1, 0, 0), (f"{men} 110 .", 1, 0, 0), (f"{women} 110 .", 1, 0, 0))
    result = audit([newer, older], T, known("municipality 11001 sex M patients 3 3"))
    assert result.intervals.loc[result.intervals.category == "M", "highest"].tolist() == [3, 3]
    assert result.violations.empty


def test_a_rest_may_be_known():
    result = audit(table(*sectors("300 29", "100 .", "100 20")), T, known("sector 11001ZZZZ total total patients 6 ."))
    assert interval(result, "11001A0-", "patients") == (1, 3)


@pytest.mark.parametrize("fact", [f"{GROUP} 9 .", f"{GROUP} . 0", "municipality 11001 age_group 0-17 patients 19 19"])
def test_what_is_known_must_agree_with_what_is_shown(fact: str):
    with pytest.raises(OperatorError, match="contradicts"):
        audit(table(*ages("300 29", "100 20", "100 .", "100 .")), T, known(fact))


def test_what_is_known_is_of_a_cell_that_is_there():
    with pytest.raises(OperatorError, match="does not have"):
        audit(table(*sexes("200 63", "100 .", "100 .")), T, known(f"{GROUP} 5 ."))
