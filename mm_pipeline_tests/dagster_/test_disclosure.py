"""A year that gives somebody away is not released, and one that is released again does not give the first one away."""

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mm_pipeline import catalogue
from mm_pipeline.assets import releases
from mm_pipeline.backfill import BUILT, FAILED_YEAR
from mm_pipeline.definitions import build_definitions
from mm_pipeline.disclosure import protect as protection
from mm_pipeline.disclosure.mask import primary_mask
from mm_pipeline.storage.checksum import checksum_path
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


def test_a_year_that_was_stopped_does_not_go_out_by_itself(world, monkeypatch):
    """Regression: Dagster's blocking checks block within a run only; published_year alone released what they had stopped."""
    folder = world.settings.published_dir / str(YEAR)
    before = content(folder)
    with monkeypatch.context() as patch:
        patch.setattr(releases, "protect", primary_only)
        assert run(world).outcome == FAILED_YEAR
    alone = build_definitions(settings=world.settings).resolve_implicit_global_asset_job_def()
    with world.backfill() as (backfill, instance):
        result = alone.execute_in_process(
            instance=instance,
            partition_key=str(YEAR),
            asset_selection=[dg.AssetKey("published_year")],
            raise_on_error=False,
        )
        assert not result.success
        (failure,) = [event for event in result.all_events if event.is_step_failure]
        assert "has not passed its checks" in str(failure.step_failure_data.error.cause)
        assert not backfill.ledger().state(YEAR).is_up_to_date
    assert content(folder) == before


def test_another_threshold_of_forfaits_is_no_revision(world):
    """Two releases of a year, at six and at seven, would tell who has exactly six."""
    with world.backfill(threshold=7) as (backfill, _instance):
        (result,) = backfill.years([YEAR], force=True)
    assert result.outcome == FAILED_YEAR
    (problem,) = result.problems
    assert problem.startswith(f"protected_rates: {YEAR} was released with MM_THRESHOLD=6.")


def test_a_table_that_the_memory_does_not_know_does_not_go_out(world):
    """As when two runs build a year at the same time, or an old copy of disclosed_rates is put back."""
    kept = Lake(world.settings.lake_dir).path(catalogue.DISCLOSED_RATES, YEAR)
    table = pq.ParquetFile(kept).read()
    pq.write_table(table.set_column(1, "digest", pa.array(["another"] * len(table))), kept)
    checksum_path(kept).unlink()  # an old copy comes with its own
    alone = build_definitions(settings=world.settings).resolve_implicit_global_asset_job_def()
    with world.instance() as instance:
        result = alone.execute_in_process(
            instance=instance,
            partition_key=str(YEAR),
            asset_selection=[dg.AssetKey("published_year")],
            raise_on_error=False,
        )
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "does not hold every table that was released" in str(failure.step_failure_data.error.cause)
