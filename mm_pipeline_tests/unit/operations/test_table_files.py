"""``mm-pipeline protect`` and ``audit`` of a table in a file: what a clumsy or a hostile user gives them."""

import os
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from mm_pipeline.cli import main
from mm_pipeline.operations import table_files
from mm_pipeline.schemas import PROTECTED_RATES
from mm_pipeline_tests.support.small_tables import medium_table

HEADER = "level,area_code,parent_code,dimension,category,beneficiaries,patients\n"
# The worked example of docs/disclosure.md, a sector, and a count that is found nowhere else: 3 of 643.
RATES = (
    HEADER
    + """\
arrondissement,91000,90000,total,total,7243,138
arrondissement,91000,90000,sex,M,3523,50
arrondissement,91000,90000,sex,F,3720,88
municipality,91001,91000,total,total,1850,40
municipality,91001,91000,sex,M,900,18
municipality,91001,91000,sex,F,950,22
municipality,91002,91000,total,total,1343,22
municipality,91002,91000,sex,M,643,3
municipality,91002,91000,sex,F,700,19
municipality,91003,91000,total,total,3060,60
municipality,91003,91000,sex,M,1500,28
municipality,91003,91000,sex,F,1560,32
municipality,91004,91000,total,total,990,16
municipality,91004,91000,sex,M,480,1
municipality,91004,91000,sex,F,510,15
sector,91001A00-,91001,total,total,1750,31
sector,91001ZZZZ,91001,total,total,100,9
"""
)
M2 = "municipality,91002,91000,sex,M,643,3\n"  # line 9
F2 = "municipality,91002,91000,sex,F,700,19\n"  # line 10


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("MM_DISCLOSURE_THRESHOLD", raising=False)
    (tmp_path / "rates.csv").write_text(RATES)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


def refused(*arguments, code=1):
    """The message of a command that fails in words, and that changes no file."""
    before = files()
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert files() == before
    return " ".join(result.output.split())


def files():
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in Path().iterdir() if path.is_file()}


def protected(rates=RATES, out="out.csv"):
    if isinstance(rates, str):
        Path("in.csv").write_bytes(rates.encode())
    else:
        rates.to_parquet("in.parquet")
    result = run("protect", "in.csv" if isinstance(rates, str) else "in.parquet", "--out", out)
    assert result.exit_code == 0, result.output
    return Path(out).read_bytes()


def frame(text=RATES):
    return pd.read_csv(StringIO(text), dtype={"area_code": "str", "parent_code": "str"})


# --- what is right ---------------------------------------------------------------------------------------------------


def test_what_protect_writes_the_audit_finds_clean(folder):
    text = protected().decode()
    assert text.splitlines()[0] == ",".join(name for name in PROTECTED_RATES.column_names if name != "year")
    assert "ZZZZ" not in text
    assert "municipality,91002,91000,sex,M,643,,,,suppressed" in text
    assert "municipality,91003,91000,total,total,3060,60,196.0784313725490" in text
    result = run("audit", "out.csv")
    assert result.exit_code == 0
    assert "No violation" in result.output


def test_any_codes_that_nest_are_taken(folder):
    """The same hidden cells whatever the areas are called."""
    medium_table(1).to_csv("rates.csv", index=False)
    renamed = medium_table(1)
    for column in ("area_code", "parent_code"):
        renamed[column] = renamed[column].where(renamed[column].isin(["BE", ""]), "Å-" + renamed[column])
    renamed.to_csv("renamed.csv", index=False)
    tables = []
    for source in ("rates.csv", "renamed.csv"):
        assert run("protect", source, "--out", "out.csv").exit_code == 0
        assert run("audit", "out.csv").exit_code == 0
        tables.append(pd.read_csv("out.csv", dtype={"area_code": "str", "parent_code": "str"}))
    as_before = tables[1].assign(
        **{column: tables[1][column].str.removeprefix("Å-") for column in ("area_code", "parent_code")}
    )
    pd.testing.assert_frame_equal(as_before, tables[0])


@pytest.mark.parametrize("seed", [1, 2])
def test_csv_and_parquet_give_the_same_table_and_the_same_bytes(folder, seed):
    rates = medium_table(seed)
    rates.to_parquet("rates.parquet")
    rates.sample(frac=1, random_state=seed)[rates.columns[::-1]].assign(more="x").to_csv("shuffled.csv", index=False)
    rates[~rates["area_code"].str.endswith("ZZZZ")].to_parquet("without.PARQUET")
    outs = []
    for source in ("rates.parquet", "shuffled.csv", "rates.parquet", "without.PARQUET"):
        for out in ("out.csv", "out.parquet"):
            assert run("protect", source, "--out", out).exit_code == 0
            assert run("audit", out).exit_code == 0
        outs.append(((folder / "out.csv").read_bytes(), (folder / "out.parquet").read_bytes()))
    assert len(set(outs)) == 1
    assert [*pd.read_parquet("out.parquet")] == PROTECTED_RATES.column_names
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize(
    "text",
    {
        "byte order mark": "\ufeff" + RATES,
        "lines of Windows": RATES.replace("\n", "\r\n"),
        "lines of an old Mac": RATES.replace("\n", "\r"),
        "no newline at the end": RATES.rstrip(),
        "blank lines": "\n\n" + RATES.replace(M2, "\n  \n" + M2 + ",,,,,,\n") + "\n\n",
        "quotes": RATES.replace(M2, '"municipality","91002","91000","sex","M","643","3"\n'),
        "blanks around": RATES.replace(M2, " municipality, 91002 ,91000 ,sex,M , 643,3 \n"),
        "decimals": RATES.replace(M2, "municipality,91002,91000,sex,M,643.0,3.00\n"),
        "leading zeros": RATES.replace(M2, "municipality,91002,91000,sex,M,0643,003\n"),
        "another order": HEADER + "".join(reversed(RATES.splitlines(keepends=True)[1:])),
        "a column with newlines": "".join(
            line.rstrip() + (',note,"a, ""b"""\n' if number == 0 else ',"one\ntwo",\n')
            for number, line in enumerate(RATES.splitlines())
        ),
    }.items(),
    ids=lambda case: case[0],
)
def test_the_same_table_written_in_another_way(folder, text):
    assert protected(text[1]) == protected()


@pytest.mark.parametrize(
    "change",
    {
        "categories": lambda table: table.astype(
            {"level": "category", "category": "category", "area_code": "category"}
        ),
        "text": lambda table: table.astype("str"),
        "floats": lambda table: table.astype({"beneficiaries": "float64", "patients": "float32"}),
        "small integers": lambda table: table.astype({"beneficiaries": "uint16", "patients": "uint8"}),
        "nullable": lambda table: table.astype({"beneficiaries": "Int64", "patients": "Int32"}),
        "bytes": lambda table: table.assign(level=table["level"].str.encode("utf-8")),
        "index": lambda table: table.set_index(["area_code", "level"]),
        "other columns": lambda table: table.assign(more=[[{"b": 1}]] * len(table), status=7),
    }.items(),
    ids=lambda case: case[0],
)
def test_the_same_table_as_parquet_of_other_types(folder, change):
    assert protected(change[1](frame())) == protected()


def test_a_folder_named_like_a_partition_adds_no_year(folder):
    (folder / "year=2024").mkdir()
    frame().to_parquet("year=2024/rates.parquet")
    assert run("protect", "year=2024/rates.parquet", "--out", "out.csv").exit_code == 0
    assert (folder / "out.csv").read_bytes() == protected(out="other.csv")


def test_a_year_is_kept(folder):
    text = protected(frame().assign(year=2024.0)).decode()
    assert text.splitlines()[:2] == [
        "year," + protected().decode().splitlines()[0],
        "2024,arrondissement,91000,90000,sex,F,3720,88,236.55913978494624,2.3655913978494625,published",
    ]


@pytest.mark.parametrize("cells", [1, 2])
def test_a_single_area_is_protected(folder, cells):
    kinds = ["total,total", "sex,M"][:cells]
    text = protected(HEADER + "".join(f"municipality,91001,91000,{kind},20,3\n" for kind in kinds))
    assert text.decode().count("suppressed") == cells
    assert run("audit", "out.csv").exit_code == 0


def test_the_threshold_is_the_setting_unless_given(folder, monkeypatch):
    monkeypatch.setenv("MM_DISCLOSURE_THRESHOLD", "7")
    assert "(threshold 7)" in run("protect", "rates.csv", "--out", "out.csv").output
    assert "(threshold 3)" in run("protect", "rates.csv", "--out", "out.csv", "--threshold", 3).output
    monkeypatch.setenv("MM_DISCLOSURE_THRESHOLD", "1")
    assert "MM_DISCLOSURE_THRESHOLD" in refused("protect", "rates.csv", "--out", "out.csv")


# --- files -----------------------------------------------------------------------------------------------------------

SEMICOLONS = RATES.replace(",", ";")
FILES = {
    "empty": (b"", "lacks the column(s) level,"),
    "header only": (HEADER.encode(), "holds no cell"),
    "no header": (RATES.removeprefix(HEADER).encode(), "lacks the column(s) level,"),
    "semicolons": (SEMICOLONS.encode("utf-8-sig"), "separated by commas (not by semicolons"),
    "tabs": (RATES.replace(",", "\t").encode(), "separated by commas"),
    "column missing": (RATES.replace("patients", "patienten").encode(), "lacks the column(s) patients."),
    "columns twice": (RATES.replace("dimension", "patients", 1).encode(), "lacks the column(s) dimension."),
    "column twice": (
        RATES.replace("\n", ",5\n").replace("patients,5", "patients,patients").encode(),
        "has the column(s) patients more than once",
    ),
    "latin-1": (RATES.replace(M2, M2 + "Liège").encode("latin-1"), "line 10 is not UTF-8 text"),
    "utf-16": (RATES.encode("utf-16"), "line 1 is not UTF-8 text"),
    "gzip": (b"\x1f\x8b\x08\x00", "line 1 is not UTF-8 text"),
    "cut off in a line": (RATES[:-20].encode(), "line 18: expected are 7 fields, as in the first line; found 3"),
    "cut off in a number": (RATES[: RATES.index(F2) - 2].encode(), "line 9, column patients: expected is a whole"),
    "cut off after a line": (
        RATES[: RATES.index(M2)].encode(),
        "line 2 (arrondissement 91000 total total), column beneficiaries: expected is the sum of its areas",
    ),
    "a comma too many": (RATES.replace(M2, M2.replace("643", "0,643")).encode(), "line 9: expected are 7 fields"),
    "open quote": (RATES.replace(M2, M2.replace("M", '"M')).encode(), "line 9: a field that begins here"),
    "after a quote": (RATES.replace(M2, M2.replace("M", '"M"x')).encode(), "line 9: a field that begins here"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_table_is_refused(folder, name):
    content, said = FILES[name]
    (folder / "bad.csv").write_bytes(content)
    message = refused("protect", "bad.csv", "--out", "out.csv")
    assert message.startswith("mm-pipeline: bad.csv")
    assert said in message
    assert "643" not in message
    if name != "cut off after a line":  # nothing tells the audit of a part
        assert refused("audit", "bad.csv").startswith("mm-pipeline: bad.csv")


@pytest.mark.parametrize("part", [0, 4, 500, -1, None])
def test_a_parquet_file_that_is_none_is_refused(folder, part):
    frame().to_parquet("whole.parquet")
    content = (folder / "whole.parquet").read_bytes()
    (folder / "bad.parquet").write_bytes(RATES.encode() if part is None else content[:part])
    for message in refused("protect", "bad.parquet", "--out", "out.csv"), refused("audit", "bad.parquet"):
        assert "bad.parquet is no Parquet file, or not a whole one" in message
        assert "643" not in message


def test_parquet_with_text_that_is_none_is_refused(folder):
    frame().assign(level=b"\xff").to_parquet("bad.parquet")
    assert "can't decode" in refused("protect", "bad.parquet", "--out", "out.csv")


def test_parquet_named_csv_is_refused(folder):
    frame().to_parquet("rates.parquet")
    (folder / "rates.parquet").rename(folder / "bad.csv")
    assert "bad.csv" in refused("protect", "bad.csv", "--out", "out.csv")


@pytest.mark.parametrize("table", [frame().head(0), frame()[["level"]], pd.DataFrame()])
def test_a_parquet_file_without_cells_is_refused(folder, table):
    table.to_parquet("bad.parquet")
    assert refused("audit", "bad.parquet").startswith("mm-pipeline: bad.parquet")


def test_a_blank_line_and_a_quoted_newline_count_as_in_an_editor(folder):
    lines = RATES.replace(M2, M2.replace(",3", ",x")).splitlines()
    noted = [lines[0] + ",note", "", *(f'{line},"one\r\ntwo"' for line in lines[1:])]
    (folder / "bad.csv").write_text("\n".join(noted))
    # Header and blank line, and two lines for each of the seven cells before.
    assert "bad.csv, line 17, column patients" in refused("protect", "bad.csv", "--out", "out.csv")


# --- wrong use -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["protect", "rates.csv"], "Missing option '--out'"),
        (["protect", "nowhere.csv", "--out", "out.csv"], "'nowhere.csv' does not exist"),
        (["protect", "rates.csv", "--out", "out.xlsx"], "out.xlsx is neither a .csv nor a .parquet file"),
        (["protect", "rates.csv", "--out", "out.csv.gz"], "out.csv.gz is neither"),
        (["protect", "rates.csv", "--out", "out"], "out is neither"),
        (["protect", "rates.csv", "--out", ""], "neither"),
        (["protect", "rates.csv", "--out", "-"], "neither"),
        (["protect", "rates.csv", "--out", "folder.csv"], "'folder.csv' is a directory"),
        (["protect", "rates.csv", "--out", "no/out.csv"], "no/out.csv: the folder no is not there"),
        (["protect", "rates.csv", "--out", "rates.csv/out.csv"], "the folder rates.csv is not there"),
        (["protect", "rates.csv", "--out", "./rates.csv"], "would replace a table that is read"),
        (["protect", "rates.csv", "--out", "link.csv"], "would replace a table that is read"),
        (
            ["protect", "rates.csv", "--out", "old.csv", "--earlier", "rates.csv", "old.csv"],
            "would replace a table that is read",
        ),
        (["protect", "rates.csv", "--out", "out.csv", "--earlier", "rates.csv"], "requires 2 arguments"),
        (["protect", "rates.csv", "--out", "out.csv", "--threshold", "1"], "--threshold"),
        (["protect", "rates.csv", "--out", "out.csv", "--threshold", "five"], "--threshold"),
        (["protect", "rates.csv", "--out", "out.csv", "--threshold", str(10**20)], "--threshold"),
        (["protect", "rates.csv.gz", "--out", "out.csv"], "rates.csv.gz is neither"),
        (["audit", "folder.csv"], "'folder.csv' is a directory"),
        (["audit", "rates.csv", "out.csv"], "unexpected extra argument"),
    ],
)
def test_wrong_use(folder, arguments, said):
    (folder / "folder.csv").mkdir()
    (folder / "link.csv").symlink_to("rates.csv")
    (folder / "rates.csv.gz").touch()
    protected(out="old.csv")
    assert said in refused(*arguments, code=2).replace("│ ", "")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_what_cannot_be_written_whole_is_not_written(folder, monkeypatch, suffix):
    def full(self, path, **_):
        path.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, f"to_{suffix}", full)
    (folder / f"out.{suffix}").write_text("as it was")
    message = refused("protect", "rates.csv", "--out", f"out.{suffix}")
    assert f"out.{suffix} cannot be written: No space left on device" in message
    assert (folder / f"out.{suffix}").read_text() == "as it was"


def test_a_folder_that_refuses_files_is_said_before_the_work(folder, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: mode != os.W_OK | os.X_OK)
    monkeypatch.setattr(table_files, "read_rates", None)
    assert "nothing may be written to it" in refused("protect", "rates.csv", "--out", "out.csv", code=2)


# --- cells -----------------------------------------------------------------------------------------------------------

MUNICIPALITY = "municipality,91002,91000"
CELLS = {
    "level": ("municipality,91002,91000,sex,M", "Municipality,91002,91000,sex,M", "line 9, column level"),
    "unassigned": (M2, "unassigned,unassigned,BE,total,total,3,3\n" + M2, "line 9, column level"),
    "code": (f"{MUNICIPALITY},sex,M", "municipality,2000,91000,sex,M", "line 9, column area_code"),
    "code of a sector": ("91001A00-", "91001 A0", "line 17, column area_code"),
    "code of a country": (f"{MUNICIPALITY},sex,M", "country,B,,sex,M", "line 9, column area_code"),
    "parent": (f"{MUNICIPALITY},sex,M", "municipality,91002,9100,sex,M", "line 9, column parent_code"),
    "dimension": (f"{MUNICIPALITY},sex,M", f"{MUNICIPALITY},gender,M", "line 9, column dimension"),
    "category": (f"{MUNICIPALITY},sex,M", f"{MUNICIPALITY},sex,X", "line 9, column category"),
    "category of another": (f"{MUNICIPALITY},sex,M", f"{MUNICIPALITY},sex,0-17", "line 9, column category"),
    "age class": (f"{MUNICIPALITY},sex,M", f"{MUNICIPALITY},age_class,0-18", "line 9, column category"),
    "orphan age class": (
        M2,
        f"{MUNICIPALITY},age_class,0-17,7,3\n{M2}",
        "line 9 (municipality 91002 age_class 0-17), column parent_code",
    ),
    "orphan": (
        f"{MUNICIPALITY},sex,M",
        "municipality,91002,91009,sex,M",
        "line 9 (municipality 91002 sex M), column parent_code: expected is the same",
    ),
    "area of no parent": (
        MUNICIPALITY,
        "municipality,91002,91009",
        "line 8 (municipality 91002 total total), column parent_code: expected is the code of an area that is in",
    ),
    "gap of levels": (
        "arrondissement,91000,90000",
        "region,91000,90000",
        "line 5 (municipality 91001 total total), column parent_code",
    ),
    "no total": (
        "municipality,91003,91000,total,total,3060,60\n",
        "",
        "line 11 (municipality 91003 sex M), column dimension: expected is a breakdown of an area whose total",
    ),
    "sector by sex": ("91001A00-,91001,total,total", "91001A00-,91001,sex,M", "(sector 91001A00- sex M), column dim"),
    "unknown sector": ("91001ZZZZ,91001", "91001ZZZZ,91002", "(sector 91001ZZZZ total total), column parent_code"),
    "twice": (M2, M2 + M2, "line 10 (municipality 91002 sex M), column level, area_code, dimension, category"),
    "twice otherwise": (M2, M2 + M2.replace("643", "9"), "line 10 (municipality 91002 sex M)"),
    "more patients": (",643,3\n", ",643,644\n", "line 9 (municipality 91002 sex M), column patients: expected is no"),
}


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("command", [["protect", "--out", "out.csv"], ["audit"]], ids=lambda command: command[0])
def test_a_cell_that_cannot_be_is_refused(folder, name, command):
    before, after, said = CELLS[name]
    assert before in RATES
    (folder / "bad.csv").write_text(RATES.replace(before, after))
    message = refused(*command, "bad.csv")
    assert message.startswith("mm-pipeline: bad.csv, line ")
    assert said in message
    assert "643" not in message


@pytest.mark.parametrize(
    "number",
    "-3|3.5|1e30|1e1|nan|inf|three|3 persons|3,0|1 000|1.000,0|٣|0x3|True|+3|.|1000000000".split("|"),  # noqa: SIM905
)
@pytest.mark.parametrize("column", ["beneficiaries", "patients"])
@pytest.mark.parametrize("command", [["protect", "--out", "out.csv"], ["audit"]], ids=lambda command: command[0])
def test_a_count_that_is_none_is_refused_and_not_repeated(folder, command, column, number):
    counts = f'"{number}",3\n' if column == "beneficiaries" else f'643,"{number}"\n'
    (folder / "bad.csv").write_text(RATES.replace(",643,3\n", "," + counts))
    message = refused(*command, "bad.csv")
    assert f"bad.csv, line 9, column {column}: expected is a whole number from 0" in message
    assert len(number) < 2 or number not in message.replace("999999999", "")


@pytest.mark.parametrize(
    ("column", "values", "row"),
    [
        (
            "area_code",
            lambda table: table["area_code"].where(table["level"] != "sector", "2000").str[:4].astype(int),
            1,
        ),
        ("parent_code", lambda table: table["parent_code"].str[:4].astype(float), 1),
        ("patients", lambda table: table["patients"].where(table["patients"] != 3, -3), 8),
        ("patients", lambda table: table["patients"].where(table["patients"] != 3, 2.5), 8),
        ("patients", lambda table: table["patients"].where(table["patients"] != 3), 8),
        ("patients", lambda table: table["patients"].where(table["patients"] != 3, 2**60), 8),
        ("patients", lambda table: table["patients"].where(table["patients"] != 3, float("inf")), 8),
        ("patients", lambda table: table["patients"] > 3, 1),
        ("beneficiaries", lambda table: [[1]] * len(table), 1),
        ("beneficiaries", lambda table: pd.Timestamp("2024-01-01"), 1),
    ],
)
def test_parquet_of_other_types_is_refused(folder, column, values, row):
    table = frame()
    table.assign(**{column: values(table)}).to_parquet("bad.parquet")
    message = refused("protect", "bad.parquet", "--out", "out.csv")
    assert f"bad.parquet, row {row}, column {column}: expected is" in message
    if column.endswith("code"):
        assert "02000, as text with its zero" in message


@pytest.mark.parametrize(
    ("year", "said"), [("", "a year"), ("x", "a year"), ("2023", "2024 as above: one year a file")]
)
@pytest.mark.parametrize("command", [["protect", "--out", "out.csv"], ["audit"]], ids=lambda command: command[0])
def test_a_year_that_is_missing_or_another_is_refused(folder, command, year, said):
    lines = [f"{line},{year if ',643,' in line else 2024}" for line in RATES.splitlines()]
    (folder / "bad.csv").write_text("\n".join([HEADER.strip() + ",year", *lines[1:]]))
    message = refused(*command, "bad.csv")
    assert "bad.csv, line 9" in message
    assert f"column year: expected is {said}" in message


# --- sums ------------------------------------------------------------------------------------------------------------

COUNTRY = (
    HEADER
    + """\
country,BE,,total,total,1000,300
country,BE,,age_group,0-17,400,100
country,BE,,age_group,18-64,600,200
country,BE,,age_group,65+,0,0
country,BE,,age_class,0-17,400,100
country,BE,,age_class,18-24,300,90
country,BE,,age_class,25-44,200,60
country,BE,,age_class,45-64,100,50
region,04000,BE,total,total,990,290
region,04000,BE,age_group,0-17,395,95
region,04000,BE,age_group,18-64,595,195
region,04000,BE,age_group,65+,0,0
"""
)
UPPER = "".join(RATES.splitlines(keepends=True)[:4])
AREAS = "the sum of its areas one level down"
SUMS = {
    "area": (RATES, "91000,90000,total,total,7243,138", "91000,90000,total,total,7243,139", 2, "patients", AREAS),
    "breakdown": (RATES, ",643,3\n", ",642,3\n", 3, "beneficiaries", AREAS),
    "sex": (UPPER, "sex,M,3523,50", "sex,M,3524,50", 2, "beneficiaries", "the sum of its lines of dimension sex"),
    "line missing": (RATES, F2, "", 4, "beneficiaries", AREAS),
    "sectors with the unknown": (RATES, "91001,total,total,1750,31", "91001,total,total,1750,30", 5, "patients", AREAS),
    "sectors without": (
        RATES.replace("sector,91001ZZZZ,91001,total,total,100,9\n", ""),
        "1750,31",
        "1851,31",
        5,
        "beneficiaries",
        AREAS,
    ),
    "unknown sector with too many patients": (
        RATES.replace("sector,91001ZZZZ,91001,total,total,100,9\n", ""),
        "1750,31",
        "1848,31",
        5,
        "patients",
        AREAS,
    ),
    "regions above the country": (COUNTRY, "18-64,595,195", "18-64,595,201", 4, "patients", AREAS),
    "class of a group": (COUNTRY, "45-64,100,50", "45-64,101,50", 4, "beneficiaries", "of dimension age_class"),
    "group": (COUNTRY, "BE,total,total,990", "BE,total,total,991", 10, "beneficiaries", "of dimension age_group"),
}


@pytest.mark.parametrize("name", SUMS)
def test_rates_that_do_not_add_up_are_refused(folder, name):
    rates, before, after, line, column, said = SUMS[name]
    protected(rates)
    assert before in rates
    (folder / "bad.csv").write_text(rates.replace(before, after))
    message = refused("protect", "bad.csv", "--out", "out.csv")
    assert f"bad.csv, line {line} (" in message
    assert f"column {column}: expected is the sum" in message
    assert said in message
    assert "643" not in message


def test_what_is_shown_and_does_not_add_up_is_no_table_to_audit(folder):
    text = protected().decode()
    (folder / "bad.csv").write_text(text.replace("3060,60,", "3060,61,"))
    message = refused("audit", "bad.csv")
    assert message.startswith("mm-pipeline: bad.csv: The published table contradicts itself")
    assert "municipality 91003 total total" in message


# --- the audit -------------------------------------------------------------------------------------------------------


def test_rates_are_no_protected_table(folder):
    message = refused("audit", "rates.csv")
    assert "a rest, of which no figure may be published: sector 91001ZZZZ total total" in message
    (folder / "bad.csv").write_text("".join(x for x in RATES.splitlines(keepends=True) if "ZZZZ" not in x))
    message = refused("audit", "bad.csv")
    assert "municipality 91002, sex M: patients" in message
    assert "violation(s) in bad.csv" in message


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("sex,M,643,,,,suppressed", "sex,M,643,,,,published", "status"),
        ("sex,M,643,,,,suppressed", "sex,M,643,,46.65,,suppressed", "rate_per_10000"),
        ("sex,M,643,,,,suppressed", 'sex,M,643,,,"0,47",suppressed', "rate_percent"),
        ("sex,M,643,,,,suppressed", "sex,M,,3,,,suppressed", "column beneficiaries: expected is a number where"),
        ("sex,M,643,,,,suppressed", "sex,M,643,NA,,,suppressed", "column patients: expected is a whole number"),
        ("sex,M,643,,,,suppressed", "sex,M,643,*,,,suppressed", "or nothing where it is hidden"),
    ],
)
def test_what_shows_more_than_it_says_is_refused(folder, before, after, said):
    text = protected().decode()
    assert before in text
    (folder / "bad.csv").write_text(text.replace(before, after))
    message = refused("audit", "bad.csv")
    assert message.startswith("mm-pipeline: bad.csv")
    assert said in message


def test_a_violation_is_named_without_its_number(folder):
    text = protected().decode()
    (folder / "bad.csv").write_text(text.replace("sex,F,700,,,,suppressed", "sex,F,700,19,271.4,2.714,published"))
    message = refused("audit", "bad.csv")
    assert "municipality 91002, sex M: patients" in message
    assert "Do not publish it" in message
    assert " 3 " not in message.split("municipality 91002, sex M")[1]


def test_a_protected_table_is_not_protected_again(folder):
    protected()
    message = refused("protect", "out.csv", "--out", "again.csv")
    assert "column patients: expected is a whole number" in message
    assert "is this a protected table?" in message


# --- earlier releases ------------------------------------------------------------------------------------------------


@pytest.fixture
def revised(folder):
    """``rates.csv`` was released as ``told.csv``; five more men of 91002 are known since."""
    protected(out="told.csv")
    text = RATES.replace(",643,3\n", ",643,8\n").replace("1343,22", "1343,27")
    (folder / "new.csv").write_text(text.replace("7243,138", "7243,143").replace("3523,50", "3523,55"))
    return folder


def test_an_earlier_release_is_taken_into_account(revised):
    assert run("protect", "new.csv", "--out", "alone.csv").exit_code == 0
    frame().to_parquet("rates.parquet")
    pd.read_csv("told.csv", dtype={"area_code": str, "parent_code": str}).to_parquet("told.parquet")
    for earlier in (["rates.csv", "told.csv"], ["rates.parquet", "told.parquet"]):
        result = run("protect", "new.csv", "--out", "out.csv", "--earlier", *earlier, "--earlier", *earlier)
        assert result.exit_code == 0, result.output
        assert run("audit", "out.csv").exit_code == 0
        text = (revised / "out.csv").read_text()
        assert "91004,91000,sex,M,480,,,,suppressed" in text
        assert text != (revised / "alone.csv").read_text()


def told(before, after):
    return lambda text: text.replace(before, after)


WAITS = (
    HEADER
    + """\
province,10000,02000,total,total,1000,200
arrondissement,11000,10000,total,total,300,40
arrondissement,12000,10000,total,total,700,160
municipality,11001,11000,total,total,200,40
municipality,11002,11000,total,total,100,0
municipality,12014,12000,total,total,700,160
"""
)
ONE_MORE = WAITS.replace("100,0", "100,1").replace("300,40", "300,41").replace("1000,200", "1000,201")


def test_changes_that_wait_are_named_and_their_counts_kept_for_the_next_release(folder):
    protected(WAITS, out="told.csv")
    (folder / "new.csv").write_text(ONE_MORE)
    arguments = ["protect", "new.csv", "--out", "out.csv", "--earlier", "in.csv", "told.csv"]
    assert "Changes in 11000 are too small to be shown" in refused(*arguments, code=2)
    assert "--counts and --out are both out.csv" in refused(*arguments, "--counts", "out.csv", code=2)
    result = run(*arguments, "--counts", "counts.csv")
    assert result.exit_code == 0, result.output
    assert "Changes wait in 11000. For the next release: --earlier counts.csv out.csv" in result.output
    assert (folder / "out.csv").read_text() == (folder / "told.csv").read_text()
    assert (folder / "counts.csv").stat().st_mode & 0o777 == 0o600, "confidential"
    assert "counts.csv would replace a table" in refused(
        *("protect", "new.csv", "--out", "next.csv", "--earlier", "counts.csv", "out.csv", "--counts", "counts.csv"),
        code=2,
    )
    again = ONE_MORE.replace("100,1", "100,9").replace("300,41", "300,49").replace("1000,201", "1000,209")
    (folder / "again.csv").write_text(again)
    result = run("protect", "again.csv", "--out", "next.csv", "--earlier", "counts.csv", "out.csv")
    assert result.exit_code == 0, result.output
    assert "municipality,11002,11000,total,total,100,9," in (folder / "next.csv").read_text()


def test_what_a_revision_may_hide_is_the_setting_s(folder, monkeypatch):
    protected(WAITS, out="told.csv")
    (folder / "new.csv").write_text(ONE_MORE)
    monkeypatch.setenv("MM_REVISION_MAY_HIDE", "country")
    result = run("protect", "new.csv", "--out", "out.csv", "--earlier", "in.csv", "told.csv")
    assert result.exit_code == 0, result.output
    assert "province,10000,02000,total,total,1000,,,,suppressed" in (folder / "out.csv").read_text()


EARLIER = {
    "swapped": (["told.csv", "rates.csv"], None, "told.csv, line", "is this a protected table?"),
    "the rates twice": (
        ["rates.csv", "rates.csv"],
        None,
        "rates.csv, line 18 (sector 91001ZZZZ",
        "a cell of rates.csv",
    ),
    "released twice": (["told.csv", "told.csv"], None, "told.csv, line", "is this a protected table?"),
    "rates of another release": (
        ["new.csv", "told.csv"],
        None,
        "told.csv, line 3 (arrondissement 91000 sex M), column patients",
        "the number of new.csv, the rates it was made from",
    ),
    "another figure": (
        ["rates.csv", "bad.csv"],
        told("total,3060,60,", "total,3061,60,"),
        "bad.csv, line 13 (municipality 91003 total total), column beneficiaries",
        "the number of rates.csv",
    ),
    "a line missing": (
        ["rates.csv", "bad.csv"],
        lambda text: "".join(line for line in text.splitlines(keepends=True) if "sex,M,643" not in line),
        "rates.csv, line 9 (municipality 91002 sex M)",
        "a cell that is in bad.csv, too",
    ),
    "a hidden zero": (
        ["zero.csv", "bad.csv"],
        lambda text: text.replace("480,0,0.0,0.0,published", "480,,,,suppressed"),
        "zero.csv, line 15 (municipality 91004 sex M), column patients",
        "no zero where bad.csv is empty",
    ),
}


@pytest.mark.parametrize("name", EARLIER)
def test_an_earlier_release_that_is_none_is_refused(revised, name):
    earlier, change, place, said = EARLIER[name]
    if earlier[0] == "zero.csv":
        rates = RATES.replace("sex,M,480,1", "sex,M,480,0").replace("sex,F,510,15", "sex,F,510,16")
        rates = rates.replace("sex,M,3523,50", "sex,M,3523,49").replace("sex,F,3720,88", "sex,F,3720,89")
        (revised / "zero.csv").write_text(rates)
        protected(rates, out="told.csv")
    if change:
        text = (revised / "told.csv").read_text()
        assert change(text) != text
        (revised / "bad.csv").write_text(change(text))
    message = refused("protect", "new.csv", "--out", "out.csv", "--earlier", *earlier)
    assert message.startswith(f"mm-pipeline: {place}")
    assert said in message
    assert "643" not in message


@pytest.mark.parametrize("years", [(2024, 2023, 2023), (2024, 2024, 2023), (None, 2024, 2023), (2024, None, 2023)])
def test_an_earlier_release_of_another_year_is_refused(revised, years):
    for name, year in zip(("new.csv", "rates.csv", "told.csv"), years, strict=True):
        if year:
            head, *lines = (revised / name).read_text().splitlines()
            (revised / name).write_text("\n".join([head + ",year", *(f"{line},{year}" for line in lines)]))
    message = refused("protect", "new.csv", "--out", "out.csv", "--earlier", "rates.csv", "told.csv")
    assert "column year: of another year" in message


def test_releases_that_unmask_each_other_are_told(revised):
    assert run("protect", "new.csv", "--out", "alone.csv").exit_code == 0
    assert run("protect", "new.csv", "--out", "out.csv", "--earlier", "rates.csv", "told.csv").exit_code == 0
    for table in ("told.csv", "alone.csv", "out.csv"):
        assert run("audit", table).exit_code == 0
    assert "No violation" in run("audit", "out.csv", "--also", "told.csv").output
    message = refused("audit", "alone.csv", "--also", "told.csv", "--also", "told.csv")
    assert "municipality 91002, sex M: patients (told.csv)" in message
    assert "municipality 91004, sex M: patients (alone.csv)" in message
    assert "protect, with --earlier)" in message


def test_releases_that_cannot_be_taken_together_are_audited_by_themselves(folder):
    """No figure of the municipalities that both show changed, but ten patients became men, says the arrondissement."""
    text = protected(out="told.csv").decode()
    (folder / "new.csv").write_text(
        text.replace("3523,50,141.92449616803862,1.419244961680386", "3523,60,,").replace(
            "3720,88,236.55913978494624,2.3655913978494625", "3720,78,,"
        )
    )
    result = run("audit", "new.csv", "--also", "told.csv")
    assert result.exit_code == 0
    assert "The releases could not be audited together" in result.output


def test_an_earlier_release_to_audit_is_of_the_same_year_and_sound(folder):
    for year in (2023, 2024):
        protected(frame().assign(year=year), out=f"{year}.csv")
    assert "2024.csv, 2023.csv: column year" in refused("audit", "2024.csv", "--also", "2023.csv")
    text = protected().decode()
    (folder / "bad.csv").write_text(text.replace("3060,60,", "3060,61,"))
    assert refused("audit", "out.csv", "--also", "bad.csv").startswith("mm-pipeline: bad.csv: The published table")


# --- what somebody knows ---------------------------------------------------------------------------------------------

FACT = "level,area_code,dimension,category,figure,at_least,at_most\n"
ONE = "municipality,91004,sex,M,patients,1,1\n"


def facts(*lines):
    Path("facts.csv").write_text(FACT + "".join(lines))
    return ["audit", "out.csv", "--known", "facts.csv"]


def test_what_somebody_knows_tells_of_another_cell(folder):
    """Whoever knows one man of 91004 knows its women, who are many; the men of 91001 in addition leave 3 to 91002."""
    protected()
    assert "No violation" in run(*facts(ONE)).output
    message = refused(*facts(ONE, "municipality,91001,sex,M,patients,18,18\n"))
    assert "municipality 91002, sex M: patients that is all." in message
    assert "1 violation(s) in out.csv, facts.csv" in message
    assert "with a higher --threshold" in message
    assert run(*facts("sector,91001ZZZZ,total,total,patients,9,9\n")).exit_code == 0


def test_what_somebody_knows_together_with_an_earlier_release(revised):
    assert run("protect", "new.csv", "--out", "out.csv", "--earlier", "rates.csv", "told.csv").exit_code == 0
    assert run(*facts(ONE), "--also", "told.csv").exit_code == 0
    assert "91002, sex M: patients (told.csv)" in refused(
        *facts("municipality,91001,sex,M,patients,18,\n", ONE), "--also", "told.csv"
    )


BAD_FACTS = {
    "column missing": (FACT.replace(",at_most", "") + "a,b,c,d,e,1\n", "lacks the column(s) at_most. Expected are"),
    "nothing": (FACT, "holds no cell"),
    "area": (FACT + ONE.replace("91004", "91009"), "line 2, column area_code: expected is an area of out.csv"),
    "cell": (FACT + ONE.replace("sex,M", "age_group,0-17"), "line 2, column level, area_code, dimension, category"),
    "level": (FACT + ONE.replace("municipality", "sector"), "expected is a cell of out.csv"),
    "figure": (FACT + ONE.replace("patients", "others"), "line 2, column figure: expected is one of beneficiaries"),
    "negative": (FACT + ONE.replace("1,1", "-1,1"), "line 2, column at_least: expected is a whole number from 0"),
    "not whole": (FACT + ONE + ONE.replace("1,1", "1,1.5"), "line 3, column at_most: expected is a whole number"),
    "neither": (FACT + ONE.replace("1,1", ","), "line 2, column at_least, at_most: expected is a number in one"),
    "crossed": (FACT + ONE.replace("1,1", "2,1"), "column at_most: expected is a number that is not below at_least"),
    "contradiction": (FACT + ONE + ONE.replace("1,1", "17,"), "line 3 (municipality 91004 sex M), column at_least"),
    "contradictions": (
        FACT + ONE.replace("1,1", ",20") + ONE + "municipality,91004,sex,F,patients,16,\n" + ONE.replace("1,1", "2,"),
        "line 4 (municipality 91004 sex F), column at_least, at_most: expected is what out.csv and the lines before",
    ),
}


@pytest.mark.parametrize("name", BAD_FACTS)
def test_facts_that_are_none_are_refused(folder, name):
    protected()
    content, said = BAD_FACTS[name]
    (folder / "facts.csv").write_text(content)
    message = refused("audit", "out.csv", "--known", "facts.csv")
    assert message.startswith("mm-pipeline: facts.csv")
    assert said in message
