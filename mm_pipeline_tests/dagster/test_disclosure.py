"""A year that gives somebody away is not released, and one that is released again does not give the first one away."""

from collections import Counter

import dagster as dg
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pandas.testing import assert_frame_equal

from mm_pipeline import schemas
from mm_pipeline.defs.assets import protection as assets
from mm_pipeline.dimensions import KEY
from mm_pipeline.disclosure import protect as protection
from mm_pipeline.disclosure.suppression import primary_pattern
from mm_pipeline.files.checksum import checksum_path
from mm_pipeline.operations.backfill import BUILT, FAILED_YEAR
from mm_pipeline.storage.lake import Lake
from mm_pipeline_tests.support.canaries import changed, read
from mm_pipeline_tests.support.installation import YEARS, Installation, checks_of_year, deliver, failure
from mm_pipeline_tests.support.releases import content
from mm_pipeline_tests.support.told import EXACT, Told, audit_with, facts, told_in, true_counts

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
            self._pattern = primary_pattern(system, threshold)

        def pattern(self):
            return self._pattern

    search, protection.Search = protection.Search, Forgetful
    try:
        rates = rates.sort_values(KEY, ignore_index=True)
        return protection.Protection(protection.protect(rates, threshold), rates)
    finally:
        protection.Search = search


def test_a_table_that_gives_somebody_away_is_not_released(installation, monkeypatch):
    folder = installation.settings.published_dir / str(YEAR)
    before = content(folder)
    released = digests(installation, schemas.RELEASES)
    with monkeypatch.context() as patch:
        patch.setattr(assets, "protect_revision", primary_only)
        result = run(installation)
    assert result.outcome == FAILED_YEAR
    (problem,) = [problem for problem in result.problems if "disclosure_audit" in problem]
    assert "hidden figures can be told to be below 5" in problem
    assert f"Nothing of {YEAR} may be published" in problem
    assert content(folder) == before
    assert digests(installation, schemas.RELEASES) == released

    # The fault mended, the year is built as if nothing had been: what never went out is forgotten.
    assert run(installation).outcome == BUILT
    assert content(folder) == before
    assert digests(installation, schemas.DISCLOSED_RATES) == released


@pytest.mark.slow
def test_the_same_delivery_again_is_the_same_release(installation):
    before = installation.results(YEAR)
    assert run(installation).outcome == BUILT
    assert installation.results(YEAR) == before


@pytest.fixture(scope="module")
def revised(built, tmp_path_factory):
    """The three years, one of which was delivered anew, and what became of it."""
    installation = built.copied_to(tmp_path_factory.mktemp("revised"))
    deliver(installation.settings, [YEAR], seed=2)
    return installation, run(installation)


def test_a_corrected_delivery_is_protected_with_what_went_out_before(built, revised):
    installation, result = revised
    assert result.outcome == BUILT
    assert not [problem for problem in result.problems if "revisions_audit" in problem]
    released = digests(installation, schemas.RELEASES)
    assert digests(installation, schemas.DISCLOSED_RATES) == released > digests(built, schemas.RELEASES)


def test_the_event_log_tells_no_number_of_persons_as_it_is(built, revised):
    """Of both deliveries of the year and of the others; what is public, areas and houses may be told."""
    with revised[0].instance() as instance:
        told = [one for one in told_in(instance) if not {one.asset, one.check} & set(EXACT)]
    assert {one.year for one in told if one.check} >= set(YEARS)
    for year in YEARS:
        exact = {count for each in (built, revised[0]) for count in true_counts(Lake(each.settings.lake_dir), year)}
        assert len(exact) > 10
        assert not [one for one in told if one.year == year and one.numbers & exact]


@pytest.mark.parametrize("year", YEARS)
def test_the_event_log_narrows_nothing(revised, year):
    """Joined with the release, it leaves every hidden figure what it must have."""
    installation, _ = revised
    with installation.instance() as instance:
        told = list(told_in(instance))
    path = Lake(installation.settings.lake_dir).path(schemas.PROTECTED_RATES, year)
    table = pq.read_table(path, partitioning=None).to_pandas()
    assert not len(audit_with(table, facts(told, table), 5).violations)


@pytest.mark.parametrize(
    ("asset", "check", "name", "text", "tells"),
    [
        ("sector_rates", "regional_change", "rates", "| 1 | 2 |\n|---|---|\n| Brussels | 1 | 433.9 |", True),
        ("sector_rates", "regional_change", "rates", "| 1 | 2 |\n|---|---|\n| Brussels | 1 | not shown |", False),
        ("attributed_patients", "", "dagster/row_count", "2300", False),
    ],
)
def test_what_the_event_log_would_tell_is_seen(asset, check, name, text, tells):
    """Of a release that hides Brussels, for 4 patients live in no region."""
    rows = [("country", "BE", "", 207_647, 2_333), ("region", "02000", "BE", 120_105, 510)]
    rows += [("region", "03000", "BE", 66_161, 911), ("region", "04000", "BE", 20_925, None)]
    table = pd.DataFrame(rows, columns=["level", "area_code", "parent_code", "beneficiaries", "patients"])
    table = table.assign(year=YEAR, dimension="total", category="total").astype({"patients": "Int64"})
    strangers = Told(YEAR, "attributed_patients", "patients_are_beneficiaries", "text", "6 attributed patients are")
    bounds = facts([Told(YEAR, asset, check, name, text), strangers], table)
    assert bool(len(audit_with(table, bounds, 5).violations)) == tells


def test_a_year_that_was_stopped_does_not_go_out_by_itself(installation, monkeypatch):
    """Regression: Dagster's blocking checks block within a run only; published_year alone released what they had stopped."""
    folder = installation.settings.published_dir / str(YEAR)
    before = content(folder)
    with monkeypatch.context() as patch:
        patch.setattr(assets, "protect_revision", primary_only)
        assert run(installation).outcome == FAILED_YEAR
    result = installation.materialise("published_year", year=YEAR, fails=True)
    assert "has not passed its checks" in failure(result)
    with installation.backfill() as (backfill, _instance):
        assert not backfill.ledger().state(YEAR).is_up_to_date
    assert content(folder) == before


def test_another_threshold_of_forfaits_is_no_revision(installation):
    """Two releases of a year, at six and at seven, would tell who has exactly six."""
    with installation.backfill(minimum_forfaits=7) as (backfill, _instance):
        (result,) = backfill.years([YEAR], force=True)
    assert result.outcome == FAILED_YEAR
    (problem,) = result.problems
    assert problem.startswith(f"protected_rates: {YEAR} was released with MM_THRESHOLD=6.")


def test_a_table_that_the_memory_does_not_know_does_not_go_out(installation):
    """As when two runs build a year at the same time, or an old copy of disclosed_rates is put back."""
    kept = Lake(installation.settings.lake_dir).path(schemas.DISCLOSED_RATES, YEAR)
    table = pq.ParquetFile(kept).read()
    pq.write_table(table.set_column(1, "digest", pa.array(["another"] * len(table))), kept)
    checksum_path(kept).unlink()  # an old copy comes with its own
    result = installation.materialise("published_year", year=YEAR, fails=True)
    assert "does not hold every table that was released" in failure(result)


def test_one_patient_where_there_was_none_waits(installation):
    """He would be told by every sum above; so his arrondissement stays as it was, and no total is hidden."""
    folder = installation.settings.published_dir / str(YEAR)
    before = pd.read_parquet(folder / "rates.parquet")
    is_free = (before["level"] == "arrondissement") & (before["category"] == "85+") & (before["patients"] == 0)
    (arrondissement,) = before.loc[is_free, "area_code"]
    places = set(before.loc[before["parent_code"] == arrondissement, "area_code"])

    header, people, _ = read(installation.raw(YEAR) / "beneficiaries.csv.gz")
    who, born, where = map(header.index, ("patient_id", "birth_year", "municipality_code"))
    elsewhere = set(pd.read_parquet(installation.raw(YEAR) / "dmg.parquet")["patient_id"])  # with their file
    old = [row[who] for row in people if row[where] in places and YEAR - int(row[born] or YEAR) > 90]
    person = next(each for each in old if each not in elsewhere)

    def in_place_of_another(header, rows):
        ((other, _),) = Counter(row[0] for row in rows).most_common(1)
        return header, [[person, *row[1:]] if row[0] == other else row for row in rows]

    changed(installation.raw(YEAR), "forfaits.csv.gz", in_place_of_another)
    check = dg.AssetCheckKey(dg.AssetKey("protected_rates"), "postponed_changes")
    with installation.backfill(revision_may_hide="arrondissement") as (backfill, instance):
        (result,) = backfill.years([YEAR])
        (found,) = checks_of_year(instance, [check], YEAR).values()
    assert result.outcome == BUILT, result.problems
    assert f"Changes wait in {arrondissement}:" in found.event.asset_check_evaluation.description
    after = pd.read_parquet(folder / "rates.parquet")
    of_it = before["area_code"].isin([arrondissement, *places])
    assert_frame_equal(after[of_it.to_numpy()], before[of_it])
    above = before["level"].isin(["country", "region", "province"])
    assert (after.loc[above, "status"] == before.loc[above, "status"]).all()
