"""A year before and after a run, built by processes that can be killed."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mm_pipeline_tests.faults.before_and_after import BeforeAndAfter, undisturbed
from mm_pipeline_tests.faults.build_processes import SCALE, YEAR, BuildProcesses, build_processes, delivered
from mm_pipeline_tests.support.installation import Installation, deliver


@pytest.fixture(scope="package")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the installations lie whose builds are killed."""
    return tmp_path_factory.mktemp("killed")


@pytest.fixture(scope="package")
def processes(place: Path) -> Iterator[BuildProcesses]:
    """The first process imports what is imported late: one is let be before any is killed or timed."""
    with build_processes(place / "log") as processes:
        processes.start(delivered(place / "import"))
        assert processes.wait() == 0, (place / "log").read_text()[-5000:]
        yield processes


@pytest.fixture(scope="package")
def first_time(processes: BuildProcesses, place: Path) -> BeforeAndAfter:
    """Before it, nothing is built."""
    return undisturbed(place / "first" / "after", processes, delivered(place / "first" / "before"))


@pytest.fixture(scope="package")
def revision(first_time: BeforeAndAfter, processes: BuildProcesses, place: Path) -> BeforeAndAfter:
    """Before it, another delivery of the year is built and released."""
    root = place / "revision"
    before = Installation(place / "first" / "after").copied_to(root / "before")
    shutil.rmtree(before.raw(YEAR))
    deliver(before.settings, [YEAR], seed=2, scale=SCALE)
    change = undisturbed(root / "after", processes, before)
    same = {path.parts[2] for path, digest in change.old.items() if change.new[path] == digest and "lake" in path.parts}
    assert same <= {"geography", "quarantine", "cleared"}, "else a table that is left as it was would not be noticed"
    return change
