"""Years built side by side by the command line: the same as one after the other, and an end as clean."""

import os
import signal
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from mm_pipeline_tests.support.installation import Installation, deliver
from mm_pipeline_tests.support.server import PATIENCE, CommandLine, command_line

YEARS = [2004, 2005, 2006, 2007]
BACKFILL = "backfill", "--years", "2004:2007"


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    installation = Installation.of_small_country(tmp_path_factory.mktemp("delivered"))
    deliver(installation.settings, YEARS)
    (installation.root / "dagster").mkdir()
    return installation


def told(installation: Installation) -> list[tuple[str, str, str, bool, str | None]]:
    """Of every check of every year what it says."""
    with installation.instance() as instance:
        found = []
        for run in instance.get_runs(dg.RunsFilter(job_name="year")):
            assert run.status is dg.DagsterRunStatus.SUCCESS
            for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
                said = entry.get_dagster_event().asset_check_evaluation_data
                year = run.tags["dagster/partition"]
                found.append((year, said.asset_key.to_user_string(), said.check_name, said.passed, said.description))
    return sorted(found)


def processes_of(session: int) -> list[int]:
    """The processes that this process or one of its own children started, by what the kernel tells."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, rest = stat.read_text().split(" ", 1)
        except OSError:
            continue
        parents[int(pid)] = int(rest.rsplit(")", 1)[1].split()[1])
    found = [session]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found[1:]


def is_building(asked: CommandLine, installation: Installation) -> bool:
    """Whether two years are being built."""
    locks = installation.settings.lake_dir / ".locks"
    return all((lock := locks / year).is_file() and lock.read_text().startswith("run ") for year in ("2004", "2005"))


@pytest.mark.slow
def test_the_results_are_those_of_one_after_the_other(delivered, tmp_path, monkeypatch):
    results, checks = [], []
    for processes in ("1", "3"):
        monkeypatch.setenv("MM_PROCESSES", processes)
        installation = delivered.copied_to(tmp_path / processes)
        with command_line(installation, tmp_path / f"log {processes}", *BACKFILL) as asked:
            assert asked.has_succeeded()
        assert "leaked" not in asked.said, "a process that ends has let go of all of DuckDB"
        lines = [line for line in asked.said.splitlines() if " built, checks: " in line]
        assert [line.split()[0] for line in lines] == [str(year) for year in YEARS], asked.said
        results.append(installation.results())
        checks.append(told(installation))
    assert results[0] == results[1]
    assert checks[0] == checks[1]
    assert len(checks[0]) > 100


@pytest.mark.slow
@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda which: which.name)
def test_when_the_command_ends_all_end(delivered, tmp_path, monkeypatch, which):
    monkeypatch.setenv("MM_PROCESSES", "2")
    installation = delivered.copied_to(tmp_path / "ended")
    with command_line(installation, tmp_path / "log", *BACKFILL) as asked:
        asked.wait_for("two years", lambda: is_building(asked, installation))
        started = processes_of(asked.process.pid)
        asked.process.send_signal(which)
        assert asked.process.wait(PATIENCE) == (-which if which == signal.SIGKILL else 1), asked.said
        asked.wait_for("the end of all", lambda: not any(Path(f"/proc/{pid}").exists() for pid in started))
    assert "Traceback" not in asked.said
    with command_line(installation, tmp_path / "log", *BACKFILL) as again:
        assert again.has_succeeded()
    with installation.instance() as instance:
        assert instance.get_runs(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES)) == []


@pytest.mark.slow
def test_a_process_that_is_killed_is_told(delivered, tmp_path, monkeypatch):
    monkeypatch.setenv("MM_PROCESSES", "2")
    installation = delivered.copied_to(tmp_path / "killed")
    with command_line(installation, tmp_path / "log", *BACKFILL) as asked:
        asked.wait_for("two years", lambda: is_building(asked, installation))
        holder = (installation.settings.lake_dir / ".locks" / "2005").read_text()
        os.kill(int(holder.split("process ")[1].split()[0]), signal.SIGKILL)
        assert asked.process.wait(PATIENCE) == 1
    assert "The process that built 2005 was killed" in " ".join(asked.said.split())
    assert "Traceback" not in asked.said
