"""A year of the hamlet before and after a run, and whether what lies there is the one or the other."""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from mm_pipeline.release.kept import RELEASES
from mm_pipeline_tests.dagster_.hamlet import Nursery
from mm_pipeline_tests.dagster_.world import World


def digests(world: World) -> dict[Path, str]:
    return {path: hashlib.sha256(content).hexdigest() for path, content in world.results().items()}


@dataclass
class Story:
    """A world before and after a run, and how long that takes undisturbed."""

    before: World
    old: dict[Path, str]
    new: dict[Path, str]
    seconds: float


def told(root: Path, grown: Nursery, before: World) -> Story:
    after = before.copied_to(root)
    begun = time.monotonic()
    grown.start(after)
    assert grown.wait() == 0
    return Story(before, digests(before), digests(after), time.monotonic() - begun)


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


def left(world: World) -> list[str]:
    """What a run that has ended should not leave."""
    with world.instance() as instance:
        for_ever = instance.get_runs(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES))
    marks = (world.settings.lake_dir / ".locks").glob("run-*")
    return [f"run {run.run_id} is {run.status}" for run in for_ever] + [mark.name for mark in marks]


def run_again(world: World, story: Story, grown: Nursery, killed_in: list[str], **limits: int) -> None:
    grown.start(world, **limits)
    assert grown.wait() == 0, (killed_in, grown.said)
    after = digests(world)
    other = {str(path) for path in after.keys() | story.new.keys() if after.get(path) != story.new.get(path)}
    assert other == set(), killed_in
    assert left(world) == [], killed_in
