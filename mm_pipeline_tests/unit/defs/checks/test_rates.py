"""The checks of the rates: for every state a fault that reaches it, and what is said then."""

import pytest

from mm_pipeline.defs.checks import rates as checks
from mm_pipeline.errors import LakeError
from mm_pipeline.operations.status import FAILED, HELD, NOT_APPLICABLE, PASSED, WARNING
from mm_pipeline.schemas import BENEFICIARY_COUNTS, PROTECTED_RATES, SECTOR_RATES, THRESHOLD_COUNTS
from mm_pipeline_tests.support.small_year import EMPTY_MUNICIPALITY, TINY_MUNICIPALITY, YEAR

AGAIN = f"for {YEAR} again, and report it if it stays"
TOTAL = {"dimension": "total", "category": "total"}


def is_cell(row, **values):
    return all(row[name] == value for name, value in values.items())


def change_cell(year, change, **cell):
    """Change the cells with these values; at least one there must be."""
    changed = []

    def edit(row):
        if not is_cell(row, **cell):
            return row
        changed.append(row)
        return change(row)

    year.change(SECTOR_RATES, edit)
    assert changed


def counted(row, *, people=0, patients=0):
    """The cell with more people or patients, and the rate that follows."""
    people, patients = row["beneficiaries"] + people, row["patients"] + patients
    share = patients / people if people else None
    rates = {
        "rate_per_10000": None if share is None else 10_000 * share,
        "rate_percent": None if share is None else 100 * share,
    }
    return row | {"beneficiaries": people, "patients": patients} | rates


def drop(_row):
    return None


# --- rates_in_range ---------------------------------------------------------------------------------------------------


def test_the_rates_are_in_range(year):
    outcome = year.outcome_of(checks.rates_in_range)
    assert outcome.state == PASSED
    assert outcome.text.startswith("All cells have a legal area")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"level": "village"}, "A level is unknown"),
        ({"dimension": "colour"}, "A dimension is unknown"),
        ({"category": "mauve"}, "A category is unknown"),
        ({"area_code": "1100"}, "An area code is malformed"),
        ({"level": None}, "A cell has no level, area, dimension, category, beneficiaries or patients"),
        ({"patients": None, "rate_per_10000": None, "rate_percent": None}, "A cell has no level"),
        ({"beneficiaries": -8, "patients": 0}, "A number of beneficiaries is negative"),
        ({"patients": -7}, "A number of patients is negative"),
        ({"rate_per_10000": 10_000.5}, "A rate is outside 0 to 10 000 per 10 000"),
        ({"rate_per_10000": -0.5}, "A rate is outside 0 to 10 000 per 10 000"),
        ({"rate_percent": 100.5}, "A rate is outside 0 to 100 %"),
        ({"rate_per_10000": 800.0}, "A rate is not 10 000 (or 100) x patients / beneficiaries"),
        ({"rate_percent": 8.0}, "A rate is not 10 000 (or 100) x patients / beneficiaries"),
        ({"rate_per_10000": None}, "A rate is not 10 000 (or 100) x patients / beneficiaries"),
    ],
)
def test_an_illegal_cell(year, change, said):
    change_cell(year, lambda row: row | change, level="municipality", area_code="11002", **TOTAL)
    outcome = year.outcome_of(checks.rates_in_range)
    assert outcome.state == FAILED
    assert said in outcome.text
    values = {"level": "municipality", "area_code": "11002", **TOTAL} | change
    named = " ".join(str(values[name] or "?") for name in ("level", "area_code", "dimension", "category"))
    assert f"(1 rows: {named})." in outcome.text
    assert f"materialise sector_rates {AGAIN}" in outcome.text


def test_a_rate_where_nobody_lives(year):
    cell = {"level": "municipality", "area_code": "44013", **TOTAL}
    change_cell(year, lambda row: row | {"rate_per_10000": 0.0}, **cell)
    outcome = year.outcome_of(checks.rates_in_range)
    assert outcome.state == FAILED
    assert "or not empty where nobody lives (1 rows" in outcome.text


def test_a_cell_is_there_twice(year):
    rows = year.rows(SECTOR_RATES)
    year.put(SECTOR_RATES, [*rows, next(row for row in rows if is_cell(row, level="country", **TOTAL))])
    outcome = year.outcome_of(checks.rates_in_range)
    assert outcome.state == FAILED
    assert "A cell (level, area, dimension, category) is there twice (2 rows: " in outcome.text
    assert "rows: country BE total total, country BE total total)." in outcome.text
    for look in (checks.levels_add_up, checks.breakdowns_add_up):  # which must not stumble over it
        assert year.outcome_of(look).state == FAILED


def test_there_is_no_cell(year):
    year.put(SECTOR_RATES, [])
    outcome = year.outcome_of(checks.rates_in_range)
    assert (outcome.state, outcome.text) == (
        FAILED,
        f"The table has no row: materialise sector_rates {AGAIN}.",
    )


# --- numerator_within_denominator -------------------------------------------------------------------------------------


def test_the_numerator_is_within_the_denominator(year):
    outcome = year.outcome_of(checks.numerator_within_denominator)
    assert outcome.state == PASSED
    assert outcome.text == "In all cells the patients are among the beneficiaries."


def test_all_may_be_patients(year):
    change_cell(year, lambda row: row | {"patients": row["beneficiaries"]}, level="sector")
    assert year.outcome_of(checks.numerator_within_denominator).state == PASSED


@pytest.mark.parametrize("patients", [lambda row: row["beneficiaries"] + 1, lambda row: -1])
def test_more_patients_than_beneficiaries(year, patients):
    change_cell(
        year, lambda row: row | {"patients": patients(row)}, level="municipality", area_code="62063", dimension="sex"
    )
    outcome = year.outcome_of(checks.numerator_within_denominator)
    assert outcome.state == FAILED
    assert outcome.text.startswith(
        "2 cells have more patients than beneficiaries (municipality 62063, sex F; municipality 62063, sex M)."
    )
    assert "Were forfaits and beneficiaries extracted with the same pseudonyms?" in outcome.text


# --- sector_coverage --------------------------------------------------------------------------------------------------


def test_the_sectors_cover_the_municipalities(year):
    outcome = year.outcome_of(checks.sector_coverage)
    assert outcome.state == PASSED
    assert outcome.text == "The sectors of all 5 municipalities with beneficiaries add up to them."


def test_a_municipality_without_sectors(year):
    change_cell(year, drop, level="sector", parent_code="62063")
    outcome = year.outcome_of(checks.sector_coverage)
    assert outcome.state == FAILED
    assert outcome.text.startswith("1 municipalities have no sector and 0 are not the sum of their sectors (62063).")
    assert f"Materialise beneficiary_counts and sector_rates {AGAIN}" in outcome.text


@pytest.mark.parametrize("change", [{"people": 1}, {"patients": 1}])
@pytest.mark.parametrize("area_code", ["21004A011", "21004ZZZZ"])
def test_sectors_that_do_not_add_up(year, area_code, change):
    change_cell(year, lambda row: counted(row, **change), level="sector", area_code=area_code)
    outcome = year.outcome_of(checks.sector_coverage)
    assert outcome.state == FAILED
    assert "0 municipalities have no sector and 1 are not the sum of their sectors (21004)." in outcome.text


def test_no_sectors_before_2005(year):
    outcome = year.in_year(2004).outcome_of(checks.sector_coverage)
    assert (outcome.state, outcome.text) == (NOT_APPLICABLE, "Not applicable: sectors are published from 2005 on.")
    with pytest.raises(LakeError, match=r"2005: .* has not been built yet"):  # it looks
        year.in_year(2005).outcome_of(checks.sector_coverage)


def test_nobody_lives_anywhere(year):
    change_cell(year, lambda row: row | {"beneficiaries": 0, "patients": 0}, **TOTAL)
    outcome = year.outcome_of(checks.sector_coverage)
    assert outcome.state == NOT_APPLICABLE
    assert outcome.text == "Not applicable: no municipality has beneficiaries; see municipalities_assigned."


# --- levels_add_up ----------------------------------------------------------------------------------------------------


def test_the_levels_add_up(year):
    outcome = year.outcome_of(checks.levels_add_up)
    assert outcome.state == PASSED
    assert "the country also holds those without a municipality" in outcome.text


@pytest.mark.parametrize("change", [{"people": 1}, {"patients": -1}])
@pytest.mark.parametrize(
    ("level", "area_code", "wrong"),
    [
        ("country", "BE", "country BE"),
        ("region", "04000", "region 04000"),
        ("province", "10000", "region 02000, province 10000"),
        ("arrondissement", "62000", "province 60000, arrondissement 62000"),
        ("municipality", "11002", "arrondissement 11000"),
    ],
)
def test_a_level_does_not_add_up(year, level, area_code, wrong, change):
    change_cell(year, lambda row: counted(row, **change), level=level, area_code=area_code, **TOTAL)
    outcome = year.outcome_of(checks.levels_add_up)
    assert outcome.state == FAILED
    assert wrong in outcome.text
    assert "are not the sum of the areas below" in outcome.text
    assert f"Materialise sector_rates {AGAIN}" in outcome.text


@pytest.mark.parametrize("dimension", ["sex", "age_group", "age_class", "preferential"])
def test_the_categories_add_up_too(year, dimension):
    one = next(row for row in year.rows(SECTOR_RATES) if is_cell(row, level="province", dimension=dimension))
    cell = {name: one[name] for name in ("level", "area_code", "dimension", "category")}
    change_cell(year, lambda row: counted(row, people=7), **cell)
    outcome = year.outcome_of(checks.levels_add_up)
    assert (outcome.state, f"province {one['area_code']}" in outcome.text) == (FAILED, True)


def test_a_lost_region_is_noticed(year):
    """The country may hold more than its regions, but no more than those without a municipality."""
    lost = {"03000", "50000", "52000", "52011", "60000", "62000", "62063"}
    year.change(SECTOR_RATES, lambda row: None if {row["area_code"], row["parent_code"]} & lost else row)
    outcome = year.outcome_of(checks.levels_add_up)
    assert outcome.state == FAILED
    assert outcome.text.startswith("1 areas are not the sum of the areas below: country BE.")


def test_no_category_of_the_unassigned_is_negative(year):
    """The country has patients in the wrong category, though they add up."""
    for category, patients in (("M", -9), ("F", 9)):
        cell = {"level": "country", "dimension": "sex", "category": category}
        change_cell(year, lambda row, patients=patients: counted(row, patients=patients), **cell)
    assert year.outcome_of(checks.breakdowns_add_up).state == PASSED
    outcome = year.outcome_of(checks.levels_add_up)
    assert (outcome.state, "country BE" in outcome.text) == (FAILED, True)


def test_the_unassigned_are_those_that_were_counted(year):
    year.change(BENEFICIARY_COUNTS, lambda row: row if row["municipality_code"] else None)
    assert year.outcome_of(checks.levels_add_up).state == FAILED


# --- breakdowns_add_up ------------------------------------------------------------------------------------------------


def test_the_breakdowns_add_up(year):
    outcome = year.outcome_of(checks.breakdowns_add_up)
    assert outcome.state == PASSED
    assert outcome.text == "Every breakdown adds up to its area, and the age classes to the age groups."


@pytest.mark.parametrize("change", [{"people": 1}, {"patients": 1}])
@pytest.mark.parametrize(
    ("dimension", "category", "wrong"),
    [
        ("sex", "F", "sex of region 04000"),
        ("age_group", "18-64", "age_group of region 04000, age group 18-64 of region 04000"),
        ("preferential", "1", "preferential of region 04000"),
        ("age_class", "45-64", "age_class of region 04000, age group 18-64 of region 04000"),
    ],
)
def test_a_breakdown_does_not_add_up(year, dimension, category, wrong, change):
    cell = {"level": "region", "area_code": "04000", "dimension": dimension, "category": category}
    change_cell(year, lambda row: counted(row, **change), **cell)
    outcome = year.outcome_of(checks.breakdowns_add_up)
    assert outcome.state == FAILED
    assert outcome.text.startswith(f"{1 + wrong.count(',')} breakdowns do not add up: {wrong}.")
    assert f"Materialise sector_rates {AGAIN}" in outcome.text


def test_classes_of_the_wrong_group(year):
    """The classes add up to the area, but not to their groups."""
    for category, people in (("0-17", 5), ("18-24", -5)):
        cell = {"level": "country", "dimension": "age_class", "category": category}
        change_cell(year, lambda row, people=people: counted(row, people=people), **cell)
    outcome = year.outcome_of(checks.breakdowns_add_up)
    assert outcome.state == FAILED
    assert "age group 0-17 of country BE, age group 18-64 of country BE" in outcome.text


@pytest.mark.parametrize("dimension", ["sex", "age_group", "preferential", "age_class"])
def test_a_lost_breakdown_is_noticed(year, dimension):
    change_cell(year, drop, dimension=dimension)
    outcome = year.outcome_of(checks.breakdowns_add_up)
    assert outcome.state == FAILED
    assert f"{dimension} of country BE" in outcome.text


# --- municipalities_have_beneficiaries --------------------------------------------------------------------------------


def emptied(year, *codes):
    def edit(row):
        return row | {"beneficiaries": 0} if row["level"] == "municipality" and row["area_code"] in codes else row

    year.change(SECTOR_RATES, edit)


def test_every_municipality_has_its_people(year):
    """Of the two that are as good as empty one has nobody in either year, and the few of the other may leave."""
    assert year.outcome_of(checks.municipalities_have_beneficiaries).state == PASSED
    emptied(year, TINY_MUNICIPALITY)
    assert year.outcome_of(checks.municipalities_have_beneficiaries).state == PASSED


def test_a_municipality_lost_its_people(year):
    emptied(year, "62063", "11002")
    outcome = year.outcome_of(checks.municipalities_have_beneficiaries)
    assert outcome.state == HELD
    assert outcome.text.startswith(
        f"No beneficiary lives in 11002, 62063, where some did in {YEAR - 1}, or which is new"
    )
    lax = year.with_settings(hold_limits={"municipalities_have_beneficiaries": 2})
    assert lax.outcome_of(checks.municipalities_have_beneficiaries).state == WARNING


def test_a_new_municipality_has_nobody(year):
    """As after a merger, where the delivery has the codes of before."""
    year.in_year(YEAR - 1).change(SECTOR_RATES, lambda row: None if row["area_code"] == EMPTY_MUNICIPALITY else row)
    outcome = year.outcome_of(checks.municipalities_have_beneficiaries)
    assert outcome.state == HELD
    assert f"No beneficiary lives in {EMPTY_MUNICIPALITY}, " in outcome.text


def test_nothing_to_compare_the_municipalities_with(year):
    assert year.in_year(YEAR - 1).outcome_of(checks.municipalities_have_beneficiaries).state == NOT_APPLICABLE


# --- regional_change --------------------------------------------------------------------------------------------------


def multiply(year, area_code, factor):
    """The patients of a region (or the country) this many times; its rate follows."""
    change_cell(
        year,
        lambda row: counted(row, patients=round(row["patients"] * (factor - 1))),
        level="country" if area_code == "BE" else "region",
        area_code=area_code,
        **TOTAL,
    )


def hide(year, area_code):
    """The released table does not show the region's patients."""
    hidden = {"patients": None, "rate_per_10000": None, "rate_percent": None, "status": "suppressed"}

    def edit(row):
        return row | hidden if is_cell(row, level="region", area_code=area_code, **TOTAL) else row

    year.change(PROTECTED_RATES, edit)


def test_the_change_is_plausible(year):
    outcome = year.outcome_of(checks.regional_change)
    assert outcome.state == PASSED
    assert outcome.text == f"The rates of the country and the regions changed plausibly against {YEAR - 1}."
    assert outcome.metadata["rates"].value.startswith(f"| area | per 10 000 in {YEAR - 1} | {YEAR} |")


@pytest.mark.parametrize("hidden", [False, True], ids=["shown", "hidden"])
@pytest.mark.parametrize(
    ("before", "now", "state"), [(100, 90, PASSED), (100, 89, WARNING), (100, 125, PASSED), (100, 126, WARNING)]
)
def test_a_region_changes(year, before, now, state, hidden):
    for own, patients in ((year.in_year(YEAR - 1), before), (year, now)):
        change_cell(own, lambda row, n=patients: counted(row, patients=n - row["patients"]), level="region", **TOTAL)
        for region in ("02000", "03000", "04000") if hidden else ():
            hide(own, region)
    outcome = year.outcome_of(checks.regional_change)
    assert outcome.state == state
    if state == WARNING:
        assert outcome.text.startswith(
            f"Against {YEAR - 1}: The rate of the country or of a region fell by more than 10 % or rose by more than "
            "25 % in a year (3 rows: Flanders, Wallonia, Brussels). Look at months_billed"
        )
    assert ("| Brussels | not shown | not shown |" in outcome.metadata["rates"].value) == hidden


def test_a_region_without_patients_is_noticed(year):
    multiply(year, "04000", 0)
    outcome = year.outcome_of(checks.regional_change)
    assert outcome.state == HELD
    assert "(1 rows: Brussels)" in outcome.text


@pytest.mark.parametrize(
    ("now", "limit", "state"),
    [
        (201, 2, HELD),
        (200, 2, WARNING),
        (50, 2, WARNING),
        (49, 2, HELD),
        (180, 1.5, HELD),
        (110, 1.05, HELD),
        (110, 1.2, PASSED),
    ],
)
def test_a_rate_that_changes_much_holds_the_year(year, now, limit, state):
    for own, patients in ((year.in_year(YEAR - 1), 100), (year, now)):
        change_cell(own, lambda row, n=patients: counted(row, patients=n - row["patients"]), level="region", **TOTAL)
    strict = year.with_settings(hold_limits={"regional_change": limit})
    assert strict.outcome_of(checks.regional_change).state == state


def test_whether_it_warns_does_not_tell_a_small_hidden_rate(year):
    """Of six patients before, fewer than 5.4 or more than 7.5 would warn."""
    for own in (year.in_year(YEAR - 1), year):
        hide(own, "04000")
    for patients in (0, 5, 99):
        change_cell(
            year, lambda row, n=patients: counted(row, patients=n - row["patients"]), area_code="04000", **TOTAL
        )
        assert year.outcome_of(checks.regional_change).state == PASSED


def test_too_few_patients_to_compare_with(year):
    year.in_year(YEAR - 1).put(PROTECTED_RATES, [])
    outcome = year.outcome_of(checks.regional_change)
    assert outcome.state == NOT_APPLICABLE
    assert outcome.text == (
        f"Not applicable: neither the country nor a region has enough patients in {YEAR - 1} to compare with."
    )


def test_the_year_before_is_not_built(year):
    outcome = year.in_year(YEAR - 1).outcome_of(checks.regional_change)
    assert outcome.state == NOT_APPLICABLE
    assert outcome.text == f"Not applicable: {YEAR - 2} has not been built, so there is nothing to compare with."


# --- published_figures ------------------------------------------------------------------------------------------------

PUBLISHED = {"BE": 4.4, "02000": 2.4, "03000": 4.8, "04000": 15.4}


def of_national_size(year, *, people=11_000_000, **percent):
    """The country and the regions with the published rates, or those in ``percent``."""
    rates = PUBLISHED | percent

    def edit(row):
        if row["area_code"] not in rates or row["level"] not in ("country", "region") or not is_cell(row, **TOTAL):
            return row
        size = people if row["level"] == "country" else people // 3
        empty = row | {"beneficiaries": 0, "patients": 0}
        return counted(empty, people=size, patients=round(size * rates[row["area_code"]] / 100))

    year.change(SECTOR_RATES, edit)
    year.change(PROTECTED_RATES, lambda row: edit(row) | {"status": "published"})


@pytest.mark.parametrize("difference", [-0.15, 0, 0.15])
def test_the_published_figures_agree(year, difference):
    of_national_size(year, BE=4.4 + difference)
    outcome = year.outcome_of(checks.published_figures)
    assert (outcome.state, outcome.text) == (PASSED, "The rates agree with the published figures.")
    assert f"| Belgium | 4.4 | {4.4 + difference:.4g} |" in outcome.metadata["figures"].value


@pytest.mark.parametrize("difference", [-0.16, 0.16])
def test_away_from_the_published_figures(year, difference):
    of_national_size(year, **{"04000": 15.4 + difference})
    outcome = year.outcome_of(checks.published_figures)
    assert outcome.state == WARNING
    assert outcome.text.startswith(
        "Away from the published rate by more than 0.15 percentage points: "
        f"Brussels ({15.4 + difference:.4g}; published 15.4 %)."
    )
    hide(year, "04000")
    outcome = year.outcome_of(checks.published_figures)
    assert "Brussels (not shown; published 15.4 %)." in outcome.text
    assert "| Brussels | 15.4 | not shown |" in outcome.metadata["figures"].value
    assert "Is the extract complete" in outcome.text


@pytest.mark.parametrize(
    ("people", "state"),
    [(8_999_999, NOT_APPLICABLE), (9_000_000, PASSED), (14_000_000, PASSED), (14_000_001, NOT_APPLICABLE)],
)
def test_only_the_whole_country_is_compared(year, people, state):
    of_national_size(year, people=people)
    outcome = year.outcome_of(checks.published_figures)
    assert outcome.state == state
    assert ("not of the size of the country" in outcome.text) == (state == NOT_APPLICABLE)


def test_the_little_country_is_not_compared(year):
    outcome = year.outcome_of(checks.published_figures)
    assert outcome.state == NOT_APPLICABLE
    assert "demonstration data of another scale?" in outcome.text


def test_no_figure_was_published(year):
    outcome = year.in_year(2018).outcome_of(checks.published_figures)
    assert outcome.state == NOT_APPLICABLE
    assert outcome.text == "Not applicable: no figure published for 2018 is known to the project."


# --- thresholds_agree -------------------------------------------------------------------------------------------------


def at(number, area="BE", **values):
    """A change of one row of the thresholds."""

    def edit(row):
        return row | values if (row["area_code"], row["threshold"]) == (area, number) else row

    return edit


def test_the_thresholds_agree_with_the_rates(year):
    areas = {(row["level"], row["area_code"]) for row in year.rows(THRESHOLD_COUNTS)}
    assert {level for level, _ in areas} == {"country", "region", "province", "arrondissement"}
    outcome = year.outcome_of(checks.thresholds_agree)
    assert (outcome.state, outcome.text) == (
        PASSED,
        f"Each of {len(areas)} areas has twelve thresholds, and at 6 the patients of sector_rates.",
    )


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (at(3, "03000", threshold=2), "03000 have not each number of forfaits from 1 to 12 once"),
        (at(12, "02000", patients=10_000), "02000 have more patients at a higher threshold"),
        (at(2, beneficiaries=0), "BE have several numbers of beneficiaries"),
        (lambda row: row | {"patients": row["patients"] + 1}, "02000, 03000, 04000 are not in both tables"),
        (lambda row: row | {"beneficiaries": row["beneficiaries"] - 1}, "are not in both tables with the same counts"),
    ],
)
def test_thresholds_that_do_not_go_with_the_rates(year, edit, said):
    year.change(THRESHOLD_COUNTS, edit)
    outcome = year.outcome_of(checks.thresholds_agree)
    assert outcome.state == FAILED
    assert said in outcome.text
    assert f"Materialise both for {YEAR} again" in outcome.text


def test_an_area_is_not_in_the_thresholds(year):
    year.change(THRESHOLD_COUNTS, lambda row: None if row["area_code"] == "04000" else row)
    assert "04000 are not in both tables" in year.outcome_of(checks.thresholds_agree).text


def test_the_thresholds_are_held_against_the_setting(year):
    assert year.with_settings(minimum_forfaits=7).outcome_of(checks.thresholds_agree).state == FAILED
