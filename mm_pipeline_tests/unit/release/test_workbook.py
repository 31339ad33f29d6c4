"""The workbook, opened and read back: every figure, nothing that a suppressed row hides, nothing but text in a text."""

import datetime
import json
import re
import string
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from openpyxl.workbook import Workbook
from openpyxl.worksheet.worksheet import Worksheet

from mm_pipeline.release.codelists import LABELS, LANGUAGES
from mm_pipeline.release.history import Release
from mm_pipeline.release.metadata.fiche import fiche
from mm_pipeline.release.workbook import write_workbook
from mm_pipeline.schemas import RELEASED_RATES, RELEASED_SENSITIVITY, RELEASED_STANDARDISED, Table
from mm_pipeline_tests.support.examples import examples
from mm_pipeline_tests.support.paths import PACKAGE
from mm_pipeline_tests.support.protected import MADE_UP

YEARS = (2018, 2019)
RELEASE = Release(number=3, date=datetime.date(2026, 9, 1), years=YEARS, synthetic=True)
FICHE = fiche(RELEASE, 6, 5)
TEXTS = json.loads((PACKAGE / "release/texts/workbook.json").read_text("utf-8"))

AREAS = {
    ("country", "BE"): YEARS,
    ("region", "02000"): YEARS,
    ("region", "04000"): YEARS,
    ("province", "04000"): YEARS,
    ("province", "10000"): YEARS,
    ("arrondissement", "11000"): YEARS,
    ("municipality", "11001"): YEARS,
    ("municipality", "11002"): YEARS,
    ("municipality", "12030"): YEARS[:1],
    ("municipality", "12041"): YEARS[1:],
}
CATEGORIES = {"total": ["total"], **{name: list(LABELS["category"][name]) for name in LABELS["category"]}}

RATE = ("rate_per_10000", "rate_per_10000_lower", "rate_per_10000_upper")
STANDARDISED = tuple(name.replace("rate", "standardised") for name in RATE)
COUNTS = ("beneficiaries", "patients", *RATE)


def figures(seed: int) -> dict[str, Any]:
    """Figures of a cell: one in five is suppressed, one in seven of these hides its beneficiaries, some have nobody."""
    people, patients = 37 * seed % 4001, 11 * seed % 97
    if seed % 5 == 0:
        return {"status": "suppressed", "beneficiaries": people if seed % 7 else None}
    if people == 0 or seed % 11 == 0:
        return {"status": "published", "beneficiaries": 0, "patients": 0}
    rate = 10_000 * patients / people
    return {
        "status": "published",
        "beneficiaries": people,
        "patients": patients,
        **dict(zip(RATE, (rate, rate / 1.3, rate * 1.3), strict=True)),
        "reliability": "care" if patients < 20 else "reliable",
    }


def table(shape: Table, rows: list[dict[str, Any]]) -> pa.Table:
    """In no order that the workbook could rely on."""
    backwards = [{"synthetic": True, "parent_code": "", **row} for row in reversed(rows)]
    return pa.Table.from_pylist(backwards, schema=shape.schema)


def areas() -> Iterator[dict[str, Any]]:
    """Names change every year."""
    for (level, code), years in AREAS.items():
        for year in years:
            names = {f"area_name_{language}": f"{code} {language} {year}" for language in ("fr", "nl", "de")}
            yield {"year": year, "level": level, "area_code": code, **names}


def released() -> dict[str, pa.Table]:
    keys = [
        {**area, "dimension": dimension, "category": category}
        for area in areas()
        for dimension, categories in CATEGORIES.items()
        for category in categories
    ]
    rates = [{**key, "geography_vintage": key["year"], **figures(seed)} for seed, key in enumerate(keys, start=1)]
    sector = {"year": 2019, "level": "sector", "area_code": "11001A00-", "dimension": "total", "category": "total"}
    rates.append({**sector, **figures(1)})
    standardised = []
    for seed, area in enumerate(areas(), start=1):
        if area["level"] != "municipality":
            rate = dict(
                zip(STANDARDISED, (100.0 / seed, None if seed == 2 else 90.0 / seed, 110.0 / seed), strict=True)
            )
            hidden = seed % 4 == 0
            status = {"status": "suppressed"} if hidden else {"status": "published", **rate}
            standardised.append({**area, "rate_per_10000": 77.0 / seed, **status})
    sensitivity = [
        {**area, "rule": rule, "threshold": threshold, **figures(97 * threshold + area["year"])}
        for area in areas()
        if area["level"] in ("country", "region")
        for rule, threshold in [*(("at_least", number) for number in range(1, 13)), ("exactly", 6)]
    ]
    for row in sensitivity:
        row.pop("reliability", None)
    return {
        "rates": table(RELEASED_RATES, rates),
        "standardised": table(RELEASED_STANDARDISED, standardised),
        "sensitivity": table(RELEASED_SENSITIVITY, sensitivity),
    }


TABLES = released()
write = partial(write_workbook, fiche=FICHE, release=RELEASE)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("workbook") / "stat_003_007.xlsx"
    write(path, **TABLES)
    return path


@pytest.fixture(scope="module")
def book(path: Path) -> Workbook:
    return openpyxl.load_workbook(path)


@pytest.fixture(scope="module", params=LANGUAGES)
def any_book(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Workbook]:
    path = tmp_path_factory.mktemp("workbooks") / "book.xlsx"
    write(path, **TABLES, language=request.param)
    return request.param, openpyxl.load_workbook(path)


def sheet_of(book: Workbook, name: str) -> Worksheet:
    (sheet,) = (sheet for sheet in book if name in sheet.tables)
    return sheet


def content(book: Workbook, name: str) -> list[dict[str, Any]]:
    """The rows of an Excel table by the first line of their headings."""
    sheet = sheet_of(book, name)
    head, *rows = ([cell.value for cell in row] for row in sheet[sheet.tables[name].ref])
    names = [heading.split("\n")[0] for heading in head]
    return [dict(zip(names, row, strict=True)) for row in rows]


def as_written(value: Any) -> Any:
    """A number has sixteen digits in the file, a double seventeen; 100.0 is 100."""
    if not isinstance(value, float):
        return value
    number = float(f"{value:.16G}")
    return int(number) if number.is_integer() else number


def shown(row: dict[str, Any], column: str) -> Any:
    """What is to stand in a cell, said once more in the words of the contract."""
    value = row[column]
    if value is None:
        return "[c]" if row["status"] == "suppressed" else "[z]"
    if column == "reliability":
        return {"care": "[u]", "reliable": "Reliable"}[value]
    return LABELS[column][value]["en"] if column in ("level", "rule") else as_written(value)


def totals(*levels: str) -> Callable[[dict[str, Any]], bool]:
    return lambda row: row["dimension"] == "total" and row["level"] in levels


MARKED = (*COUNTS, "reliability")
LAYOUT: dict[str, tuple[str, Callable[[dict[str, Any]], bool], tuple[str, ...]]] = {
    "regions": ("rates", totals("country", "region"), ("year", "level", *MARKED)),
    "provinces": ("rates", totals("province"), ("year", *MARKED)),
    "arrondissements": ("rates", totals("arrondissement"), ("year", *MARKED)),
    "municipalities_newest": ("rates", lambda row: totals("municipality")(row) and row["year"] == 2019, MARKED),
    "municipalities": ("rates", totals("municipality"), ("year", *MARKED)),
    **{
        dimension: (
            "rates",
            lambda row, dimension=dimension: (
                row["dimension"] == dimension and row["level"] in ("country", "region", "province")
            ),
            ("year", "level", "category", *MARKED),
        )
        for dimension in LABELS["category"]
        if dimension != "total"
    },
    "standardised": ("standardised", lambda row: True, ("year", "level", "rate_per_10000", *STANDARDISED)),
    "sensitivity": ("sensitivity", lambda row: True, ("year", "level", "rule", "threshold", *COUNTS)),
}


@pytest.mark.parametrize("name", LAYOUT)
def test_every_cell_of_a_table_is_what_was_released(book: Workbook, name: str) -> None:
    source, wanted, columns = LAYOUT[name]
    expected = []
    for row in filter(wanted, TABLES[source].to_pylist()):
        cells = [row["area_code"], row["area_name_fr"], row["area_name_nl"]]
        for column in columns:
            cells.append(
                LABELS["category"][name][row["category"]]["en"] if column == "category" else shown(row, column)
            )
        expected.append(cells)
    headings = {column: texts["en"] for column, texts in TEXTS["columns"].items()}
    headings |= {"category": headings.get(name, "")}
    order = [headings[column] for column in ("area_code", "area_name_fr", "area_name_nl", *columns)]
    rows = content(book, name)
    assert set(rows[0]) == set(order)
    assert sorted(map(repr, expected)) == sorted(repr([row[heading] for heading in order]) for row in rows)


def test_the_tables_are_not_trivial() -> None:
    """Otherwise the comparison above would compare nothing with nothing."""
    cells = [shown(row, column) for row in TABLES["rates"].to_pylist() for column in MARKED]
    assert {"[c]", "[z]", "[u]", "Reliable", 0} <= set(cells)
    assert all(any(filter(wanted, TABLES[source].to_pylist())) for source, wanted, _ in LAYOUT.values())


def test_the_trend_has_a_row_for_each_municipality_and_a_column_for_each_year(book: Workbook) -> None:
    rows = filter(totals("municipality"), TABLES["rates"].to_pylist())
    expected = {(row["area_code"], str(row["year"])): shown(row, "rate_per_10000") for row in rows}
    expected |= {("12030", "2019"): "[z]", ("12041", "2018"): "[z]"}
    trend = content(book, "municipalities_trend")
    assert {(row["NIS code"], str(year)): row[str(year)] for row in trend for year in YEARS} == expected
    assert [list(row) for row in trend] == [["NIS code", "French name", "Dutch name", "2018", "2019"]] * 4
    names = {row["NIS code"]: row["French name"] for row in trend}
    assert (names["11001"], names["12030"]) == ("11001 fr 2019", "12030 fr 2018")


def test_a_table_goes_from_the_country_down_with_the_years_of_an_area_together(book: Workbook) -> None:
    found = [(row["Level"], row["NIS code"], row["Year"]) for row in content(book, "regions")]
    areas = [("Country", "BE"), ("Region", "02000"), ("Region", "04000")]
    assert found == [(level, code, year) for level, code in areas for year in YEARS]


def test_sectors_and_breakdowns_below_the_provinces_are_left_out(book: Workbook) -> None:
    assert "11001A00-" not in {cell.value for sheet in book for row in sheet for cell in row}
    assert {row["Level"] for row in content(book, "age_class")} == {"Country", "Region", "Province"}


def test_a_table_without_rows_is_left_out(tmp_path: Path) -> None:
    write(tmp_path / "a.xlsx", **TABLES | {"sensitivity": RELEASED_SENSITIVITY.schema.empty_table()})
    names = {name for sheet in openpyxl.load_workbook(tmp_path / "a.xlsx") for name in sheet.tables}
    assert names == {*LAYOUT, "municipalities_trend", "contents", "notes", *map("fiche_{}".format, LANGUAGES)} - {
        "sensitivity"
    }


def test_codes_are_text_and_figures_numbers_with_a_format(book: Workbook) -> None:
    sheet = sheet_of(book, "provinces")
    head, *rows = sheet[sheet.tables["provinces"].ref]
    looks = {"Year": "0", "NIS code": "@", "Beneficiaries": "#,##0", "Patients": "#,##0", "Rate per 10,000": "#,##0.0"}
    for place, heading in enumerate(cell.value.split("\n")[0] for cell in head):
        for cell in (row[place] for row in rows):
            numbers = heading not in ("NIS code", "French name", "Dutch name", "Reliability")
            assert cell.data_type == ("n" if numbers and cell.value not in ("[c]", "[z]") else "s")
            assert cell.number_format == looks.get(heading, cell.number_format)
    assert {row[1].value for row in rows} == {"04000", "10000"}


def test_a_sheet_is_as_the_guidance_asks(any_book: tuple[str, Workbook]) -> None:
    language, book = any_book
    cover, *others = book
    assert cover["A1"].value == FICHE[language]["title"]
    assert len({sheet.title.lower() for sheet in book}) == len(book.sheetnames)
    for sheet in book:
        assert len(sheet.title) <= 31
        assert sheet["A1"].value
        assert not sheet.merged_cells.ranges
        assert sheet.sheet_state == "visible"
        assert all(cell.data_type != "f" for row in sheet for cell in row)
    for sheet in others:
        (found,) = sheet.tables.values()
        name = found.name
        assert name.isidentifier()
        assert all(cell.value not in (None, "") for row in sheet[found.ref] for cell in row)
        below = openpyxl.utils.range_boundaries(found.ref)[1] + 1
        assert all(sheet.cell(row, 1).value for row in range(1, below))
        is_data = not name.startswith(("notes", "contents", "fiche"))
        assert sheet.freeze_panes == (f"{'C' if name.endswith('trend') else 'A'}{below}" if is_data else None)
        # Of the table: Excel calls a file damaged in which the sheet has a filter over a table.
        assert (found.autoFilter.ref if found.autoFilter else None) == (found.ref if is_data else None)
        assert sheet.auto_filter.ref is None


def test_each_sheet_says_that_the_data_are_synthetic_and_none_does_when_they_are_not(
    any_book: tuple[str, Workbook], tmp_path: Path
) -> None:
    language, book = any_book
    for sheet in book:
        fiche_language = next((other for other in LANGUAGES if f"fiche_{other}" in sheet.tables), language)
        assert sheet["A2"].value == FICHE[fiche_language]["notice"] != ""
    real = Release(3, RELEASE.date, YEARS, synthetic=False)
    write_workbook(tmp_path / "real.xlsx", **TABLES, fiche=fiche(real, 6, 5), release=real, language=language)
    said = {cell.value for sheet in openpyxl.load_workbook(tmp_path / "real.xlsx") for row in sheet for cell in row}
    assert not any(re.search(MADE_UP, str(text), re.IGNORECASE) for text in said)


def test_the_contents_lead_to_every_sheet_and_nowhere_else(any_book: tuple[str, Workbook]) -> None:
    _, book = any_book
    contents = sheet_of(book, "contents")
    links = {cell.value: cell.hyperlink for row in contents for cell in row if cell.hyperlink}
    assert list(links) == book.sheetnames[2:]
    assert all(link.location == f"'{name}'!A1" and link.target is None for name, link in links.items())
    assert not [cell for sheet in book if sheet is not contents for row in sheet for cell in row if cell.hyperlink]


def test_a_heading_points_to_a_note_that_is_there(any_book: tuple[str, Workbook]) -> None:
    _, book = any_book
    notes = {row[0].value for row in sheet_of(book, "notes")["A5:A99"]}
    for sheet in book:
        for found in sheet.tables.values():
            for cell in sheet[found.ref][0]:
                assert set(re.findall(r"\[.*\]", cell.value)) <= notes
    headings = {cell.value for sheet in book for found in sheet.tables.values() for cell in sheet[found.ref][0]}
    assert sum("[" in heading for heading in headings) >= 9


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_fiche_stands_in_the_workbook_in_every_language(book: Workbook, language: str) -> None:
    said = {cell.value for row in sheet_of(book, f"fiche_{language}") for cell in row}
    facts = FICHE[language]
    for field, name in facts["labels"].items():
        items = facts[field] if isinstance(facts[field], list) else [facts[field]]
        colon = "\u00a0: " if language == "fr" else ": "
        texts = [item if isinstance(item, str) else f"{item['code']}{colon}{item['label']}" for item in items]
        assert {name, *texts} <= said


def test_every_text_is_there_in_four_languages_and_quotes_the_same() -> None:
    def leaves(texts: Any) -> Iterator[dict[str, Any]]:
        if set(texts) == set(LANGUAGES):
            yield texts
        else:
            for below in texts.values():
                yield from leaves(below)

    for texts in leaves(TEXTS):
        assert all(texts.values())
        quoted = {
            language: frozenset(re.findall(r"\{(\w+)", json.dumps(text, ensure_ascii=False)))
            for language, text in texts.items()
        }
        assert len(set(quoted.values())) == 1, texts
    assert all(set(leaves_) == set(LANGUAGES) for leaves_ in leaves(TEXTS))


def test_the_same_input_gives_the_same_bytes(path: Path, tmp_path: Path) -> None:
    write(tmp_path / "again.xlsx", **TABLES)
    assert (tmp_path / "again.xlsx").read_bytes() == path.read_bytes()


def test_the_file_names_its_publisher_and_neither_a_person_nor_a_machine_nor_now(path: Path, book: Workbook) -> None:
    facts = book.properties
    assert facts.title == FICHE["en"]["title"]
    assert facts.creator == facts.lastModifiedBy == TEXTS["publisher"]["en"]
    assert facts.created == facts.modified == datetime.datetime(2026, 9, 1)
    assert facts.description == FICHE["en"]["notice"]
    with zipfile.ZipFile(path) as file:
        assert {entry.date_time for entry in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert not any(str(path.parent) in file.read(name).decode() for name in file.namelist())


def write_with_name(path: Path, name: str) -> Workbook:
    position = RELEASED_RATES.column_names.index("area_name_fr")
    names = pa.array([name] * len(TABLES["rates"]), pa.string())
    rates = TABLES["rates"].set_column(position, "area_name_fr", names)
    write(path, **TABLES | {"rates": rates})
    return openpyxl.load_workbook(path)


@pytest.mark.parametrize(
    "name",
    [
        '=HYPERLINK("http://x.example","y")',
        "{=1+1}",
        "+1+1",
        "-1+1",
        "@SUM(A1)",
        "\t=1+1",
        "=cmd|' /C calc'!A0",
        "http://x.example",
        "mailto:a@x.example",
        "internal:'Notes'!A1",
        "[y](http://x.example)",
        "[a](b) [c](d)",
        "$$note$$",
        "1e5",
        "00123",
        "   ",
        "---",
        "[c]",
        "TRUE",
        "nan",
    ],
)
def test_a_name_is_nothing_but_text(tmp_path: Path, name: str) -> None:
    assert_is_text(write_with_name(tmp_path / "book.xlsx", name), tmp_path / "book.xlsx", name)


@examples(15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.text(
        alphabet=string.ascii_letters + string.digits + "éß=+-@{}[]()$'\"|!:;/,&<>#%*\t ", min_size=1, max_size=40
    )
)
def test_whatever_a_name_is_it_is_nothing_but_text(tmp_path: Path, name: str) -> None:
    assert_is_text(write_with_name(tmp_path / "book.xlsx", name), tmp_path / "book.xlsx", name)


def assert_is_text(book: Workbook, path: Path, name: str) -> None:
    sheet = sheet_of(book, "municipalities_newest")
    cells = [row[1] for row in sheet[sheet.tables["municipalities_newest"].ref][1:]]
    assert [(cell.value, cell.data_type, cell.hyperlink) for cell in cells] == [(name, "s", None)] * 3
    with zipfile.ZipFile(path) as file:
        sheets = [file.read(part).decode() for part in file.namelist() if part.startswith("xl/worksheets/sheet")]
        assert not any("<f>" in sheet or "<f " in sheet for sheet in sheets)
        assert not any('TargetMode="External"' in file.read(part).decode() for part in file.namelist())
