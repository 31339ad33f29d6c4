"""Every expression of the statistic on Spark: cell for cell and type for type what DuckDB makes of the same year."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
from hypothesis import HealthCheck, Phase, given, settings

from mm_pipeline import schemas
from mm_pipeline.defs.resources.engine import DuckDBEngine, chosen
from mm_pipeline.settings import Settings
from mm_pipeline.statistic import contributions, houses, registrations
from mm_pipeline.storage.lake import Lake
from mm_pipeline_tests.engines.spark import COMPUTED, assert_same_partition, emptied, needs_spark
from mm_pipeline_tests.properties.oracle_capitation import Deliveries
from mm_pipeline_tests.properties.strategies import Delivery, deliveries, write_delivery
from mm_pipeline_tests.properties.strategies_capitation import system_deliveries
from mm_pipeline_tests.support import small_year, worked_example
from mm_pipeline_tests.support.capitation_years import build, write_earlier
from mm_pipeline_tests.support.pipeline import build_year, derive, geography_table, settings_for, table_of

pytestmark = needs_spark

FEW = settings(
    max_examples=2,
    deadline=None,
    phases=[Phase.generate],  # a year takes Spark half a minute: too long to look for a smaller one
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def assert_spark_agrees(duck: Settings, root: Path, year: int) -> Settings:
    """Spark makes of the raw tables in a lake what DuckDB has made of them. The settings of Spark's lake."""
    spark = emptied(root, minimum_forfaits=duck.minimum_forfaits)
    shutil.copytree(duck.lake_dir, spark.lake_dir, dirs_exist_ok=True)
    spark_lake, duck_lake = Lake(spark.lake_dir), Lake(duck.lake_dir)
    for table in COMPUTED:
        spark_lake.path(table, year).unlink()
    derive(spark, year)
    for table in COMPUTED:
        assert_same_partition(spark_lake.path(table, year), duck_lake.path(table, year))
    return spark


@FEW
@given(delivered=system_deliveries())
def test_years_of_the_capitation_system(spark_root: Path, delivered: Deliveries) -> None:
    with tempfile.TemporaryDirectory() as folder:
        duck = settings_for(Path(folder), minimum_forfaits=delivered.threshold)
        write_earlier(duck, delivered)
        build(duck, delivered)
        assert_spark_agrees(duck, spark_root, delivered.year)


@FEW
@given(delivery=deliveries())
def test_deliveries_with_everything_that_can_go_wrong(spark_root: Path, delivery: Delivery) -> None:
    with tempfile.TemporaryDirectory() as folder:
        duck = settings_for(Path(folder))
        write_delivery(duck.raw_dir / str(delivery.year), delivery)
        build_year(duck, delivery.year, geography_table(delivery.areas))
        assert_spark_agrees(duck, spark_root, delivery.year)


def other_views(tables: dict[str, ir.Table]) -> dict[str, ir.Table]:
    """The expressions that make no table of the lake: what checks look at."""
    kept, billed, lines = (tables[name] for name in ("houses", "registrations", "raw_contributions"))
    return {
        "overlaps": registrations.overlaps(billed),
        "gaps": registrations.gaps(billed),
        "patients_by_month": billed.agg(**registrations.patients_by_month()),
        "far": kept.filter(houses.has_patients_far_outside(kept)).select("house_id", "far"),
        "amounts_of": houses.amounts_of(kept, houses.BEGINNER),
        "patients": contributions.contributed(lines, "patient_key"),
        "households": contributions.contributed(lines, "household_key"),
    }


def views_with_rows(spark: Settings, year: int, tmp_path: Path) -> set[str]:
    """Those of the other views that have rows; each is the same on both engines."""

    def rows(view: ir.Table) -> list[tuple[Any, ...]]:
        return sorted(tuple(row.values()) for row in view.to_pyarrow().to_pylist())

    names, found = ("houses", "registrations", "raw_contributions"), {}
    with DuckDBEngine.of(spark).session() as backend:
        lake, engine = Lake(spark.lake_dir), chosen(spark, backend)
        of_duck, of_spark = (
            other_views({name: lake.read(each, schemas.LAKE_TABLES[name], year) for name in names})
            for each in (backend, engine)
        )
        for name, view in of_spark.items():
            engine._write(view, tmp_path / name)
            found[name] = rows(backend.read_parquet(str(tmp_path / name / "*.parquet")))
            assert found[name] == rows(of_duck[name]), name
    return {name for name, of_view in found.items() if of_view}


def test_a_year_with_a_sector_table_and_contributions(spark_root: Path, tmp_path: Path) -> None:
    year, duck = small_year.YEAR, settings_for(tmp_path / "data")
    small_year.deliver(duck.raw_dir / str(year), small_year.deliveries(year))
    build_year(duck, year, small_year.geography(year))
    spark = assert_spark_agrees(duck, spark_root, year)
    assert {"patients", "households"} <= views_with_rows(spark, year, tmp_path)


BILLED = [
    # amount, quantity: halves away from zero, the ends of the ranges, nothing
    ("0.10", 16),
    ("0.30", 48),
    ("-0.30", -48),
    ("-0.30", 48),
    ("0.00", 1),
    ("999999999.99", 1),
    ("-999999999.99", 1),
    ("18.50", 0),
    ("18.50", 999_999_999),
    ("0.01", -999_999_999),
]


def odd_lines() -> list[dict[str, str]]:
    """A house each, and one of all; and a patient of two houses with as many months and the same last one."""
    day = f"{worked_example.YEAR}-12-31"
    names = ("patient_id", "house_id", "service_date", "nomenclature_code", "quantity", "amount_eur")
    lines = [
        ("B", house, day, "109616", str(quantity), amount)
        for number, (amount, quantity) in enumerate(BILLED)
        for house in (f"odd {number}", "all odd")
    ]
    months = {"10": (1, 2, 3, 12), "9": (4, 5, 6, 12)}
    lines += [
        ("tie", house, f"{worked_example.YEAR}-{month:02}-01", "109616", "1", "18.52")
        for house, billed in months.items()
        for month in billed
    ]
    return [dict(zip(names, line, strict=True)) for line in lines]


def worked(tmp_path: Path, *lines: dict[str, str]) -> tuple[Settings, int]:
    """The worked example, which has a residence of every kind, and more lines."""
    example, duck = worked_example, settings_for(tmp_path / "data")
    forfaits = [*example.FORFAITS, *lines]
    delivery = Delivery(example.YEAR, forfaits, example.BENEFICIARIES, example.DMG, example.AREAS)
    write_delivery(duck.raw_dir / str(example.YEAR), delivery)
    build_year(duck, example.YEAR, geography_table(delivery.areas))
    return duck, example.YEAR


def test_amounts_quantities_and_ties(spark_root: Path, tmp_path: Path) -> None:
    duck, year = worked(tmp_path, *odd_lines())
    spark = assert_spark_agrees(duck, spark_root, year)
    december = {row["house_id"]: row["amounts"][-1] for row in table_of(spark, schemas.HOUSES, year).to_pylist()}
    assert [str(december[f"odd {number}"]) for number in (1, 2, 3)] == ["0.0063", "0.0063", "-0.0063"]
    assert [december[f"odd {number}"] for number in (7, 9)] == [None, 0]
    assert {"overlaps", "gaps", "patients_by_month", "amounts_of"} <= views_with_rows(spark, year, tmp_path)


def test_empty_tables(spark_root: Path, tmp_path: Path) -> None:
    duck, year = worked(tmp_path)
    lake = Lake(duck.lake_dir)
    with DuckDBEngine.of(duck).session() as backend:
        for table in (schemas.RAW_FORFAITS, schemas.RAW_DMG, schemas.RAW_BENEFICIARIES):
            nothing = ibis.memtable(table.schema.empty_table())
            lake.write(backend, table, year, nothing, lake.provenance(table, year))
    derive(duck, year)
    spark = assert_spark_agrees(duck, spark_root, year)
    assert len(table_of(spark, schemas.REGISTRATIONS, year)) == 0
    assert len(table_of(spark, schemas.SECTOR_RATES, year)) > 0
