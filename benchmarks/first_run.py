"""The first run, and what follows it, against an earlier commit: the demonstration of all years, a changed year, no change.

Both are whole commands on data folders of their own, in turn. The earlier commit is taken out of the history of this
checkout, and runs with the packages that are installed here.
"""

import io
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from benchmarks.timing import Process, process
from mm_pipeline.operations.runs import SERIES_JOB, YEARLY_JOB

BEFORE = "1d3a209"
CHANGED = "2024"
"""The newest year: of others, years that follow depend on their houses, and are built again."""
HERE = Path(__file__).parents[1]
PROTECTION = ("protected_rates", "protected_rates_checks")


class Installation:
    """The program of a checkout, on a data folder of its own."""

    def __init__(self, checkout: Path, data: Path) -> None:
        self._checkout, self._data = checkout, data

    def command(self, *arguments: str) -> Process:
        """A whole command, from its start to its end."""
        # From its own folder: the modules found there come before the installed ones.
        return process(
            ["-m", "mm_pipeline.cli", *arguments],
            folder=self._checkout,
            MM_DATA_DIR=str(self._data),
            DAGSTER_HOME="",
            MM_ID_KEY="benchmark",
        )

    def seconds_of(self, job: str, steps: Sequence[str] = (), last: int | None = None) -> float:
        """Seconds of these steps (none: all of them), as a mean of the ``last`` runs of a job (None: all)."""
        total, home = 0.0, str(self._data / "dagster")
        os.environ["DAGSTER_HOME"] = home  # its dagster.yaml asks for it
        with dg.DagsterInstance.from_config(home) as instance:
            runs = instance.get_runs(dg.RunsFilter(job_name=job), limit=last)
            for run in runs:
                for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_SUCCESS):
                    event = entry.get_dagster_event()
                    if not steps or event.step_key in steps:
                        total += event.step_success_data.duration_ms / 1000
        return total / len(runs)


def _checked_out(commit: str, folder: Path) -> Path:
    archive = subprocess.run(["git", "archive", commit], cwd=HERE, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return folder


def _measured(installation: Installation) -> dict[str, float]:
    first = installation.command("run")
    found = {
        "all years from nothing, s": first.seconds,
        "the same, s of processor": first.cpu,
        "protection and audit of a year, s": installation.seconds_of(YEARLY_JOB, PROTECTION),
        "first series and page, s": installation.seconds_of(SERIES_JOB),
        "`status`, s of processor": installation.command("status").cpu,
        "`run` with nothing to do, s of processor": installation.command("run").cpu,
    }
    installation.command("synthesize", "--years", CHANGED, "--seed", "2", "--force")
    found["one year changed, s"] = installation.command("run").seconds
    found["its series and page, s"] = installation.seconds_of(SERIES_JOB, last=1)
    return found


def report(before: str = BEFORE) -> str:
    """Markdown: what was measured before and now, and the ratio."""
    with tempfile.TemporaryDirectory() as folder:
        checkouts = {before: _checked_out(before, Path(folder) / "checkout"), "now": HERE}
        then, now = (
            _measured(Installation(checkout, Path(folder) / f"data-{name}")) for name, checkout in checkouts.items()
        )
    rows = [f"| {what} | {then[what]:.1f} | {now[what]:.1f} | {then[what] / now[what]:.1f} |" for what in now]
    return "\n".join([f"| | {before} | now | times faster |", "|---|---:|---:|---:|", *rows])
