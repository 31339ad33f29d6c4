"""The sign-off through Dagster: nothing is public before two have signed it, and nothing that waits counts as released."""

import shutil
import stat
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus as Status

from mm_pipeline import schemas
from mm_pipeline.definitions import build_definitions
from mm_pipeline.files.checksum import checksum_path
from mm_pipeline.operations import sign_off
from mm_pipeline.operations.runs import YEARLY_JOB
from mm_pipeline.operations.sign_off import AWAITS_TAG, Awaited, awaited, waiting_folder
from mm_pipeline.operations.status import status
from mm_pipeline.release.files import write_checksums
from mm_pipeline.settings import Settings
from mm_pipeline.storage.lake import Lake
from mm_pipeline_tests.support.installation import Installation, change_a_byte, checks_of_year, deliver, made_together
from mm_pipeline_tests.support.pipeline import settings_for
from mm_pipeline_tests.support.releases import check, content, memory, published, rewrite, tick

YEAR = 2006
AN, LUC = "An Peeters", "Luc Dubois"
SIGNED = dg.AssetCheckKey(dg.AssetKey("published_year"), "signed_off")


def on(installation: Installation) -> Settings:
    return replace(installation.settings, sign_off=True)


def sign(settings: Settings, year: int, name: str) -> Awaited:
    """What awaits just now."""
    return sign_off.sign(settings, year, name, awaited(settings, year).manifest)


def materialise(installation: Installation, settings: Settings, *, fails: bool = False) -> dg.ExecuteInProcessResult:
    return installation.materialise("published_year", year=YEAR, fails=fails, settings=settings)


def times_published(installation: Installation) -> int:
    """Not how often it was made and had to wait."""
    with installation.instance() as instance:
        records = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=dg.AssetKey("published_year"), asset_partitions=[str(YEAR)]), limit=10
        )
        made = [record.asset_materialization for record in records.records]
        return sum(AWAITS_TAG not in (each.tags or {}) for each in made if each)


@pytest.fixture(scope="module")
def revised(built: Installation, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """2006 was delivered anew and built with the sign-off on: it awaits its signatures."""
    installation = built.copied_to(tmp_path_factory.mktemp("awaiting"))
    deliver(installation.settings, [YEAR], seed=2)
    with installation.backfill(sign_off=True) as (backfill, _instance):
        (result,) = backfill.years([YEAR])
    assert not result.problems
    return installation


@pytest.fixture
def installation(revised: Installation, tmp_path: Path) -> Installation:
    return revised.copied_to(tmp_path / "installation")


def test_nothing_is_public_before_it_is_signed(built, installation):
    assert published(installation) == published(built), "the year, the series and the page are those of before"
    folder = installation.settings.data_dir / "awaiting" / str(YEAR)
    assert (folder / "rates.csv").read_bytes() != (
        installation.settings.published_dir / str(YEAR) / "rates.csv"
    ).read_bytes()
    assert {stat.S_IMODE(each.stat().st_mode) for each in (folder, folder.parent)} == {0o700}
    assert memory(installation, YEAR) == memory(built, YEAR), "what never went out is no release"
    assert times_published(installation) == times_published(built)


def test_what_waits_is_materialised_so_that_a_backfill_of_it_is_no_failure(installation):
    """Dagster takes a backfill for failed in which an asset was not materialised; the mark tells that nothing is public."""
    settings = on(installation)
    made = next(
        each
        for each in materialise(installation, settings).asset_materializations_for_node("published_year")
        if each.asset_key == dg.AssetKey("published_year")
    )
    assert (made.tags or {})[AWAITS_TAG] == "people"
    assert made.metadata["awaits"].value == awaited(settings, YEAR).sentence
    with installation.backfill(sign_off=True) as (backfill, _instance):
        state = backfill.ledger().state(YEAR)
        assert (state.reasons, state.awaits) == ((), awaited(settings, YEAR))
    with installation.backfill() as (backfill, _instance):  # nobody needs to sign any more: then it is not up to date
        assert backfill.ledger().state(YEAR).reasons == ("published_year awaits its release",)


def test_a_year_that_was_never_public_has_no_checksums_to_fail(installation, tmp_path):
    settings = on(installation)
    shutil.rmtree(settings.published_dir / str(YEAR))
    found = check(materialise(installation, settings), "release_checksums")
    assert (found.passed, found.description) == (
        True,
        f"Not applicable: nothing of {YEAR} is public: it awaits its signatures.",
    )


def test_the_ui_says_what_is_awaited(installation):
    with installation.instance() as instance:
        record = checks_of_year(instance, [SIGNED], YEAR)[SIGNED]
    assert record.status == Status.FAILED
    evaluation = record.event.dagster_event.asset_check_evaluation_data
    assert evaluation.severity == dg.AssetCheckSeverity.WARN
    assert evaluation.metadata["outcome"].value == "warning"
    waiting = awaited(on(installation), YEAR)
    assert evaluation.description == waiting.sentence
    assert waiting.manifest in evaluation.description


def test_two_signatures_make_it_public(built, installation):
    settings, before = on(installation), published(installation)
    waits = content(settings.awaiting_dir / str(YEAR))
    assert tick(installation, settings) == f"{YEAR}: awaits its signatures (mm-pipeline sign-off)"
    sign(settings, YEAR, AN)
    assert "Signed so far: An Peeters." in check(materialise(installation, settings), "signed_off").description
    assert tick(installation, settings) == f"{YEAR}: awaits its signatures (mm-pipeline sign-off)"
    assert published(installation) == before

    sign(settings, YEAR, LUC)
    (request,) = tick(installation, settings)
    assert request.partition_key == str(YEAR)
    assert {key.to_user_string() for key in request.asset_selection} == set(made_together(["published_year"]))
    definitions = build_definitions(settings=settings)
    with installation.instance() as instance:
        result = definitions.resolve_job_def(YEARLY_JOB).execute_in_process(
            instance=instance,
            partition_key=request.partition_key,
            asset_selection=request.asset_selection,
            tags=request.tags,
        )
    assert check(result, "signed_off").description == f"The release of {YEAR} is signed by 2 people."
    assert content(settings.published_dir / str(YEAR)) == waits
    assert not (settings.awaiting_dir / str(YEAR)).exists()
    assert memory(installation, YEAR) != memory(built, YEAR)
    assert times_published(installation) == times_published(built) + 1
    assert tick(installation, settings) == "No year awaits anybody"
    (kept,) = (settings.sign_off_dir / "history").iterdir()
    assert AN in kept.read_text()
    for path, text in published(installation).items():
        assert AN.encode() not in text, path
        assert LUC.encode() not in text, path

    # Again: the same bytes, and the signature holds.
    before = published(installation)
    assert check(materialise(installation, settings), "signed_off").passed
    assert published(installation) == before
    # Its checks look at what is public.
    assert not (settings.awaiting_dir / str(YEAR)).exists()


def test_a_changed_content_voids_the_signatures(installation, monkeypatch):
    settings, before = on(installation), published(installation)
    sign(settings, YEAR, AN)
    sign(settings, YEAR, LUC)
    rewrite(monkeypatch, "Royaume")
    evaluation = check(materialise(installation, settings), "signed_off")
    assert not evaluation.passed
    assert "It is signed for another content" in evaluation.description
    assert published(installation) == before
    assert tick(installation, settings) == f"{YEAR}: awaits its signatures (mm-pipeline sign-off)"
    monkeypatch.undo()
    assert check(materialise(installation, settings), "signed_off").passed, "what was signed"
    assert published(installation) != before


def test_the_setting_off_makes_it_public(built, installation):
    result = materialise(installation, installation.settings)
    assert check(result, "signed_off").description.startswith("Not applicable: MM_SIGN_OFF is off")
    assert published(installation) != published(built)
    assert not (installation.settings.awaiting_dir / str(YEAR)).exists()
    assert memory(installation, YEAR) != memory(built, YEAR)


def test_what_is_public_already_needs_no_signature(copy):
    before = published(copy)
    evaluation = check(materialise(copy, on(copy)), "signed_off")
    assert not evaluation.passed
    assert evaluation.description.startswith(f"Nobody has signed what is public of {YEAR}: ")
    assert published(copy) == before
    assert not (copy.settings.awaiting_dir / str(YEAR)).exists()


def test_signatures_do_not_replace_the_checks(installation):
    """A table that the checks have not cleared neither goes out nor waits."""
    settings, before = on(installation), published(installation)
    sign(settings, YEAR, AN)
    sign(settings, YEAR, LUC)
    cleared = Lake(settings.lake_dir).path(schemas.CLEARED, YEAR)
    for path in (cleared, checksum_path(cleared)):
        path.unlink()
    waits = content(settings.awaiting_dir)
    result = materialise(installation, settings, fails=True)
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "has not passed its checks" in str(failure.step_failure_data.error.cause)
    assert published(installation) == before
    assert content(settings.awaiting_dir) == waits


def test_stopped_before_the_switch(installation, monkeypatch):
    """Once it is mended, signatures and content are as they were."""
    settings, before = on(installation), published(installation)
    sign(settings, YEAR, AN)
    sign(settings, YEAR, LUC)

    def stopped(*_arguments):
        raise OSError("stopped")

    with monkeypatch.context() as patch:
        patch.setattr("mm_pipeline.defs.assets.release.keep_signature", stopped)
        materialise(installation, settings, fails=True)
    assert published(installation) == before
    assert awaited(settings, YEAR).is_complete
    assert check(materialise(installation, settings), "signed_off").passed
    assert published(installation) != before


class TestSensor:
    @pytest.fixture
    def signed(self, tmp_path) -> Installation:
        (tmp_path / "root").mkdir()
        installation = Installation(tmp_path / "root")
        settings = on(installation)
        with waiting_folder(settings, YEAR) as folder:
            (folder / "rates.csv").write_text("rates")
            write_checksums(folder)
        sign(settings, YEAR, AN)
        sign(settings, YEAR, LUC)
        return installation

    def run(self, installation: Installation, status: dg.DagsterRunStatus, **tags: str) -> dg.DagsterRun:
        with installation.instance() as instance:
            job = build_definitions(settings=on(installation)).resolve_job_def(YEARLY_JOB)
            return instance.create_run_for_job(job, tags={"dagster/partition": str(YEAR), **tags}, status=status)

    def test_asks_for_nothing_where_nothing_awaits(self, tmp_path):
        settings = settings_for(tmp_path / "data", sign_off=True)
        assert tick(Installation(tmp_path), settings) == "No year awaits anybody"

    def test_asks_for_the_release_and_its_checks(self, signed):
        (request,) = tick(signed, on(signed))
        assert {key.name for key in request.asset_check_keys} == {"signed_off", "not_held", "release_checksums"}
        assert tick(signed, replace(on(signed), sign_off=False)) == "No year awaits anybody"

    def test_waits_for_a_run_that_goes_on(self, signed):
        run = self.run(signed, dg.DagsterRunStatus.STARTED)
        assert tick(signed, on(signed)) == f"{YEAR}: run {run.run_id[:8]} works on it"

    def test_does_not_try_again_what_failed(self, signed):
        (request,) = tick(signed, on(signed))
        run = self.run(signed, dg.DagsterRunStatus.FAILURE, **request.tags)
        assert tick(signed, on(signed)).startswith(f"{YEAR}: its release failed in run {run.run_id[:8]}")

    def test_asks_again_when_the_same_content_is_signed_later_on(self, signed):
        """A run key would make Dagster drop this one silently."""
        (request,) = tick(signed, on(signed))
        self.run(signed, dg.DagsterRunStatus.SUCCESS, **request.tags)
        assert tick(signed, on(signed))[0].tags == request.tags

    def test_runs_by_default(self):
        sensor = build_definitions().resolve_sensor_def("signed_releases")
        assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
        assert sensor.minimum_interval_seconds == 60


def test_a_year_that_waits_is_not_built_again(revised):
    """By no backfill and no schedule: it is up to date, and status says what it awaits."""
    with revised.backfill(sign_off=True) as (backfill, instance):
        state = backfill.ledger().state(YEAR)
        assert state.is_up_to_date
        assert state.awaits.sentence.startswith(
            "2006 is not public: its release in data/awaiting/2006 awaits the signatures of 2 "
        )
        runs = instance.get_runs_count()
        assert [result.outcome for result in backfill.years([YEAR])] == ["up to date"]
        assert instance.get_runs_count() == runs
        (year,) = status(backfill.ledger(), [YEAR])
        assert year.row["state"] == "awaits its signatures (mm-pipeline sign-off)"
        assert not year.is_as_it_should_be


def test_a_year_that_waits_is_built_when_its_delivery_changes(revised, tmp_path):
    installation = revised.copied_to(tmp_path)
    change_a_byte(installation.raw(YEAR))
    with installation.backfill(sign_off=True) as (backfill, _instance):
        assert not backfill.ledger().state(YEAR).is_up_to_date
        assert not backfill.ledger().state(YEAR).awaits


@pytest.mark.slow
def test_a_year_that_is_signed_is_made_public_by_a_backfill_too(revised, tmp_path):
    installation = revised.copied_to(tmp_path)
    for name in (AN, LUC):
        sign(on(installation), YEAR, name)
    with installation.backfill(sign_off=True) as (backfill, _instance):
        assert [result.outcome for result in backfill.years([YEAR])] == ["built"]
        assert backfill.ledger().state(YEAR).is_up_to_date
        assert not backfill.ledger().state(YEAR).awaits
    assert awaited(on(installation), YEAR) is None
