"""In polars, lazily and on its streaming engine."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from mm_pipeline.dimensions import AGE_CLASS_STARTS, CATEGORIES
from mm_pipeline.schemas import ATTRIBUTED_PATIENTS, BENEFICIARY_COUNTS, FORFAITS_PER_PATIENT
from mm_pipeline.statistic.rates import dimensions_of

_KEYS = ["municipality_code", "sector_code", "sex", "age", "preferential"]
_CLASSES = CATEGORIES["age_class"]
_MONTHS = range(1, 13)
_LEVELS = ("arrondissement", "province", "region", "country")


def in_polars(files: Mapping[str, Path], year: int, target: Mapping[str, Path]) -> None:
    """The five tables of a year without a sector table. ``files``: raw tables and geography, as Parquet."""
    scan = {name: pl.scan_parquet(path, hive_partitioning=False) for name, path in files.items()}
    geography = scan["geography"].select("level", "area_code", "parent_code").collect()
    registrations = _registrations(scan["raw_forfaits"])
    patients = _forfaits_per_patient(registrations.lazy())
    attributed = _attributed(patients.lazy(), registrations.lazy(), scan["raw_dmg"], scan["raw_beneficiaries"])
    cells = _resolved(_delivered(scan["raw_beneficiaries"], attributed, year), geography)
    tables = {
        "registrations": registrations,
        "forfaits_per_patient": patients,
        "attributed_patients": attributed.select(ATTRIBUTED_PATIENTS.column_names),
        "beneficiary_counts": _counts(cells),
        "sector_rates": _rates(cells, geography, year),
    }
    for name, table in tables.items():
        table.write_parquet(target[name], compression="zstd")


def _registrations(forfaits: pl.LazyFrame) -> pl.DataFrame:
    month = pl.col("service_date").dt.month()
    net = {m: f"m{m}" for m in _MONTHS}
    sums = forfaits.group_by("patient_key", "house_id").agg(
        *(pl.when(month == m).then("quantity").otherwise(0).sum().alias(name) for m, name in net.items()),
        regularised=pl.max_horizontal(-pl.col("quantity"), 0).sum().cast(pl.Int64),
    )

    def bits(least: int) -> pl.Expr:
        bit_of = (pl.when(pl.col(name) >= least).then(1 << (m - 1)).otherwise(0) for m, name in net.items())
        return pl.sum_horizontal(bit_of).cast(pl.Int32)

    counted = [pl.when(pl.col(name) >= 1).then(pl.lit(m, pl.Int32)) for m, name in net.items()]
    return (
        sums.select(
            "patient_key",
            "house_id",
            months=bits(1),
            months_twice=bits(2),
            first_month=pl.min_horizontal(counted),
            last_month=pl.max_horizontal(counted),
            quantity=pl.sum_horizontal(net.values()).cast(pl.Int64),
            regularised="regularised",
        )
        .sort("patient_key", "house_id")
        .collect(engine="streaming")
    )


def _forfaits_per_patient(registrations: pl.LazyFrame) -> pl.DataFrame:
    months, house, counts = pl.col("months"), pl.col("house_id"), pl.col("months") > 0
    patients = registrations.group_by("patient_key").agg(
        months.bitwise_or(),
        pl.col("months_twice").bitwise_or(),
        pl.col("first_month").min(),
        pl.col("last_month").max(),
        pl.col("quantity", "regularised").sum(),
        any_house=house.filter(counts).max(),
        number=counts.sum(),
    )
    counted = registrations.filter(counts).select("patient_key", "house_id", "months", "last_month")
    several = counted.join(patients.filter(pl.col("number") > 1), on="patient_key", how="semi")
    best_first = pl.struct(-months.bitwise_count_ones().cast(pl.Int32), -pl.col("last_month"), house)
    best = several.group_by("patient_key").agg(best=house.sort_by(best_first).first(), all_houses=house.sort())
    pairs = several.join(several, on="patient_key").filter(house < pl.col("house_id_right"))
    shared = pairs.group_by("patient_key").agg(shared=(months & pl.col("months_right")).bitwise_or())
    forfaits = months.bitwise_count_ones().cast(pl.Int32)
    twice = pl.col("months_twice") | pl.col("shared").fill_null(0)
    alone = pl.when(pl.col("any_house").is_not_null()).then(pl.concat_list("any_house"))
    return (
        patients.join(best, on="patient_key", how="left")
        .join(shared, on="patient_key", how="left")
        .with_columns(
            forfaits=forfaits,
            house_id=pl.coalesce("best", "any_house"),
            houses=pl.coalesce("all_houses", alone),
            gaps=(pl.col("last_month") - pl.col("first_month") + 1 - forfaits).fill_null(0).cast(pl.Int32),
            months_billed_twice=twice.bitwise_count_ones().cast(pl.Int32),
        )
        .select(FORFAITS_PER_PATIENT.column_names)
        .sort("patient_key")
        .collect(engine="streaming")
    )


def _attributed(
    patients: pl.LazyFrame, registrations: pl.LazyFrame, dmg: pl.LazyFrame, beneficiaries: pl.LazyFrame
) -> pl.DataFrame:
    candidates = patients.select("patient_key", "forfaits", "house_id").filter(pl.col("forfaits") >= 6)
    houses = registrations.filter(pl.col("months") > 0)
    elsewhere = dmg.join(candidates, on="patient_key", how="semi").join(
        houses, left_on=["patient_key", "practice_id"], right_on=["patient_key", "house_id"], how="anti"
    )
    people = beneficiaries.drop("valid_from").with_columns(is_beneficiary=pl.lit(True))
    return (
        candidates.join(elsewhere, on="patient_key", how="anti")
        .join(people, on="patient_key", how="left")
        .with_columns(pl.col("is_beneficiary").fill_null(False))
        .sort("patient_key")
        .collect(engine="streaming")
    )


def _delivered(beneficiaries: pl.LazyFrame, attributed: pl.DataFrame, year: int) -> pl.DataFrame:
    age = pl.sum_horizontal((year - pl.col("birth_year") >= start).cast(pl.Int8) for start in AGE_CLASS_STARTS)
    people, patients = (
        table.with_columns(age=age.cast(pl.Int8)).group_by(_KEYS).agg(pl.len().cast(pl.Int64).alias(name))
        for table, name in ((beneficiaries, "n"), (attributed.lazy().filter("is_beneficiary"), "p"))
    )
    both = people.join(patients, on=_KEYS, how="left", nulls_equal=True).with_columns(pl.col("p").fill_null(0))
    return both.collect(engine="streaming")


def _counts(cells: pl.DataFrame) -> pl.DataFrame:
    label = pl.col("age").replace_strict(dict(enumerate(_CLASSES)), return_dtype=pl.String)
    named = cells.select(
        "sex",
        "preferential",
        municipality_code="municipality",
        sector_code="sector",
        age_class=label,
        beneficiaries="n",
    )
    return named.select(BENEFICIARY_COUNTS.column_names).sort(BENEFICIARY_COUNTS.order, nulls_last=True)


def _resolved(delivered: pl.DataFrame, geography: pl.DataFrame) -> pl.DataFrame:
    known = geography.filter(pl.col("level") == "municipality")["area_code"].implode()
    delivered = delivered.with_columns(
        municipality=pl.when(pl.col("municipality_code").is_in(known)).then("municipality_code")
    )
    well_formed = pl.col("sector_code").str.contains("^[0-9]{5}[0-9A-Z-]{4}$") & ~pl.col("sector_code").str.ends_with(
        "ZZZZ"
    )
    named = (
        delivered.filter(pl.col("municipality").is_not_null() & well_formed)
        .group_by("sector_code", "municipality")
        .agg(pl.col("n").sum())
        .sort("sector_code", -pl.col("n"), "municipality")
        .unique("sector_code", keep="first")
        .select("sector_code", "municipality", sector="sector_code")
    )
    placed = delivered.join(named, on=["sector_code", "municipality"], how="left").with_columns(
        sector=pl.coalesce("sector", pl.col("municipality") + "ZZZZ")
    )
    return placed.group_by("municipality", "sector", "sex", "age", "preferential").agg(pl.col("n", "p").sum())


def _rates(cells: pl.DataFrame, geography: pl.DataFrame, year: int) -> pl.DataFrame:
    parent = geography.filter(pl.col("level") != "sector")
    step = parent.filter(pl.col("level") == "municipality").select(
        "level", "area_code", "parent_code", municipality="area_code"
    )
    rungs = [step]
    for level in _LEVELS:
        step = step.select("municipality", area_code="parent_code").join(
            parent.filter(pl.col("level") == level), on="area_code"
        )
        rungs.append(step.select("level", "area_code", "parent_code", "municipality"))
    nowhere = pl.DataFrame({"level": ["country"], "area_code": ["BE"], "municipality": [None]})
    ladder = pl.concat([*rungs, nowhere.cast({"municipality": pl.String})], how="diagonal").drop("parent_code")

    by_municipality = cells.group_by("municipality", "sex", "age", "preferential").agg(pl.col("n", "p").sum())
    category = {
        "total": pl.lit("total"),
        "sex": pl.col("sex"),
        "age_group": pl.when(pl.col("age") == 0)
        .then(pl.lit("0-17"))
        .when(pl.col("age") <= 3)
        .then(pl.lit("18-64"))
        .otherwise(pl.lit("65+")),
        "age_class": pl.col("age").replace_strict(dict(enumerate(_CLASSES)), return_dtype=pl.String),
        "preferential": pl.col("preferential").cast(pl.String),
    }
    long = pl.concat(
        by_municipality.group_by("municipality", dimension=pl.lit(dimension), category=of).agg(pl.col("n", "p").sum())
        for dimension, of in category.items()
    )
    counted = (
        long.join(ladder, on="municipality", nulls_equal=True)
        .group_by("level", "area_code", "dimension", "category")
        .agg(pl.col("n", "p").sum())
    )
    frame = pl.DataFrame(
        [
            (level, dimension, category)
            for level in ("municipality", *_LEVELS)
            for dimension in dimensions_of(level)
            for category in CATEGORIES[dimension]
        ],
        schema=["level", "dimension", "category"],
        orient="row",
    )
    areas = parent.join(frame, on="level").join(counted, on=["level", "area_code", "dimension", "category"], how="left")
    sectors = (
        cells.filter(pl.col("sector").is_not_null())
        .group_by("sector", "municipality")
        .agg(pl.col("n", "p").sum())
        .select(
            level=pl.lit("sector"),
            area_code="sector",
            parent_code="municipality",
            dimension=pl.lit("total"),
            category=pl.lit("total"),
            n="n",
            p="p",
        )
    )
    table = pl.concat([areas.select(sectors.columns), sectors]).with_columns(pl.col("n", "p").fill_null(0))
    people = pl.when(pl.col("n") > 0).then(pl.col("n").cast(pl.Float64))
    return table.select(
        pl.lit(year, pl.Int32).alias("year"),
        "level",
        "area_code",
        "parent_code",
        "dimension",
        "category",
        beneficiaries="n",
        patients="p",
        rate_per_10000=pl.col("p").cast(pl.Float64) * 10_000.0 / people,
        rate_percent=pl.col("p").cast(pl.Float64) * 100.0 / people,
    ).sort("level", "area_code", "dimension", "category")
