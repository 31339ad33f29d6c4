"""``MM_ID_KEY`` over a year: real persons need it, and datasets that were keyed with two secrets are not joined."""

import json
from dataclasses import replace

import dagster as dg
import pytest

from mm_pipeline import schemas
from mm_pipeline.definitions import build_definitions
from mm_pipeline.errors import LakeError
from mm_pipeline.ingest.contract import DATASETS
from mm_pipeline.ingest.ingest import Account
from mm_pipeline.settings import check_value
from mm_pipeline.storage.lake import Lake, Provenance
from mm_pipeline_tests.support.installation import YEARS, Installation, checks_of_year

RAW = [f"raw_{name}" for name in DATASETS]
YEAR = 2006


def run(
    installation: Installation, instance: dg.DagsterInstance, *names: str, **changes: object
) -> dg.ExecuteInProcessResult:
    definitions = build_definitions(settings=replace(installation.settings, **changes))  # type: ignore[arg-type]
    return definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        partition_key=str(YEAR), instance=instance, asset_selection=[*map(dg.AssetKey, names)], raise_on_error=False
    )


@pytest.mark.parametrize("says", [{}, {"synthetic": False}, {"synthetic": "true"}, None], ids=str)
def test_real_persons_without_it_are_refused_by_the_check(copy, says):
    manifest = copy.raw(YEAR) / "manifest.json"
    content = json.loads(manifest.read_text())
    del content["synthetic"]
    manifest.write_text(json.dumps(content | (says or {})))
    if says is None:
        manifest.unlink()
    before = copy.results()
    with copy.instance() as instance:
        assert not run(copy, instance, *RAW, id_key="").success
        for name in RAW:
            key = dg.AssetCheckKey(dg.AssetKey(name), "delivery_contract")
            evaluation = checks_of_year(instance, [key], YEAR)[key].event.dagster_event.asset_check_evaluation_data
            assert not evaluation.passed
            assert f"{YEAR}/{name.removeprefix('raw_')}." in evaluation.description
            assert "is not read: MM_ID_KEY is not set." in evaluation.description
    assert copy.results() == before
    assert not (copy.settings.data_dir / "id.key").exists()


def test_with_it_they_are_read(copy):
    (copy.raw(YEAR) / "manifest.json").unlink()
    with copy.instance() as instance:
        assert run(copy, instance, *RAW).success


def test_each_table_tells_which_secret_it_was_made_with(built):
    lake, made_with = Lake(built.settings.lake_dir), built.settings.key_check()
    assert made_with == check_value("test secret")
    for year in YEARS:
        for name in RAW:
            account = Account.of(lake, schemas.LAKE_TABLES[name], year)
            assert account.key_check == (made_with if account.file else "")
        for table in (schemas.REGISTRATIONS, schemas.FORFAITS_PER_PATIENT, schemas.ATTRIBUTED_PATIENTS):
            assert lake.provenance(table, year).key_check == made_with
        assert lake.provenance(schemas.GEOGRAPHY, year).key_check == ""


def test_the_release_does_not_tell_it(built):
    for path in built.settings.published_dir.rglob("*"):
        assert not path.is_file() or built.settings.key_check().encode() not in path.read_bytes()


def test_a_year_with_two_secrets_stops_in_words(copy):
    """Nobody would be found in both, and the rate would be wrong without a word."""
    with copy.instance() as instance:
        assert run(copy, instance, "raw_dmg", id_key="another").success
        before = copy.results()
        ended = run(copy, instance, "attributed_patients")
        (event,) = [event for event in ended.all_events if event.is_step_failure]
        said = event.step_failure_data.error.to_string()
        assert (
            "2006: the same person has one key in forfaits_per_patient and raw_beneficiaries, others in raw_dmg" in said
        )
        assert "they were made with different secrets (MM_ID_KEY)" in said
    assert copy.results() == before


@pytest.mark.parametrize("of_dmg", ["", "aaaaaaaa"])
def test_a_table_of_an_earlier_version_does_not_know(copy, of_dmg):
    """It joins with all others, as it did."""
    lake = Lake(copy.settings.lake_dir)
    made = {schemas.RAW_DMG: of_dmg, schemas.RAW_FORFAITS: "", schemas.RAW_BENEFICIARIES: "aaaaaaaa"}

    def provenance(_self: Lake, table: schemas.Table, _year: int) -> Provenance:
        return Provenance(synthetic=True, key_check=made[table])

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Lake, "provenance", provenance)
        assert lake.derived_from(*made, year=YEAR).key_check == "aaaaaaaa"
        made[schemas.RAW_FORFAITS] = "bbbbbbbb"
        with pytest.raises(LakeError, match="different secrets"):
            lake.derived_from(*made, year=YEAR)
