"""(b) A year from its deliveries to its release, and the command that an operator starts, against reading the same files
into Parquet; and where the time of a year goes."""

import shutil
import statistics
import tempfile
from pathlib import Path

import dagster as dg
import duckdb

from benchmarks.growth import backfill
from benchmarks.material import YEAR, deliver, settings_at
from benchmarks.timing import in_turn, median_table
from mm_pipeline.definitions import build_definitions
from mm_pipeline.operations.runs import YEARLY_JOB
from mm_pipeline.settings import Settings

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
READING = "plain reading"


class Year:
    """The yearly job on an instance that forgets."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._job = build_definitions(settings=settings).resolve_job_def(YEARLY_JOB)
        self.steps: list[dict[str, float]] = []
        """For each build the seconds of each step."""

    def build(self) -> None:
        """Build the year as a first release: with an earlier one, what is protected already would be taken over."""
        for made in (self._settings.lake_dir, self._settings.published_dir):
            shutil.rmtree(made, ignore_errors=True)
        with dg.DagsterInstance.ephemeral() as instance:
            run = self._job.execute_in_process(partition_key=str(YEAR), instance=instance, run_config=QUIET)
        self.steps.append(
            {
                event.step_key: event.step_success_data.duration_ms / 1000
                for event in run.all_events
                if event.is_step_success and event.step_key
            }
        )


def read_plainly(settings: Settings) -> None:
    """The delivered files into Parquet, as DuckDB reads them by itself; bad lines are passed over."""
    with tempfile.TemporaryDirectory(dir=settings.data_dir) as folder, duckdb.connect() as connection:
        connection.execute(f"SET threads = {settings.threads}; SET memory_limit = '{settings.memory_limit}'")
        connection.execute("SET enable_progress_bar = false")
        for file in sorted((settings.raw_dir / str(YEAR)).iterdir()):
            if file.suffix == ".parquet":
                source = f"read_parquet('{file}')"
            elif ".csv" in file.suffixes:
                source = f"read_csv('{file}', ignore_errors=true)"
            else:
                continue
            target = Path(folder) / f"{file.name}.parquet"
            connection.execute(f"COPY (FROM {source}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")


def seconds_of_steps(settings: Settings, rounds: int) -> dict[str, float]:
    """Median seconds of each step, over so many builds after one that warms up."""
    year = Year(settings)
    for _ in range(rounds + 1):
        year.build()
    return _medians(year)


def _medians(year: Year) -> dict[str, float]:
    counted = year.steps[1:]
    return {step: statistics.median(each[step] for each in counted) for step in counted[0]}


def report(scale: float, rounds: int) -> str:
    """Markdown: the medians of both, and the steps that take most."""
    settings = settings_at(scale)
    deliver(settings, scale)
    year = Year(settings)
    contenders = {
        "a year with all checks": year.build,
        "`mm-pipeline backfill`, a process of its own": lambda: backfill(scale, [YEAR]),
        READING: lambda: read_plainly(settings),
    }
    seconds = in_turn(contenders, rounds)
    medians = sorted(_medians(year).items(), key=lambda item: -item[1])
    total = sum(value for _, value in medians)
    shown = [(step, value) for step, value in medians if value >= 0.01 * total]
    rest = ("the other steps", total - sum(value for _, value in shown))
    steps = "\n".join(f"| {step} | {value:.2f} | {100 * value / total:.0f} % |" for step, value in [*shown, rest])
    return (
        f"{median_table(seconds, READING, 'from the deliveries')}\n\n"
        f"| step | median, s | share |\n|---|---:|---:|\n{steps}"
    )
