"""The promise on random tables: what is published leaves every small figure open, and the audit sees where it does not.

The protection and the audit are held against the attacker, who knows neither of them.
"""

from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import event, given, target
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from mm_pipeline.disclosure.audit import audit
from mm_pipeline.disclosure.protect import protect, protect_revision
from mm_pipeline.disclosure.revision import disclosed
from mm_pipeline.errors import OperatorError
from mm_pipeline_tests.properties import attacker
from mm_pipeline_tests.support.examples import examples, how_many
from mm_pipeline_tests.support.small_tables import (
    COLUMNS,
    KEY,
    Area,
    Group,
    SmallTable,
    carried_on,
    masked,
    medium_table,
    release_of,
    revisions,
    rows_of,
    small_tables,
    tables,
    thresholds,
)

HIDEABLE = ("beneficiaries", "patients")


def by_cell(table):
    return {attacker.cell_of(row): row for row in rows_of(table)}


def hides(row, threshold):
    """The figures of a true cell that the primary rule hides, R1 apart."""
    people, patients = row["beneficiaries"], row["patients"]
    if 1 <= people < threshold:
        return {"beneficiaries", "patients"}
    few_patients = 1 <= patients < threshold
    few_others = 1 <= people - patients < threshold
    return {"patients"} if few_patients or few_others or people == patients > 0 else set()


def describe(published, rates, threshold):
    """What the examples are like, for `--hypothesis-show-statistics`."""
    primary = sum(bool(hides(row, threshold)) for row in rows_of(rates))
    hidden = int((published["status"] == "suppressed").sum())
    event(f"primaries: {'none' if not primary else 'some' if 2 * primary < len(rates) else 'most'}")
    event(f"more than the primaries hidden: {hidden > primary}")
    target(float(min(hidden - primary, 20)), label="complementary cells")


# --- the protection --------------------------------------------------------------------------------------------------


@examples(120, quick=30)
@given(st.data())
def test_the_protection_keeps_the_promise(data):
    threshold = data.draw(thresholds)
    rates = data.draw(tables(threshold, most_cells=60))
    published = protect(rates, threshold)
    describe(published, rates, threshold)
    assert attacker.broken([rows_of(published)], threshold) == []


def test_a_table_of_which_nearly_everything_is_small_can_be_protected():
    """Five people of whom all men and all adults are patients; nothing is broken once every n is hidden."""
    small = SmallTable(
        areas=tuple(
            Area(*area)
            for area in [
                ("country", "BE", ""),
                ("region", "04000", "BE"),
                ("province", "04000", "04000"),
                ("arrondissement", "21000", "04000"),
                ("municipality", "21004", "21000"),
            ]
        ),
        top="arrondissement",
        lowest="municipality",
        dimensions=("age_group", "sex"),
        groups=(
            Group("21004", "", "F", "0-17", "0", people=2, patients=0),
            Group("21004", "", "M", "0-17", "0", people=1, patients=1),
            Group("21004", "", "M", "18-24", "0", people=2, patients=2),
        ),
    )
    published = protect(small.table(), 2)
    assert attacker.broken([rows_of(published)], 2) == []


@examples(80)
@given(st.data())
def test_what_the_rule_hides_is_hidden_and_what_is_shown_is_true(data):
    threshold = data.draw(thresholds)
    rates = data.draw(tables(threshold, most_cells=100))
    before = rates.copy(deep=True)
    published = protect(rates, threshold)
    assert_frame_equal(rates, before)

    assert list(published.columns) == [*COLUMNS, "status"]
    truth, shown = by_cell(rates), by_cell(published)
    assert len(shown) == len(published)
    assert set(shown) == {cell for cell, row in truth.items() if not attacker.is_residual(row)}
    for cell, row in shown.items():
        true = truth[cell]
        assert (row["year"], row["parent_code"]) == (true["year"], true["parent_code"])
        for figure in HIDEABLE:
            assert row[figure] in (None, true[figure])
            if figure in hides(true, threshold):
                assert row[figure] is None
            total = shown.get((*cell[:2], *attacker.TOTAL))
            if total is not None and total[figure] is None and row["beneficiaries"] != 0:
                assert row[figure] is None, "shown though its total is hidden"
        assert row["status"] == ("published" if row["patients"] is not None else "suppressed")
        if row["beneficiaries"] is None:
            assert row["patients"] is None
        if row["beneficiaries"] == 0:
            assert row["patients"] == 0
        for rate in ("rate_per_10000", "rate_percent"):
            if row["status"] == "suppressed" or row["beneficiaries"] == 0:
                assert pd.isna(row[rate])
            else:
                assert row[rate] == true[rate]
    for (cell, figure), least in attacker.lower_bounds(shown).items():
        assert truth[cell][figure] >= least, "a zero is hidden where readers take it that zeros are shown"


@examples(25)
@given(st.data(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(data, dice):
    threshold = data.draw(thresholds)
    rates = data.draw(tables(threshold, most_cells=100))
    order = list(range(len(rates)))
    dice.shuffle(order)
    once = protect(rates, threshold)
    assert_frame_equal(protect(rates.copy(), threshold), once)
    shuffled = protect(rates.iloc[order], threshold)
    assert_frame_equal(
        shuffled.sort_values(KEY, ignore_index=True), once.sort_values(KEY, ignore_index=True), check_like=False
    )


@examples(40)
@given(st.data())
def test_where_nothing_is_sensitive_nothing_is_hidden(data):
    threshold = data.draw(thresholds)
    small = data.draw(small_tables(threshold, most_cells=60))
    # Of every group a multiple, half of it patients: no figure but 0 is below the threshold.
    groups = tuple(
        replace(group, people=2 * threshold * group.people, patients=threshold * group.people) for group in small.groups
    )
    rates = replace(small, groups=groups).table()
    assert set(protect(rates, threshold)["status"]) == {"published"}


@examples(60, quick=30)
@given(st.data())
def test_all_releases_of_a_year_together_keep_the_promise(data):
    """Two or three of them: more or fewer beneficiaries, more or fewer patients, or both; a few people or many."""
    threshold = data.draw(thresholds)
    counted = data.draw(revisions(threshold, most_cells=26))
    truths, released, kept = [], [], []
    for rates in counted:
        result = protect_revision(
            rates, threshold, kept, highest=data.draw(st.sampled_from(["arrondissement", "country"]))
        )
        kept.append(disclosed(result.rates, result.table))
        truths.append(result.rates)
        released.append(result.table)
    releases = carried_on(released[::-1], truths[::-1], with_residuals=True)
    assert attacker.broken([rows_of(release) for release in releases], threshold) == []
    event(f"postponed: {not truths[-1].equals(counted[-1].sort_values(KEY, ignore_index=True))}")
    alone = carried_on([protect(rates, threshold) for rates in counted[::-1]], counted[::-1], with_residuals=True)
    event(f"needed: {attacker.broken([rows_of(release) for release in alone], threshold) != []}")


@examples(60, quick=30)
@given(st.data())
def test_a_revision_keeps_the_pattern_and_the_totals_above_the_arrondissements(data):
    threshold = data.draw(thresholds)
    first, second = data.draw(revisions(threshold, most_cells=40))[:2]
    before = protect(first, threshold)
    result = protect_revision(second, threshold, [disclosed(first, before)])
    shown, now, true = by_cell(before), by_cell(result.table), by_cell(result.rates)
    for cell, row in now.items():
        if cell[0] in ("country", "region", "province") and cell in shown:
            for figure in HIDEABLE:
                assert row[figure] is not None or shown[cell][figure] is None, "hidden above the arrondissements"
        if cell in shown and shown[cell]["patients"] is None and true[cell]["patients"] > 0:
            assert row["patients"] is None, "shown though it was hidden"
    kinds = {cell[:2] for cell in true if cell[0] == "arrondissement"}
    counted, released = by_cell(second), by_cell(first)
    for kind in kinds:
        own = {cell: (row["beneficiaries"], row["patients"]) for cell, row in true.items() if cell[:2] == kind}
        assert own in [
            {cell: (row["beneficiaries"], row["patients"]) for cell, row in table.items() if cell[:2] == kind}
            for table in (counted, released)
        ], "neither as counted nor as released"


# --- the audit -------------------------------------------------------------------------------------------------------


def same_answers(releases, threshold):
    """The audit and the attacker agree on every figure that is not shown, and on what is broken; the broken cells."""
    given_rows = [rows_of(release) for release in releases]
    found = attacker.conclusions(given_rows, threshold)
    known = attacker.system_of(given_rows).known
    report = audit(releases if len(releases) > 1 else releases[0], threshold)

    listed = {}
    for row in report.intervals.to_dict("records"):
        versions = int(row["version_beneficiaries"]), int(row["version_patients"])
        key = attacker.cell_of(row), versions, row["figure"]
        assert key not in listed, "a figure is listed twice"
        listed[key] = (row["lowest"], None if pd.isna(row["highest"]) else row["highest"]), bool(row["broken"])
    assert listed == {key: found[key] for key in listed}
    for key, ((lowest, highest), is_broken) in found.items():
        cell, versions, figure = key
        people, patients, _ = (attacker.unknown_of(cell, versions, name) for name in attacker.FIGURES)
        shown = {"beneficiaries": people, "patients": patients, "others": people}[figure] in known
        assert key in listed or ((shown or lowest == highest) and not is_broken), f"not listed: {key}"
    counts_the_cells(report.summary, releases[0])
    return {cell for (cell, _, _), (_, is_broken) in found.items() if is_broken}


def counts_the_cells(summary, published):
    cells = published[~published["area_code"].str.endswith("ZZZZ") & (published["level"] != "unassigned")]
    rows = {(row["level"], row["dimension"]): row for row in summary.to_dict("records")}
    assert len(rows) == len(summary)
    for place, own in cells.groupby(["level", "dimension"]):
        visible = own["patients"].notna()
        people = own["beneficiaries"].fillna(0)
        row = rows[place]
        assert (row["cells"], row["visible"], row["hidden"]) == (len(own), visible.sum(), (~visible).sum())
        if people.sum() > 0:
            assert row["visible_share"] == pytest.approx(people[visible].sum() / people.sum())
        else:
            assert pd.isna(row["visible_share"])


@st.composite
def masks(draw, rates, threshold):
    """A release of ``rates`` that hides too small, too much, or something else than the rule asks for."""
    dice = draw(st.randoms(use_true_random=False))
    of_the_rule = draw(st.sampled_from([1.0, 1.0, 0.8, 0.0]))
    besides = draw(st.sampled_from([0.0, 0.1, 0.3, 0.7]))
    with_people = draw(st.sampled_from([0.0, 0.2, 0.6]))
    hidden = []
    for row in rows_of(rates):
        cell = attacker.cell_of(row)
        if dice.random() < of_the_rule:
            hidden += [(cell, figure) for figure in sorted(hides(row, threshold))]
        if dice.random() < besides:
            hidden.append((cell, "beneficiaries" if dice.random() < with_people else "patients"))
    return masked(rates, hidden)


@examples(30)
@given(st.data())
def test_the_audit_finds_nothing_in_what_is_protected(data):
    threshold = data.draw(thresholds)
    rates = data.draw(tables(threshold, most_cells=60))
    published = protect(rates, threshold)
    describe(published, rates, threshold)
    assert not same_answers([published], threshold)


@examples(100, quick=25)
@given(st.data())
def test_the_audit_and_the_attacker_find_the_same(data):
    threshold = data.draw(thresholds)
    rates = data.draw(tables(threshold, most_cells=50))
    published = data.draw(masks(rates, threshold))
    broken = same_answers([published], threshold)
    event(f"broken: {'nothing' if not broken else 'few' if 5 * len(broken) < len(rates) else 'many'}")
    target(float(min((published["status"] == "suppressed").sum(), 40)), label="hidden cells")


@examples(50)
@given(st.data())
def test_the_audit_and_the_attacker_find_the_same_in_several_releases(data):
    threshold = data.draw(thresholds)
    truths = data.draw(revisions(threshold, most_cells=30))[::-1]
    published = [data.draw(masks(truth, threshold)) for truth in truths]
    releases = carried_on(published, truths, data.draw(st.booleans()))
    newest_alone = attacker.broken([rows_of(releases[0])], threshold)
    same_answers(releases, threshold)
    event(f"broken by the two together: {newest_alone != attacker.broken([rows_of(r) for r in releases], threshold)}")


@examples(60)
@given(st.data())
def test_the_audit_refuses_what_the_attacker_calls_a_contradiction(data):
    threshold = data.draw(thresholds)
    rates = data.draw(tables(threshold))
    rows = rows_of(data.draw(masks(rates, threshold)))
    which = data.draw(st.integers(0, len(rows) - 1))
    figure = data.draw(st.sampled_from(HIDEABLE))
    if rows[which][figure] is not None:
        rows[which][figure] += data.draw(st.sampled_from([1, -1, threshold]))
    published = release_of(rows)
    try:
        attacker.broken([rows], threshold)
    except attacker.ContradictionError:
        event("a contradiction")
        with pytest.raises(OperatorError):
            audit(published, threshold)
    else:
        same_answers([published], threshold)


# --- planted leaks ---------------------------------------------------------------------------------------------------


def leaks(rates, published, threshold):
    """Releases that each show one cell more: one that was hidden for the sake of others, being harmless itself."""
    truth, shown = by_cell(rates), by_cell(published)
    for cell, row in shown.items():
        total = shown.get((*cell[:2], *attacker.TOTAL), row)
        if row["status"] == "published" or hides(truth[cell], threshold):
            continue
        if cell[2] != "total" and total["patients"] is None:
            continue  # R1 hides it, whatever it is
        leaking = {**shown, cell: {**row, **{figure: truth[cell][figure] for figure in HIDEABLE}}}
        # One sector that is shown makes all the others at least 1, where some are 0: no release would be like that.
        if all(truth[each][figure] >= least for (each, figure), least in attacker.lower_bounds(leaking).items()):
            yield cell, release_of(leaking.values())


def arrondissement(rates, code):
    """A part table: the arrondissement, its municipalities and their sectors."""
    municipalities = set(rates.loc[(rates["level"] == "municipality") & (rates["parent_code"] == code), "area_code"])
    return rates[
        ((rates["level"] == "arrondissement") & (rates["area_code"] == code))
        | ((rates["level"] == "municipality") & rates["area_code"].isin(municipalities))
        | ((rates["level"] == "sector") & rates["parent_code"].isin(municipalities))
    ].reset_index(drop=True)


def test_a_leak_is_found_or_was_redundant():
    """Planted leaks, a hundred in full, each judged by the audit and by the attacker apart from it.

    Redundant are those that leave the promise kept: the protection hid a cell more than it had to.
    """
    planted, found, redundant, most = 0, 0, 0, how_many(100, 15)
    for seed in range(40):
        if planted == most:
            break
        rates = arrondissement(medium_table(seed), "11000")
        published = protect(rates, 5)
        assert audit(published, 5).violations.empty
        for cell, leaking in leaks(rates, published, 5):
            if planted == most:
                break
            planted += 1
            seen = not audit(leaking, 5).violations.empty
            assert seen == bool(attacker.broken([rows_of(leaking)], 5)), (seed, cell)
            found += seen
            redundant += not seen
    assert planted == most
    assert found + redundant == planted
    assert found >= most // 2, f"found {found}, redundant {redundant}"


@examples(20)
@given(st.data())
def test_every_leak_of_a_little_table_is_found_or_was_redundant(data):
    threshold = data.draw(thresholds)
    rates = data.draw(tables(threshold, most_cells=40))
    published = protect(rates, threshold)
    for number, (_, leaking) in enumerate(leaks(rates, published, threshold)):
        if number == 3:
            break
        event(f"found: {bool(same_answers([leaking], threshold))}")
