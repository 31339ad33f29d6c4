"""(c) How time and memory grow: with years, with people, with threads, and with less memory.

Every figure is a whole process: ``mm-pipeline backfill`` on a data folder of its own, from the deliveries to the series.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.material import YEAR, deliver, deliver_copies, settings_at
from benchmarks.timing import Process, process
from mm_pipeline.clock import FIRST_YEAR

PEOPLE = (0.1, 1, 3)
YEARS = (1, 2, 4, 8)


def backfill(scale: float, years: Sequence[int], **environment: str) -> Process:
    """Build these years in a new process and a new data folder; the deliveries are those of the scale."""
    settings = settings_at(scale)
    if scale > 1:
        deliver_copies(settings, round(scale))
    else:
        deliver(settings, scale, years)
    with tempfile.TemporaryDirectory(dir=settings.data_dir) as folder:
        (Path(folder) / "raw").symlink_to(settings.raw_dir)
        arguments = ["-m", "mm_pipeline.cli", "backfill", "--years", f"{years[0]}:{years[-1]}"]
        return process(arguments, MM_DATA_DIR=folder, DAGSTER_HOME="", MM_ID_KEY="benchmark", **environment)


def _line(sizes: Sequence[float], seconds: Sequence[float]) -> tuple[float, float, float]:
    """Start and slope of the straight line through the points, each weighing alike, and the largest relative distance."""
    weights = 1 / np.array(seconds)
    slope, start = np.polyfit(sizes, seconds, 1, w=weights)
    fitted = start + slope * np.array(sizes)
    return float(start), float(slope), float(np.max(np.abs(np.array(seconds) / fitted - 1)))


def _table(head: str, rows: Sequence[tuple[str, Process]]) -> str:
    lines = [f"| {head} | seconds | ratio to the first | peak memory, GB |", "|---|---:|---:|---:|"]
    first = rows[0][1].seconds
    lines += [f"| {name} | {p.seconds:.1f} | {p.seconds / first:.2f} | {p.peak_gb:.2f} |" for name, p in rows]
    return "\n".join(lines)


def by_years(scale: float) -> str:
    """Markdown: 1, 2, 4 and 8 years."""
    rows = [(n, backfill(scale, range(FIRST_YEAR, FIRST_YEAR + n))) for n in YEARS]
    start, slope, distance = _line([n for n, _ in rows], [p.seconds for _, p in rows])
    return (
        f"{_table(f'years, at {scale:g} of the country', [(str(n), p) for n, p in rows])}\n\n"
        f"A straight line of {start:.1f} s and {slope:.2f} s a year misses none of them by more than {100 * distance:.1f} %."
    )


def by_people(scales: Sequence[float] = PEOPLE) -> str:
    """Markdown: one year of a tenth of the country, of the country, and of three of them."""
    rows = [(scale, backfill(scale, [YEAR])) for scale in scales]
    start, slope, distance = _line([scale for scale, _ in rows], [p.seconds for _, p in rows])
    return (
        f"{_table('people (1: the country)', [(f'{scale:g}', p) for scale, p in rows])}\n\n"
        f"A straight line of {start:.1f} s and {slope:.1f} s for each country misses none of them by more than "
        f"{100 * distance:.1f} %."
    )


def by_resources(scale: float) -> str:
    """Markdown: one year with two threads and one, with 4, 2 and 1 GB for the engine."""
    rows = [
        (f"{threads} threads, {memory}", backfill(scale, [YEAR], MM_THREADS=threads, MM_MEMORY_LIMIT=memory))
        for threads, memory in (("2", "4GB"), ("1", "4GB"), ("2", "2GB"), ("2", "1GB"))
    ]
    return _table(f"a year at {scale:g} of the country", rows)
