"""A year that gives somebody away is not released, and one that is released again does not give the first one away."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mm_pipeline import catalogue
from mm_pipeline.assets import releases
from mm_pipeline.backfill import BUILT, FAILED_YEAR
from mm_pipeline.disclosure import protect as protection
from mm_pipeline.disclosure.mask import primary_mask
from mm_pipeline.disclosure.system import KEY
from mm_pipeline.storage.checksum import checksum_path
from mm_pipeline.storage.lake import Lake
from mm_pipeline_tests.support.installation import Installation, deliver, failure
from mm_pipeline_tests.support.releases import content

YEAR = 2006


@pytest.fixture
def installation(built, tmp_path) -> Installation:
    return built.copied_to(tmp_path / "installation")


def run(installation):
    with installation.backfill() as (backfill, _):
        (result,) = backfill.years([YEAR], force=True)
    return result


def digests(installation, table):
    return set(
        pq.read_table(Lake(installation.settings.lake_dir).path(table, YEAR), partitioning=None)["digest"].to_pylist()
    )


def primary_only(rates, threshold, earlier=(), **_):
    """A protection that forgets what subtraction gives away."""

    class Forgetful:
        def __init__(self, system, threshold, start=None):
            self._mask = primary_mask(system, threshold)

        def mask(self):
            return self._mask

    search, protection.Search = protection.Search, Forgetful
    try:
        rates = rates.sort_values(KEY, ignore_index=True)
        return protection.Protection(protection.protect(rates, threshold), rates)
    finally:
        protection.Search = search


def test_a_table_that_gives_somebody_away_is_not_released(installation, monkeypatch):
    folder = installation.settings.published_dir / str(YEAR)
    before = content(folder)
    released = digests(installation, catalogue.RELEASES)
    with monkeypatch.context() as patch:
        patch.setattr(releases, "protect_revision", primary_only)
        result = run(installation)
    assert result.outcome == FAILED_YEAR
    (problem,) = [problem for problem in result.problems if "disclosure_audit" in problem]
    assert "hidden figures can be told to be below 5" in problem
    assert f"Nothing of {YEAR} may be published" in problem
    assert content(folder) == before
    assert digests(installation, catalogue.RELEASES) == released

    # The fault mended, the year is built as if nothing had been: what never went out is forgotten.
    assert run(installation).outcome == BUILT
    assert content(folder) == before
    assert digests(installation, catalogue.DISCLOSED_RATES) == released


@pytest.mark.slow
def test_the_same_delivery_again_is_the_same_release(installation):
    before = installation.results(YEAR)
    assert run(installation).outcome == BUILT
    assert installation.results(YEAR) == before


def test_a_corrected_delivery_is_protected_with_what_went_out_before(installation):
    first = digests(installation, catalogue.RELEASES)
    deliver(installation.settings, [YEAR], seed=2)
    result = run(installation)
    assert result.outcome == BUILT
    assert not [problem for problem in result.problems if "revisions_audit" in problem]
    assert digests(installation, catalogue.DISCLOSED_RATES) == digests(installation, catalogue.RELEASES) > first


def test_a_year_that_was_stopped_does_not_go_out_by_itself(installation, monkeypatch):
    """Regression: Dagster's blocking checks block within a run only; published_year alone released what they had stopped."""
    folder = installation.settings.published_dir / str(YEAR)
    before = content(folder)
    with monkeypatch.context() as patch:
        patch.setattr(releases, "protect_revision", primary_only)
        assert run(installation).outcome == FAILED_YEAR
    result = installation.materialise("published_year", year=YEAR, fails=True)
    assert "has not passed its checks" in failure(result)
    with installation.backfill() as (backfill, _instance):
        assert not backfill.ledger().state(YEAR).is_up_to_date
    assert content(folder) == before


def test_another_threshold_of_forfaits_is_no_revision(installation):
    """Two releases of a year, at six and at seven, would tell who has exactly six."""
    with installation.backfill(threshold=7) as (backfill, _instance):
        (result,) = backfill.years([YEAR], force=True)
    assert result.outcome == FAILED_YEAR
    (problem,) = result.problems
    assert problem.startswith(f"protected_rates: {YEAR} was released with MM_THRESHOLD=6.")


def test_a_table_that_the_memory_does_not_know_does_not_go_out(installation):
    """As when two runs build a year at the same time, or an old copy of disclosed_rates is put back."""
    kept = Lake(installation.settings.lake_dir).path(catalogue.DISCLOSED_RATES, YEAR)
    table = pq.ParquetFile(kept).read()
    pq.write_table(table.set_column(1, "digest", pa.array(["another"] * len(table))), kept)
    checksum_path(kept).unlink()  # an old copy comes with its own
    result = installation.materialise("published_year", year=YEAR, fails=True)
    assert "does not hold every table that was released" in failure(result)
