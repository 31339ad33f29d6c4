"""The area table of a year, and which files it is made of."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pyarrow.compute as pc
import pytest

from mm_pipeline.dimensions import LEVELS
from mm_pipeline.errors import ReferenceDataError
from mm_pipeline.reference.areas import SCHEMA, areas, expected_counts, reference_files
from mm_pipeline_tests.support.paths import REFERENCE, STATBEL, needs_statbel

SHIPPED = REFERENCE / "refnis.csv"

YEARS = range(2003, 2026)


def rows(folder: Path, year: int) -> list[dict[str, str]]:
    return areas(folder, year).to_pylist()


def with_sectors(folder: Path, year: int, **municipality_of: str) -> Path:
    features = [
        {
            "type": "Feature",
            "properties": {
                "CD_SECTOR_REFNIS": code.strip("_") + "-",
                "CD_MUNTY_REFNIS": municipality,
                "TX_SECTOR_DESCR_FR": "",
                "TX_SECTOR_DESCR_NL": "CENTRUM",
                "TX_SECTOR_DESCR_DE": None,
            },
        }
        for code, municipality in municipality_of.items()
    ]
    path = folder / f"sectors_{year}.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
    return path


class TestTable:
    @pytest.mark.parametrize("year", YEARS)
    def test_every_vintage(self, year: int, tmp_path: Path) -> None:
        table = areas(tmp_path, year)
        assert table.schema.equals(SCHEMA)
        assert all(column.null_count == 0 for column in table.columns)
        keys = list(zip(table["level"].to_pylist(), table["area_code"].to_pylist(), strict=True))
        assert Counter(level for level, _ in keys) == expected_counts(year)
        assert len(set(keys)) == len(keys)
        assert keys == sorted(keys, key=lambda key: (LEVELS.index(key[0]), key[1]))
        for row in table.to_pylist()[1:]:
            assert (LEVELS[LEVELS.index(row["level"]) - 1], row["parent_code"]) in keys
            assert all(row[f"name_{language}"] for language in ("fr", "nl", "de"))

    def test_country(self, tmp_path: Path) -> None:
        assert list(rows(tmp_path, 2020)[0].values()) == ["country", "BE", "", "Belgique", "België", "Belgien"]

    def test_brussels_is_a_region_and_a_province(self, tmp_path: Path) -> None:
        parents = {(row["level"], row["area_code"]): row["parent_code"] for row in rows(tmp_path, 2020)}
        assert parents["region", "04000"] == "BE"
        assert parents["province", "04000"] == "04000"
        assert parents["arrondissement", "21000"] == "04000"
        assert parents["municipality", "21004"] == "21000"

    @pytest.mark.parametrize(
        ("year", "municipalities"), [(2003, 589), (2018, 589), (2019, 581), (2024, 581), (2025, 565), (1980, 589)]
    )
    def test_expected_counts(self, year: int, municipalities: int) -> None:
        counts = {"country": 1, "region": 3, "province": 11, "arrondissement": 43, "municipality": municipalities}
        assert expected_counts(year) == counts


class TestSectors:
    def test_they_follow_the_municipality_of_the_table(self, tmp_path: Path) -> None:
        with_sectors(tmp_path, 2019, _12034A00="12041", _11001A00="11001")
        sectors = [tuple(row.values()) for row in rows(tmp_path, 2019) if row["level"] == "sector"]
        assert sectors == [
            ("sector", "11001A00-", "11001", *["CENTRUM"] * 3),
            ("sector", "12034A00-", "12041", *["CENTRUM"] * 3),
        ]

    def test_those_of_a_municipality_that_is_gone_are_left_out(self, tmp_path: Path) -> None:
        with_sectors(tmp_path, 2021, _11056A00="11056", _11001A00="11001")
        assert {row["area_code"] for row in rows(tmp_path, 2024)[-2:]} == {"11001A00-", "11056A00-"}
        assert [row["area_code"] for row in rows(tmp_path, 2025) if row["level"] == "sector"] == ["11001A00-"]

    def test_none_before_2005(self, tmp_path: Path) -> None:
        path = with_sectors(tmp_path, 2001, _11001A00="11001")
        assert [rows(tmp_path, year)[-1]["level"] for year in (2004, 2005)] == ["municipality", "sector"]
        assert reference_files(tmp_path, 2004) == [SHIPPED]
        assert reference_files(tmp_path, 2005) == [SHIPPED, path]


class TestFiles:
    def test_an_empty_or_absent_folder_takes_the_shipped_hierarchy(self, tmp_path: Path) -> None:
        assert reference_files(tmp_path, 2020) == [SHIPPED]
        assert reference_files(tmp_path / "absent", 2020) == [SHIPPED]

    def test_a_statbel_file_takes_the_place_of_ours(self, tmp_path: Path) -> None:
        ours = tmp_path / "refnis.csv"
        shutil.copy(SHIPPED, ours)
        assert reference_files(tmp_path, 2020) == [ours]
        theirs = tmp_path / "TU_COM_REFNIS_20240101.txt"
        theirs.touch()
        assert reference_files(tmp_path, 2020) == [theirs]

    def test_two_statbel_files_are_refused(self, tmp_path: Path) -> None:
        for name in ("TU_COM_REFNIS.txt", "TU_COM_REFNIS-20250101.txt"):
            (tmp_path / name).touch()
        with pytest.raises(
            ReferenceDataError, match=r"several .*-20250101\.txt, TU_COM_REFNIS\.txt\).* Keep the newest"
        ):
            areas(tmp_path, 2020)

    def test_no_hierarchy_at_all(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("mm_pipeline.reference.areas._shipped", lambda: ())
        with pytest.raises(ReferenceDataError, match="Install the package again"):
            reference_files(tmp_path, 2020)


@needs_statbel
class TestReal:
    @pytest.mark.parametrize(("year", "sectors"), [(2020, 0), (2021, 19_478), (2024, 19_478)])
    def test_sectors(self, year: int, sectors: int, tmp_path: Path) -> None:
        (tmp_path / "sectors_2021.geojson.zip").symlink_to(STATBEL / "sectors_2021.geojson.zip")
        table = areas(tmp_path, year)
        assert pc.sum(pc.equal(table["level"], "sector")).as_py() == sectors

    def test_a_table_older_than_a_merger_loses_the_sectors_of_the_merged(self, tmp_path: Path) -> None:
        (tmp_path / "sectors_2021.geojson.zip").symlink_to(STATBEL / "sectors_2021.geojson.zip")
        assert pc.sum(pc.equal(areas(tmp_path, 2025)["level"], "sector")).as_py() == 18_617

    def test_statbel_file_instead_of_ours(self) -> None:
        assert reference_files(STATBEL, 2021) == [STATBEL / "TU_COM_REFNIS.txt", STATBEL / "sectors_2021.geojson.zip"]
        municipalities = [row for row in rows(STATBEL, 2025) if row["level"] == "municipality"]
        assert len(municipalities) == 581  # it ends before the mergers: a check compares with expected_counts


NAMES_OF_SECTORS = [
    "Sectors_2021.geojson",
    "sectors_2021.json",
    "sectors_2021.GEOJSON",
    "sectors_2021.geojson.ZIP",
    "sectors_2021.geojson.gz",
    "sectors_20210101.geojson",
    "sectors-2021.geojson",
    "sectors 2021.zip",
    "sector_2021.geojson",
    "sh_statbel_statistical_sectors_31370_20210101.geojson",
    "sh_statbel_statistical_sectors_3812_20210101.gpkg",
    "secteurs_statistiques_2021.shp",
    "Statistische sectoren 2021.geojson",
    "scbel01012021_sectors.zip",
    "scbel01012021_gen13.shp",
    "sh_statbel_20210101.geojson",
    "statsect_2021.geojson",
    "sectors_2021.geojson.txt",
    "sectors_2021.csv",
    "sectors_2021",
]


@pytest.mark.parametrize("name", NAMES_OF_SECTORS)
def test_a_table_of_sectors_under_another_name_is_refused(tmp_path: Path, name: str) -> None:
    """From its year on: earlier years never take it."""
    (tmp_path / name).write_text("{}")
    assert "sector" not in areas(tmp_path, 2020)["level"].to_pylist()
    for year in (2021, 2024):
        with pytest.raises(ReferenceDataError) as raised:
            areas(tmp_path, year)
        assert str(raised.value) == (
            f"{tmp_path / name}: found a file that is probably meant as sectors, under a name that is not read; expected "
            "sectors_<YYYY>.geojson or .geojson.zip, in WGS84. Give it that name (data/reference/README.md), or move it out "
            "of the folder."
        )
    assert [path.name for path in reference_files(tmp_path, 2021)][1:] == [name], "so that the year is out of date"
    assert len(reference_files(tmp_path, 2020)) == 1


def test_a_table_without_a_year_is_refused_for_every_year_of_sectors(tmp_path: Path) -> None:
    (tmp_path / "sectors.geojson").write_text("{}")
    with pytest.raises(ReferenceDataError, match="probably meant as sectors"):
        areas(tmp_path, 2005)
    assert areas(tmp_path, 2004).num_rows


@pytest.mark.parametrize(
    "name", ["sectors_2021.geojson.part", ".sectors_2021.geojson.zip.x7", "sectors_2021.txt", "notes.zip"]
)
def test_other_files_are_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}")
    assert areas(tmp_path, 2021).num_rows


def test_beside_the_right_table_of_its_year_another_name_is_left_alone(tmp_path: Path) -> None:
    """What it was made from, for example."""
    feature = {"properties": {"CD_SECTOR": "21004A00-", "CD_MUNTY_REFNIS": "21004"}}
    (tmp_path / "sectors_2021.geojson").write_text(json.dumps({"features": [feature]}))
    (tmp_path / "sh_statbel_statistical_sectors_31370_20210101.geojson").write_text("{}")
    assert areas(tmp_path, 2021)["level"].to_pylist().count("sector") == 1
    (tmp_path / "sectors_20220101.geojson").write_text("{}")
    with pytest.raises(ReferenceDataError, match="sectors_20220101"):
        areas(tmp_path, 2022)


@pytest.mark.parametrize(
    "name",
    [
        "TU_COM_REFNIS.TXT",
        "TU_COM_REFNIS.zip",
        "tu_com_refnis.txt",
        "TU_COM_REFNIS_2025.xlsx",
        "refnis_2025.csv",
        "REFNIS.csv",
    ],
)
def test_a_hierarchy_under_another_name_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}")
    with pytest.raises(ReferenceDataError) as raised:
        areas(tmp_path, 2010)
    assert "found a file that is probably meant as the hierarchy, under a name that is not read" in str(raised.value)
    assert name in str(raised.value)
    (tmp_path / name).unlink()
    (tmp_path / "refnis_changes_2025.csv").write_text("old,new")  # which no hierarchy is
    assert areas(tmp_path, 2010).num_rows
