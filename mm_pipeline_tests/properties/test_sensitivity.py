"""The sensitivity table: what it shows on plain cases, and that no reader of it gets behind the promise.

Two readers, neither of which knows how thresholds are chosen: the audit (linear programmes), and one in plain Python that
goes through all tables of a small year of three thresholds.
"""

import itertools
from collections import defaultdict

import pandas as pd
import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st

from mm_pipeline.disclosure import sensitivity
from mm_pipeline.disclosure.audit.sensitivity import audit_sensitivity
from mm_pipeline.disclosure.protect import protect
from mm_pipeline.disclosure.sensitivity import protect_sensitivity
from mm_pipeline_tests.support.examples import examples

FLANDERS, WALLONIA, BRUSSELS, RESIDUAL = "02000", "03000", "04000", "residual"
AREAS = ("BE", FLANDERS, WALLONIA, BRUSSELS)
ALL = list(range(1, 13))
MAIN_ONLY = {area: [6] for area in AREAS}
MANY = [1000, *[20] * 12]


# --- years ------------------------------------------------------------------------------------------------------------


def year_of(cells):
    """area -> persons with 0, 1 ... forfaits  ->  the counts of the regions in it and of the country."""
    everybody = [sum(column) for column in zip(*cells.values(), strict=True)]
    areas = [("country", "BE", "", everybody)]
    areas += [("region", area, "BE", persons) for area, persons in cells.items() if area != RESIDUAL]
    return pd.DataFrame(
        [
            {
                "level": level,
                "area_code": area,
                "parent_code": parent,
                "threshold": k,
                "beneficiaries": sum(persons),
                "patients": sum(persons[k:]),
            }
            for level, area, parent, persons in areas
            for k in range(1, len(persons))
        ]
    )


def totals_of(counts, main=6, t=5):
    """What ``protected_rates`` shows of these areas when it has no others."""
    rates = counts[counts["threshold"] == main].drop(columns="threshold")
    rates = rates.assign(dimension="total", category="total", rate_per_10000=0.0, rate_percent=0.0)
    return protect(rates, t)


def table_of(cells, main=6, t=5, earlier=None):
    counts = year_of(cells)
    return protect_sensitivity(counts, totals_of(counts, main, t), main, t, earlier)


def shown(table, rule="at_least"):
    """area -> the thresholds that it shows."""
    rows = table[table["rule"] == rule]
    return {area: list(each.loc[each["patients"].notna(), "threshold"]) for area, each in rows.groupby("area_code")}


def cells_shown(table):
    return table[(table["rule"] == "at_least") & table["patients"].notna()]


# --- plain cases ------------------------------------------------------------------------------------------------------


def test_where_every_group_is_large_everything_is_shown():
    cells = {FLANDERS: MANY, WALLONIA: MANY, BRUSSELS: [900, *[20] * 12], RESIDUAL: MANY}
    table = table_of(cells)
    assert shown(table) == dict.fromkeys(AREAS, ALL)
    assert shown(table, "exactly") == MAIN_ONLY
    assert (table["status"] == "published").all()
    exactly = table[table["rule"] == "exactly"].set_index("area_code")["patients"]
    assert exactly.to_dict() == {"BE": 80, FLANDERS: 20, WALLONIA: 20, BRUSSELS: 20}
    at_least = table[(table["rule"] == "at_least") & (table["area_code"] == FLANDERS)]
    assert list(at_least["patients"]) == [20 * (13 - k) for k in ALL]
    assert set(at_least["beneficiaries"]) == {1240}


def test_an_empty_group_is_shown():
    none = [1000, *[0] * 11, 30]
    assert shown(table_of({FLANDERS: none, WALLONIA: MANY, BRUSSELS: MANY, RESIDUAL: MANY}))[FLANDERS] == ALL


def test_a_region_does_not_tell_a_small_group_by_its_two_sides():
    few = [1000, *[20] * 6, 4, *[20] * 5]
    table = table_of({FLANDERS: few, WALLONIA: MANY, BRUSSELS: [500, *[20] * 12], RESIDUAL: MANY})
    # Those with exactly 7 are the patients at 7 less those at 8. Of the two, 7 gives "exactly 6" as well.
    assert shown(table)[FLANDERS] == [1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12]
    assert shown(table)[WALLONIA] == ALL
    # Nor does the country, nor the last region: it shows a threshold only where the country does.
    assert shown(table)["BE"] == shown(table)[BRUSSELS] == shown(table)[FLANDERS]


def test_exactly_six_is_hidden_where_seven_is():
    few = [1000, *[20] * 5, 4, *[20] * 6]
    table = table_of({FLANDERS: few, WALLONIA: MANY, BRUSSELS: [500, *[20] * 12], RESIDUAL: MANY})
    assert 7 not in shown(table)[FLANDERS]
    assert shown(table, "exactly")[FLANDERS] == []
    row = table[(table["rule"] == "exactly") & (table["area_code"] == FLANDERS)].iloc[0]
    assert pd.isna(row["patients"])
    assert (row["status"], row["beneficiaries"]) == ("suppressed", 1224)


@pytest.mark.parametrize(("top", "is_cut"), [(4, False), (5, True)])
def test_a_group_of_the_threshold_may_be_shown_and_a_smaller_one_not(top, is_cut):
    cells = {FLANDERS: [1000, *[20] * 11, top], WALLONIA: MANY, BRUSSELS: [500, *[20] * 12], RESIDUAL: MANY}
    assert (12 in shown(table_of(cells))[FLANDERS]) == is_cut


def test_a_group_of_several_cells_needs_room_for_each():
    """Were the six persons shown as one group, none of the two cells being empty, each would surely have fewer than 5."""
    # Six with 11 or 12 forfaits: the threshold 11 would leave a group of two cells.
    cells = {FLANDERS: [1000, *[20] * 10, 4, 1], WALLONIA: MANY, BRUSSELS: [500, *[20] * 12], RESIDUAL: MANY}
    assert shown(table_of(cells))[FLANDERS] == ALL[:10]
    cells[FLANDERS] = [1000, *[20] * 10, 4, 2]
    assert shown(table_of(cells))[FLANDERS] == ALL[:11]


def test_a_small_rest_costs_the_region_with_the_fewest_beneficiaries_and_not_the_country():
    residual = [400, *[0] * 5, 12, 1, 0, 0, 2, 0, 10]
    found = shown(table_of({FLANDERS: MANY, WALLONIA: MANY, BRUSSELS: [500, *[20] * 12], RESIDUAL: residual}))
    assert found["BE"] == found[FLANDERS] == found[WALLONIA] == ALL
    # Of the residual nobody has 1 to 5, 13 have 6 or 7, nobody 8 or 9, and 12 more: which all may be seen.
    assert found[BRUSSELS] == [1, 2, 3, 4, 5, 6, 8, 9, 10]


def test_an_area_that_protected_rates_hides_shows_nothing():
    cells = {FLANDERS: MANY, WALLONIA: MANY, BRUSSELS: [500, *[20] * 12], RESIDUAL: [400, *[0] * 11, 2]}
    counts = year_of(cells)
    totals = totals_of(counts)
    (hidden,) = totals.loc[totals["status"] == "suppressed", "area_code"]
    found = shown(protect_sensitivity(counts, totals, 6, 5))
    assert found[hidden] == []
    others = {"BE", FLANDERS, WALLONIA, BRUSSELS} - {hidden}
    assert [found[area] for area in sorted(others)] == [ALL] * 3


@pytest.mark.parametrize(("top", "is_cut"), [(5, False), (6, True)])
def test_of_the_hidden_region_and_the_rest_together_a_group_has_twice_the_cells(top, is_cut):
    cells = {FLANDERS: MANY, WALLONIA: MANY, BRUSSELS: [500, *[20] * 11, top], RESIDUAL: [400, *[2] * 11, 0]}
    counts = year_of(cells)
    totals = totals_of(counts)
    hidden = totals["area_code"] == BRUSSELS
    totals.loc[hidden, "patients"], totals.loc[hidden, "status"] = pd.NA, "suppressed"
    assert (12 in shown(protect_sensitivity(counts, totals, 6, 5))["BE"]) == is_cut


def test_where_two_regions_are_hidden_the_country_shows_nothing_more():
    counts = year_of({FLANDERS: MANY, WALLONIA: MANY, BRUSSELS: [500, *[20] * 12], RESIDUAL: MANY})
    totals = totals_of(counts)
    hidden = totals["area_code"].isin([WALLONIA, BRUSSELS])
    totals.loc[hidden, "patients"], totals.loc[hidden, "status"] = pd.NA, "suppressed"
    found = shown(protect_sensitivity(counts, totals, 6, 5))
    assert found == {"BE": [6], FLANDERS: ALL, WALLONIA: [], BRUSSELS: []}


def test_where_the_country_is_hidden_every_region_stands_by_itself():
    counts = year_of({FLANDERS: MANY, WALLONIA: MANY, BRUSSELS: [500, *[20] * 12], RESIDUAL: [9, *[0] * 12]})
    totals = totals_of(counts)
    hidden = totals["area_code"] == "BE"
    totals.loc[hidden, "patients"], totals.loc[hidden, "status"] = pd.NA, "suppressed"
    found = shown(protect_sensitivity(counts, totals, 6, 5))
    assert found == {"BE": [], FLANDERS: ALL, WALLONIA: ALL, BRUSSELS: ALL}


def test_beneficiaries_are_shown_where_protected_rates_shows_them():
    cells = {FLANDERS: MANY, WALLONIA: MANY, BRUSSELS: [3, *[0] * 12], RESIDUAL: MANY}
    counts = year_of(cells)
    totals = totals_of(counts)
    table = protect_sensitivity(counts, totals, 6, 5)
    people = table.drop_duplicates("area_code").set_index("area_code")["beneficiaries"]
    assert people.isna().to_dict() == totals.set_index("area_code")["beneficiaries"].isna().to_dict()
    assert people.isna()[BRUSSELS]


@pytest.mark.parametrize("main", [1, 5, 7, 12])
def test_another_threshold_of_the_statistic_is_shown_and_exactly_stays_six(main):
    few = [1000, *[20] * (main - 1), 20, *[1] * (12 - main)]
    table = table_of({FLANDERS: few, WALLONIA: MANY, BRUSSELS: MANY, RESIDUAL: MANY}, main)
    assert main in shown(table)[FLANDERS]
    assert set(table.loc[table["rule"] == "exactly", "threshold"]) == {6}
    assert shown(table, "exactly")[WALLONIA] == [6]


def test_nobody_is_known_to_have_a_forfait_because_everybody_has():
    cells = {FLANDERS: [0, 0, 0, 50, 20, *[20] * 8], WALLONIA: MANY, BRUSSELS: [500, *[20] * 12], RESIDUAL: MANY}
    assert shown(table_of(cells))[FLANDERS] == ALL[3:]


# --- releases of the same year ----------------------------------------------------------------------------------------

PLAIN = {FLANDERS: MANY, WALLONIA: MANY, BRUSSELS: [500, *[20] * 12], RESIDUAL: MANY}
FEW = {**PLAIN, FLANDERS: [1000, *[20] * 6, 4, *[20] * 5]}


def test_the_same_data_give_the_same_table_in_any_order_and_when_released_again():
    counts = year_of(FEW)
    totals = totals_of(counts)
    first = protect_sensitivity(counts, totals, 6, 5)
    assert first.equals(protect_sensitivity(counts[::-1], totals[::-1], 6, 5))
    assert first.equals(protect_sensitivity(counts, totals, 6, 5, cells_shown(first)))


def test_a_later_release_shows_no_other_thresholds():
    """8 was hidden for Flanders when it told of four persons; with 40 it could be shown, and 8 of the first release be
    told from it by whoever takes it that the rest of Flanders did not change."""
    first = table_of(FEW)
    assert 8 in shown(table_of(PLAIN))[FLANDERS]
    assert shown(table_of(PLAIN, earlier=cells_shown(first))) == shown(first)


def test_a_later_release_shows_nothing_more_where_the_old_thresholds_tell_of_a_few():
    first = table_of(PLAIN)
    found = shown(table_of(FEW, earlier=cells_shown(first)))
    assert found == MAIN_ONLY


def test_a_later_release_shows_nothing_more_where_another_area_is_hidden():
    first = table_of({**PLAIN, RESIDUAL: [400, *[0] * 11, 2]})
    assert [] in shown(first).values()
    assert shown(table_of(PLAIN, earlier=cells_shown(first))) == MAIN_ONLY


def test_an_empty_table_of_earlier_cells_is_no_earlier_release():
    first = table_of(PLAIN)
    assert table_of(PLAIN, earlier=cells_shown(first).iloc[:0]).equals(first)
    assert audited(first, year_of(PLAIN), earlier=cells_shown(first).iloc[:0]) == []


# --- the audit --------------------------------------------------------------------------------------------------------


def audited(table, counts, main=6, t=5, earlier=None):
    return audit_sensitivity(table, totals_of(counts, main, t), main, t, earlier)


def with_shown(table, counts, area, k):
    """The table with a planted leak."""
    leaky = table.copy()
    at = (leaky["rule"] == "at_least") & (leaky["area_code"] == area) & (leaky["threshold"] == k)
    true = counts[(counts["area_code"] == area) & (counts["threshold"] == k)]["patients"].iloc[0]
    leaky.loc[at, "patients"], leaky.loc[at, "status"] = true, "published"
    return leaky


def test_the_audit_finds_a_planted_leak_of_a_region():
    counts, table = year_of(FEW), table_of(FEW)
    assert audited(table, counts) == []
    assert f"{FLANDERS}: it can be told too well how many have 7 to 7 forfaits." in audited(
        with_shown(table, counts, FLANDERS, 8), counts
    )


def test_the_audit_finds_a_planted_leak_of_those_without_a_region():
    cells = {**PLAIN, RESIDUAL: [400, *[0] * 5, 12, 1, 0, 0, 2, 0, 10]}
    counts, table = year_of(cells), table_of(cells)
    assert audited(table, counts) == []
    for k in set(ALL) - set(shown(table)[BRUSSELS]):
        found = audited(with_shown(table, counts, BRUSSELS, k), counts)
        assert found
        assert all(text.startswith("(without a region)") for text in found)


def test_the_audit_finds_that_everybody_has_a_forfait():
    cells = {**PLAIN, FLANDERS: [0, 0, 0, 50, 20, *[20] * 8]}
    counts, table = year_of(cells), table_of(cells)
    found = audited(with_shown(table, counts, FLANDERS, 3), counts)
    assert f"{FLANDERS}: it can be told too well how many have 0 to 2 forfaits." in found


def test_the_audit_names_no_number_of_people():
    cells = {**PLAIN, RESIDUAL: [400, *[0] * 5, 12, 1, 0, 0, 2, 0, 10]}
    counts = year_of(cells)
    leaky = table_of(cells)
    for k in ALL:
        leaky = with_shown(leaky, counts, BRUSSELS, k)
    text = " ".join(audited(leaky, counts))
    assert "7 to 7" in text
    assert not any(word.isdigit() and int(word) > 12 for word in text.replace(".", "").split())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda table: table.drop(index=table.index[3], inplace=True), "BE: a threshold is missing"),
        (lambda table: table.drop(index=table.index[13:26], inplace=True), "areas are not those"),
        (lambda table: table.__setitem__("status", "published?"), "a status does not fit"),
        (lambda table: table.__setitem__("beneficiaries", 10**6), "beneficiaries are not those"),
        (
            lambda table: table.__setitem__("patients", table["patients"] + 1),
            "at the threshold of the statistic are not",
        ),
    ],
)
def test_the_audit_finds_a_table_that_is_not_in_order(change, says):
    table = table_of(PLAIN)
    change(table)
    assert any(says in text for text in audited(table, year_of(PLAIN)))


def test_the_audit_finds_figures_that_contradict_each_other():
    table = table_of(PLAIN)
    table.loc[(table["rule"] == "exactly") & (table["area_code"] == WALLONIA), "patients"] += 1
    assert audited(table, year_of(PLAIN)) == ["The figures contradict each other."]


def test_the_audit_finds_a_hidden_area_that_shows_and_a_threshold_that_an_earlier_release_did_not_show():
    counts, table = year_of(FEW), table_of(FEW)
    totals = totals_of(counts)
    hidden = totals["area_code"] == WALLONIA
    totals.loc[hidden, "patients"], totals.loc[hidden, "status"] = pd.NA, "suppressed"
    assert any("protected_rates hides its patients" in text for text in audit_sensitivity(table, totals, 6, 5))
    late = audited(table_of(PLAIN), year_of(PLAIN), earlier=cells_shown(table))
    assert late[0].endswith("threshold 8 was not shown by an earlier release of the year.")


# --- random years -----------------------------------------------------------------------------------------------------


@st.composite
def years(draw):
    t = draw(st.integers(2, 5))
    few = st.sampled_from((0, 0, 1, 2, t, t + 1, 9, 30))
    cells = {
        area: [draw(st.sampled_from((0, t, 2 * t, 40))), *draw(st.lists(few, min_size=12, max_size=12))]
        for area in (FLANDERS, WALLONIA, BRUSSELS, RESIDUAL)
    }
    return cells, draw(st.integers(1, 12)), t


@st.composite
def little_years(draw):
    t = draw(st.integers(2, 3))
    cells = {
        area: [draw(st.integers(0, 4)), *draw(st.lists(st.sampled_from((0, 1, 2, 3, 4)), min_size=MOST, max_size=MOST))]
        for area in (FLANDERS, BRUSSELS, RESIDUAL)
    }
    return cells, draw(st.integers(1, MOST)), t


@examples(40)
@given(year=years())
def test_the_audit_finds_nothing_in_what_is_protected(year):
    cells, main, t = year
    counts = year_of(cells)
    table = table_of(cells, main, t)
    found = shown(table)
    event(f"the country shows {len(found['BE'])}, Brussels {len(found[BRUSSELS])}")
    assert audited(table, counts, main, t) == []
    merged = table[table["rule"] == "at_least"].merge(counts, on=["area_code", "threshold"], suffixes=("", "_true"))
    is_shown = merged["patients"].notna()
    assert (merged["patients"][is_shown] == merged["patients_true"][is_shown]).all()


@examples(20)
@given(year=years(), data=st.data())
def test_a_revision_keeps_the_promise_and_shows_nothing_new(year, data):
    cells, main, t = year
    first = table_of(cells, main, t)
    revised = {
        area: [max(0, n + data.draw(st.sampled_from((0, 0, 0, 1, -1, 7)))) for n in persons]
        for area, persons in cells.items()
    }
    earlier = cells_shown(first)
    assume(len(earlier))
    second = table_of(revised, main, t, earlier)
    assert audited(second, year_of(revised), main, t, earlier) == []
    before, now = shown(first), shown(second)
    event("as before" if now == before else "the main threshold only")
    assert now == before or all(set(each) <= {main} for each in now.values())


# --- a reader in plain Python -----------------------------------------------------------------------------------------

MOST = 3
"""Thresholds of the small years; with "exactly 2" for "exactly 6"."""


def compositions(people, parts):
    if parts == 1:
        yield (people,)
        return
    for first in range(people + 1):
        for others in compositions(people - first, parts - 1):
            yield (first, *others)


def agrees(world, rows):
    """Whether an area's persons by number of forfaits agree with all that shows of the area."""
    people, at_least, exactly = rows
    return (
        (people is None or sum(world) == people)
        and all(sum(world[k:]) == patients for k, patients in at_least.items())
        and (exactly is None or world[2] == exactly)
    )


def read(table, area):
    rows = table[table["area_code"] == area]
    visible = rows[rows["patients"].notna()]
    people = rows["beneficiaries"].iloc[0]
    at_least = {int(row.threshold): int(row.patients) for row in visible.itertuples() if row.rule == "at_least"}
    exactly = next((int(row.patients) for row in visible.itertuples() if row.rule == "exactly"), None)
    return None if pd.isna(people) else int(people), at_least, exactly


def no_empty_side(world, rows, main, t):
    """What "most rows" tells of an area that stands by itself: a threshold is not hidden where a side of it is empty."""
    _, at_least, _ = rows
    for low, high in ((0, main), (main, MOST + 1)):
        if at_least and sum(world[low:high]) >= t + high - low - 1:
            cuts = [low, *(k for k in sorted(at_least) if low < k < high), high]
            for i, j in itertools.pairwise(cuts):
                for k in range(i + 1, j):
                    if sum(world[i:j]) and not (sum(world[i:k]) and sum(world[k:j])):
                        return False
    return True


def intervals(table, regions, most_people, main, t):
    """(area, i, j) -> lowest and highest number of persons with i to j - 1 forfaits in all years that agree."""
    worlds = {}
    for area in regions:
        rows = read(table, area)
        sizes = range(most_people + 1) if rows[0] is None else [rows[0]]
        worlds[area] = [
            world
            for size in sizes
            for world in compositions(size, MOST + 1)
            if agrees(world, rows) and (area == BRUSSELS or no_empty_side(world, rows, main, t))
        ]
    rows = read(table, "BE")
    assert rows[0] is not None
    # Everything that the country shows is a sum of these; the residual is what is left of it.
    asked = [0, *rows[1]]

    def sums(world):
        return (*(sum(world[k:]) for k in asked), world[2] if rows[2] is not None else 0)

    residuals = defaultdict(list)
    for size in range(most_people + 1):
        for world in compositions(size, MOST + 1):
            residuals[sums(world)].append(world)
    target = (rows[0], *rows[1].values(), rows[2] or 0)
    possible = defaultdict(set)
    for chosen in itertools.product(*worlds.values()):
        together = tuple(map(sum, zip(*chosen, strict=True)))
        left = residuals.get(tuple(a - b for a, b in zip(target, sums(together), strict=True)), ())
        possible[RESIDUAL].update(left)
        possible["BE"].update(tuple(map(sum, zip(together, residual, strict=True))) for residual in left)
        if left:
            for area, world in zip(worlds, chosen, strict=True):
                possible[area].add(world)
    return {
        (area, i, j): (min(sum(world[i:j]) for world in each), max(sum(world[i:j]) for world in each))
        for area, each in possible.items()
        for i, j in itertools.combinations(range(MOST + 2), 2)
    }


def is_broken(ends, area, i, j, t):
    least, most = ends[area, i, j]
    could_be_small = least <= t - 1 and most >= 1
    if could_be_small and (most < t or most - least < t - 1):
        return True
    may_have_patients = j > MOST or ends[area, j, MOST + 1][1] > 0
    return i == 0 and j <= MOST and least == 0 and may_have_patients and most - least < t - 1


@examples(60)
@given(year=little_years())
def test_no_reader_of_all_tables_gets_behind_the_promise(year):
    cells, main, t = year
    sizes = {area: sum(persons) for area, persons in cells.items()}
    # Brussels the last region: of it "most rows" tells the reader nothing plain.
    assume(sizes[BRUSSELS] < sizes[FLANDERS] <= 12 and sizes[RESIDUAL] <= 12)
    counts = year_of(cells)
    totals = totals_of(counts, main, t).set_index("area_code")
    assume((totals.loc[["BE", FLANDERS], "status"] == "published").all())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sensitivity, "MOST", MOST)
        patch.setattr(sensitivity, "EXACTLY", 2)
        table = protect_sensitivity(counts, totals.reset_index(), main, t)
    found = shown(table)
    event(f"shown: {[len(found[area]) for area in ('BE', FLANDERS, BRUSSELS)]} of {MOST}")
    ends = intervals(table, [FLANDERS, BRUSSELS], max(sizes.values()), main, t)
    for area, i, j in ends:
        if (i, j) != (0, MOST + 1):
            assert not is_broken(ends, area, i, j, t), (area, i, j)
