"""The command line as an operator or a script uses it: words, exit codes, no traceback, quick help."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from mm_pipeline.cli import Years, main
from mm_pipeline.files.locks import DELIVERIES, Locks
from mm_pipeline.settings import Settings


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("MM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("MM_MEMORY_LIMIT", "1GB")
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "data" / "dagster"))

    def call(*arguments: str):
        return CliRunner().invoke(main, arguments, catch_exceptions=False)

    return call


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2019", [2019]), ("2019:2021", [2019, 2020, 2021]), ("2019,2021:2022", [2019, 2021, 2022])],
)
def test_years(text, expected):
    assert Years().convert(text, None, None) == expected


@pytest.mark.parametrize("text", ["", "2019-2021", "x", "2021:2019", "1999", "2019:", "2030:2031", "2019:99999999"])
def test_wrong_years_are_refused_in_words(run, text):
    result = run("backfill", "--years", text)
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert "year" in result.output


def test_help_waits_for_no_library():
    code = (
        "import sys\n"
        "from mm_pipeline.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "slow = {'dagster', 'ibis', 'pandas', 'pyarrow', 'duckdb', 'rich', 'numpy'} & set(sys.modules)\n"
        "assert not slow, slow\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "backfill" in done.stdout


def test_signals_are_as_they_were_after_a_command(run, monkeypatch):
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    monkeypatch.setenv("MM_THREADS", "none")
    assert run("run").exit_code == 1
    assert [signal.getsignal(number) for number in numbers] == before


@pytest.mark.parametrize(
    ("variable", "text", "said"),
    [
        ("MM_THRESHOLD", "six", "MM_THRESHOLD is 'six'; expected a whole number of months from 1"),
        ("MM_TOLERANCES", "gaps=0.1", "MM_TOLERANCES names 'gaps'; expected checks that have a tolerance: same_"),
        (
            "MM_HOLD_LIMITS",
            "months_billed=1",
            "MM_HOLD_LIMITS names 'months_billed'; expected checks that have a hold",
        ),
        ("MM_TOLERANCES", "months_billed=1", "MM_TOLERANCES names 'months_billed'; expected checks that have a"),
    ],
)
@pytest.mark.parametrize("command", [("status",), ("purge", "--before", "2010")], ids=" ".join)
def test_a_wrong_setting_is_said_without_traceback(run, monkeypatch, command, variable, text, said):
    monkeypatch.setenv(variable, text)
    result = run(*command)
    assert result.exit_code == 1
    assert said in result.output


@pytest.mark.parametrize("scale", ["nan", "NaN", "-nan", "inf", "0", "-1", "4", "x"])
def test_a_scale_that_is_none(run, scale):
    done = run("synthesize", "--years", "2019", "--scale", scale)
    assert done.exit_code == 2
    assert "Invalid value for '--scale'" in done.output


@pytest.mark.parametrize("port", ["0", "-1", "65536", "99999", "http"])
def test_a_port_that_is_none(run, port):
    done = run("ui", "--port", port)
    assert done.exit_code == 2
    assert "Invalid value for '--port'" in done.output


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("command", [["status"], ["sign-off", "2019"], ["--version"], ["status", "--help"]])
def test_an_output_that_is_full_is_not_the_data(tmp_path, command):
    """Not said of the data folder, which has room."""
    environment = os.environ | {"MM_DATA_DIR": str(tmp_path), "DAGSTER_HOME": str(tmp_path / "dagster")}
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "mm_pipeline.cli", *command],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (
        1,
        "mm-pipeline: what it says cannot be written (No space left on device). Send it elsewhere, and start again.\n",
    )


def test_synthetic_deliveries_never_replace_others_unasked(run, tmp_path):
    folder = tmp_path / "data" / "raw" / "2024"
    folder.mkdir(parents=True)
    (folder / "forfaits.csv").write_text("real")
    result = run("synthesize", "--years", "2024", "--scale", "0.001")
    assert result.exit_code == 1
    assert "already holds 2024" in result.output
    assert (folder / "forfaits.csv").read_text() == "real"


def test_synthetic_deliveries_are_made_by_one_at_a_time(run, tmp_path, monkeypatch):
    """The second waits, and sees that there are deliveries now."""
    echo, said, results = click.echo, threading.Event(), []

    def heard(message: str = "", **rest: bool) -> None:
        if message.startswith("deliveries: the other is working on it"):
            said.set()
        echo(message, **rest)

    monkeypatch.setattr(click, "echo", heard)
    with Locks(Settings(tmp_path / "data").lake_dir).held([DELIVERIES], by="the other", say=echo):
        arguments = ("synthesize", "--years", "2024", "--scale", "0.001")
        second = threading.Thread(target=lambda: results.append(run(*arguments)), daemon=True)
        second.start()
        assert said.wait(60)
        (tmp_path / "data" / "raw" / "2024").mkdir(parents=True)
    second.join(60)
    (result,) = results
    assert "already holds 2024" in result.output


def test_what_spark_needs_is_asked_before_a_year_is_read(run, monkeypatch, tmp_path):
    monkeypatch.setenv("MM_ENGINE", "spark")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "nowhere"))
    result = run("backfill", "--years", "2019")
    assert result.exit_code == 1
    assert "java cannot be run. Install Java 17" in result.output
    assert not (tmp_path / "data" / "lake").exists()
