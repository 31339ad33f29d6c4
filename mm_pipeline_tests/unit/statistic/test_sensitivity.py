"""What the threshold counts are, on cases worked by hand (the random ones: ``test_against_oracle``)."""

import ibis
import pyarrow as pa
import pytest

from mm_pipeline import schemas
from mm_pipeline.statistic.cells import beneficiary_counts
from mm_pipeline.statistic.sensitivity import threshold_counts

AREAS = [
    ("country", "BE", ""),
    ("region", "02000", "BE"),
    ("region", "03000", "BE"),
    ("region", "04000", "BE"),
    ("province", "60000", "03000"),
    ("province", "04000", "04000"),
    ("arrondissement", "62000", "60000"),
    ("arrondissement", "21000", "04000"),
    ("municipality", "62063", "62000"),
    ("municipality", "21004", "21000"),
]
# patient, forfaits, municipality, holder of a DMG
PERSONS = [
    (1, 12, "62063", "H1"),
    (2, 6, "62063", ""),
    (3, 5, "62063", ""),
    (4, 12, "62063", "another practice"),
    (5, 1, "21004", ""),
    (6, 12, "99999", ""),
    (7, 0, "62063", ""),
]
STRANGER = 8
"""Has forfaits, and is not among the beneficiaries."""


@pytest.fixture
def counts():
    backend = ibis.duckdb.connect()

    def table(kept: schemas.Table, rows: list[dict[str, object]]) -> ibis.Table:
        return backend.create_table(kept.name, pa.Table.from_pylist(rows, schema=kept.schema))

    billed = [*((key, forfaits) for key, forfaits, _, _ in PERSONS if forfaits), (STRANGER, 12)]
    forfaits = table(
        schemas.FORFAITS_PER_PATIENT,
        [{"patient_key": key, "forfaits": number, "house_id": "H1", "houses": ["H1"]} for key, number in billed],
    )
    dmg = table(schemas.RAW_DMG, [{"patient_key": key, "practice_id": at} for key, _, _, at in PERSONS if at])
    beneficiaries = table(
        schemas.RAW_BENEFICIARIES,
        [
            {"patient_key": key, "birth_year": 1980, "sex": "F", "preferential": 0, "municipality_code": municipality}
            for key, _, municipality, _ in PERSONS
        ],
    )
    names = ("level", "area_code", "parent_code")
    geography = table(schemas.GEOGRAPHY, [dict(zip(names, area, strict=True)) for area in AREAS])
    cells = beneficiary_counts(beneficiaries, geography, 2024, has_sector_table=False)
    return threshold_counts(forfaits, dmg, beneficiaries, geography, cells, 2024)


def patients(counts: ibis.Table, area: str) -> list[int]:
    level = "country" if area == "BE" else "region"
    rows = (
        counts.filter((counts.area_code == area) & (counts.level == level))
        .order_by("threshold")
        .to_pyarrow()
        .to_pylist()
    )
    assert [row["threshold"] for row in rows] == list(range(1, 13))
    return [row["patients"] for row in rows]


def test_each_threshold_counts_those_who_reach_it(counts):
    assert patients(counts, "03000") == [3, 3, 3, 3, 3, 2, 1, 1, 1, 1, 1, 1]
    assert patients(counts, "04000") == [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]


def test_a_municipality_that_the_year_does_not_know_counts_in_the_country_alone(counts):
    assert patients(counts, "BE") == [5, 4, 4, 4, 4, 3, 2, 2, 2, 2, 2, 2]


def test_an_area_where_nobody_lives_has_all_its_rows(counts):
    assert patients(counts, "02000") == [0] * 12


def test_beneficiaries_are_those_of_the_area_at_every_threshold(counts):
    upper = counts.filter(counts.level.isin(["country", "region"]))
    rows = upper.select("area_code", "beneficiaries").distinct().to_pyarrow().to_pylist()
    assert {(row["area_code"], row["beneficiaries"]) for row in rows} == {
        ("BE", 7),
        ("02000", 0),
        ("03000", 5),
        ("04000", 1),
    }
    assert upper.count().execute() == 4 * 12


def test_an_area_has_those_of_the_areas_in_it(counts):
    table = counts.to_pandas()
    for above, below in (("region", "province"), ("province", "arrondissement")):
        parts = (
            table[table["level"] == below].groupby(["parent_code", "threshold"])[["beneficiaries", "patients"]].sum()
        )
        whole = table[table["level"] == above].set_index(["area_code", "threshold"])[["beneficiaries", "patients"]]
        assert len(parts)
        assert (whole.loc[parts.index] == parts).all(axis=None)


def test_types_and_columns_are_those_of_a_kept_table(counts):
    kept = counts.to_pyarrow().schema
    assert kept.names == ["year", "level", "area_code", "parent_code", "threshold", "beneficiaries", "patients"]
    assert [kept.field(name).type for name in ("year", "threshold", "beneficiaries", "patients")] == [
        pa.int32(),
        pa.int32(),
        pa.int64(),
        pa.int64(),
    ]
