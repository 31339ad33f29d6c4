"""In pandas, on Arrow's types."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from mm_pipeline.dimensions import AGE_CLASS_STARTS, CATEGORIES
from mm_pipeline.schemas import ATTRIBUTED_PATIENTS, BENEFICIARY_COUNTS, SECTOR_RATES, Table
from mm_pipeline.statistic.rates import dimensions_of

_CELL = ["municipality_code", "sector_code", "sex", "age", "preferential"]
_ROW = ["level", "area_code", "dimension", "category"]
_LEVELS = ("municipality", "arrondissement", "province", "region", "country")


def in_pandas(files: Mapping[str, Path], year: int, target: Mapping[str, Path]) -> None:
    """The three tables of a year without a sector table. ``files``: raw tables and geography, as Parquet."""
    geography = _read(files["geography"], ["level", "area_code", "parent_code"])
    patients = _patients(
        _read(files["raw_forfaits"], ["patient_key", "house_id", "service_date", "quantity"]),
        _read(files["raw_dmg"], ["patient_key", "practice_id"]),
    )
    known = ["patient_key", "municipality_code", "sector_code", "sex", "preferential", "birth_year"]
    people = _read(files["raw_beneficiaries"], known)
    attributed = patients.merge(people.assign(is_beneficiary=True), on="patient_key", how="left").sort_values(
        "patient_key"
    )
    attributed["is_beneficiary"] = attributed["is_beneficiary"].fillna(False).astype("bool")
    _write(attributed, ATTRIBUTED_PATIENTS, target)
    cells = _cells(people, attributed.loc[attributed["is_beneficiary"], "patient_key"], geography, year)
    _write(_counts(cells), BENEFICIARY_COUNTS, target)
    _write(_rates(cells, geography, year), SECTOR_RATES, target)


def _write(rows: pd.DataFrame, table: Table, target: Mapping[str, Path]) -> None:
    rows[table.column_names].to_parquet(target[table.name], compression="zstd", index=False)


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    return pd.read_parquet(path, columns=columns, partitioning=None, dtype_backend="pyarrow")


def _patients(forfaits: pd.DataFrame, dmg: pd.DataFrame) -> pd.DataFrame:
    month = forfaits["service_date"].dt.month
    net = forfaits.assign(month=month).groupby(["patient_key", "house_id", "month"], as_index=False)["quantity"].sum()
    counted = net[net["quantity"] >= 1]
    months = counted[["patient_key", "month"]].drop_duplicates().groupby("patient_key").size()
    candidates = months[months >= 6].rename("forfaits").reset_index()
    houses = counted.groupby(["patient_key", "house_id"], as_index=False).agg(
        n=("month", "size"), last=("month", "max")
    )
    records = dmg[dmg["patient_key"].isin(candidates["patient_key"])]
    at = records.merge(houses, left_on=["patient_key", "practice_id"], right_on=["patient_key", "house_id"], how="left")
    elsewhere = at.loc[at["house_id"].isna(), "patient_key"]
    best = houses.sort_values(["patient_key", "n", "last", "house_id"], ascending=[True, False, False, True])
    best = best.drop_duplicates("patient_key")[["patient_key", "house_id"]]
    return candidates[~candidates["patient_key"].isin(elsewhere)].merge(best, on="patient_key")


def _cells(people: pd.DataFrame, patients: pd.Series, geography: pd.DataFrame, year: int) -> pd.DataFrame:
    age = year - people["birth_year"]
    people = people.assign(age=sum((age >= start).astype("int8") for start in AGE_CLASS_STARTS), n=1)
    people = people.assign(p=people["patient_key"].isin(patients).astype("int64"))
    cells = people.groupby(_CELL, dropna=False, as_index=False)[["n", "p"]].sum()

    known = geography.loc[geography["level"] == "municipality", "area_code"]
    cells["municipality"] = cells["municipality_code"].where(cells["municipality_code"].isin(known))
    code = cells["sector_code"].fillna("")
    well_formed = code.str.fullmatch("[0-9]{5}[0-9A-Z-]{4}") & ~code.str.endswith("ZZZZ")
    votes = (
        cells[well_formed & cells["municipality"].notna()]
        .groupby(["sector_code", "municipality"], as_index=False)["n"]
        .sum()
    )
    votes = votes.sort_values(["sector_code", "n", "municipality"], ascending=[True, False, True])
    named = votes.drop_duplicates("sector_code")[["sector_code", "municipality"]].assign(
        sector=lambda x: x["sector_code"]
    )
    cells = cells.merge(named, on=["sector_code", "municipality"], how="left")
    cells["sector"] = cells["sector"].fillna(cells["municipality"] + "ZZZZ")
    return cells


def _counts(cells: pd.DataFrame) -> pd.DataFrame:
    by = ["municipality", "sector", "sex", "age", "preferential"]
    counts = cells.groupby(by, dropna=False, as_index=False)["n"].sum()
    counts["age_class"] = counts["age"].map(dict(enumerate(CATEGORIES["age_class"])))
    counts = counts.rename(columns={"municipality": "municipality_code", "sector": "sector_code", "n": "beneficiaries"})
    return counts.sort_values(list(BENEFICIARY_COUNTS.order))


def _rates(cells: pd.DataFrame, geography: pd.DataFrame, year: int) -> pd.DataFrame:
    parent = geography[geography["level"] != "sector"]
    step = parent.loc[parent["level"] == "municipality", ["area_code"]].assign(municipality=lambda x: x["area_code"])
    rungs = []
    for level in _LEVELS:
        areas = parent[parent["level"] == level]
        step = step.merge(areas, on="area_code")
        rungs.append(step[["level", "area_code", "municipality"]])
        step = step[["municipality", "parent_code"]].rename(columns={"parent_code": "area_code"})
    ladder = pd.concat(rungs)

    classes = CATEGORIES["age_class"]
    group = cells["age"].map({age: "0-17" if age == 0 else "18-64" if age <= 3 else "65+" for age in range(7)})
    category = {
        "total": pd.Series("total", cells.index),
        "sex": cells["sex"],
        "age_group": group,
        "age_class": cells["age"].map(dict(enumerate(classes))),
        "preferential": cells["preferential"].astype("string[pyarrow]"),
    }
    counted = []
    for dimension, of in category.items():
        keys = [cells["municipality"].rename("municipality"), of.astype("string[pyarrow]").rename("category")]
        by_municipality = cells.groupby(keys, dropna=False)[["n", "p"]].sum().reset_index()
        nowhere = by_municipality[by_municipality["municipality"].isna()].assign(level="country", area_code="BE")
        placed = pd.concat([by_municipality.merge(ladder, on="municipality"), nowhere]).assign(dimension=dimension)
        counted.append(placed.groupby(_ROW, as_index=False)[["n", "p"]].sum())
    frame = pd.DataFrame(
        [
            (level, dimension, of)
            for level in _LEVELS
            for dimension in dimensions_of(level)
            for of in CATEGORIES[dimension]
        ],
        columns=["level", "dimension", "category"],
        dtype="string[pyarrow]",
    )
    areas = parent.merge(frame, on="level").merge(pd.concat(counted), on=_ROW, how="left")
    sectors = cells[cells["sector"].notna()].groupby(["sector", "municipality"], as_index=False)[["n", "p"]].sum()
    sectors = sectors.rename(columns={"sector": "area_code", "municipality": "parent_code"}).assign(
        level="sector", dimension="total", category="total"
    )
    table = pd.concat([areas, sectors]).assign(year=year)
    n, p = (table[name].fillna(0).astype("int64") for name in ("n", "p"))
    people = n.astype("float64").where(n > 0)
    table = table.assign(
        beneficiaries=n, patients=p, rate_per_10000=p * 10_000.0 / people, rate_percent=p * 100.0 / people
    )
    return table.sort_values(_ROW)
