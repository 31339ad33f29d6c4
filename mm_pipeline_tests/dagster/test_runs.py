"""Runs as the UI starts them: without a year, with one that there is not, and of single checks."""

from dataclasses import replace

import dagster as dg
import pytest

from mm_pipeline.definitions import TOLERANCES, build_definitions
from mm_pipeline.operations.runs import CHECKS_JOB, YEARLY_JOB
from mm_pipeline.settings import EXPECTED, Settings
from mm_pipeline_tests.support.installation import YEARS, Installation, failure, made_together

YEAR = YEARS[-1]


def job_of(installation: Installation, name: str) -> dg.JobDefinition:
    definitions = build_definitions(settings=installation.settings)
    if name in (YEARLY_JOB, CHECKS_JOB):
        return definitions.resolve_job_def(name)
    return definitions.resolve_implicit_global_asset_job_def()


@pytest.mark.parametrize("selection", [["geography"], ["raw_dmg", "published_series"]])
@pytest.mark.parametrize("job", [YEARLY_JOB, CHECKS_JOB, "of assets"])
@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ({}, "no year"),
        ({"dagster/partition": "1999"}, "the year 1999"),
        ({"dagster/partition": "2025"}, "the year 2025"),
    ],
)
def test_a_run_without_a_year_of_the_statistic_says_so_once(built, tags, found, job, selection):
    before = built.results()
    chosen = None if job in (YEARLY_JOB, CHECKS_JOB) else [dg.AssetKey(name) for name in selection]
    with built.instance() as instance:
        result = job_of(built, job).execute_in_process(
            instance=instance, tags=tags, asset_selection=chosen, raise_on_error=False
        )
    (told,) = [event for event in result.all_events if event.is_failure]
    error = told.job_failure_data.error
    assert error.message == (
        "dagster._core.errors.DagsterInvariantViolationError: "
        f"This run was started with {found}; expected one from 2003 to 2024. Nothing was written. Choose a partition in the "
        "launchpad, or start it with Materialize, which asks for one; checks alone with the job checks.\n"
    )
    assert error.cause is None
    assert built.results() == before


def test_what_has_no_years_needs_none(copy: Installation) -> None:
    assert copy.materialise("published_series", "atlas_page").success


def looked_at(installation: Installation, settings: Settings | None = None) -> dict[tuple[str, str], bool]:
    """The job ``checks`` of the year: what became of each."""
    job = build_definitions(settings=settings or installation.settings).resolve_job_def(CHECKS_JOB)
    with installation.instance() as instance, installation.with_all_areas():
        result = job.execute_in_process(instance=instance, tags={"dagster/partition": str(YEAR)}, raise_on_error=False)
        assert not result.get_asset_materialization_events()
    return {
        (each.asset_key.to_user_string(), each.check_name): each.passed for each in result.get_asset_check_evaluations()
    }


WITH_THEIR_ASSET = {"delivery_contract", "signed_off", "not_held", "earlier_releases_kept"}


def test_the_checks_of_a_year_are_executed_by_themselves(copy: Installation) -> None:
    """All but those that are part of making their asset; nothing is made again, and what was cleared stays cleared."""
    before = copy.results()
    found = looked_at(copy)
    graph = build_definitions(settings=copy.settings).resolve_asset_graph()
    yearly = {key for key in graph.asset_check_keys if graph.get(key).partitions_def}
    assert set(found) == {
        (key.asset_key.to_user_string(), key.name) for key in yearly if key.name not in WITH_THEIR_ASSET
    }
    assert len(found) == 57
    assert copy.results() == before
    with copy.backfill() as (backfill, _instance):
        assert backfill.ledger().state(YEAR).is_up_to_date


def test_a_changed_tolerance_is_looked_at_anew(copy: Installation) -> None:
    """Which is what it is for."""
    check = ("raw_beneficiaries", "quarantined_share")
    assert looked_at(copy)[check] is False, "the demonstration has some bad lines: a warning"
    strict = replace(copy.settings, tolerances=dict.fromkeys(TOLERANCES, 0.0))
    lax = replace(copy.settings, tolerances=dict.fromkeys(TOLERANCES, 1.0))
    name = ("registrations", "gaps_in_registrations")
    assert [looked_at(copy, settings)[name] for settings in (strict, lax)] == [False, True]


def test_a_check_that_blocks_takes_the_clearance_away(copy: Installation) -> None:
    """Until all have passed again. Whoever would clear the year by hand meanwhile cannot."""
    check = ("protected_rates", "disclosure_audit")
    stricter = replace(copy.settings, disclosure_threshold=20)
    assert looked_at(copy, stricter)[check] is False
    for asset in ("cleared", "published_year"):
        refused = failure(copy.materialise(asset, year=YEAR, fails=True))
        assert f"protected_rates of {YEAR} has not passed its checks" in refused
    assert looked_at(copy)[check] is True
    copy.materialise("cleared", year=YEAR)
    copy.materialise("published_year", year=YEAR)


def test_what_was_never_looked_at_is_not_cleared(copy: Installation) -> None:
    """Tables that were made again by themselves, without their checks."""
    keys = [dg.AssetKey(name) for name in made_together(["protected_rates"])]
    other = replace(copy.settings, disclosure_threshold=10)
    job = build_definitions(settings=other).resolve_implicit_global_asset_job_def()
    with copy.instance() as instance:
        made = job.get_subset(asset_selection=set(keys), asset_check_selection=set())
        assert made.execute_in_process(instance=instance, partition_key=str(YEAR)).success
    assert "has not passed its checks" in failure(copy.materialise("cleared", year=YEAR, fails=True))


def test_what_was_looked_at_by_other_settings_is_not_released(copy: Installation) -> None:
    """Tables that are protected, checked and cleared with another threshold than that of the release."""
    other = replace(copy.settings, disclosure_threshold=copy.settings.disclosure_threshold + 1)
    refused = failure(copy.materialise("published_year", year=YEAR, fails=True, settings=other))
    assert "has not passed its checks" in refused


def test_a_run_that_waits_takes_no_clearance_away(copy: Installation) -> None:
    """Somebody pressed *Materialize* twice."""
    job = build_definitions(settings=copy.settings).resolve_job_def(YEARLY_JOB)
    with copy.instance() as instance:
        instance.create_run_for_job(job, tags={"dagster/partition": str(YEAR)})
    copy.materialise("cleared", year=YEAR)
    copy.materialise("published_year", year=YEAR)


def test_the_ui_shows_the_settings_and_what_they_mean(copy: Installation) -> None:
    """Each by itself with what it is; the limits of all checks; of a secret and of identifiers only that they are set."""
    settings = replace(copy.settings, hold_limits={"regional_change": 3.0}, legal_ids=("12345678901",), id_key="secret")
    resource = build_definitions(settings=settings).resources["settings"]
    shown = {
        name: (field.default, field.description)
        for name, field in type(resource).model_fields.items()
        if name.startswith("MM_")
    }
    assert shown.keys() == {"MM_DATA_DIR", *EXPECTED}
    assert all(said and said.endswith(".") and "`" not in said for _, said in shown.values())
    assert shown["MM_THRESHOLD"][0] == "6"
    assert "regional_change=3.0" in shown["MM_HOLD_LIMITS"][0]
    assert "patients_are_beneficiaries=0.05" in shown["MM_HOLD_LIMITS"][0]
    assert (shown["MM_ID_KEY"][0], shown["MM_LEGAL_IDS"][0]) == ("set", "set")
    assert not any(text == "secret" or "12345678901" in text for text, _ in shown.values())


ELSEWHERE = {"lake_dir": "/elsewhere", "memory_limit": "1GB", "threads": 2, "most_spilled": 1}


@pytest.mark.parametrize(("resource", "config"), [("engine", ELSEWHERE), ("settings", {"MM_THRESHOLD": "7"})])
def test_settings_are_not_changed_in_the_launchpad(
    copy: Installation, resource: str, config: dict[str, object]
) -> None:
    job = build_definitions(settings=copy.settings).resolve_implicit_global_asset_job_def()
    with copy.instance() as instance:
        run = job.execute_in_process(
            instance=instance,
            partition_key=str(YEAR),
            asset_selection=[dg.AssetKey("registrations")],
            run_config={"resources": {resource: {"config": config}}},
            raise_on_error=False,
        )
        said = " ".join(str(event.event_specific_data) for event in run.all_events if event.is_failure)
    assert not run.success
    assert "The settings were changed in the launchpad" in said
