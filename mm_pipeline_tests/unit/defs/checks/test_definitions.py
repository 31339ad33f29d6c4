"""The checks as Dagster has them: what they say of themselves, which of them stop a year, and that each has its page."""

import re

import dagster as dg
import pytest

from mm_pipeline.definitions import build_definitions
from mm_pipeline.defs.partitions import YEARS
from mm_pipeline.operations.backfill import Backfill
from mm_pipeline_tests.support.paths import REPOSITORY
from mm_pipeline_tests.support.pipeline import settings_for
from mm_pipeline_tests.support.small_year import YEAR

PAGES = REPOSITORY / "docs" / "checks.md"

RAW = ("raw_forfaits", "raw_beneficiaries", "raw_dmg", "raw_contributions")
OF_REGISTRATIONS = (
    "one_forfait_a_month",
    "one_house_a_month",
    "gaps_in_registrations",
    "registration_in_month_of_leaving",
)
OF_HOUSES = (
    "one_amount_a_house",
    "one_amount_for_beginners",
    "one_amount_before_may_2013",
    "houses_come_and_go",
    "patients_near_their_house",
)

BLOCKING_BY_ISSUE_2 = {
    *((table, name) for table in RAW for name in ("delivery_contract", "row_accounting", "quarantined_share")),
    *((table, "key_collisions") for table in RAW),
    ("raw_forfaits", "months_billed"),
    ("raw_beneficiaries", "sector_codes_known"),
    ("attributed_patients", "attribution_rule"),
    ("sector_rates", "numerator_within_denominator"),
    ("sector_rates", "sector_coverage"),
    ("sector_rates", "levels_add_up"),
    ("sector_rates", "breakdowns_add_up"),
    ("protected_rates", "nothing_hidden_shows"),
}
"""Marked (B) in point 7 of the issue."""

BLOCKING_BESIDES = {
    ("protected_rates", "disclosure_audit"),
    ("protected_rates", "revisions_audit"),
    ("protected_rates", "postponed_changes"),
    ("protected_rates", "totals_stay_visible"),
    ("protected_rates", "sensitivity_audit"),
    ("threshold_counts", "thresholds_agree"),
    ("raw_forfaits", "only_mm_forfaits"),
    ("raw_beneficiaries", "one_row_per_person"),
    ("raw_beneficiaries", "municipalities_assigned"),
    ("raw_beneficiaries", "same_people_as_the_year_before"),
    ("raw_dmg", "dmg_of_beneficiaries"),
    ("attributed_patients", "patients_are_beneficiaries"),
    ("geography", "hierarchy_complete"),
    ("forfaits_per_patient", "forfaits_distribution"),
    ("attributed_patients", "dmg_at_own_house"),
    ("sector_rates", "rates_in_range"),
    ("published_year", "release_checksums"),
}
"""Where going on would publish something that is known to be wrong."""

ONLY_WARNING = {
    *((table, "volume_against_previous_year") for table in RAW),
    *(("registrations", name) for name in OF_REGISTRATIONS),
    ("forfaits_per_patient", "forfaits_of_beneficiaries"),
    *(("houses", name) for name in OF_HOUSES),
    ("raw_contributions", "contribution_per_patient"),
    ("raw_contributions", "contribution_per_household"),
    ("raw_beneficiaries", "population_profile"),
    ("sector_rates", "municipalities_have_beneficiaries"),
    ("protected_rates", "regional_change"),
    ("sector_rates", "published_figures"),
    ("published_year", "signed_off"),
    ("published_year", "not_held"),
    ("published_series", "earlier_releases_kept"),
}

OF_ALL_YEARS = {("published_series", name) for name in ("years_up_to_date", "newest_year_on_time")}
"""Which have no partition, and stop nothing."""


@pytest.fixture(scope="module")
def specs(tmp_path_factory):
    """Every check of the definitions: those of their own and those that an asset gives itself."""
    definitions = build_definitions(settings=settings_for(tmp_path_factory.mktemp("none")))
    graph = definitions.resolve_asset_graph()
    found = {}
    for key in graph.asset_check_keys:
        spec = graph.get_check_spec(key)
        found[key.asset_key.to_user_string(), key.name] = spec
    return found


def test_every_check_is_known(specs):
    assert set(specs) == BLOCKING_BY_ISSUE_2 | BLOCKING_BESIDES | ONLY_WARNING | OF_ALL_YEARS


def test_which_checks_stop_a_year(specs):
    assert {key for key, spec in specs.items() if spec.blocking} == BLOCKING_BY_ISSUE_2 | BLOCKING_BESIDES


def test_every_check_has_a_description_and_the_years(specs):
    for key, spec in specs.items():
        assert spec.description, key
        assert spec.description.endswith("."), key
        assert spec.partitions_def == (None if key[0] == "published_series" else YEARS), key


def test_checks_of_residence_wait_for_the_geography(specs):
    for name in ("sector_codes_known", "municipalities_assigned"):
        (dependency,) = specs["raw_beneficiaries", name].additional_deps
        assert dependency.asset_key == dg.AssetKey("geography")


def test_every_check_has_its_page(specs):
    headings = re.findall(r"^### (.+): (\w+)$", PAGES.read_text(encoding="utf-8"), flags=re.MULTILINE)
    pages = [(asset, name) for assets, name in headings for asset in assets.split(", ")]
    assert len(pages) == len(set(pages))
    assert set(pages) == set(specs)


def test_every_page_answers_the_same_questions():
    pages = re.split(r"^### ", PAGES.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    for page in pages:
        heading = page.splitlines()[0]
        for question in ("**What it means.**", "**When.**", "**Why it fails.**", "**What to do.**"):
            assert page.count(question) == 1, f"{heading}: {question}"


def test_a_page_says_whether_its_check_blocks(specs):
    pages = re.split(r"^### ", PAGES.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    for page in pages:
        heading, body = page.split("\n", 1)
        assets, name = heading.split(": ")
        blocks = {specs[asset, name].blocking for asset in assets.split(", ")}
        assert {body.lstrip().startswith("Blocking.")} == blocks, heading


def test_a_year_that_fails_a_blocking_check_keeps_its_earlier_result(year):
    """Through Dagster: nothing downstream is built, the rest of the checks still look, warnings stop nothing."""
    folder = year.settings.raw_dir / str(YEAR)
    lines = (folder / "forfaits.csv").read_text().splitlines(keepends=True)
    (folder / "forfaits.csv").write_text("".join(line for line in lines if f"{YEAR}-03" not in line))
    with (folder / "dmg.csv").open("a") as file:
        file.write(",practice-1\n")
    lake = year.settings.lake_dir
    downstream = ("forfaits_per_patient", "attributed_patients", "sector_rates", "protected_rates")
    kept = [lake / table / f"year={YEAR}" / "part-0.parquet" for table in downstream]
    kept += sorted(path for path in (year.settings.published_dir / str(YEAR)).rglob("*") if path.is_file())
    before = [path.read_bytes() for path in kept]
    with dg.DagsterInstance.ephemeral() as instance:
        (result,) = Backfill(year.settings, instance, build_definitions).years([YEAR])
        built = {
            key.to_user_string()
            for key in instance.all_asset_keys()
            if instance.get_latest_materialization_event(key) is not None
        }
    assert result.outcome == "failed"
    assert [problem.split(":")[0] for problem in result.problems] == ["raw_forfaits, months_billed"]
    assert f"No forfait at all is billed in {YEAR}-03." in result.problems[0]
    assert result.checks["warning"] >= 1  # a DMG without a patient, which stops nothing
    assert {"raw_forfaits", "raw_beneficiaries", "raw_dmg", "geography"} <= built
    assert not built & {*downstream, "published_year"}
    assert [path.read_bytes() for path in kept] == before
