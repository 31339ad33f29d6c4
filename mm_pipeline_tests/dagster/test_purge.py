"""``mm-pipeline purge``: the persons of past years go, with a receipt; what was made from them stays and goes on."""

import json
import os
import pwd
import stat
from datetime import UTC, date, datetime

import dagster as dg
import pytest
import time_machine
from click.testing import CliRunner

from mm_pipeline import schemas
from mm_pipeline.cli import main
from mm_pipeline.errors import OperatorError
from mm_pipeline.files.fingerprint import fingerprint
from mm_pipeline.operations import purge
from mm_pipeline.operations.backfill import BUILT
from mm_pipeline.operations.purge import DELIVERY, DETAILS, DONE, PLANNED, QUARANTINE, TABLE, purged, to_purge
from mm_pipeline.operations.status import status
from mm_pipeline.storage.lake import Lake
from mm_pipeline_tests.support.installation import YEARS, Installation, change_a_byte

PERSONS = {
    "raw_forfaits",
    "raw_dmg",
    "raw_beneficiaries",
    "raw_contributions",
    "registrations",
    "forfaits_per_patient",
    "attributed_patients",
}
BEFORE = 2006
PURGED = [2004, 2005]
DAY = datetime(2027, 9, 1, 12, tzinfo=UTC)


def removed(installation: Installation, before: int = BEFORE, *, deliveries: bool = False) -> purge.Receipt:
    with installation.instance() as instance:
        done = purge.purge(installation.settings, instance, before, deliveries=deliveries, say=print)
    assert done is not None
    path, receipt = done
    assert receipt == purge.Receipt.read(path)
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)) == (0o600, 0o700)
    return receipt


def person_level(files: dict) -> set:
    return {path for path in files if PERSONS & set(path.parts) or "quarantine" in path.parts}


def tables(files: set) -> set:
    """Without their checksums, which go with them."""
    return {path for path in files if path.suffix == ".parquet"}


def of_years(files: set, years: list[int]) -> set:
    return {path for path in files if {f"year={year}" for year in years} & set(path.parts)}


def test_the_persons_go_and_all_else_stays(copy):
    """Rates, houses, what was released before, and the release: byte by byte."""
    before, raw = copy.results(), sorted(copy.settings.raw_dir.rglob("*"))
    receipt = removed(copy)
    after = copy.results()
    gone = of_years(person_level(before), PURGED)
    assert len(gone) == len(PURGED) * (len(PERSONS) + 4) * 2  # each with its checksum
    assert before.keys() - after.keys() == gone
    assert {path: after[path] for path in before if path not in gone} == {
        path: content for path, content in before.items() if path not in gone
    }
    assert {path.parts[1:3] for path in after.keys() - before.keys()} == {("lake", "receipts")}
    assert sorted(copy.settings.raw_dir.rglob("*")) == raw
    assert receipt.state == DONE
    assert {copy.settings.data_dir / file.path for file in receipt.files} == {copy.root / path for path in tables(gone)}
    assert {file.kind for file in receipt.files} == {TABLE, QUARANTINE}


def test_the_receipt_says_who_when_and_what(copy):
    path = Lake(copy.settings.lake_dir).path(schemas.RAW_DMG, 2004)
    bytes_, sha256 = path.stat().st_size, fingerprint(path)
    with time_machine.travel(DAY):
        receipt = removed(copy)
    assert receipt.by == pwd.getpwuid(os.getuid()).pw_name
    assert (receipt.before, datetime.fromisoformat(receipt.at)) == (BEFORE, DAY)
    (file,) = [file for file in receipt.files if (file.asset, file.year) == ("raw_dmg", 2004) and file.kind == TABLE]
    assert (file.bytes, file.sha256) == (bytes_, sha256)
    assert isinstance(file.rows, int)
    assert file.rows > 100


def test_a_few_rows_are_not_told(copy):
    few = [file for file in removed(copy).files if file.kind == QUARANTINE and file.rows]
    assert few, "the demonstration has bad lines"
    assert {file.rows for file in few} == {"fewer than 50"}


def test_the_event_log_says_it_of_each_asset_and_year(copy):
    removed(copy)
    with copy.instance() as instance:
        for name in PERSONS:
            records = instance.fetch_observations(dg.AssetKey(name), limit=9).records
            assert sorted(record.partition_key for record in records) == ["2004", "2005"]
            metadata = records[0].asset_observation.metadata
            assert metadata["receipt"].value.startswith("data/lake/receipts/purge-")
            assert "rows of the table" in metadata


@pytest.mark.slow
def test_the_years_after_it_are_built_as_before(copy):
    """Houses of the year before the last are still there, and the series has all years."""
    before = copy.results(2006) | {
        path: content for path, content in copy.results().items() if "published" in path.parts
    }
    removed(copy)
    with copy.backfill() as (backfill, _instance):
        (result,) = backfill.years([2006], force=True)
        backfill._refresh_series()
        assert (result.outcome, result.problems, backfill.series_problems) == (BUILT, [], [])
    after = copy.results()
    assert [str(path) for path in before if after[path] != before[path]] == []


def test_a_purged_year_is_known_until_it_is_built_again(copy):
    assert [purged(copy.settings, year) for year in YEARS] == [None] * 3
    with time_machine.travel(DAY):
        removed(copy)
    assert [purged(copy.settings, year) for year in YEARS] == [date(2027, 9, 1), date(2027, 9, 1), None]
    copy.materialise("raw_dmg", year=2005)
    assert [purged(copy.settings, year) for year in YEARS] == [date(2027, 9, 1), None, None]


@pytest.mark.slow
def test_one_that_was_built_again_can_be_purged_again(copy):
    removed(copy)
    with copy.backfill() as (backfill, _instance):
        backfill.years([2004], force=True)
    assert purged(copy.settings, 2004) is None
    with time_machine.travel(DAY):
        assert {file.year for file in removed(copy).files} == {2004}
    assert purged(copy.settings, 2004) == date(2027, 9, 1)


def test_a_second_purge_finds_nothing(copy):
    removed(copy)
    with copy.instance() as instance:
        assert purge.purge(copy.settings, instance, BEFORE, deliveries=False, say=print) is None
    assert len(list((copy.settings.lake_dir / "receipts").iterdir())) == 1


class Killed(BaseException):
    pass


@pytest.mark.parametrize("after", [0, 1, 5, 12])
def test_one_that_is_killed_is_known_and_finished_by_the_next(copy, monkeypatch, after):
    """After no file, one, some: the receipt was there before them."""
    before = person_level(copy.results(*PURGED))
    left, remove = iter(range(after)), purge._remove_empty

    def killed(*arguments: object) -> None:
        if next(left, None) is None:
            raise Killed
        remove(*arguments)

    monkeypatch.setattr(purge, "_remove_empty", killed)
    with pytest.raises(Killed):
        removed(copy)
    monkeypatch.undo()
    (path,) = (copy.settings.lake_dir / "receipts").iterdir()
    receipt = purge.Receipt.read(path)
    assert (receipt.state, len(receipt.files)) == (PLANNED, len(tables(before)))
    assert all(purged(copy.settings, year) for year in PURGED), "neither is taken for lost"
    rest = person_level(copy.results(*PURGED))
    assert len(rest) == len(before) - 2 * (after + 1)
    assert {copy.settings.data_dir / file.path for file in removed(copy).files} == {
        copy.root / path for path in tables(rest)
    }
    assert person_level(copy.results(*PURGED)) == set()
    assert all(purged(copy.settings, year) for year in PURGED)


def test_deliveries_go_if_asked(copy):
    receipt = removed(copy, deliveries=True)
    assert sorted(path.name for path in copy.settings.raw_dir.iterdir()) == ["2006"]
    names = {file.path for file in receipt.files if file.kind == DELIVERY}
    assert {"raw/2004/forfaits.csv.gz", "raw/2005/manifest.json"} < names
    assert all(len(file.sha256) == 64 for file in receipt.files)


def test_a_delivery_that_is_a_link_is_refused(copy, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    copy.raw(2004).rename(elsewhere / "2004")
    copy.raw(2004).symlink_to(elsewhere / "2004")
    before = copy.results()
    with pytest.raises(OperatorError, match=r"a link to another place.*Nothing was removed"):
        removed(copy, deliveries=True)
    assert copy.results() == before
    assert (elsewhere / "2004" / "manifest.json").exists()


def test_details_of_errors_go_with_their_year(copy):
    errors = copy.settings.lake_dir / ".errors"
    errors.mkdir()
    for name in ("20260901T120000.5-2005-raw_dmg.txt", "20060901T120000.5-2006-raw_dmg.txt", "x-published_series.txt"):
        (errors / name).write_text("details")
    gone = [file.path for file in removed(copy).files if file.kind == DETAILS]
    assert gone == ["lake/.errors/20260901T120000.5-2005-raw_dmg.txt"]
    assert len(list(errors.iterdir())) == 2


def test_what_killed_runs_left_goes_too(copy):
    lake = copy.settings.lake_dir
    half = lake / "raw_dmg" / "year=2004" / ".part-0.parquet.abcd.tmp"
    unpacked = lake / ".spill" / "of the dead" / "forfaits.csv"
    unpacked.parent.mkdir(parents=True)
    for path in (half, unpacked):
        path.write_text("persons")
    removed(copy)
    assert not half.exists()
    assert not unpacked.exists()


def test_a_run_without_deliveries_takes_nothing_back(copy):
    """It makes the empty table of the optional one that is not there."""
    removed(copy, deliveries=True)
    with copy.backfill() as (backfill, _instance):
        backfill.years([2004], force=True)
        assert purged(copy.settings, 2004)
        assert backfill.ledger().state(2004).is_up_to_date


def test_a_receipt_that_is_damaged_is_told_in_words(copy):
    removed(copy)
    (receipt,) = (copy.settings.lake_dir / "receipts").iterdir()
    receipt.write_text("{")
    with pytest.raises(OperatorError, match="in data/lake/receipts is damaged; expected the receipt of a purge"):
        purged(copy.settings, 2004)


@pytest.mark.slow
def test_what_status_and_backfill_make_of_it(copy):
    """A purged year is left alone; when its delivery changes it is built again."""
    removed(copy)
    with copy.backfill(minimum_forfaits=6) as (backfill, _instance):
        state = backfill.ledger().state(2005)
        assert state.is_up_to_date
        assert state.purged
        (year,) = status(backfill.ledger(), [2005])
        assert year.row["state"].startswith("up to date (persons purged on ")
        assert [result.outcome for result in backfill.years([2005])] == ["up to date"]
    change_a_byte(copy.raw(2005))
    with copy.backfill() as (backfill, _instance):
        state = backfill.ledger().state(2005)
        assert state.is_new_delivery
        assert any(reason.startswith("forfaits.csv.gz has changed") for reason in state.reasons)
        assert [result.outcome for result in backfill.years([2005])] == [BUILT]
        assert backfill.ledger().state(2005).purged is None
        assert backfill.ledger().state(2005).is_up_to_date


def test_a_damaged_table_goes_too(copy):
    path = Lake(copy.settings.lake_dir).path(schemas.RAW_DMG, 2004)
    path.write_bytes(b"no Parquet")
    rows = {file.rows for file in removed(copy).files if (copy.settings.data_dir / file.path) == path}
    assert rows == {None}
    assert not path.exists()


class TestCommand:
    @pytest.fixture
    def command(self, copy: Installation, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("MM_DATA_DIR", str(copy.settings.data_dir))
        monkeypatch.setenv("DAGSTER_HOME", str(copy.root / "dagster"))
        return lambda *words, answer="": CliRunner().invoke(main, ["purge", *words], input=answer)

    def test_asks_first(self, copy, command):
        before = copy.results()
        for answer in ("n\n", "\n", ""):
            done = command("--before", "2006", answer=answer)
            assert done.exit_code == 1
            assert copy.results() == before
        assert "2004: 11 files, " in done.output
        assert "2005: 11 files, " in done.output
        assert "2006" not in done.output
        assert "Remove them?" in done.output

    @pytest.mark.parametrize(("words", "answer"), [([], "y\n"), (["--yes"], "")])
    def test_removes_and_names_the_receipt(self, copy, command, words, answer):
        done = command("--before", "2006", *words, answer=answer)
        assert done.exit_code == 0, done.output
        (receipt,) = (copy.settings.lake_dir / "receipts").iterdir()
        assert f"22 files removed; the receipt is {receipt}." in done.output
        assert json.loads(receipt.read_text())["state"] == DONE
        assert to_purge(copy.settings, BEFORE, deliveries=False) == []
        assert "Nothing to remove" in command("--before", "2006").output
