"""Years built through Dagster on Spark: the tables, the checks and the release that DuckDB gives."""

from pathlib import Path

import dagster as dg

from mm_pipeline.definitions import build_definitions
from mm_pipeline.operations.backfill import BUILT
from mm_pipeline_tests.engines.spark import COMPUTED, assert_same_partition, emptied, needs_spark
from mm_pipeline_tests.support.installation import Installation, checks_of_year

WITHOUT_SECTORS, WITH_CONTRIBUTIONS = 2004, 2006


def outcomes(installation: Installation, year: int) -> dict[dg.AssetCheckKey, tuple[object, ...]]:
    keys = build_definitions(settings=installation.settings).resolve_asset_graph().asset_check_keys
    with installation.instance() as instance:
        newest = checks_of_year(instance, keys, year)
    said = {key: record.event.dagster_event.asset_check_evaluation_data for key, record in newest.items()}
    return {
        key: (
            each.passed,
            each.severity,
            each.description,
            {name: value.value for name, value in each.metadata.items() if name != "seconds"},
        )
        for key, each in said.items()
    }


@needs_spark
def test_demonstration_years_are_the_same_on_spark(built: Installation, spark_root: Path) -> None:
    """The demonstration breaks every rule of the system a known number of times."""
    settings, years = emptied(spark_root), [WITHOUT_SECTORS, WITH_CONTRIBUTIONS]
    installation = built.copied_to(spark_root)
    partitions = {
        path.relative_to(installation.root)
        for table in COMPUTED
        for year in years
        for path in (settings.lake_dir / table.name / f"year={year}").iterdir()
    }
    for path in partitions:
        (installation.root / path).unlink()
    with installation.backfill(engine=settings.engine, spark_master=settings.spark_master) as (backfill, _instance):
        assert [(each.outcome, each.problems) for each in backfill.years(years)] == [(BUILT, []), (BUILT, [])]
        assert backfill.series_problems == []

    on_duckdb, on_spark = built.results(), installation.results()
    in_use = {path for path in on_spark if ".spill" in path.parts}
    assert len(partitions) == len(COMPUTED) * len(years) * 2  # each with its checksum
    assert set(on_spark) - in_use == set(on_duckdb)
    for path in (path for path in partitions if path.suffix == ".parquet"):
        assert_same_partition(installation.root / path, built.root / path)
    assert {path for path in on_duckdb if on_duckdb[path] != on_spark[path]} <= partitions
    for year in years:
        assert outcomes(installation, year) == outcomes(built, year)
