"""The small world, built once, and copies of it for tests that change something."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mm_pipeline.backfill import YearResult
from mm_pipeline_tests.dagster_ import hamlet
from mm_pipeline_tests.dagster_.hamlet import Nursery, nursery, settle
from mm_pipeline_tests.dagster_.stories import Story, told
from mm_pipeline_tests.dagster_.world import YEARS, World, deliver


@pytest.fixture(scope="package")
def built_with_results(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, list[YearResult]]:
    world = World(tmp_path_factory.mktemp("world"))
    deliver(world.settings, YEARS)
    with world.backfill() as (backfill, _instance):
        return world, backfill.years(YEARS)


@pytest.fixture(scope="package")
def built(built_with_results: tuple[World, list[YearResult]]) -> World:
    """Three years, built. Not to be changed: that is what ``copy`` is for."""
    return built_with_results[0]


@pytest.fixture
def copy(built: World, tmp_path: Path) -> World:
    return built.copied_to(tmp_path)


# --- A hamlet, built by processes that can be killed

_MEMORY = Path("/dev/shm")
"""Where files cost nothing, if there is such a place."""


@pytest.fixture(scope="package")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in memory."""
    root = _MEMORY if os.access(_MEMORY, os.W_OK) else tmp_path_factory.getbasetemp()
    folder = Path(tempfile.mkdtemp(dir=root, prefix="mm_pipeline_killed_"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="package")
def grown(place: Path) -> Iterator[Nursery]:
    """The first process imports what is imported late: one is let be before any is killed or timed."""
    with nursery(place / "log") as processes:
        world = World(place / "import")
        settle(world)
        hamlet.deliver(world, seed=1)
        processes.start(world)
        assert processes.wait() == 0, (place / "log").read_text()[-5000:]
        yield processes


@pytest.fixture(scope="package")
def first_time(grown: Nursery, place: Path) -> Story:
    """OLD is nothing."""
    before = World(place / "first" / "before")
    settle(before)
    hamlet.deliver(before, seed=1)
    return told(place / "first" / "after", grown, before)


@pytest.fixture(scope="package")
def revision(first_time: Story, grown: Nursery, place: Path) -> Story:
    """OLD is another delivery of the year, built and released."""
    root = place / "revision"
    before = World(place / "first" / "after").copied_to(root / "before")
    shutil.rmtree(before.raw(hamlet.YEAR))
    hamlet.deliver(before, seed=2)
    story = told(root / "after", grown, before)
    same = {path.parts[2] for path, digest in story.old.items() if story.new[path] == digest and "lake" in path.parts}
    assert same <= {"geography", "quarantine", "cleared"}, "else a table that is left as it was would not be noticed"
    return story
