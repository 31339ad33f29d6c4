"""The demonstration deliveries obey the capitation system, and each check finds exactly what was planted in them.

Years before and after May 2013, and the first ones, in which the age of a house is unknown.
"""

import pytest

from mm_pipeline import schemas
from mm_pipeline.definitions import TOLERANCES
from mm_pipeline.defs.checks import capitation, contributions, patients
from mm_pipeline.defs.checks.framework import checks_in
from mm_pipeline.demo import synthesize
from mm_pipeline.demo.violations import GHOST_PATIENTS, planted
from mm_pipeline.disclosure.small_numbers import people
from mm_pipeline.operations.status import NOT_APPLICABLE, PASSED, WARNING
from mm_pipeline.reference.areas import areas
from mm_pipeline_tests.support.paths import REFERENCE
from mm_pipeline_tests.support.pipeline import build_year, settings_for
from mm_pipeline_tests.support.small_year import SmallYear

pytestmark = pytest.mark.slow

EARLIER = (2010, 2011)
"""Only to tell how old the houses of 2012 and 2013 are."""

YEARS = (2003, 2004, 2005, 2006, 2012, 2013, 2014)
LOOKS = {check.name: check for check in checks_in(capitation, contributions)}


@pytest.fixture(scope="module")
def years(tmp_path_factory):
    settings = settings_for(tmp_path_factory.mktemp("planted") / "data", tolerances=dict.fromkeys(TOLERANCES, 0.0))
    built = sorted(YEARS + EARLIER)
    synthesize(settings.raw_dir, built, scale=0.02, seed=1, areas=lambda year: areas(REFERENCE, year))
    for year in built:
        build_year(settings, year, areas(REFERENCE, year))
    return SmallYear(settings)


def test_every_check_of_the_system_is_planted():
    assert set(LOOKS) == set(planted(2012)) == set(TOLERANCES) - {"dmg_at_own_house", "same_people_as_the_year_before"}


def not_looked(year):
    """Which checks have nothing to look at, or nothing to compare with."""
    names = set()
    if year < 2010:
        names |= {"contribution_per_patient", "contribution_per_household"}  # not delivered
    if year < 2005 or year > 2013:
        names |= {"one_amount_before_may_2013"}
    if year == YEARS[0]:
        names |= {"houses_come_and_go"}
    return names


@pytest.mark.parametrize("year", YEARS)
@pytest.mark.parametrize("name", LOOKS)
def test_a_check_finds_what_was_planted(years, year, name):
    outcome = years.in_year(year).outcome_of(LOOKS[name])
    if name in not_looked(year):
        assert outcome.state == NOT_APPLICABLE
        return
    if name == "houses_come_and_go":
        expected = len(houses(years, year) ^ houses(years, year - 1))
        assert houses(years, year) - houses(years, year - 1) >= {f"H{7000 + year}"}
        assert houses(years, year - 1) - houses(years, year) == {f"H{7000 + year - 1}"}
    else:
        expected = planted(year)[name]
    assert outcome.state == (WARNING if expected else PASSED)
    assert outcome.metadata["found"] == people(expected, years.settings.disclosure_threshold)


@pytest.mark.parametrize("year", YEARS)
def test_the_patients_of_the_ghost_house_have_their_dmg_elsewhere(years, year):
    outcome = years.in_year(year).outcome_of(patients.dmg_at_own_house)
    assert (outcome.state, outcome.metadata["found"]) == (WARNING, GHOST_PATIENTS)


def houses(years, year):
    return {row["house_id"] for row in years.in_year(year).rows(schemas.HOUSES)}


@pytest.mark.parametrize("year", [2003, 2004])
def test_without_an_earlier_year_the_age_of_large_houses_is_unknown(years, year):
    rows = years.in_year(year).rows(schemas.HOUSES)
    status = {row["status"] for row in rows}
    assert status == {"beginner", "unknown"}
    assert {row["two_years"] for row in rows if row["status"] == "unknown"} == {None}
    text = years.in_year(year).outcome_of(capitation.one_amount_for_beginners).text
    assert "before 2005 it is not known how old they are" in text


@pytest.mark.parametrize("year", [2005, 2006, 2013, 2014])
def test_with_one_it_is_known(years, year):
    rows = years.in_year(year).rows(schemas.HOUSES)
    assert {row["status"] for row in rows} == {"beginner", "mature"}


def test_the_amounts_of_mature_houses_differ_from_may_2013_on(years):
    in_april, in_may = (
        {row["amounts"][month] for row in years.in_year(2013).rows(schemas.HOUSES) if row["status"] == "mature"}
        for month in (3, 4)
    )
    assert len(in_april) == 2  # one house is planted
    assert len(in_may) > 20
