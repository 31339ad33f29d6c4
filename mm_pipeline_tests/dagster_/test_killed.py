"""A run that is killed outright, at random moments from ingest to the series: nothing half-made is ever seen, and the
next run makes what an undisturbed one makes."""

import hashlib
import os
import random
import secrets
import shutil
import signal
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from mm_pipeline.release.kept import RELEASES
from mm_pipeline_tests.dagster_.hamlet import YEAR, Nursery, deliver, nursery, settle
from mm_pipeline_tests.dagster_.world import World

pytestmark = pytest.mark.slow

KILLS = 50
FIRST_TIME = KILLS // 5
"""Of these, while the year is built for the first time."""

IN_A_ROW = 5
"""Kills before a run is let be, and its result compared. Each run goes on from what the killed ones left."""

_MEMORY = Path("/dev/shm")
"""Where files cost nothing, if there is such a place."""


def digests(world: World) -> dict[Path, str]:
    return {path: hashlib.sha256(content).hexdigest() for path, content in world.results().items()}


@dataclass
class Story:
    """A world before and after a run, and how long that takes undisturbed."""

    before: World
    old: dict[Path, str]
    new: dict[Path, str]
    seconds: float


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in memory."""
    root = _MEMORY if os.access(_MEMORY, os.W_OK) else tmp_path_factory.getbasetemp()
    folder = Path(tempfile.mkdtemp(dir=root, prefix="mm_pipeline_killed_"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def grown(place: Path) -> Iterator[Nursery]:
    """The first process imports what is imported late: one is let be before any is killed or timed."""
    with nursery(place / "log") as processes:
        world = World(place / "import")
        settle(world)
        deliver(world, seed=1)
        processes.start(world)
        assert processes.wait() == 0, (place / "log").read_text()[-5000:]
        yield processes


def told(root: Path, grown: Nursery, before: World) -> Story:
    after = before.copied_to(root)
    begun = time.monotonic()
    grown.start(after)
    assert grown.wait() == 0
    return Story(before, digests(before), digests(after), time.monotonic() - begun)


@pytest.fixture(scope="module")
def first_time(grown: Nursery, place: Path) -> Story:
    """OLD is nothing."""
    before = World(place / "first" / "before")
    settle(before)
    deliver(before, seed=1)
    return told(place / "first" / "after", grown, before)


@pytest.fixture(scope="module")
def revision(first_time: Story, grown: Nursery, place: Path) -> Story:
    """OLD is another delivery of the year, built and released."""
    root = place / "revision"
    before = World(place / "first" / "after").copied_to(root / "before")
    shutil.rmtree(before.raw(YEAR))
    deliver(before, seed=2)
    story = told(root / "after", grown, before)
    same = {path.parts[2] for path, digest in story.old.items() if story.new[path] == digest and "lake" in path.parts}
    assert same <= {"geography", "quarantine", "cleared"}, "else a table that is left as it was would not be noticed"
    return story


def of_data(results: dict[Path, bytes]) -> dict[Path, bytes]:
    """Without what is being made, which nobody takes for a result."""
    return {
        path: content
        for path, content in results.items()
        if not any(part[0] == "." or part.endswith(".tmp") for part in path.parts)
    }


def released_folder(path: Path) -> Path | None:
    """The folder that is released in one step with this file: of a year, of all years, the atlas, an earlier release."""
    if path.parts[:2] != ("data", "published"):
        return None
    return Path(*path.parts[: 4 if path.parts[2] == RELEASES else 3])


def folders_of(digests: dict[Path, str]) -> dict[Path, dict[Path, str]]:
    folders: dict[Path, dict[Path, str]] = {}
    for path, digest in digests.items():
        if folder := released_folder(path):
            folders.setdefault(folder, {})[path] = digest
    return folders


def faults_in(world: World, story: Story) -> list[str]:
    """What is neither as before nor as after."""
    results = of_data(world.results())
    found = {path: hashlib.sha256(content).hexdigest() for path, content in results.items()}
    faults = [f"{path} is gone" for path in story.old.keys() - found.keys() if released_folder(path) is None]
    for path, digest in found.items():
        if path.suffix == ".sha256":
            known = {line.split()[0] for line in results[path].decode().splitlines()}
            data = path.with_suffix("")
            if data in found and found[data] not in known:
                faults.append(f"{path} does not know its file")
            if data not in story.new:
                faults.append(f"{path} belongs to nothing")
        elif released_folder(path) is None and digest not in (story.old.get(path), story.new.get(path)):
            faults.append(f"{path} is neither the old nor the new one")
    there, old, new = folders_of(found), folders_of(story.old), folders_of(story.new)
    for folder in there.keys() | old.keys():
        if there.get(folder) not in (old.get(folder), new.get(folder)):
            faults.append(f"the release {folder} is neither the old nor the new one")
    return faults


class Reader(threading.Thread):
    """Reads the release and the lake as others do while a run goes on."""

    def __init__(self, world: World, story: Story) -> None:
        super().__init__(daemon=True)
        self._world, self._story, self._over = world, story, threading.Event()
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


def going_on(world: World) -> str:
    """The step in which the newest run was."""
    with world.instance() as instance:
        runs = instance.get_runs(limit=1)
        steps = [
            entry.dagster_event.step_key
            for run in runs
            for entry in instance.all_logs(run.run_id)
            if entry.dagster_event
        ]
    return next((step for step in reversed(steps) if step), "before the first step")


def left(world: World) -> list[str]:
    """What a run that has ended should not leave."""
    with world.instance() as instance:
        for_ever = instance.get_runs(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES))
    marks = (world.settings.lake_dir / ".locks").glob("run-*")
    return [f"run {run.run_id} is {run.status}" for run in for_ever] + [mark.name for mark in marks]


def killed(world: World, story: Story, grown: Nursery, moment: float) -> str | None:
    """Kill a run after so many seconds, look at what is there, and name the step it was in; None if it had ended."""
    reader = Reader(world, story)
    reader.start()
    process = grown.start(world)
    time.sleep(moment)
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    code = grown.wait()
    step = going_on(world) if code == -signal.SIGKILL else None
    told = f"killed after {moment:.3f} s, in {step}"
    assert reader.end() == set(), told
    assert faults_in(world, story) == [], told
    assert code in (0, -signal.SIGKILL), told
    return step


def run_again(world: World, story: Story, grown: Nursery, killed_in: list[str]) -> None:
    grown.start(world)
    assert grown.wait() == 0, killed_in
    after = digests(world)
    other = {str(path) for path in after.keys() | story.new.keys() if after.get(path) != story.new.get(path)}
    assert other == set(), killed_in
    assert left(world) == [], killed_in


@pytest.mark.parametrize(("which", "kills"), [("first_time", FIRST_TIME), ("revision", KILLS - FIRST_TIME)])
def test_killed_at_random_moments(which, kills, request, grown, place, capsys):
    story, seed = request.getfixturevalue(which), secrets.randbelow(10**6)
    dice, steps, runs = random.Random(seed), Counter(), 0
    moments = [(number + dice.random()) / kills * story.seconds for number in range(kills)]
    dice.shuffle(moments)
    with capsys.disabled():
        print(f"\n{which}: seed {seed}, undisturbed {story.seconds:.1f} s", end="", flush=True)
    waiting, begun = deque(moments), time.monotonic()
    while waiting:
        runs += 1
        world, here = story.before.copied_to(place / f"{which}-{runs}"), []
        while waiting and len(here) < IN_A_ROW:
            moment = waiting.popleft()
            step = killed(world, story, grown, moment)
            if step is None:  # quicker than it was undisturbed, or little was left to do
                waiting.append(moment if here else 0.9 * moment)
                break
            here.append(step)
        run_again(world, story, grown, here)
        steps.update(here)
        shutil.rmtree(world.root)
    with capsys.disabled():
        print(f", {kills} kills and {runs} runs in {time.monotonic() - begun:.0f} s, killed in {dict(steps)}")
    assert steps.total() == kills
    assert len(steps) >= min(6, kills // 2), "kills in so few steps say little"
