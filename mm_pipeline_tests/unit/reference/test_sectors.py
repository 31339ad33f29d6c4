"""The sector table: which one a year takes, what is read of it, and what each broken file is told."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from mm_pipeline.errors import ReferenceDataError
from mm_pipeline.reference.sectors import Sector, file_for, read_sectors
from mm_pipeline_tests.support.paths import STATBEL, needs_statbel


def properties(code: str = "11001A00-", municipality: str = "11001", **others: Any) -> dict[str, Any]:
    names = {f"TX_SECTOR_DESCR_{language}": f"CENTRE {language}" for language in ("FR", "NL", "DE")}
    return {"CD_SECTOR_REFNIS": code, "CD_MUNTY_REFNIS": municipality, **names, **others}


def geojson(*sectors: dict[str, Any]) -> str:
    geometry = {"type": "Polygon", "coordinates": [[[4.3, 51.1], [4.4, 51.1], [4.4, 51.2], [4.3, 51.1]]]}
    features = [{"type": "Feature", "properties": sector, "geometry": geometry} for sector in sectors]
    return json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False)


def write(folder: Path, text: str, year: int = 2021) -> Path:
    path = folder / f"sectors_{year}.geojson"
    path.write_text(text, encoding="utf-8")
    return path


def write_zip(folder: Path, members: dict[str, str], year: int = 2021) -> Path:
    path = folder / f"sectors_{year}.geojson.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


class TestWhichTable:
    def test_a_year_takes_the_newest_that_is_not_after_it(self, tmp_path: Path) -> None:
        write(tmp_path, geojson(properties()), 2011)
        write_zip(tmp_path, {"a.geojson": geojson(properties())}, 2021)
        (tmp_path / "sectors_2019.geojson.bak").touch()
        assert file_for(tmp_path, 2010) is None
        files = {year: path.name[8:12] for year in (2011, 2020, 2021, 2030) if (path := file_for(tmp_path, year))}
        assert files == {2011: "2011", 2020: "2011", 2021: "2021", 2030: "2021"}

    def test_a_folder_that_is_not_there_has_none(self, tmp_path: Path) -> None:
        assert file_for(tmp_path / "absent", 2021) is None

    def test_the_same_year_twice_is_refused(self, tmp_path: Path) -> None:
        write(tmp_path, geojson(properties()))
        write_zip(tmp_path, {"a.geojson": geojson(properties())})
        with pytest.raises(ReferenceDataError, match=r"sectors_2021\.geojson beside it; .* Remove one"):
            file_for(tmp_path, 2021)
        assert file_for(tmp_path, 2020) is None


class TestReading:
    def test_properties(self, tmp_path: Path) -> None:
        table = read_sectors(write(tmp_path, geojson(properties("12014C044", "12041"))))
        assert table == [Sector("12014C044", "12041", "CENTRE FR", "CENTRE NL", "CENTRE DE")]

    def test_lower_case_as_in_other_years(self, tmp_path: Path) -> None:
        lower = {
            "cd_sector": "11001A00-",
            "cd_munty_refnis": "11001",
            "tx_sector_descr_nl": "CENTRUM",
            "tx_sector_descr_fr": "CENTRE",
            "tx_sector_descr_de": "ZENTRUM",
        }
        table = read_sectors(write(tmp_path, geojson(lower)))
        assert table == [Sector("11001A00-", "11001", "CENTRE", "CENTRUM", "ZENTRUM")]

    @pytest.mark.parametrize(
        ("names", "expected"),
        [
            ({"TX_SECTOR_DESCR_DE": None}, ("CENTRE FR", "CENTRE NL", "CENTRE FR")),
            ({"TX_SECTOR_DESCR_FR": " ", "TX_SECTOR_DESCR_DE": ""}, ("CENTRE NL",) * 3),
            ({f"TX_SECTOR_DESCR_{language}": "" for language in ("FR", "NL", "DE")}, ("", "", "")),
        ],
    )
    def test_an_empty_name_takes_another_language(
        self, names: dict[str, Any], expected: tuple[str, str, str], tmp_path: Path
    ) -> None:
        table = read_sectors(write(tmp_path, geojson(properties(**names))))
        assert table[0][2:] == expected

    @pytest.mark.parametrize(
        ("code", "municipality", "name"),
        [
            ("CS01012018", "CNIS5_2018", "T_SEC_FR"),
            ("CS01012020", "CNIS5_2020", "T_SEC_FR"),
            ("cs01012021", "cnis5_2021", "t_sec_fr"),
            ("Cs01012024", "CNIS5_2024", "T_Sec_Fr"),
            ("CD_SECTOR", "CD_MUNTY_REFNIS", "TX_SECTOR_DESCR_FR"),
            ("cd_sector", "cd_munty_refnis", "tx_sector_descr_fr"),
            ("Cd_Sector_Refnis", "cd_Munty_Refnis", "Tx_sector_descr_fr"),
        ],
    )
    @pytest.mark.parametrize("year", [2018, 2021, 2025])
    def test_the_names_of_every_year(self, code: str, municipality: str, name: str, year: int, tmp_path: Path) -> None:
        """Whatever the year in the name of the file: Statbel also gives out last year's under this year's."""
        others = {"OBJECTID": 1, "T_MUN_FR": "Aartselaar", "C_NIS6": "11001A", "CNIS_ARRD_2020": "11000"}
        found = read_sectors(
            write(tmp_path, geojson({**others, code: "11001A00-", municipality: "11001", name: "A"}), year)
        )
        assert found == [Sector("11001A00-", "11001", "A", "A", "A")]

    def test_of_several_years_that_of_the_table_counts(self, tmp_path: Path) -> None:
        both = {"CS01012020": "11001A00-", "CS01012021": "11001B00-", "CNIS5_2020": "11001", "CNIS5_2021": "11002"}
        table = read_sectors(write(tmp_path, geojson(both), 2021))
        assert [(sector.code, sector.municipality_code) for sector in table] == [("11001B00-", "11002")]
        with pytest.raises(
            ReferenceDataError, match=r"property CD_SECTOR_REFNIS: found no value \(properties: CNIS5_2020"
        ):
            read_sectors(write(tmp_path, geojson(both), 2022))

    @pytest.mark.parametrize("municipality", [11001, 11001.0])
    def test_a_code_that_is_a_number(self, municipality: float, tmp_path: Path) -> None:
        table = read_sectors(write(tmp_path, geojson(properties(municipality=municipality))))  # type: ignore[arg-type]
        assert table[0].municipality_code == "11001"

    def test_nobody_lives_in_an_unknown_sector(self, tmp_path: Path) -> None:
        table = read_sectors(write(tmp_path, geojson(properties(), properties("11001ZZZZ"))))
        assert [sector.code for sector in table] == ["11001A00-"]

    def test_an_archive_made_on_a_mac(self, tmp_path: Path) -> None:
        path = write_zip(tmp_path, {"s.geojson": "\ufeff" + geojson(properties()), "__MACOSX/._s.geojson": "?"})
        assert len(read_sectors(path)) == 1


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (
            geojson(properties(), properties()),
            ["feature 2, property CD_SECTOR_REFNIS", "11001A00- for the second time"],
        ),
        (geojson(properties("11001A0")), ["feature 1, property CD_SECTOR_REFNIS", "'11001A0'", "nine characters"]),
        (
            geojson({"name": "x"}),
            [
                "feature 1, property CD_SECTOR_REFNIS",
                "no value (properties: name)",
                "cd_sector_refnis, CD_SECTOR, cd_sector",
            ],
        ),
        (geojson(properties(municipality="")), ["feature 1, property CD_MUNTY_REFNIS", "no value"]),
        (geojson(properties(municipality="1101")), ["sector 11001A00-", "CD_MUNTY_REFNIS", "'1101'", "five digits"]),
        (geojson(), ["member 'features'", "no features"]),
        ("[]", ["member 'features'", "FeatureCollection"]),
        ('{"features": [7]}', ["feature 1, property CD_SECTOR_REFNIS", "no value"]),
        (geojson(properties())[:-9], ["line 1, column ", "broken JSON"]),
        ("", ["line 1, column 1", "broken JSON"]),
    ],
)
def test_what_a_broken_table_is_told(text: str, parts: list[str], tmp_path: Path) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ReferenceDataError) as raised:
        read_sectors(path)
    for part in [str(path), "; expected ", "Take the table again", *parts]:
        assert part in str(raised.value)


def test_another_encoding_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "sectors_2021.geojson"
    path.write_bytes(b'{"features":\n["\xe9"]}')
    with pytest.raises(ReferenceDataError, match="line 2: found a byte that is not UTF-8"):
        read_sectors(path)


def test_a_broken_archive_is_told_so(tmp_path: Path) -> None:
    path = write_zip(tmp_path, {"s.geojson": geojson(properties())})
    data = path.read_bytes()
    # Not an archive; one cut short; one with a damaged member.
    for broken in (b"?", data[:-40], data[:60] + b"\xff\xff\xff" + data[63:]):
        path.write_bytes(broken)
        with pytest.raises(ReferenceDataError, match=r"sectors_2021\.geojson\.zip: found a broken archive"):
            read_sectors(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_of_another_compression_that_is_damaged(tmp_path: Path, method: int) -> None:
    """Each has errors of its own."""
    path = tmp_path / "sectors_2021.geojson.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a.geojson", geojson(*(properties(f"11001A{number:03}") for number in range(200))))
    data = path.read_bytes()
    for at in (60, 80, 100):
        path.write_bytes(data[:at] + b"\xff\xff\xff" + data[at + 3 :])
        with pytest.raises(ReferenceDataError, match="found a broken archive"):
            read_sectors(path)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[" * 100_000, "JSON nested too deeply"),
        (geojson(properties()).replace("4.3", "9" * 5000, 1), "a number that is too long"),
        (geojson(properties(TX_SECTOR_DESCR_FR="?")).replace("?", "\\ud800"), "half a character"),
    ],
)
def test_json_that_python_does_not_take(tmp_path: Path, text: str, found: str) -> None:
    with pytest.raises(ReferenceDataError, match=f"found {found}"):
        read_sectors(write(tmp_path, text))


def test_a_whole_character_in_two_halves_is_one(tmp_path: Path) -> None:
    text = geojson(properties(TX_SECTOR_DESCR_FR="?")).replace("?", "\\ud834\\udd1e")
    assert read_sectors(write(tmp_path, text))[0].name_fr == "𝄞"


def test_an_archive_with_two_tables_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path, {"a.geojson": "", "b.json": ""})
    with pytest.raises(ReferenceDataError, match="2 GeoJSON files inside; expected exactly one"):
        read_sectors(path)


@needs_statbel
def test_the_real_table_of_2021() -> None:
    path = file_for(STATBEL, 2023)
    assert path is not None
    table = read_sectors(path)
    assert (path.name[:12], len(table)) == ("sectors_2021", 19_478)
    assert table[0] == Sector("11001A00-", "11001", *["AARTSELAAR-CENTRUM"] * 3)
    assert len({sector.municipality_code for sector in table}) == 581
    # The municipality is its own property: a code that is cut would be wrong here.
    elsewhere = [sector for sector in table if sector.code[:5] != sector.municipality_code]
    assert (len(elsewhere), len({sector.municipality_code for sector in elsewhere})) == (839, 18)
    # Where it writes "<NA>" there is no name.
    assert sum(not any(sector[2:]) for sector in table) == 43
    assert all(all(sector[2:]) for sector in table if any(sector[2:]))
    assert not any("<" in name for sector in table for name in sector[2:])
