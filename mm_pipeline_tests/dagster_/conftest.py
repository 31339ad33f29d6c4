"""The small world, built once, and copies of it for tests that change something."""

from pathlib import Path

import pytest

from mm_pipeline.backfill import YearResult
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
