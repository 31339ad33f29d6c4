"""How is measured: in turn, in one run, medians and ratios; whole processes with their peak memory."""

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb


def in_turn(contenders: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each, ``rounds`` times after one warm-up, one after the other: what the machine does besides hits all."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, run in contenders.items():
            started = time.perf_counter()
            run()
            if number:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def median_table(seconds: Mapping[str, Sequence[float]], base: str, what: str) -> str:
    """A Markdown table of medians, spread, and the ratio to ``base``."""
    one = statistics.median(seconds[base])
    lines = [f"| {what} | median, s | min to max, s | ratio to {base} |", "|---|---:|---:|---:|"]
    for name, values in seconds.items():
        median = statistics.median(values)
        lines.append(f"| {name} | {median:.2f} | {min(values):.2f} to {max(values):.2f} | {median / one:.2f} |")
    return "\n".join(lines)


@dataclass(frozen=True)
class Process:
    """What a process took, with those it started: ``cpu`` (seconds of processor) of all, ``peak_gb`` of the largest."""

    seconds: float
    cpu: float
    peak_gb: float


def process(arguments: Sequence[str], folder: Path | None = None, **environment: str) -> Process:
    """Run Python with these arguments in a folder (None: this one) to its end, silently. SystemExit if it fails."""
    started = time.perf_counter()
    command = [sys.executable, *arguments]
    silent = subprocess.DEVNULL
    running = subprocess.Popen(command, cwd=folder, env={**os.environ, **environment}, stdout=silent, stderr=silent)
    _, status, used = os.wait4(running.pid, 0)
    running.returncode = os.waitstatus_to_exitcode(status)
    if running.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed: status {running.returncode}")
    seconds = time.perf_counter() - started
    return Process(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e9)


def machine() -> str:
    """The machine and the versions in a line, without its name."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), {memory:.0f} GiB of memory; "
        f"Python {platform.python_version()}, DuckDB {duckdb.__version__}"
    )
