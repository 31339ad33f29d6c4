"""How is measured: in turn, in one run, medians and ratios; whole processes with their peak memory."""

import os
import platform
import statistics
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
    seconds: float
    peak_gb: float


def process(arguments: Sequence[str], **environment: str) -> Process:
    """Run Python with these arguments to its end, silently; seconds and peak resident memory. SystemExit if it fails."""
    log = Path(os.devnull)
    started = time.perf_counter()
    with log.open("w") as silent:
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, *arguments],
            {**os.environ, **environment},
            file_actions=[(os.POSIX_SPAWN_DUP2, silent.fileno(), stream) for stream in (1, 2)],
        )
        _, status, used = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"{' '.join(arguments)} failed: status {os.waitstatus_to_exitcode(status)}")
    return Process(time.perf_counter() - started, used.ru_maxrss * 1024 / 1e9)


def machine() -> str:
    """The machine and the versions in a line, without its name."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), {memory:.0f} GiB of memory; "
        f"Python {platform.python_version()}, DuckDB {duckdb.__version__}"
    )
