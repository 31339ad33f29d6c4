"""A year that its checks doubt seriously is built, and not public before a person has released it."""

import csv
import gzip
import json
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner
from dagster._core.execution.api import create_execution_plan

from mm_pipeline import schemas
from mm_pipeline.cli import main
from mm_pipeline.definitions import HOLD_LIMITS, build_definitions
from mm_pipeline.defs.checks import deliveries, patients, rates
from mm_pipeline.defs.checks.framework import checks_in
from mm_pipeline.demo import synthesize
from mm_pipeline.operations import sign_off
from mm_pipeline.operations.runs import YEARLY_JOB
from mm_pipeline.operations.sign_off import NOT_HELD, awaited
from mm_pipeline.operations.status import status
from mm_pipeline.reference.areas import areas
from mm_pipeline.storage.lake import Lake
from mm_pipeline_tests.support.installation import SCALE, Installation, announce, checks_of_year, deliver
from mm_pipeline_tests.support.paths import REFERENCE
from mm_pipeline_tests.support.releases import check, content, memory, published, tick

YEAR = 2006
AN, LUC, WHY = "An Peeters", "Luc Dubois", "Asked the sender: the year is right."


def spoil(folder: Path) -> None:
    """A quarter of the rows is missing, and a fifth of the men became women."""
    path = folder / "beneficiaries.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rows = [row for number, row in enumerate(reader) if number % 4]
        columns = reader.fieldnames or []
    men = [row for row in rows if row["sex"] in ("1", "M")]
    for man in men[::5]:
        man["sex"] = "F"
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][path.name]["rows"] = len(rows)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    announce(folder)


@pytest.fixture(scope="module")
def doubted(built: Installation, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    installation = built.copied_to(tmp_path_factory.mktemp("doubted"))
    spoil(installation.raw(YEAR))
    with installation.backfill() as (backfill, _instance):
        (result,) = backfill.years([YEAR])
    assert not result.problems
    assert result.outcome == "held"
    (said,) = result.doubts
    assert said.startswith(f"published_year, {NOT_HELD}: {YEAR} is held and not public")
    return installation


@pytest.fixture
def installation(doubted: Installation, tmp_path: Path) -> Installation:
    return doubted.copied_to(tmp_path / "installation")


def command(installation: Installation, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    monkeypatch.setenv("MM_DATA_DIR", str(installation.settings.data_dir))
    monkeypatch.setenv("DAGSTER_HOME", str(installation.root / "dagster"))
    monkeypatch.setenv("COLUMNS", "200")
    with installation.with_all_areas():
        result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_nothing_of_it_is_public(built, doubted):
    assert published(doubted) == published(built)
    assert memory(doubted, YEAR) == memory(built, YEAR), "what never went out is no release"
    protected = [Lake(each.settings.lake_dir).path(schemas.PROTECTED_RATES, YEAR) for each in (built, doubted)]
    assert protected[0].read_bytes() != protected[1].read_bytes(), "it was protected"


def test_the_ui_says_what_is_held_and_why(doubted):
    held, profile = (
        dg.AssetCheckKey(dg.AssetKey(asset), name)
        for asset, name in (("published_year", NOT_HELD), ("raw_beneficiaries", "population_profile"))
    )
    with doubted.instance() as instance:
        records = checks_of_year(instance, [held, profile], YEAR)
    said = {key: record.event.dagster_event.asset_check_evaluation_data for key, record in records.items()}
    assert {each.metadata["outcome"].value for each in said.values()} == {"held"}
    assert {each.severity for each in said.values()} == {dg.AssetCheckSeverity.WARN}
    assert said[profile].description in said[held].description
    assert "The share of women is outside 49 to 53 %." in said[held].description
    assert "beyond the limit of 0.55 (MM_HOLD_LIMITS)" in said[held].description
    assert f'mm-pipeline release {YEAR} --name "First Last" --because' in said[held].description


def test_status_says_it(doubted, monkeypatch):
    with doubted.backfill() as (backfill, instance):
        runs = instance.get_runs_count()
        assert [result.outcome for result in backfill.years([YEAR])] == ["up to date"], "it is not built again"
        assert instance.get_runs_count() == runs
        (year,) = status(backfill.ledger(), [YEAR])
        assert year.row["state"].startswith("held by ")
        assert not year.is_as_it_should_be
    text = command(doubted, monkeypatch, "status", "--years", str(YEAR))
    assert "The population looks unlike Belgium's." in text
    assert command(doubted, monkeypatch, "release", str(YEAR)).startswith(f"{YEAR} is held and not public")


def test_a_person_releases_it(built, installation, monkeypatch):
    settings, before = installation.settings, published(installation)
    waits = content(settings.awaiting_dir / str(YEAR))
    said = command(installation, monkeypatch, "release", str(YEAR), "--name", AN, "--because", WHY)
    assert said.startswith(
        f"{YEAR} is released by a person though checks doubt it: published_year of {YEAR} makes it public."
    )
    assert published(installation) == before, "by a run only"

    (request,) = tick(installation, settings)
    with installation.instance() as instance:
        result = (
            build_definitions(settings=settings)
            .resolve_job_def(YEARLY_JOB)
            .execute_in_process(
                instance=instance, partition_key=request.partition_key, asset_selection=request.asset_selection
            )
        )
    assert check(result, NOT_HELD).passed
    assert content(settings.published_dir / str(YEAR)) == waits
    assert memory(installation, YEAR) != memory(built, YEAR)
    assert list(settings.awaiting_dir.iterdir()) == []
    (kept,) = (settings.sign_off_dir / "history").iterdir()
    assert all(text in kept.read_text() for text in (AN, WHY, "The share of women is outside"))
    for path, text in published(installation).items():
        assert AN.encode() not in text, path

    # Again: it is known who released it.
    before = published(installation)
    evaluation = check(installation.materialise("published_year", year=YEAR), NOT_HELD)
    assert evaluation.passed
    assert "a person has released it all the same" in evaluation.description
    assert published(installation) == before


def test_with_the_sign_off_it_takes_both(installation):
    settings, before = replace(installation.settings, sign_off=True), published(installation)
    result = installation.materialise("published_year", year=YEAR, settings=settings)
    assert [check(result, name).passed for name in ("signed_off", NOT_HELD)] == [False, False]
    for name in (AN, LUC):
        sign_off.sign(settings, YEAR, name, awaited(settings, YEAR).manifest)
    assert not awaited(settings, YEAR).is_complete
    result = installation.materialise("published_year", year=YEAR, settings=settings)
    assert [check(result, name).passed for name in ("signed_off", NOT_HELD)] == [True, False]
    assert published(installation) == before
    sign_off.release(settings, YEAR, AN, WHY)
    result = installation.materialise("published_year", year=YEAR, settings=settings)
    assert [check(result, name).passed for name in ("signed_off", NOT_HELD)] == [True, True]
    assert published(installation) != before


def test_a_correction_needs_nobody(installation):
    deliver(installation.settings, [YEAR])
    with installation.backfill() as (backfill, _instance):
        (result,) = backfill.years([YEAR])
    assert (result.outcome, result.doubts) == ("built", [])
    assert list(installation.settings.awaiting_dir.iterdir()) == []


def test_the_checks_that_hold_a_year_look_before_it_is_released():
    """Each is in a step on which the release waits: Dagster goes on past others."""
    waits_for = create_execution_plan(build_definitions().resolve_job_def(YEARLY_JOB)).get_executable_step_deps()
    above, before = ["published_year"], set()
    while above:
        before.add(step := above.pop())
        above += waits_for[step] - before
    holding = [each for each in checks_in(deliveries, patients, rates) if each.hold_limit is not None]
    assert {each.name for each in holding} == HOLD_LIMITS.keys()
    steps = {
        each.step.format(asset=table.name, check=each.name)
        for each in holding
        for table in each.tables
        if table is not schemas.RAW_CONTRIBUTIONS  # which never hold a year
    }
    assert steps <= before


@pytest.mark.slow
def test_the_codes_of_before_the_mergers(tmp_path):
    """2019 was delivered with the municipalities of 2018: seven new ones have nobody."""
    installation = Installation(tmp_path)
    raw = installation.settings.raw_dir
    for year in (2018, 2019):
        synthesize(raw, [year], scale=SCALE, seed=1, areas=lambda _year: areas(REFERENCE, 2018))
    with installation.backfill() as (backfill, _instance):
        before, after = backfill.years([2018, 2019])
    assert (before.outcome, after.outcome) == ("built", "held")
    assert "No beneficiary lives in 12041, " in after.doubts[0]
    assert not (installation.settings.published_dir / "2019").exists()
