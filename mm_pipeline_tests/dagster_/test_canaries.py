"""A delivery in which every pseudonym is a canary goes through everything, also through each way to fail: none is heard.

Looked through after each: Dagster's databases and all it keeps, what is printed and logged, the release, and the lake
but for the raw lines of the quarantine and the details of errors.
"""

import gzip
import json
import logging
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import dagster as dg
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from mm_pipeline import catalogue
from mm_pipeline.assets import common, publication
from mm_pipeline.assets.deliveries import CONTRACT_CHECK
from mm_pipeline.assets.publication import SIGNED_CHECK
from mm_pipeline.automation import SERIES_ASSETS, SERIES_JOB, YEARLY_JOB
from mm_pipeline.cli import main
from mm_pipeline.definitions import build_definitions
from mm_pipeline.errors import LakeError
from mm_pipeline.instance import open_instance
from mm_pipeline.settings import Settings
from mm_pipeline.storage.lake import Lake
from mm_pipeline_tests.dagster_.canaries import (
    PERSON,
    PLACE,
    SECRET,
    Lines,
    changed,
    files_in,
    heard_in,
    heard_in_lake,
    keys_of,
    left_over,
    make_sing,
    read,
    sings,
)
from mm_pipeline_tests.dagster_.server import environment_of, module
from mm_pipeline_tests.dagster_.world import World, announce, deliver
from mm_pipeline_tests.harness import settings_for

YEARS = [2005, 2006]
YEAR = 2006
FORFAITS, PEOPLE, DMG, CONTRIBUTIONS = "forfaits.csv.gz", "beneficiaries.csv.gz", "dmg.parquet", "contributions.csv"


class Aviary(World):
    @property
    def settings(self) -> Settings:
        return settings_for(self.root / "data", id_key=SECRET)

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """As an installation has it, with the dagster.yaml of the product."""
        with patch.dict(os.environ, DAGSTER_HOME=str(self.root / "dagster")), open_instance(self.settings) as instance:
            yield instance

    def run(self, *names: str, year: int | None = YEAR) -> dg.ExecuteInProcessResult:
        """The job of a year (or of the series), or some of its steps, with the console logger that Dagster has."""
        job = build_definitions(settings=self.settings).resolve_job_def(YEARLY_JOB if year else SERIES_JOB)
        selection = [dg.AssetKey(name) for name in names] or None
        with self.instance() as instance:
            return job.execute_in_process(
                partition_key=str(year) if year else None,
                instance=instance,
                raise_on_error=False,
                asset_selection=selection,
            )


@dataclass
class Ears:
    """Where canaries would be heard: what is printed and logged meanwhile, and all files of the world afterwards."""

    world: Aviary
    capture: pytest.CaptureFixture[str]
    log: pytest.LogCaptureFixture
    keys: set[str]

    def heard(self, *said: str) -> list[str]:
        printed, settings = self.capture.readouterr(), self.world.settings
        logged = [record.getMessage() + str(record.exc_info) + str(record.exc_text) for record in self.log.records]
        texts = [printed.out, printed.err, *logged, *said]
        files = [*files_in(self.world.root / "dagster"), *files_in(settings.published_dir)]
        return (
            [f"said: {what}" for text in texts for what in sings(text, keys=self.keys)]
            + heard_in(files, self.keys)
            + heard_in_lake(settings.lake_dir)
            + [f"{path} is left" for path in left_over(settings.data_dir)]
        )


@pytest.fixture(scope="module")
def aviary(tmp_path_factory: pytest.TempPathFactory) -> Aviary:
    world = Aviary(tmp_path_factory.mktemp("world"))
    deliver(world.settings, YEARS)
    for year in YEARS:
        make_sing(world.raw(year))
    assert [world.run(year=year).success for year in YEARS] == [True, True]
    assert world.run(year=None).success
    return world


@pytest.fixture(scope="module")
def keys(aviary: Aviary) -> set[str]:
    found = keys_of(aviary)
    delivered = pq.read_table(Lake(aviary.settings.lake_dir).path(catalogue.RAW_DMG, YEAR), partitioning=None)
    assert {str(abs(key)) for key in delivered["patient_key"].to_pylist()} <= found
    return found


@pytest.fixture
def ears(
    aviary: Aviary,
    keys: set[str],
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> Iterator[Ears]:
    """All is as before afterwards."""
    caplog.set_level(logging.DEBUG)
    shutil.copytree(aviary.root, tmp_path / "world")
    yield Ears(aviary, capfd, caplog, keys)
    shutil.rmtree(aviary.root)
    shutil.copytree(tmp_path / "world", aviary.root)


def said_by(run: dg.ExecuteInProcessResult) -> str:
    return "\n".join(str(event) for event in run.all_events)


def test_a_good_year_and_its_release(ears):
    assert ears.heard() == []
    lines = pq.read_table(Lake(ears.world.settings.lake_dir).quarantine_path(catalogue.RAW_FORFAITS, YEAR))["raw_line"]
    assert PERSON in str(lines), "the quarantine has the lines as they were delivered"


# --- a delivery that is refused, or some lines of it -----------------------------------------------------------------


def without_column(header: list[str], rows: Lines) -> tuple[list[str], Lines]:
    return header[:-1], [row[:-1] for row in rows]


def without_header(_header: list[str], rows: Lines) -> tuple[list[str], Lines]:
    return rows[0], rows[1:]


def all_bad(header: list[str], rows: Lines) -> tuple[list[str], Lines]:
    return header, [[*row[:2], "?", *row[3:]] for row in rows]


def too_many_bad(header: list[str], rows: Lines) -> tuple[list[str], Lines]:
    return header, all_bad(header, rows[: len(rows) // 20])[1] + rows[len(rows) // 20 :]


def twice(header: list[str], rows: Lines) -> tuple[list[str], Lines]:
    return header[:-1] + header[:1], rows


def only_january(header: list[str], rows: Lines) -> tuple[list[str], Lines]:
    return header, [row for row in rows if row[2].startswith(f"{YEAR}01")]


def of_bytes(change: Callable[[bytes], bytes], file: str = FORFAITS) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / file).write_bytes(change((folder / file).read_bytes()))
        announce(folder)

    return spoil


def of_lines(
    change: Callable[[list[str], Lines], tuple[list[str], Lines]], file: str = FORFAITS
) -> Callable[[Path], None]:
    return lambda folder: changed(folder, file, change)


def wrong_rows(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][FORFAITS]["rows"] += 1
    (folder / "manifest.json").write_text(json.dumps(manifest))


def not_utf8(content: bytes) -> bytes:
    return gzip.compress(gzip.decompress(content).replace(PERSON.encode(), PERSON.encode() + b"\xe9", 500), 1)


def as_parquet_of_numbers(folder: Path) -> None:
    """Identifiers as floating-point numbers, and below them pseudonyms where numbers should be."""
    header, rows, _ = read(folder / FORFAITS)
    columns = {name: [row[i] if i < len(row) else "" for row in rows] for i, name in enumerate(header)}
    table = pa.table({**columns, "quantity": columns["SS00010"]})
    (folder / FORFAITS).unlink()
    pq.write_table(table, folder / "forfaits.parquet")
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"][FORFAITS]
    (folder / "manifest.json").write_text(json.dumps(manifest))


REFUSED = {
    "a column is missing": of_lines(without_column),
    "the header is missing": of_lines(without_header),
    "a column is there twice": of_lines(twice),
    "cut": of_bytes(lambda content: content[: len(content) // 2]),
    "damaged": of_bytes(lambda content: content[:3000] + bytes(100) + content[3100:]),
    "not UTF-8": of_bytes(not_utf8),
    "Parquet that is cut": of_bytes(lambda content: content[: len(content) // 2], DMG),
    "wrong rows in the manifest": wrong_rows,
    "quarantine over its limit": of_lines(too_many_bad),
    "everything in the quarantine": of_lines(all_bad, PEOPLE),
    "a month alone is billed": of_lines(only_january),
    "values of another type": as_parquet_of_numbers,
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_refused_delivery(ears, fault):
    REFUSED[fault](ears.world.raw(YEAR))
    run = ears.world.run()
    assert not run.success
    failed = [
        event.asset_check_evaluation_data
        for event in run.all_events
        if event.event_type_value == "ASSET_CHECK_EVALUATION" and not event.asset_check_evaluation_data.passed
    ]
    assert any(each.blocking and each.severity == dg.AssetCheckSeverity.ERROR for each in failed), "refused by a check"
    assert ears.heard(said_by(run)) == []


def bad_lines(name: str, good: list[str]) -> Lines:
    """For each column: a canary, nothing, and what breaks its rules; then lines whose structure is wrong."""
    canary = f"{PERSON}-0123456789abcdef"
    wrong = [canary, "", "1850", "18500101", "99991231", "20050230", "1.5", "12345678901234567890"]
    single = [[*good[:i], value, *good[i + 1 :]] for i in range(len(good)) for value in wrong]
    whole = [
        [canary] * len(good),
        [canary] * (len(good) + 1),
        [canary],
        [f'"{canary}', *good[1:]],
        [f'{canary}"x', *good[1:]],
    ]
    free = {"beneficiaries": (4, 5), "forfaits": (1,), "contributions": (2,)}[name]  # any text is legal there
    return [row for row in single if canary not in [row[i] for i in free]] + whole


@pytest.mark.parametrize("file", [FORFAITS, PEOPLE, CONTRIBUTIONS])
def test_lines_that_break_every_rule(ears, file):
    name = file.partition(".")[0]

    def spoil(header: list[str], rows: Lines) -> tuple[list[str], Lines]:
        good = next(row for row in rows if len(row) == len(header) and all(row))
        return header, rows[:50] + bad_lines(name, good) + rows[50:]

    folder = ears.world.raw(YEAR)
    changed(folder, file, spoil)
    manifest = json.loads((folder / "manifest.json").read_text())
    if file in manifest["files"]:
        manifest["files"][file].pop("rows")
        (folder / "manifest.json").write_text(json.dumps(manifest))
    run = ears.world.run()
    lake = Lake(ears.world.settings.lake_dir)
    rows = pq.read_table(lake.quarantine_path(catalogue.LAKE_TABLES[f"raw_{name}"], YEAR)).to_pylist()
    assert len({(row["column"], row["reason"]) for row in rows if PERSON in row["raw_line"]}) >= 5
    assert ears.heard(said_by(run)) == []


@pytest.mark.parametrize("name", ["municipality_code", "sector_code"])
def test_a_pseudonym_in_the_column_of_an_area(ears, name):
    """Any text is legal there: it is a place that nobody knows."""

    def spoil(header: list[str], rows: Lines) -> tuple[list[str], Lines]:
        at = header.index(name)
        return header, [[*row[:at], row[0], *row[at + 1 :]] if n < 20 else row for n, row in enumerate(rows)]

    changed(ears.world.raw(YEAR), PEOPLE, spoil)
    run = ears.world.run()
    lake = Lake(ears.world.settings.lake_dir)
    legal = {
        f"{lake.path(table, YEAR)}: {PERSON}" for table in (catalogue.RAW_BENEFICIARIES, catalogue.ATTRIBUTED_PATIENTS)
    }
    assert set(ears.heard(said_by(run))) - legal == set()


# --- errors that nobody expects --------------------------------------------------------------------------------------

STEPS = sorted(node.name for node in build_definitions().resolve_job_def(YEARLY_JOB).graph.nodes)
_GROUPS = {group.node_def.name: set(group.check_keys) for group in build_definitions().asset_checks or ()}
GROUPS = {name: keys for name, keys in _GROUPS.items() if name in STEPS}


class Cage:
    """A step in which the engine fails as it does: with the value that it cannot convert in its message."""

    def __init__(self, *_arguments: object) -> None:
        pass

    def __getattr__(self, name: str) -> object:
        duckdb.sql(f"SELECT '{PERSON}-1'::INTEGER").fetchall()
        raise AssertionError(name)


def failures(run: dg.ExecuteInProcessResult) -> list[str]:
    """What the event log has of the steps that failed: text, and causes."""
    errors = [event.step_failure_data.error for event in run.all_events if event.is_step_failure]
    return [error.to_string() for error in errors]


def assert_contained(ears: Ears, name: str, run: dg.ExecuteInProcessResult) -> None:
    (message,) = failures(run)
    assert "UnexpectedError: an unexpected _duckdb.ConversionException at mm_pipeline/" in message
    (details,) = (ears.world.settings.lake_dir / ".errors").iterdir()
    assert details.name.endswith(f"-{name}.txt")
    assert details.name in message
    assert f"Could not convert string '{PERSON}-1' to INT32" in details.read_text()
    assert ears.heard(said_by(run)) == []


def test_every_step_is_there():
    assert set(GROUPS) < set(STEPS)
    assert len(STEPS) - len(GROUPS) == 14


@pytest.mark.parametrize("name", STEPS)
def test_an_error_of_the_engine_in_each_step(ears, monkeypatch, name):
    monkeypatch.setattr(common, "Step", Cage)
    job = build_definitions(settings=ears.world.settings).resolve_job_def(YEARLY_JOB)
    assets = set() if name in GROUPS else {dg.AssetKey(name)}
    own = {key for key in job.asset_layer.asset_graph.asset_check_keys if key.name in (CONTRACT_CHECK, SIGNED_CHECK)}
    checks = GROUPS.get(name) or {key for key in own if key.asset_key in assets}
    with ears.world.instance() as instance:
        run = job.get_subset(asset_selection=assets, asset_check_selection=checks).execute_in_process(
            partition_key=str(YEAR), instance=instance, raise_on_error=False
        )
    assert_contained(ears, f"{YEAR}-{name}", run)


@pytest.mark.parametrize(("name", "inside"), zip(SERIES_ASSETS, ("series_version", "page_version"), strict=True))
def test_an_error_of_the_engine_in_what_is_made_of_all_years(ears, monkeypatch, name, inside):
    monkeypatch.setattr(publication, inside, lambda _settings: Cage().version)
    assert_contained(ears, name, ears.world.run(name, year=None))


def test_an_error_within_an_operators_error(ears, monkeypatch):
    """What led to it is not shown either."""

    class Wrapped(Cage):
        def __getattr__(self, name: str) -> object:
            try:
                super().__getattr__(name)
            except duckdb.Error as error:
                raise LakeError("it cannot be read") from error

    monkeypatch.setattr(common, "Step", Wrapped)
    run = ears.world.run("registrations")
    (message,) = failures(run)
    assert "LakeError: it cannot be read" in message
    assert ears.heard(said_by(run)) == []


@pytest.mark.parametrize("how", ["cut", "of something else"])
@pytest.mark.parametrize("table", [catalogue.RAW_FORFAITS, catalogue.RAW_DMG, catalogue.RAW_BENEFICIARIES], ids=str)
def test_a_damaged_file_of_the_lake(ears, table, how):
    path = Lake(ears.world.settings.lake_dir).path(table, YEAR)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if how == "cut" else f"{PERSON}-1".encode() * 100)
    run = ears.world.run("registrations", "forfaits_per_patient", "attributed_patients", "beneficiary_counts")
    assert not run.success
    path.write_bytes(whole)
    assert ears.heard(said_by(run)) == []


# --- from the command line -------------------------------------------------------------------------------------------


def test_what_a_backfill_prints(ears):
    """In a process of its own, as an operator has it: of a good year, and of one that is refused."""
    REFUSED["not UTF-8"](ears.world.raw(YEAR))
    changed(ears.world.raw(2005), PEOPLE, too_many_bad)
    command = module("mm_pipeline.cli", "backfill", "--years", "2005:2006")
    done = subprocess.run(
        command, env=environment_of(ears.world), cwd=ears.world.root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    said = " ".join(done.stdout.split())
    assert "a byte that is not UTF-8" in said
    assert "quarantined_share" in said
    assert ears.heard(done.stdout, done.stderr) == []


def test_what_a_backfill_prints_of_an_error_of_the_engine(ears, monkeypatch):
    monkeypatch.setattr(common, "Step", Cage)
    settings = ears.world.settings
    monkeypatch.setenv("MM_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("MM_ID_KEY", SECRET)
    monkeypatch.setenv("DAGSTER_HOME", str(ears.world.root / "dagster"))
    done = CliRunner().invoke(main, ["backfill", "--years", str(YEAR), "--force"])
    assert done.exit_code == 1
    assert "an unexpected _duckdb.ConversionException at mm_pipeline/" in " ".join(done.output.split())
    assert ears.heard(done.output, done.stderr) == []


# --- the ears ---------------------------------------------------------------------------------------------------------


def plant_in_history(world: Aviary, text: str) -> None:
    with world.instance() as instance:
        instance.report_runless_asset_event(dg.AssetObservation("raw_dmg", metadata={"note": "x" * 5000 + text}))


def plant_in_lake(world: Aviary, text: str) -> None:
    path = Lake(world.settings.lake_dir).path(catalogue.RAW_DMG, YEAR)
    pq.write_table(pa.table({"practice_id": [text]}), path)


def plant_in_release(world: Aviary, text: str) -> None:
    pq.write_table(pa.table({"a": [text]}), world.settings.published_dir / "x.parquet", compression="zstd")


def plant_in_workbook(world: Aviary, text: str) -> None:
    import zipfile

    with zipfile.ZipFile(world.settings.published_dir / "x.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("sheet.xml", text)


def plant_in_spill(world: Aviary, text: str) -> None:
    (world.settings.lake_dir / ".spill" / "x").write_text(text)


def plant_in_print(_world: Aviary, text: str) -> None:
    print(text)


def plant_in_log(_world: Aviary, text: str) -> None:
    logging.getLogger("x").info("%s", text)


PLACES = [
    plant_in_history,
    plant_in_release,
    plant_in_workbook,
    plant_in_print,
    plant_in_log,
]


@pytest.mark.parametrize("plant", [*PLACES, plant_in_lake, plant_in_spill], ids=lambda plant: plant.__name__)
def test_a_canary_is_heard(ears, plant):
    plant(ears.world, f"{PERSON}-1")
    assert ears.heard() != []


@pytest.mark.parametrize("plant", PLACES, ids=lambda plant: plant.__name__)
@pytest.mark.parametrize("what", ["place", "secret", "key"])
def test_so_is_a_house_the_secret_and_a_key(ears, plant, what):
    text = {"place": f"{PLACE}-H0001", "secret": SECRET, "key": sorted(ears.keys)[0]}[what]
    plant(ears.world, f"({text})")
    assert ears.heard() != []


def test_the_secret_is_heard_in_the_details_of_an_error(ears):
    errors = ears.world.settings.lake_dir / ".errors"
    errors.mkdir()
    (errors / "x.txt").write_text(f"{PERSON}-1")
    assert ears.heard() == []
    (errors / "x.txt").write_text(SECRET)
    assert ears.heard() != []
