"""Houses that read their earlier years, and a delivery that not every year has, through Dagster."""

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mm_pipeline import schemas
from mm_pipeline.operations.status import NOT_APPLICABLE, PASSED
from mm_pipeline_tests.support.installation import checks_of_year

EARLIER = "houses: the earlier years, which say how long a house is in the system, have changed since it was built"


def first_months(path, month):
    """Every house of the partition has its first patient in this month."""
    table = pq.read_table(path, partitioning=None)
    place = table.schema.get_field_index("first_month")
    months = pa.array([month] * len(table), pa.int32())
    pq.write_table(table.set_column(place, table.schema.field(place), months), path)
    path.with_name(f"{path.name}.sha256").unlink()  # as an earlier version of the program wrote it


def test_a_year_follows_what_earlier_years_say_of_its_houses(copy):
    lake = copy.settings.lake_dir
    first_months(lake / "houses" / "year=2004" / "part-0.parquet", 7)
    with copy.backfill() as (backfill, _instance):
        assert backfill.ledger().state(2006).reasons == (EARLIER,)
        assert backfill.ledger().state(2005).is_up_to_date, "the year after does not read it"
        backfill.years([2006])
        assert backfill.ledger().state(2006).is_up_to_date
    houses = pq.read_table(lake / "houses" / "year=2006" / "part-0.parquet", partitioning=None).to_pylist()
    in_january = [row for row in houses if row["first_month"] == 1]
    assert in_january
    assert not any(row["two_years"] for row in in_january), "in July of 2004 they were not there yet"


def test_houses_follow_the_disclosure_threshold(copy):
    with copy.backfill(disclosure_threshold=10) as (backfill, _instance):
        assert not backfill.ledger().state(2005).is_up_to_date
        backfill.years([2005])
        assert backfill.ledger().state(2005).is_up_to_date
    path = copy.settings.lake_dir / "houses" / "year=2005" / "part-0.parquet"
    houses = pq.read_table(path, partitioning=None).to_pylist()
    assert {row["persons"] for row in houses} > {4, 5, 9, 10}
    assert all((row["registered"] is None) == (row["persons"] < 10) for row in houses)


@pytest.mark.slow
def test_nothing_is_stale_when_an_earlier_year_is_built_again_alike(copy):
    with copy.backfill() as (backfill, _instance):
        backfill.years([2004], force=True)
        assert backfill.ledger().state(2006).is_up_to_date


def contribution_checks(copy):
    """State and text of the check on patients in 2005, as Dagster keeps them."""
    key = dg.AssetCheckKey(dg.AssetKey("raw_contributions"), "contribution_per_patient")
    with copy.instance() as instance:
        record = checks_of_year(instance, [key], 2005)[key]
    evaluation = record.event.dagster_event.asset_check_evaluation_data
    return evaluation.metadata["outcome"].value, evaluation.description


@pytest.mark.slow
def test_contributions_come_and_are_withdrawn(copy):
    path = copy.settings.raw_dir / "2005" / "contributions.csv"
    assert contribution_checks(copy) == (
        NOT_APPLICABLE,
        "Not applicable: no contributions were delivered for 2005.",
    )

    path.write_text("patient_id;household_id;house_id;amount_eur\n" + "".join(f"p{n};h{n};H1;2,50\n" for n in range(9)))
    with copy.backfill() as (backfill, _instance):
        (reason,) = backfill.ledger().state(2005).reasons
        assert reason.startswith("raw_contributions: contributions.csv is new (SHA-256 ")
        assert backfill.ledger().state(2005).is_new_delivery
        (result,) = backfill.years([2005])
        assert not result.problems
        assert backfill.ledger().state(2005).is_up_to_date
    state, text = contribution_checks(copy)
    assert (state, text) == (
        PASSED,
        "All patients who contribute are asked at most €2.50 in the year, over all houses.",
    )

    path.unlink()
    with copy.backfill() as (backfill, _instance):
        (reason,) = backfill.ledger().state(2005).reasons
        assert reason.startswith("raw_contributions: contributions.csv is not there any more (SHA-256 was ")
        backfill.years([2005])
        assert backfill.ledger().state(2005).is_up_to_date
    assert contribution_checks(copy)[0] == NOT_APPLICABLE
    raw = copy.settings.lake_dir / schemas.RAW_CONTRIBUTIONS.name / "year=2005" / "part-0.parquet"
    assert pq.read_metadata(raw).num_rows == 0


def test_contributions_that_cannot_be_read_stop_no_figure(copy):
    """The year shows as failed until they are corrected or taken away; nothing is made from them."""
    rates = copy.settings.lake_dir / "sector_rates" / "year=2005" / "part-0.parquet"
    rates.unlink()
    path = copy.settings.raw_dir / "2005" / "contributions.csv"
    path.write_text("patient_id;household_id;house_id\np1;h1;H1\n")
    with copy.backfill() as (backfill, _instance):
        (result,) = backfill.years([2005])
        assert result.outcome == "failed"
        (problem,) = result.problems
        assert problem.startswith(
            "raw_contributions, delivery_contract: 2005/contributions.csv, line 1: column amount_eur"
        )
        assert rates.is_file()
        path.unlink()
        assert backfill.ledger().state(2005).is_up_to_date, "the table of before is still there"


def test_a_damaged_table_of_an_earlier_year_is_named(copy):
    path = copy.settings.lake_dir / "houses" / "year=2004" / "part-0.parquet"
    path.write_bytes(b"no Parquet")
    with copy.backfill() as (backfill, _instance):
        (of_2004,), (of_2006,) = (backfill.ledger().state(year).reasons for year in (2004, 2006))
        assert of_2004.startswith("houses: ")
        assert of_2006.startswith("houses: 2004: data/lake/houses/year=2004/part-0.parquet is damaged: ")
        results = backfill.years([2004, 2005, 2006])
        assert [result.outcome for result in results] == ["built", "up to date", "up to date"]
