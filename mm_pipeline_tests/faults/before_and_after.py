"""A year of the small country before and after a run, and whether what lies there is the one or the other."""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from mm_pipeline.release.archive import RELEASES
from mm_pipeline_tests.faults.build_processes import BuildProcesses
from mm_pipeline_tests.support.installation import Installation


def digests(installation: Installation) -> dict[Path, str]:
    return {path: hashlib.sha256(content).hexdigest() for path, content in installation.results().items()}


@dataclass
class BeforeAndAfter:
    """An installation before and after a run, and how long that takes undisturbed."""

    before: Installation
    old: dict[Path, str]
    new: dict[Path, str]
    seconds: float


def undisturbed(root: Path, processes: BuildProcesses, before: Installation) -> BeforeAndAfter:
    after = before.copied_to(root)
    begun = time.monotonic()
    processes.start(after)
    assert processes.wait() == 0
    return BeforeAndAfter(before, digests(before), digests(after), time.monotonic() - begun)


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


def faults_in(installation: Installation, change: BeforeAndAfter) -> list[str]:
    """What is neither as before nor as after."""
    results = of_data(installation.results())
    found = {path: hashlib.sha256(content).hexdigest() for path, content in results.items()}
    faults = [f"{path} is gone" for path in change.old.keys() - found.keys() if released_folder(path) is None]
    for path, digest in found.items():
        if path.suffix == ".sha256":
            known = {line.split()[0] for line in results[path].decode().splitlines()}
            data = path.with_suffix("")
            if data in found and found[data] not in known:
                faults.append(f"{path} does not know its file")
            if data not in change.new:
                faults.append(f"{path} belongs to nothing")
        elif released_folder(path) is None and digest not in (change.old.get(path), change.new.get(path)):
            faults.append(f"{path} is neither the old nor the new one")
    there, old, new = folders_of(found), folders_of(change.old), folders_of(change.new)
    for folder in there.keys() | old.keys():
        if there.get(folder) not in (old.get(folder), new.get(folder)):
            faults.append(f"the release {folder} is neither the old nor the new one")
    return faults


def left(installation: Installation) -> list[str]:
    """What a run that has ended should not leave."""
    with installation.instance() as instance:
        for_ever = instance.get_runs(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES))
    marks = (installation.settings.lake_dir / ".locks").glob("run-*")
    return [f"run {run.run_id} is {run.status}" for run in for_ever] + [mark.name for mark in marks]


def run_again(
    installation: Installation, change: BeforeAndAfter, processes: BuildProcesses, killed_in: list[str], **limits: int
) -> None:
    processes.start(installation, **limits)
    assert processes.wait() == 0, (killed_in, processes.said)
    after = digests(installation)
    other = {str(path) for path in after.keys() | change.new.keys() if after.get(path) != change.new.get(path)}
    assert other == set(), killed_in
    assert left(installation) == [], killed_in
