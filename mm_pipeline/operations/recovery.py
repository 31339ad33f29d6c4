"""Recovery: remove what killed processes left behind, and end their runs.

A process that replaces a file or folder of a year or of the series holds its lock (:mod:`~mm_pipeline.files.locks`). So the
holder of the lock knows that nobody works on a half-made file there. Scratch folders have locks of their own.
"""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import dagster as dg

from mm_pipeline.files.atomic import clean_up, left_beside
from mm_pipeline.files.locks import ID_KEY, SERIES, SIGN_OFF, Locks
from mm_pipeline.operations.dagster_workarounds import last_heard_of
from mm_pipeline.settings import Settings
from mm_pipeline.storage import scratch
from mm_pipeline.storage.lake import Lake

_UNMARKED = 600
"""Seconds after which a run without a mark and without new log entries is dead, however busy the machine is.

Runs from the UI take their mark a moment after Dagster records their start, and release it a moment before it records their
end. Runs that never started are ended by Dagster.
"""


def clean_up_under(settings: Settings, names: Iterable[str]) -> None:
    """Remove what was left under these locks (years, ``SERIES``), which must be held, and put back an interrupted release.

    Abandoned scratch folders too: a process that was killed while this one waited for it had persons there.
    """
    scratch.remove_abandoned(Lake(settings.lake_dir))
    for name in names:
        for place in _places(settings, name):
            clean_up(place)


def remove_stale_files(settings: Settings, locks: Locks) -> None:
    """Remove everything that no living process owns. Where a process is at work, it is left to the next recovery."""
    scratch.remove_abandoned(Lake(settings.lake_dir))
    years = {folder.name.removeprefix("year=") for folder in settings.lake_dir.glob("*/year=*")}
    for name in sorted({*years, SERIES, ID_KEY, SIGN_OFF}):
        if any(left_beside(place) for place in _places(settings, name)):
            with locks.held_if_free(name) as held:
                if held:
                    clean_up_under(settings, [name])


def _places(settings: Settings, name: str) -> Iterator[Path]:
    """The paths that are replaced under this lock."""
    if name == SERIES:
        yield from (settings.published_dir / "series", settings.published_dir / "atlas")
        releases = settings.published_dir / "releases"
        yield from {releases / left.name.split(".")[1] for left in releases.glob(".*.*.tmp")}
    elif name == SIGN_OFF:
        for folder in (settings.sign_off_dir, settings.sign_off_dir / "history"):
            yield from {folder / f"{left.name[1:].partition('.')[0]}.json" for left in folder.glob(".*.json.*.tmp")}
    elif name == ID_KEY:
        yield settings.id_key_path
    else:
        yield from (settings.published_dir / name, settings.awaiting_dir / name)
        for folders in ("*", "quarantine/*"):
            for folder in settings.lake_dir.glob(f"{folders}/year={name}"):
                yield folder / "part-0.parquet"


def end_abandoned_runs(instance: dg.DagsterInstance, settings: Settings) -> list[str]:
    """Mark runs of this instance as failed whose process is gone, and remove what it left. Returns their short ids.

    Dagster only notices the end of processes that it started and that its code server outlives; its queue and the schedule
    wait for the others.
    """
    locks, before = Locks(settings.lake_dir), time.time() - _UNMARKED
    begun = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]))
    ended = []
    for run in begun:
        if not locks.is_marked(run.run_id) and (heard := last_heard_of(instance, run.run_id)) and heard < before:
            _end(instance, run)
            ended.append(run)
    for run_id, had_begun in locks.abandoned():
        marked = instance.get_run_by_id(run_id)
        if marked is None and had_begun:
            continue  # of an installation with another history over the same data
        if marked is not None and not marked.is_finished:
            _end(instance, marked)
            ended.append(marked)
        locks.forget(run_id)  # last: if this process is killed before, the next one ends the run
    remove_stale_files(settings, locks)
    return [run.run_id[:8] for run in ended]


def _end(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    instance.report_run_failed(
        run, "The process of this run is gone: it was killed, or the machine stopped. Start the run again."
    )
