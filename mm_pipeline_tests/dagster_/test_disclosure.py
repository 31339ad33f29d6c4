"""A year that gives somebody away is not released, and one that is released again does not give the first one away."""

import pyarrow.parquet as pq
import pytest

from mm_pipeline import catalogue
from mm_pipeline.assets import releases
from mm_pipeline.backfill import BUILT, FAILED_YEAR
from mm_pipeline.disclosure import protect as protection
from mm_pipeline.disclosure.mask import primary_mask
from mm_pipeline.storage.lake import Lake
from mm_pipeline_tests.dagster_.world import World, deliver

YEAR = 2006


@pytest.fixture
def world(built, tmp_path) -> World:
    return built.copied_to(tmp_path / "world")


def run(world):
    with world.backfill() as (backfill, _):
        (result,) = backfill.years([YEAR], force=True)
    return result


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def digests(world, table):
    return set(pq.read_table(Lake(world.settings.lake_dir).path(table, YEAR), partitioning=None)["digest"].to_pylist())


def primary_only(rates, threshold, earlier=()):
    """A protection that forgets what subtraction gives away."""

    class Forgetful:
        def __init__(self, system, threshold, start=None):
            self._mask = primary_mask(system, threshold)

        def mask(self, *, must=True):
            return self._mask

    search, protection.Search = protection.Search, Forgetful
    try:
        return protection.protect(rates, threshold)
    finally:
        protection.Search = search


def test_a_table_that_gives_somebody_away_is_not_released(world, monkeypatch):
    folder = world.settings.published_dir / str(YEAR)
    before = content(folder)
    released = digests(world, catalogue.RELEASES)
    with monkeypatch.context() as patch:
        patch.setattr(releases, "protect", primary_only)
        result = run(world)
    assert result.outcome == FAILED_YEAR
    (problem,) = [problem for problem in result.problems if "disclosure_audit" in problem]
    assert "hidden figures can be told to be below 5" in problem
    assert f"Nothing of {YEAR} may be published" in problem
    assert content(folder) == before
    assert digests(world, catalogue.RELEASES) == released

    # The fault mended, the year is built as if nothing had been: what never went out is forgotten.
    assert run(world).outcome == BUILT
    assert content(folder) == before
    assert digests(world, catalogue.DISCLOSED_RATES) == released


def test_the_same_delivery_again_is_the_same_release(world):
    before = world.results(YEAR)
    assert run(world).outcome == BUILT
    assert world.results(YEAR) == before


def test_a_corrected_delivery_is_protected_with_what_went_out_before(world):
    first = digests(world, catalogue.RELEASES)
    deliver(world.settings, [YEAR], seed=2)
    result = run(world)
    assert result.outcome == BUILT
    assert not [problem for problem in result.problems if "revisions_audit" in problem]
    assert digests(world, catalogue.DISCLOSED_RATES) == digests(world, catalogue.RELEASES) > first
