"""A delivery in which every pseudonym is a canary goes through everything, also through each way to fail: none is leaks.

Looked through: Dagster's databases and all it keeps, what is printed and logged, the release, and the lake but for the
raw lines of the quarantine and the details of errors. Ways to fail that leave everything of the others where it was are
taken one after the other, and looked through once.
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

from mm_pipeline import schemas
from mm_pipeline.cli import main
from mm_pipeline.definitions import build_definitions
from mm_pipeline.defs import year_context
from mm_pipeline.defs.assets import release
from mm_pipeline.defs.assets.deliveries import CONTRACT_CHECK
from mm_pipeline.defs.assets.release import SIGNED_CHECK
from mm_pipeline.errors import LakeError
from mm_pipeline.operations.dagster_home import open_instance
from mm_pipeline.operations.runs import SERIES_ASSETS, SERIES_JOB, YEARLY_JOB
from mm_pipeline.operations.sign_off import NOT_HELD
from mm_pipeline.settings import Settings
from mm_pipeline.storage.lake import Lake
from mm_pipeline_tests.support.canaries import (
    PERSON,
    PLACE,
    SECRET,
    Lines,
    changed,
    files_in,
    keys_of,
    leaks_in,
    leaks_in_lake,
    left_over,
    mark_pseudonyms,
    marks_in,
    read,
)
from mm_pipeline_tests.support.installation import Installation, announce, deliver, made_together
from mm_pipeline_tests.support.pipeline import settings_for
from mm_pipeline_tests.support.server import environment_of

YEARS = [2005, 2006]
YEAR = 2006
FORFAITS, PEOPLE, DMG, CONTRIBUTIONS = "forfaits.csv.gz", "beneficiaries.csv.gz", "dmg.parquet", "contributions.csv"


class CanaryInstallation(Installation):
    @property
    def settings(self) -> Settings:
        return settings_for(self.root / "data", id_key=SECRET)

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """As an installation has it, with the dagster.yaml of the product."""
        with (
            patch.dict(os.environ, DAGSTER_HOME=str(self.root / "dagster")),
            self.with_all_areas(),
            open_instance(self.settings) as instance,
        ):
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
class LeakSearch:
    """Where canaries would leak to: what is printed and logged meanwhile, and all files of the installation afterwards."""

    installation: CanaryInstallation
    capture: pytest.CaptureFixture[str]
    log: pytest.LogCaptureFixture
    keys: set[str]

    def leaks(self, *said: str) -> list[str]:
        printed, settings = self.capture.readouterr(), self.installation.settings
        logged = [record.getMessage() + str(record.exc_info) + str(record.exc_text) for record in self.log.records]
        texts = [printed.out, printed.err, *logged, *said]
        files = [*files_in(self.installation.root / "dagster"), *files_in(settings.published_dir)]
        return (
            [f"said: {what}" for text in texts for what in marks_in(text, keys=self.keys)]
            + leaks_in(files, self.keys)
            + leaks_in_lake(settings.lake_dir)
            + [f"{path} is left" for path in left_over(settings.data_dir)]
        )


@pytest.fixture(scope="module")
def with_canaries(tmp_path_factory: pytest.TempPathFactory) -> CanaryInstallation:
    installation = CanaryInstallation.of_small_country(tmp_path_factory.mktemp("installation"))
    deliver(installation.settings, YEARS, scale=0.0005)
    for year in YEARS:
        mark_pseudonyms(installation.raw(year))
    assert [installation.run(year=year).success for year in YEARS] == [True, True]
    assert installation.run(year=None).success
    return installation


@pytest.fixture(scope="module")
def keys(with_canaries: CanaryInstallation) -> set[str]:
    found = keys_of(with_canaries)
    delivered = pq.read_table(Lake(with_canaries.settings.lake_dir).path(schemas.RAW_DMG, YEAR), partitioning=None)
    assert {str(abs(key)) for key in delivered["patient_key"].to_pylist()} <= found
    return found


@pytest.fixture
def search(
    with_canaries: CanaryInstallation,
    keys: set[str],
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> Iterator[LeakSearch]:
    """All is as before afterwards."""
    caplog.set_level(logging.DEBUG)
    shutil.copytree(with_canaries.root, tmp_path / "installation")
    yield LeakSearch(with_canaries, capfd, caplog, keys)
    shutil.rmtree(with_canaries.root)
    shutil.copytree(tmp_path / "installation", with_canaries.root)


def said_by(run: dg.ExecuteInProcessResult) -> str:
    return "\n".join(str(event) for event in run.all_events)


def test_a_good_year_and_its_release(search):
    assert search.leaks() == []
    lines = pq.read_table(Lake(search.installation.settings.lake_dir).quarantine_path(schemas.RAW_FORFAITS, YEAR))[
        "raw_line"
    ]
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


def test_a_refused_delivery(search):
    folder, said = search.installation.raw(YEAR), []
    good = {path.name: path.read_bytes() for path in folder.iterdir()}
    for fault, spoil in REFUSED.items():
        spoil(folder)
        run = search.installation.run()
        assert not run.success, fault
        failed = [
            event.asset_check_evaluation_data
            for event in run.all_events
            if event.event_type_value == "ASSET_CHECK_EVALUATION" and not event.asset_check_evaluation_data.passed
        ]
        assert any(each.blocking and each.severity == dg.AssetCheckSeverity.ERROR for each in failed), fault
        assert leaks_in_lake(search.installation.settings.lake_dir) == [], fault
        said.append(said_by(run))
        for path in folder.iterdir():
            path.unlink()
        for name, content in good.items():
            (folder / name).write_bytes(content)
    assert search.leaks(*said) == []


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


def test_lines_that_break_every_rule(search):
    folder = search.installation.raw(YEAR)
    for file in (FORFAITS, PEOPLE, CONTRIBUTIONS):
        name = file.partition(".")[0]

        def spoil(header: list[str], rows: Lines, name: str = name) -> tuple[list[str], Lines]:
            good = next(row for row in rows if len(row) == len(header) and all(row))
            return header, rows[:50] + bad_lines(name, good) + rows[50:]

        changed(folder, file, spoil)
        manifest = json.loads((folder / "manifest.json").read_text())
        if file in manifest["files"]:
            manifest["files"][file].pop("rows")
            (folder / "manifest.json").write_text(json.dumps(manifest))
    run = search.installation.run()
    lake = Lake(search.installation.settings.lake_dir)
    for name in ("forfaits", "beneficiaries", "contributions"):
        rows = pq.read_table(lake.quarantine_path(schemas.LAKE_TABLES[f"raw_{name}"], YEAR)).to_pylist()
        assert len({(row["column"], row["reason"]) for row in rows if PERSON in row["raw_line"]}) >= 5, name
    assert search.leaks(said_by(run)) == []


def test_a_pseudonym_in_the_column_of_an_area(search):
    """Any text is legal there: it is a place that nobody knows."""

    def spoil(header: list[str], rows: Lines) -> tuple[list[str], Lines]:
        for number, name in enumerate(["municipality_code", "sector_code"]):
            for row in rows[20 * number : 20 * number + 20]:
                row[header.index(name)] = row[0]
        return header, rows

    changed(search.installation.raw(YEAR), PEOPLE, spoil)
    run = search.installation.run()
    lake = Lake(search.installation.settings.lake_dir)
    legal = {
        f"{lake.path(table, YEAR)}: {PERSON}" for table in (schemas.RAW_BENEFICIARIES, schemas.ATTRIBUTED_PATIENTS)
    }
    found = set(search.leaks(said_by(run)))
    assert found - legal == set()
    assert found, "it was there"


# --- errors that nobody expects --------------------------------------------------------------------------------------

STEPS = sorted(node.name for node in build_definitions().resolve_job_def(YEARLY_JOB).graph.nodes)
_GROUPS = {group.node_def.name: set(group.check_keys) for group in build_definitions().asset_checks or ()}
GROUPS = {name: keys for name, keys in _GROUPS.items() if name in STEPS}


class FailingStep:
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


def assert_contained(search: LeakSearch, name: str, run: dg.ExecuteInProcessResult) -> None:
    """The error is told without its message, which lies among the details of errors."""
    (message,) = failures(run)
    assert "UnexpectedError: an unexpected _duckdb.ConversionException at mm_pipeline/" in message, name
    (details,) = (search.installation.settings.lake_dir / ".errors").glob(f"*-{name}.txt")
    assert details.name in message
    assert f"Could not convert string '{PERSON}-1' to INT32" in details.read_text()


def test_every_step_is_there():
    assert set(GROUPS) < set(STEPS)
    assert len(STEPS) - len(GROUPS) == 15


def test_an_error_of_the_engine_in_each_step(search, monkeypatch):
    monkeypatch.setattr(year_context, "YearContext", FailingStep)
    job = build_definitions(settings=search.installation.settings).resolve_job_def(YEARLY_JOB)
    with_their_asset = (CONTRACT_CHECK, SIGNED_CHECK, NOT_HELD)
    own = {key for key in job.asset_layer.asset_graph.asset_check_keys if key.name in with_their_asset}
    said = []
    with search.installation.instance() as instance:
        for name in STEPS:
            assets = set() if name in GROUPS else set(map(dg.AssetKey, made_together([name])))
            checks = GROUPS.get(name) or {key for key in own if key.asset_key in assets}
            run = job.get_subset(asset_selection=assets, asset_check_selection=checks).execute_in_process(
                partition_key=str(YEAR), instance=instance, raise_on_error=False
            )
            assert_contained(search, f"{YEAR}-{name}", run)
            said.append(said_by(run))
    assert search.leaks(*said) == []


def test_an_error_of_the_engine_in_what_is_made_of_all_years(search, monkeypatch):
    said = []
    for name, inside in zip(SERIES_ASSETS, ("series_version", "page_version"), strict=True):
        with monkeypatch.context() as patched:
            patched.setattr(release, inside, lambda _settings: FailingStep().version)
            run = search.installation.run(name, year=None)
        assert_contained(search, name, run)
        said.append(said_by(run))
    assert search.leaks(*said) == []


def test_an_error_within_an_operators_error(search, monkeypatch):
    """What led to it is not shown either."""

    class Wrapped(FailingStep):
        def __getattr__(self, name: str) -> object:
            try:
                super().__getattr__(name)
            except duckdb.Error as error:
                raise LakeError("it cannot be read") from error

    monkeypatch.setattr(year_context, "YearContext", Wrapped)
    run = search.installation.run("registrations")
    (message,) = failures(run)
    assert "LakeError: it cannot be read" in message
    assert search.leaks(said_by(run)) == []


def test_a_damaged_file_of_the_lake(search):
    said, steps = [], ("registrations", "forfaits_per_patient", "attributed_patients", "beneficiary_counts")
    for table in (schemas.RAW_FORFAITS, schemas.RAW_DMG, schemas.RAW_BENEFICIARIES):
        path = Lake(search.installation.settings.lake_dir).path(table, YEAR)
        whole = path.read_bytes()
        for damaged in (whole[: len(whole) // 2], f"{PERSON}-1".encode() * 100):
            path.write_bytes(damaged)
            run = search.installation.run(*steps)
            assert not run.success, table
            said.append(said_by(run))
        path.write_bytes(whole)
    assert search.leaks(*said) == []


# --- from the command line -------------------------------------------------------------------------------------------


def test_what_a_backfill_prints(search):
    """In a process of its own, as an operator has it: of a good year, and of one that is refused."""
    REFUSED["not UTF-8"](search.installation.raw(YEAR))
    changed(search.installation.raw(2005), PEOPLE, too_many_bad)
    command = [*search.installation.command, "backfill", "--years", "2005:2006"]
    done = subprocess.run(
        command,
        env=environment_of(search.installation),
        cwd=search.installation.root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    said = " ".join(done.stdout.split())
    assert "a byte that is not UTF-8" in said
    assert "quarantined_share" in said
    assert search.leaks(done.stdout, done.stderr) == []


def test_what_a_backfill_prints_of_an_error_of_the_engine(search, monkeypatch):
    monkeypatch.setattr(year_context, "YearContext", FailingStep)
    settings = search.installation.settings
    monkeypatch.setenv("MM_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("MM_ID_KEY", SECRET)
    monkeypatch.setenv("DAGSTER_HOME", str(search.installation.root / "dagster"))
    with search.installation.with_all_areas():
        done = CliRunner().invoke(main, ["backfill", "--years", str(YEAR), "--force"])
    assert done.exit_code == 1
    assert "an unexpected _duckdb.ConversionException at mm_pipeline/" in " ".join(done.output.split())
    assert search.leaks(done.output, done.stderr) == []


# --- the search itself ---------------------------------------------------------------------------------------------------


def plant_in_history(installation: CanaryInstallation, text: str) -> None:
    with installation.instance() as instance:
        instance.report_runless_asset_event(dg.AssetObservation("raw_dmg", metadata={"note": "x" * 5000 + text}))


def plant_in_lake(installation: CanaryInstallation, text: str) -> None:
    path = Lake(installation.settings.lake_dir).path(schemas.RAW_DMG, YEAR)
    pq.write_table(pa.table({"practice_id": [text]}), path)


def plant_in_release(installation: CanaryInstallation, text: str) -> None:
    pq.write_table(pa.table({"a": [text]}), installation.settings.published_dir / "x.parquet", compression="zstd")


def plant_in_workbook(installation: CanaryInstallation, text: str) -> None:
    import zipfile

    with zipfile.ZipFile(installation.settings.published_dir / "x.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("sheet.xml", text)


def plant_in_spill(installation: CanaryInstallation, text: str) -> None:
    (installation.settings.lake_dir / ".spill" / "x").write_text(text)


def plant_in_print(_installation: CanaryInstallation, text: str) -> None:
    print(text)


def plant_in_log(_installation: CanaryInstallation, text: str) -> None:
    logging.getLogger("x").info("%s", text)


PLACES = [
    plant_in_history,
    plant_in_release,
    plant_in_workbook,
    plant_in_print,
    plant_in_log,
]


@pytest.mark.parametrize("plant", [*PLACES, plant_in_lake, plant_in_spill], ids=lambda plant: plant.__name__)
def test_a_canary_is_found(search, plant):
    plant(search.installation, f"{PERSON}-1")
    assert search.leaks() != []


@pytest.mark.parametrize("plant", PLACES, ids=lambda plant: plant.__name__)
@pytest.mark.parametrize("what", ["place", "secret", "key"])
def test_so_are_a_house_the_secret_and_a_key(search, plant, what):
    text = {"place": f"{PLACE}-H0001", "secret": SECRET, "key": sorted(search.keys)[0]}[what]
    plant(search.installation, f"({text})")
    assert search.leaks() != []


def test_the_secret_is_found_in_the_details_of_an_error(search):
    errors = search.installation.settings.lake_dir / ".errors"
    errors.mkdir()
    (errors / "x.txt").write_text(f"{PERSON}-1")
    assert search.leaks() == []
    (errors / "x.txt").write_text(SECRET)
    assert search.leaks() != []
