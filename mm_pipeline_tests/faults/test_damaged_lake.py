"""A damaged file of the lake is found by its checksum, and ``backfill`` makes it again as it was."""

import shutil

import pytest

from mm_pipeline import schemas
from mm_pipeline.operations.backfill import BUILT, FAILED_YEAR
from mm_pipeline.storage.lake import IRREPLACEABLE, Lake
from mm_pipeline_tests.support.damage import DAMAGE
from mm_pipeline_tests.support.installation import YEARS, Installation, failure

YEAR = YEARS[0]


def files_of(installation: Installation) -> dict[str, object]:
    lake = Lake(installation.settings.lake_dir)
    tables = {table.name: lake.path(table, YEAR) for table in schemas.LAKE_TABLES.values()}
    raw = [table for table in schemas.LAKE_TABLES.values() if table.name.startswith("raw_")]
    return tables | {f"quarantine of {table.name}": lake.quarantine_path(table, YEAR) for table in raw}


@pytest.mark.parametrize("how", DAMAGE)
def test_every_table_is_found_by_itself(copy, how):
    with copy.backfill() as (backfill, _instance):
        for name, path in files_of(copy).items():
            before = path.read_bytes()
            assert backfill.ledger().state(YEAR).is_up_to_date
            path.write_bytes(DAMAGE[how](before))
            assert any("damaged" in reason for reason in backfill.ledger().state(YEAR).reasons), name
            path.write_bytes(before)


def test_what_is_damaged_is_made_again_as_it_was(copy):
    """All tables that can be, at once, each in another way."""
    before, ways = copy.results(), list(DAMAGE.values())
    for number, (name, path) in enumerate(files_of(copy).items()):
        if name not in IRREPLACEABLE:
            path.write_bytes(ways[number % len(ways)](path.read_bytes()))
    with copy.backfill() as (backfill, _instance):
        (result,) = backfill.years([YEAR])
        assert (result.outcome, result.problems, backfill.series_problems) == (BUILT, [], [])
        assert backfill.ledger().state(YEAR).is_up_to_date
    assert copy.results() == before


def test_what_cannot_be_made_again_is_asked_for(copy):
    """Damaged or lost: a revision would otherwise be protected against nothing that was released."""
    published = copy.settings.published_dir / str(YEAR) / "rates.csv"
    released = published.read_bytes()
    with copy.backfill() as (backfill, _instance):
        for name in sorted(IRREPLACEABLE):
            path = files_of(copy)[name]
            good = path.read_bytes()
            for state in ("damaged", "lost"):
                path.write_bytes(DAMAGE["a flipped bit"](good)) if state == "damaged" else path.unlink()
                assert not backfill.ledger().state(YEAR).is_up_to_date
                said = failure(copy.materialise("protected_rates", year=YEAR, fails=True))
                assert f"data/lake/{name}/year={YEAR}/part-0.parquet is {state}" in said
                assert "put the folder of the year back from a backup" in said
                path.write_bytes(good)
        path.unlink()
        (result,) = backfill.years([YEAR])
        assert result.outcome == FAILED_YEAR
        assert f"data/lake/{name}/year={YEAR}/part-0.parquet is lost" in result.problems[0]
        assert published.read_bytes() == released
        path.write_bytes(good)
        (result,) = backfill.years([YEAR])
        assert (result.outcome, result.problems) == (BUILT, [])


def test_damage_in_another_year_stops_no_year_that_does_not_need_it(copy):
    """Also those that it is compared with, or drawn beside."""
    compared = (schemas.PROTECTED_RATES, schemas.SECTOR_RATES, schemas.RAW_FORFAITS, schemas.RAW_BENEFICIARIES)
    for year, tables in ((2006, (schemas.PROTECTED_RATES, schemas.HOUSES)), (2004, compared)):
        for table in tables:
            Lake(copy.settings.lake_dir).path(table, year).write_bytes(b"no Parquet")
    with copy.backfill() as (backfill, _instance):
        (result,) = backfill.years([2005], force=True)
        assert (result.outcome, result.problems) == (BUILT, [])


def test_a_release_that_nothing_remembers_is_not_revised(copy):
    """The memory was lost with its checksums, or the whole lake was."""
    for name in IRREPLACEABLE:
        shutil.rmtree(files_of(copy)[name].parent)
    with copy.backfill() as (backfill, _instance):
        (result,) = backfill.years([YEAR], force=True)
    assert result.outcome == FAILED_YEAR
    assert f"data/published/{YEAR} holds a release that data/lake/releases does not know" in result.problems[0]
