"""The hierarchy: both formats, every vintage, and what each broken file is told."""

import contextlib
import csv
import importlib.util
from collections import Counter
from datetime import date
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from mm_pipeline.errors import ReferenceDataError
from mm_pipeline.reference.refnis import BRUSSELS, COLUMNS, LEVELS, Unit, read_refnis, units_of
from mm_pipeline_tests.support.examples import examples
from mm_pipeline_tests.support.paths import REFERENCE, REPOSITORY, STATBEL, needs_statbel

REFNIS = REFERENCE / "refnis.csv"

YEARS = range(2003, 2026)

HEADER = ",".join(COLUMNS)
ROWS = [
    "region,02000,,Région flamande,Vlaams Gewest,Flämische Region,1970-01-01,9999-12-31",
    "province,10000,02000,Province d'Anvers,Provincie Antwerpen,Provinz Antwerpen,1970-01-01,9999-12-31",
    "arrondissement,11000,10000,Anvers,Antwerpen,Antwerpen,1970-01-01,9999-12-31",
    "municipality,11001,11000,Aartselaar,Aartselaar,Aartselaar,1970-01-01,9999-12-31",
]
STATBEL_HEADER = "LVL_REFNIS|CD_REFNIS|CD_SUP_REFNIS|TX_REFNIS_DE|TX_REFNIS_FR|TX_REFNIS_NL|DT_VLDT_START|DT_VLDT_END"


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def municipalities(path: Path, year: int) -> dict[str, Unit]:
    return {unit.code: unit for unit in units_of(year, path) if unit.level == "municipality"}


def without_line(units: list[Unit]) -> list[tuple[object, ...]]:
    return [unit[:-1] for unit in units]


def changes(year: int) -> list[dict[str, str]]:
    with (STATBEL / f"refnis_changes_{year}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


class TestShipped:
    @pytest.mark.parametrize("year", YEARS)
    def test_every_vintage_is_complete(self, year: int) -> None:
        units = units_of(year, REFNIS)
        expected = 589 if year < 2019 else 581 if year < 2025 else 565
        counts = Counter(unit.level for unit in units)
        assert counts == {"region": 3, "province": 10, "arrondissement": 43, "municipality": expected}

    @pytest.mark.parametrize("year", YEARS)
    def test_every_parent_is_one_level_up(self, year: int) -> None:
        units = units_of(year, REFNIS)
        level_of = {unit.code: unit.level for unit in units}
        steps = {(unit.level, level_of.get(unit.parent_code, "")) for unit in units if unit.parent_code != BRUSSELS}
        assert steps == {("region", ""), *zip(LEVELS[1:], LEVELS[:-1], strict=True)}
        assert [unit.code for unit in units if unit.parent_code == BRUSSELS] == ["21000"]

    def test_the_nineteen_of_brussels_are_under_the_region(self) -> None:
        assert sum(unit.parent_code == "21000" for unit in municipalities(REFNIS, 2025).values()) == 19

    def test_zwijndrecht_changes_province(self) -> None:
        def province_of(code: str, year: int) -> str:
            parents = {unit.code: unit.parent_code for unit in units_of(year, REFNIS)}
            return parents[parents[code]]

        assert province_of("11056", 2024) == "10000"
        assert province_of("46030", 2025) == "40000"
        assert "11056" not in municipalities(REFNIS, 2025)

    def test_arrondissements_of_hainaut_change_in_2019(self) -> None:
        before = {unit.code: unit.name_fr for unit in units_of(2018, REFNIS) if unit.parent_code == "50000"}
        after = {unit.code: unit.name_fr for unit in units_of(2019, REFNIS) if unit.parent_code == "50000"}
        assert before.keys() - after.keys() == {"54000"}
        assert after.keys() - before.keys() == {"58000"}
        assert (before["57000"], after["57000"]) == ("Arrondissement de Tournai", "Arrondissement de Tournai-Mouscron")

    @pytest.mark.parametrize(
        ("code", "names"),
        [
            ("73111", ("Tongres-Looz", "Tongeren-Borgloon", "Tongeren-Borgloon")),
            ("82039", ("Bastogne", "Bastenaken", "Bastnach")),
            ("73110", ("Bilzen-Hoeselt",) * 3),
            ("37022", ("Tielt",) * 3),
            ("11002", ("Anvers", "Antwerpen", "Antwerpen")),
        ],
    )
    def test_names_after_the_mergers_of_2025(self, code: str, names: tuple[str, str, str]) -> None:
        unit = municipalities(REFNIS, 2025)[code]
        assert (unit.name_fr, unit.name_nl, unit.name_de) == names


@needs_statbel
class TestAgainstStatbel:
    @pytest.fixture(scope="class")
    def statbel(self) -> Path:
        return STATBEL / "TU_COM_REFNIS.txt"

    @pytest.mark.parametrize("year", range(2003, 2025))
    def test_every_vintage_but_2025_is_that_of_statbel(self, year: int, statbel: Path) -> None:
        ours, theirs = units_of(year, REFNIS), units_of(year, statbel)
        # Of what ended in 2024, only the end differs: it is not in that file yet.
        but_for_the_end = COLUMNS.index("valid_to")
        assert [unit[:but_for_the_end] for unit in ours] == [unit[:but_for_the_end] for unit in theirs]
        merged_in_2025 = {row["old"] for row in changes(2025)} - {"11002"}
        differing = {our.code for our, their in zip(ours, theirs, strict=True) if our.valid_to != their.valid_to}
        assert differing == merged_in_2025

    def test_statbel_file_stops_before_2025(self, statbel: Path) -> None:
        assert len(municipalities(statbel, 2025)) == 581

    def test_statbel_file_has_no_complete_hierarchy_before_1995(self, statbel: Path) -> None:
        with pytest.raises(ReferenceDataError, match=r"column CD_SUP_REFNIS: found nothing as the parent .* 20000"):
            units_of(1994, statbel)
        assert len(municipalities(statbel, 1995)) == 589

    @pytest.mark.parametrize(("year", "listed"), [(2019, 26), (2025, 30)])
    def test_mergers(self, year: int, listed: int) -> None:
        rows = changes(year)
        assert len(rows) == listed
        before, after = municipalities(REFNIS, year - 1), municipalities(REFNIS, year)
        old, new = {row["old"] for row in rows}, {row["new"] for row in rows}
        persisting = old & new  # Antwerpen, in 2025
        assert persisting == ({"11002"} if year == 2025 else set())
        assert before.keys() - after.keys() == old - persisting
        assert after.keys() - before.keys() == new - persisting
        assert all(before[code].valid_to == date(year - 1, 12, 31) for code in old - persisting)
        assert all(after[code].valid_from == date(year, 1, 1) for code in new - persisting)
        assert all(after[code].parent_code == f"{code[:2]}000" for code in new)

    @pytest.mark.parametrize("lists", [(2025,), (2019, 2025)])
    def test_the_script_writes_the_committed_file(self, lists: tuple[int, ...], statbel: Path, tmp_path: Path) -> None:
        out = tmp_path / "refnis.csv"
        given_lists = [str(STATBEL / f"refnis_changes_{year}.csv") for year in lists]
        assert make_refnis().main([str(statbel), *given_lists, "--out", str(out)]) == 0
        assert out.read_bytes() == REFNIS.read_bytes()


def make_refnis() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_refnis", REPOSITORY / "scripts" / "make_refnis.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TestFormats:
    def test_both_formats_say_the_same(self, tmp_path: Path) -> None:
        ours = write(tmp_path / "refnis.csv", HEADER, *ROWS)
        statbel_rows = []
        for number, row in enumerate(ROWS, start=1):
            _, code, parent, fr, nl, de, _, _ = row.split(",")
            statbel_rows.append(f"{number}|{code}|{parent or '-'}|{de}|{fr}|{nl}|01/01/1970|31/12/9999")
        theirs = tmp_path / "TU_COM_REFNIS.txt"
        theirs.write_text("\ufeff" + "\r\n".join([STATBEL_HEADER, *statbel_rows]), encoding="utf-8")
        assert units_of(2020, ours) == units_of(2020, theirs)

    def test_bom_blank_lines_column_order_and_further_columns_do_not_matter(self, tmp_path: Path) -> None:
        plain = write(tmp_path / "refnis.csv", HEADER, *ROWS)
        other = tmp_path / "other.csv"
        with other.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.writer(file, quoting=csv.QUOTE_ALL)
            for row in [HEADER, *ROWS]:
                writer.writerow([*reversed(row.split(",")), "remark"])
            file.write("\r\n")
        assert without_line(read_refnis(other)) == without_line(read_refnis(plain))

    def test_a_unit_is_in_force_on_both_its_days(self, tmp_path: Path) -> None:
        until_2018 = ROWS[3].replace("9999-12-31", "2018-12-31")
        path = write(
            tmp_path / "refnis.csv", HEADER, *ROWS[:3], until_2018, ROWS[3].replace("1970-01-01", "2020-12-31")
        )
        assert [len(municipalities(path, year)) for year in (2018, 2019, 2020)] == [1, 0, 1]

    def test_a_code_may_come_back_under_another_parent(self, tmp_path: Path) -> None:
        second = "arrondissement,12000,10000,Malines,Mechelen,Mechelen,1970-01-01,9999-12-31"
        back = "municipality,11001,12000,Nouveau,Nieuw,Neu,2021-01-01,9999-12-31"
        first = ROWS[3].replace("9999-12-31", "2018-12-31")
        path = write(tmp_path / "refnis.csv", HEADER, *ROWS[:3], second, first, back)
        assert municipalities(path, 2018)["11001"].parent_code == "11000"
        assert municipalities(path, 2019) == {}
        assert municipalities(path, 2021)["11001"].parent_code == "12000"


def without(index: int) -> list[str]:
    return [HEADER, *(row for position, row in enumerate(ROWS) if position != index)]


def replaced(old: str, new: str) -> list[str]:
    """The good file with something else in the row of Aartselaar, line 5."""
    assert old in ROWS[3]
    return [HEADER, *ROWS[:3], ROWS[3].replace(old, new)]


@pytest.mark.parametrize(
    ("lines", "parts"),
    [
        (replaced("municipality,", "commune,"), ["line 5, column level", "'commune'", "one of region, province"]),
        (replaced("11001", "1101"), ["line 5, column code", "'1101'", "five digits", "leading zeros"]),
        (replaced("11000", "110"), ["line 5, column parent_code", "'110'", "five digits"]),
        (replaced("11000", "11999"), ["line 5, column parent_code", "11999", "municipality 11001", "arrondissement"]),
        (replaced("11000", "10000"), ["line 5, column parent_code", "10000", "its arrondissement"]),
        (replaced("11000", ""), ["line 5, column parent_code", "nothing as the parent"]),
        (replaced("Aartselaar,1970", ",1970"), ["line 5, column name_de", "a name"]),
        (replaced("1970-01-01", "01/01/1970"), ["line 5, column valid_from", "'01/01/1970'", "YYYY-MM-DD"]),
        (replaced("1970-01-01", "1970-02-30"), ["line 5, column valid_from", "a day that exists"]),
        (replaced("9999-12-31", "1969-12-31"), ["line 5, column valid_to", "not before 1970-01-01"]),
        (replaced("municipality,11001,11000", "region,11001,11000"), ["line 5, column parent_code", "no parent"]),
        (replaced("Aartselaar,1970", "Aartselaar,x,1970"), ["line 5", "9 fields", "8, as in the header"]),
        (replaced("Aartselaar,A", '"Aartselaar,A'), ["line 5", "a malformed row"]),
        (
            [HEADER, *ROWS, ROWS[3]],
            ["line 6, column code", "11001", "second time (first on line 5)", "End the older row"],
        ),
        (without(2), ["line 4, column parent_code", "11000", "its arrondissement, in force on 2020-12-31"]),
        (
            [HEADER.replace("name_de", "deutsch"), *ROWS],
            ["line 1, column name_de", "header: level", "separated by ','"],
        ),
        ([HEADER.replace(",", ";"), *ROWS], ["line 1, column level", "no such column", "separated by ','"]),
        ([HEADER], ["line 2", "nothing below the header"]),
        (
            [HEADER, *(row.replace("9999", "2019") for row in ROWS)],
            ["column valid_to", "no unit in force on 2020-12-31"],
        ),
    ],
)
def test_what_a_broken_file_is_told(lines: list[str], parts: list[str], tmp_path: Path) -> None:
    path = write(tmp_path / "refnis.csv", *lines)
    with pytest.raises(ReferenceDataError) as raised:
        units_of(2020, path)
    for part in [str(path), "; expected ", *parts]:
        assert part in str(raised.value)


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ("5|11001|11000|A|A|A|01/01/1970|31/12/9999", ["line 2, column LVL_REFNIS", "'5'", "1, 2, 3, 4"]),
        ("4|11001|11000|A|A|A|1970-01-01|31/12/9999", ["line 2, column DT_VLDT_START", "dd/mm/yyyy"]),
        ("1|02000|01000|A|A|A|01/01/1970|31/12/9999", ["line 2, column CD_SUP_REFNIS", "'01000'", "'-'"]),
        ("4|11001|11000|A||A|01/01/1970|31/12/9999", ["line 2, column TX_REFNIS_FR"]),
        ("4|11001|11000", ["line 2", "3 fields"]),
    ],
)
def test_what_a_broken_statbel_file_is_told(row: str, parts: list[str], tmp_path: Path) -> None:
    path = write(tmp_path / "TU_COM_REFNIS.txt", STATBEL_HEADER, row)
    with pytest.raises(ReferenceDataError) as raised:
        read_refnis(path)
    for part in [str(path), *parts]:
        assert part in str(raised.value)


def test_an_empty_file_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "refnis.csv").touch()
    with pytest.raises(ReferenceDataError, match=r"refnis\.csv, line 1: found an empty file; .* Restore refnis\.csv"):
        read_refnis(tmp_path / "refnis.csv")


def test_another_encoding_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "refnis.csv"
    path.write_bytes("\n".join([HEADER, *ROWS]).encode("cp1252"))
    with pytest.raises(ReferenceDataError, match=r"line 2: found a byte that is not UTF-8 \(0xe9\); .*UTF-8"):
        read_refnis(path)


def test_a_file_that_cannot_be_read_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(ReferenceDataError, match="cannot be read"):
        read_refnis(tmp_path)


@examples(100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=40), place=st.integers(0, 400), suffix=st.sampled_from(["csv", "txt"]))
def test_no_damage_gives_another_error(noise: bytes, place: int, suffix: str, tmp_path: Path) -> None:
    good = "\n".join([HEADER, *ROWS]) if suffix == "csv" else f"{STATBEL_HEADER}\n1|02000|-|A|A|A|01/01/1970|31/12/9999"
    data = good.encode()
    path = tmp_path / f"refnis.{suffix}"
    path.write_bytes(data[:place] + noise + data[place + len(noise) :])
    with contextlib.suppress(ReferenceDataError):
        units_of(2020, path)
