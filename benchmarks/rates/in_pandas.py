"""The same table as ``sector_rates`` in pandas, on Arrow's strings."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa

from mm_pipeline.catalogue import SECTOR_RATES
from mm_pipeline.statistic.rates import CATEGORIES, dimensions_of

_AGES = (18, 25, 45, 65, 75, 85)
_CELL = ["municipality_code", "sector_code", "sex", "age", "preferential"]
_ROW = ["level", "area_code", "dimension", "category"]
_LEVELS = ("municipality", "arrondissement", "province", "region", "country")


def rates_in_pandas(files: Mapping[str, Path], year: int) -> pa.Table:
    """``sector_rates`` of a year without a sector table. ``files``: raw tables and geography, as Parquet."""
    geography = _read(files["geography"], ["level", "area_code", "parent_code"])
    patients = _patients(
        _read(files["raw_forfaits"], ["patient_key", "house_id", "service_date", "quantity"]),
        _read(files["raw_dmg"], ["patient_key", "practice_id"]),
    )
    people = ["patient_key", "municipality_code", "sector_code", "sex", "preferential", "birth_year"]
    cells = _cells(_read(files["raw_beneficiaries"], people), patients, geography, year)
    table = _rates(cells, geography, year)
    return pa.Table.from_pandas(table, preserve_index=False).select(SECTOR_RATES.column_names).cast(SECTOR_RATES.schema)


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    return pd.read_parquet(path, columns=columns, partitioning=None, dtype_backend="pyarrow")


def _patients(forfaits: pd.DataFrame, dmg: pd.DataFrame) -> pd.Series:
    month = forfaits["service_date"].dt.month
    net = forfaits.assign(month=month).groupby(["patient_key", "house_id", "month"], as_index=False)["quantity"].sum()
    counted = net[net["quantity"] >= 1]
    months = counted[["patient_key", "month"]].drop_duplicates().groupby("patient_key").size()
    candidates = months.index[months >= 6]
    houses = counted[["patient_key", "house_id"]].drop_duplicates()
    records = dmg[dmg["patient_key"].isin(candidates)]
    at = records.merge(houses, left_on=["patient_key", "practice_id"], right_on=["patient_key", "house_id"], how="left")
    elsewhere = at.loc[at["house_id"].isna(), "patient_key"]
    return candidates[~candidates.isin(elsewhere)]


def _cells(people: pd.DataFrame, patients: pd.Series, geography: pd.DataFrame, year: int) -> pd.DataFrame:
    age = year - people["birth_year"]
    people = people.assign(age=sum((age >= start).astype("int8") for start in _AGES), n=1)
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
    cells["preferential"] = cells["preferential"].astype("string[pyarrow]")
    return cells


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
        "preferential": cells["preferential"],
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
