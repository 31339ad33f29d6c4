"""A year that is released again: what is remembered, and the system of all releases together."""

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from mm_pipeline.disclosure.protect import protect, protect_revision
from mm_pipeline.disclosure.revision import (
    as_published,
    digest_of,
    disclosed,
    releases_of,
    remembered,
    retained_pattern,
    with_earlier,
)
from mm_pipeline.disclosure.suppression import lower_bounds, primary_pattern
from mm_pipeline.disclosure.system import system_of
from mm_pipeline_tests.support.small_tables import masked, medium_table
from mm_pipeline_tests.support.systems import at, lines, names, table

T = 5


def rates_of(*rows):
    rates = table(*rows).assign(year=2024)
    per = rates["patients"] / rates["beneficiaries"].where(rates["beneficiaries"] > 0)
    return rates.assign(rate_per_10000=10_000 * per, rate_percent=100 * per)


def patients_of(first, second=20, *, sector=6):
    """An arrondissement of two municipalities, the first of which has sectors (one unknown)."""
    return rates_of(
        ("arrondissement 11000 10000 total", 180, first + second),
        ("municipality 11001 11000 total", 90, first),
        ("municipality 11002 11000 total", 90, second),
        ("sector 11001A00- 11001 total", 50, sector),
        ("sector 11001A01- 11001 total", 30, 7),
        ("sector 11001ZZZZ 11001 total", 10, first - sector - 7),
    )


def showing(rates, *hidden):
    """``disclosed``, of a release that hides n of ``hidden`` areas."""
    keys = rates.loc[rates["area_code"].isin(hidden), ["level", "area_code", "dimension", "category"]]
    release = masked(rates, [(tuple(key), "patients") for key in keys.itertuples(index=False)])
    return disclosed(rates, release)


# --- what is remembered ----------------------------------------------------------------------------------------------


def test_disclosed_has_the_counts_and_whether_they_were_shown():
    rates = patients_of(20)
    kept = showing(rates, "11001A00-", "11001A01-")
    assert kept.columns.tolist() == [
        *("level", "area_code", "parent_code", "dimension", "category", "beneficiaries", "patients"),
        *("shows_beneficiaries", "shows_patients"),
    ]
    assert_frame_equal(kept[["area_code", "patients"]], rates[["area_code", "patients"]])
    shows = kept.set_index("area_code")[["shows_beneficiaries", "shows_patients"]]
    assert shows.dtypes.tolist() == [bool, bool]
    assert shows.loc["11001"].tolist() == [True, True]
    assert shows.loc["11001A00-"].tolist() == [True, False]
    assert shows.loc["11001ZZZZ"].tolist() == [False, False], "never in a release"


def test_disclosed_does_not_mind_the_order_of_the_release():
    rates = patients_of(20)
    release = protect(rates, T)
    assert_frame_equal(disclosed(rates, release), disclosed(rates, release[::-1]))


def release(rates, digest, threshold=T):
    return disclosed(rates, protect(rates, threshold)).assign(digest=digest, threshold=threshold)


def kept(*tables):
    if not tables:
        return release(patients_of(20), "").assign(release=0).iloc[:0]
    return pd.concat([table.assign(release=k) for k, table in enumerate(tables, 1)], ignore_index=True)


def in_order(result):
    return [(each["release"].iat[0], each["digest"].iat[0], each["threshold"].iat[0]) for each in releases_of(result)]


def remember(past, digest, released, threshold=T, rates=None):
    rates = patients_of(20) if rates is None else rates
    now = disclosed(rates, protect(rates, threshold))
    return remembered(past, now, digest=digest, disclosure_threshold=threshold, released=released)


def test_the_first_release():
    assert in_order(remember(kept(), "a", set())) == [(1, "a", T)]


def test_what_was_released_is_remembered_and_the_newest_is_last():
    past = kept(release(patients_of(20), "a"), release(patients_of(21), "b"))
    result = remember(past, "c", {"a", "b"}, rates=patients_of(22))
    assert in_order(result) == [(1, "a", T), (2, "b", T), (3, "c", T)]
    totals = [each.set_index("area_code")["patients"]["11001"] for each in releases_of(result)]
    assert totals == [20, 21, 22]


def test_what_never_went_out_is_forgotten():
    past = kept(release(patients_of(20), "a"), release(patients_of(21), "b"))
    assert in_order(remember(past, "c", {"b"})) == [(1, "b", T), (2, "c", T)]
    assert in_order(remember(past, "c", set())) == [(1, "c", T)]


@pytest.mark.parametrize("released", [{"a"}, {"a", "b"}])
def test_the_same_table_again_is_no_new_release(released):
    past = kept(release(patients_of(20), "a"), release(patients_of(21), "b"))
    again = remember(past, "b", released, rates=patients_of(21))
    assert in_order(again) == [(1, "a", T), (2, "b", T)]


def test_the_same_table_made_from_other_hidden_counts_is_remembered_as_well():
    past = kept(release(patients_of(20), "a"))
    assert in_order(remember(past, "a", {"a"}, rates=patients_of(21))) == [(1, "a", T), (2, "a", T)]


def test_a_release_keeps_its_threshold():
    past = kept(release(patients_of(20), "a", threshold=3))
    assert in_order(remember(past, "b", {"a"}, threshold=10)) == [(1, "a", 3), (2, "b", 10)]


def test_releases_are_given_oldest_first_whatever_their_order():
    past = kept(release(patients_of(20), "a"), release(patients_of(21), "b"))
    assert in_order(past[::-1]) == [(1, "a", T), (2, "b", T)]


# --- the digest ------------------------------------------------------------------------------------------------------


def test_the_digest_is_of_the_cells_and_of_what_is_shown():
    rates = patients_of(20)
    one = protect(rates, T)
    digest = digest_of(one)
    assert digest_of(one.sample(frac=1, random_state=2)) == digest
    assert digest_of(one.astype({"beneficiaries": "float64", "patients": "float64"})) == digest
    assert digest_of(one[one.columns[::-1]]) == digest
    assert digest_of(one.assign(rate_percent=0.0)) == digest, "rates follow"
    other = one.copy()
    other.loc[other["area_code"] == "11002", "patients"] = pd.NA
    assert digest_of(other) != digest
    assert digest_of(one.assign(parent_code="11000")) != digest
    assert digest_of(one[1:]) != digest
    assert digest_of(protect(patients_of(20, 21), T)) != digest


# --- as the audit reads them -----------------------------------------------------------------------------------------


VERSIONS = ["version_beneficiaries", "version_patients"]


def test_an_unchanged_figure_has_one_version_and_a_changed_one_has_two():
    new, old = as_published([showing(patients_of(20), "11001A01-"), showing(patients_of(21), "11001A00-")])
    new, old = new.set_index("area_code"), old.set_index("area_code")
    assert not set(new["version_patients"]) & set(new["version_beneficiaries"])
    assert (new["version_beneficiaries"] == old["version_beneficiaries"]).all()
    changed = {code for code in new.index if new["version_patients"][code] != old["version_patients"][code]}
    assert changed == {"11000", "11001", "11001ZZZZ"}
    assert not set(new["version_patients"][[*changed]]) & set(old["version_patients"])
    assert (new["change"] == 0).all(), "patients without beneficiaries are nobody who came"
    assert new["patients"].isna().to_dict() == {code: code in ("11001A00-", "11001ZZZZ") for code in new.index}
    assert old["patients"].isna().to_dict() == {code: code in ("11001A01-", "11001ZZZZ") for code in new.index}
    assert new["beneficiaries"].isna().to_dict() == {code: code == "11001ZZZZ" for code in new.index}
    assert (new["patients"]["11001"], old["patients"]["11001"]) == (21, 20)


@pytest.mark.parametrize(
    ("people", "patients", "change"),
    [
        (1, 0, 1),
        (1, 1, 1),
        (5, 3, 1),
        (-1, 0, -1),
        (-2, -2, -1),
        (0, 0, 0),
        (0, 1, 0),
        (1, 2, 0),
        (1, -1, 0),
        (-1, 1, 0),
    ],
)
def test_whether_persons_only_came_or_only_went(people, patients, change):
    changed = patients_of(20)
    changed.loc[changed["area_code"] == "11002", "beneficiaries"] += people
    changed.loc[changed["area_code"] == "11002", "patients"] += patients
    new, old = (each.set_index("area_code") for each in as_published([showing(patients_of(20)), showing(changed)]))
    assert new["change"]["11002"] == change
    same = new.loc["11002", VERSIONS] == old.loc["11002", VERSIONS]
    assert same.tolist() == [people == 0, patients == 0]


def test_a_rest_without_a_row_has_versions_too():
    rates = patients_of(20)
    without = rates[rates["area_code"] != "11001ZZZZ"]
    new, old = (each.set_index("area_code") for each in as_published([showing(rates), showing(without)]))
    assert new.loc["11001ZZZZ", VERSIONS].tolist() == old.loc["11001ZZZZ", VERSIONS].tolist()
    assert new["patients"].isna()["11001ZZZZ"]


def test_a_figure_that_is_as_it_was_two_releases_ago_is_the_unknown_from_then():
    releases = as_published([showing(patients_of(first)) for first in (20, 21, 20)])
    versions = [each.set_index("area_code")["version_patients"]["11001"] for each in releases]
    assert versions[0] == versions[2] != versions[1]


# --- all releases in one system --------------------------------------------------------------------------------------


def test_unchanged_data_make_no_new_cells_or_lines():
    alone = system_of(patients_of(20))
    both = with_earlier(alone, [showing(patients_of(20))] * 2)
    assert names(both) == names(alone)
    assert lines(both) == lines(alone)
    assert not both.before.is_past.any()


def test_a_changed_cell_has_two_positions():
    new, old = patients_of(21), patients_of(20)
    alone = system_of(new)
    both = with_earlier(alone, [showing(old, "11001A00-", "11001A01-")])
    assert names(both)[: len(alone)] == names(alone)
    past = {name: k for k, name in enumerate(names(both)) if both.before.is_past[k]}
    assert set(past) == {"arrondissement 11000 total", "municipality 11001 total", "sector 11001ZZZZ total"}
    assert min(past.values()) == len(alone)
    assert both.patients[past["municipality 11001 total"]] == 20
    assert both.patients[names(both).index("municipality 11001 total")] == 21
    total = both.total.tolist()
    assert [total[k] for k in past.values()] == list(past.values())
    assert {both.parent[k] for k in past.values()} == {-1}
    assert not both.is_residual[list(past.values())].any()
    # Both lines of the sectors, which share the two known ones.
    municipality = both.within["municipality"]
    assert municipality[past["sector 11001ZZZZ total"]] == municipality[names(both).index("sector 11001A00- total")]
    found = [sorted(both.cell[both.line == k].tolist()) for k in range(both.line.max() + 1)]
    sectors = [names(both).index(f"sector 11001A0{k}- total") for k in (0, 1)]
    assert sorted([*sectors, past["municipality 11001 total"], past["sector 11001ZZZZ total"]]) in found
    assert len(found) == 4
    for k in range(4):
        entry = both.line == k
        assert both.sign[entry].tolist() == [1] + [-1] * (entry.sum() - 1)
        assert (both.sign[entry] * both.patients[both.cell[entry]]).sum() == 0


def test_a_value_that_came_back_is_the_cell_itself():
    alone = system_of(patients_of(20))
    both = with_earlier(alone, [showing(patients_of(21)), showing(patients_of(20))])
    assert both.before.is_past.sum() == 3
    assert both.before.known["patients"][at(alone, "municipality 11001 total")]


def test_known_hidden_and_at_least():
    alone = system_of(patients_of(21))
    both = with_earlier(alone, [showing(patients_of(20), "11002")])
    before, place = both.before, {name: k for k, name in enumerate(names(alone))}

    def of(name):
        k = place[f"{name} total"]
        return (
            bool(before.known["patients"][k]),
            bool(before.hidden["patients"][k]),
            int(before.at_least["patients"][k]),
        )

    assert of("sector 11001A00-") == (True, False, 0)
    assert of("municipality 11002") == (False, True, 1), "zeros are shown, so it is at least 1"
    assert of("municipality 11001") == (False, False, 0), "changed: nothing is known of what it is now"
    assert before.known["beneficiaries"][place["municipality 11002 total"]]
    past = len(alone) + names(both)[len(alone) :].index("sector 11001ZZZZ total")
    assert (before.known["patients"][past], before.hidden["patients"][past]) == (False, True)
    assert before.at_least["patients"][past] == 0
    assert lower_bounds(both, primary_pattern(both, T))["patients"][past] == 0


def test_the_tighter_bound_of_several_releases_holds():
    alone = system_of(patients_of(20))
    k = at(alone, "sector 11001A00- total")
    under_r2, one_by_one = showing(patients_of(20), "11001A00-", "11001A01-"), showing(patients_of(20), "11001A00-")
    for earlier, expected in [
        ([under_r2], 0),
        ([one_by_one], 1),
        ([under_r2, one_by_one], 1),
        ([one_by_one, under_r2], 1),
    ]:
        assert with_earlier(alone, earlier).before.at_least["patients"][k] == expected


def test_a_row_that_moved_under_another_parent_stands_in_both_lines():
    new = patients_of(20)
    new.loc[new["area_code"] == "11002", "parent_code"] = "12000"
    both = with_earlier(system_of(new), [showing(patients_of(20))])
    k = names(both).index("municipality 11002 total")
    assert not both.before.is_past.any()
    assert (both.cell == k).sum() == 1
    assert len(lines_with(both, "arrondissement 11000 total")) == 2


def lines_with(system, name):
    k = names(system).index(name)
    return {tuple(system.cell[system.line == number]) for number in system.line[system.cell == k]}


def with_people(rates, **more):
    """Beneficiaries more in these municipalities, in no known sector where they have some, and in the arrondissement."""
    rates = rates.copy()
    for code, people in more.items():
        code = code.removeprefix("M")
        rates.loc[rates["area_code"].isin([code, f"{code}ZZZZ", "11000"]), "beneficiaries"] += people
    return rates


def test_a_figure_that_did_not_change_is_the_same_in_both_positions_of_its_cell():
    """Beneficiaries were delivered anew, forfaits were not."""
    old = patients_of(20)
    both = with_earlier(system_of(with_people(old, M11002=3)), [showing(old, "11002")])
    now, past = (
        next(k for k, name in enumerate(names(both)) if name == "municipality 11002 total" and is_past == (k >= 6))
        for is_past in (False, True)
    )
    assert both.same["patients"].tolist().count([now, past]) == 1
    assert [now, past] not in both.same["beneficiaries"].tolist()
    assert both.before.at_least["patients"][now] == 1
    assert not both.before.hidden["patients"][now]
    shown = with_earlier(system_of(with_people(old, M11002=3)), [showing(old)])
    assert shown.before.known["patients"][now]
    assert not shown.before.shown["patients"][now], "not with these beneficiaries"


def test_persons_who_only_came_or_went_are_a_cell_of_their_own():
    for more in (3, -3):
        both = with_earlier(system_of(with_people(patients_of(20), M11002=more)), [showing(patients_of(20))])
        changes = np.flatnonzero(both.before.is_change)
        assert set(both.beneficiaries[changes]) == {3}
        assert set(both.patients[changes]) == {0}
        assert both.before.is_past[changes].all()
        for change in changes:
            (line,) = both.line[both.cell == change]
            entry = both.line == line
            assert both.sign[entry].tolist() == [1, -1, -1]
            for value in (both.beneficiaries, both.patients):
                assert (both.sign[entry] * value[both.cell[entry]]).sum() == 0


def test_the_mask_of_a_release_is_kept_but_for_zeros_that_must_show():
    old, new = patients_of(20, sector=2), patients_of(20, sector=0)
    kept = retained_pattern(system_of(new), disclosed(old, protect(old, T)))
    hidden = {name for name, hides in zip(names(system_of(new)), kept.patients, strict=True) if hides}
    assert hidden == {"sector 11001A00- total", "sector 11001A01- total", "sector 11001ZZZZ total"}, "R2: a zero may be"
    kept = retained_pattern(system_of(new), showing(old, "11001A00-"))
    assert [name for name, hides in zip(names(system_of(new)), kept.patients, strict=True) if hides] == [
        "sector 11001ZZZZ total"
    ]


# --- protection ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rates", [patients_of(20), patients_of(16, 3, sector=2), medium_table(3)], ids=["", "small", "medium"]
)
def test_unchanged_data_repeat_the_mask_through_three_releases(rates):
    first = protect(rates, T)
    earlier = [disclosed(rates, first)]
    for _ in range(2):
        again = protect_revision(rates.sample(frac=1, random_state=5), T, earlier).table
        assert_frame_equal(again, first)
        assert digest_of(again) == digest_of(first)
        earlier.append(disclosed(rates, again))


def test_what_an_earlier_release_hid_stays_hidden_where_it_did_not_change():
    """The sector is large enough now, and its neighbour is hidden still for what subtraction would tell of it."""
    old, new = patients_of(20, sector=2), patients_of(24, sector=6)
    first = protect(old, T)
    second = protect_revision(new, T, [disclosed(old, first)]).table.set_index("area_code")["patients"]
    alone = protect(new, T).set_index("area_code")["patients"]
    assert first.set_index("area_code")["patients"].isna()["11001A01-"]
    assert not alone.isna()["11001A01-"]
    assert second.isna()["11001A01-"]


def test_three_releases_count_together():
    """What the oldest release hid is hidden in the third, though the second did not know of it."""
    old, middle, new = patients_of(20, sector=2), patients_of(24, sector=6), patients_of(25, sector=7)
    first = disclosed(old, protect(old, T))
    second = disclosed(middle, protect_revision(middle, T, [first]).table)
    third = protect_revision(new, T, [first, second]).table.set_index("area_code")["patients"]
    assert third.isna()["11001A01-"]


def test_the_arrays_of_a_release_are_not_changed():
    rates = patients_of(16, 3, sector=2)
    earlier = [showing(patients_of(20))]
    copies = rates.copy(), earlier[0].copy()
    protect_revision(rates, T, earlier)
    assert_frame_equal(rates, copies[0])
    assert_frame_equal(earlier[0], copies[1])
    assert np.array_equal(earlier[0].index, copies[1].index)
