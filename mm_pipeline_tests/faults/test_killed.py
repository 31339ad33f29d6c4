"""A run that is killed outright, at random moments from ingest to the series: nothing half-made is ever seen, and the
next run makes what an undisturbed one makes."""

import hashlib
import os
import random
import secrets
import shutil
import signal
import threading
import time
from collections import Counter, deque
from contextlib import suppress
from pathlib import Path

import pytest

from mm_pipeline_tests.faults.before_and_after import BeforeAndAfter, faults_in, run_again
from mm_pipeline_tests.faults.build_processes import YEAR, BuildProcesses
from mm_pipeline_tests.support.installation import Installation

KILLS = 10
"""In each of five tests, which the workers share: fifty in all."""

IN_A_ROW = 5
"""Kills before a run is let be, and its result compared. Each run goes on from what the killed ones left."""


class Reader(threading.Thread):
    """Reads the release and the lake as others do while a run goes on."""

    def __init__(self, installation: Installation, change: BeforeAndAfter) -> None:
        super().__init__(daemon=True)
        self._world, self._story, self._over = installation, change, threading.Event()
        self.faults: set[str] = set()

    def run(self) -> None:
        lake = [path for path in self._story.new if "lake" in path.parts and path.suffix == ".parquet"]
        while not self._over.wait(0.1):
            for path in lake:
                with suppress(FileNotFoundError):
                    self._look(path, hashlib.sha256((self._world.root / path).read_bytes()).hexdigest())
            with suppress(FileNotFoundError):
                self._read_release()

    def _look(self, path: Path, digest: str) -> None:
        if digest not in (self._story.old.get(path), self._story.new.get(path)):
            self.faults.add(f"{path} was read half-made")

    def _read_release(self) -> None:
        """All files of the folder that was opened, whatever takes its place meanwhile."""
        place = Path("data", "published", str(YEAR))
        handle = os.open(self._world.root / place, os.O_RDONLY | os.O_DIRECTORY)
        try:
            found = {}
            for path in self._story.new:
                if path.parent == place:
                    with os.fdopen(os.open(path.name, os.O_RDONLY, dir_fd=handle), "rb") as file:
                        found[path] = hashlib.file_digest(file, "sha256").hexdigest()
        finally:
            os.close(handle)
        if not any(found.items() <= of.items() for of in (self._story.old, self._story.new)):
            self.faults.add("the release was read half-made")

    def end(self) -> set[str]:
        self._over.set()
        self.join()
        return self.faults


def going_on(installation: Installation) -> str:
    """The step in which the newest run was."""
    with installation.instance() as instance:
        runs = instance.get_runs(limit=1)
        steps = [
            entry.dagster_event.step_key
            for run in runs
            for entry in instance.all_logs(run.run_id)
            if entry.dagster_event
        ]
    return next((step for step in reversed(steps) if step), "before the first step")


def killed(installation: Installation, change: BeforeAndAfter, processes: BuildProcesses, moment: float) -> str | None:
    """Kill a run after so many seconds, look at what is there, and name the step it was in; None if it had ended."""
    reader = Reader(installation, change)
    reader.start()
    process = processes.start(installation)
    if not processes.ends_within(moment):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    code = processes.wait()
    step = going_on(installation) if code == -signal.SIGKILL else None
    told = f"killed after {moment:.3f} s, in {step}"
    assert reader.end() == set(), told
    assert faults_in(installation, change) == [], told
    assert code in (0, -signal.SIGKILL), told
    return step


@pytest.mark.parametrize("part", ["first_time", "revision 1", "revision 2", "revision 3", "revision 4"])
def test_killed_at_random_moments(part, request, processes, place, report):
    change, seed = request.getfixturevalue(part.split()[0]), secrets.randbelow(10**6)
    dice, steps, runs = random.Random(seed), Counter(), 0
    moments, seconds = [(number + dice.random()) / KILLS for number in range(KILLS)], change.seconds
    dice.shuffle(moments)
    report(f"killed, {part}: seed {seed}, undisturbed {change.seconds:.1f} s")
    waiting, begun = deque(moments), time.monotonic()
    while waiting:
        runs += 1
        installation, here = change.before.copied_to(place / f"{part}-{runs}"), []
        while waiting and len(here) < IN_A_ROW:
            moment, started = waiting.popleft(), time.monotonic()
            step = killed(installation, change, processes, moment * seconds)
            if step is None:  # little was left to do, or it was quicker than it is when the machine is busy
                waiting.append(moment)
                seconds = seconds if here else min(seconds, time.monotonic() - started)
                break
            here.append(step)
        run_again(installation, change, processes, here)
        steps.update(here)
        shutil.rmtree(installation.root)
    took = time.monotonic() - begun
    report(f"killed, {part}: {KILLS} kills and {runs} runs in {took:.0f} s, killed in {dict(steps)}")
    assert steps.total() == KILLS
    assert len(steps) >= KILLS // 3, "kills in so few steps say little"
