"""Layout of the sheets of the workbook: cells, columns wide enough, headings that stay in view."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from xlsxwriter.format import Format
from xlsxwriter.utility import xl_range
from xlsxwriter.workbook import Workbook

from mm_pipeline.dimensions import BREAKDOWNS
from mm_pipeline.release.codelists import LANGUAGES
from mm_pipeline.release.history import span
from mm_pipeline.release.metadata.fiche import with_colon
from mm_pipeline.release.workbook.pages import TREND, Page
from mm_pipeline.release.workbook.table_sheet import Cells, TableSheet

Words = Mapping[str, Any]
"""The texts of ``texts/workbook.json`` in one language."""

_TEXT, _WHOLE, _RATE = "@", "#,##0", "#,##0.0"
_LOOKS: Mapping[str, tuple[str, int]] = {
    "year": ("0", 8),
    "level": (_TEXT, 18),
    "area_code": (_TEXT, 12),
    **{f"area_name_{language}": (_TEXT, 38) for language in LANGUAGES},
    **dict.fromkeys((*BREAKDOWNS, "rule"), (_TEXT, 40)),
    "threshold": ("0", 16),
    "beneficiaries": (_WHOLE, 18),
    "patients": (_WHOLE, 14),
    "reliability": (_TEXT, 18),
}
"""Column -> number format and width in characters. Every other column holds rates."""

_NOTES = {
    **dict.fromkeys(BREAKDOWNS[1:], "category"),
    "rate_per_10000_upper": "rate_per_10000_lower",
    "standardised_per_10000_lower": "standardised_per_10000",
    "standardised_per_10000_upper": "standardised_per_10000",
}
"""Column -> its note, where their names differ."""

_FONT_SIZE = 12
_PLAIN: dict[str, Any] = {"font_name": "Arial", "font_size": _FONT_SIZE, "font_color": "automatic"}
_TITLE = _PLAIN | {"font_size": 16, "bold": True}
_MARK = _PLAIN | {"font_size": 14}
_CELL = _PLAIN | {"text_wrap": True}
_HEADING = _CELL | {"bold": True, "bottom": 1, "valign": "top"}
_LEFT = {"align": "left"}
_LINK = _CELL | _LEFT | {"underline": True, "font_color": "blue"}
_COVER_TITLE, _COVER_HEADING = _TITLE | {"text_wrap": True}, _MARK | {"bold": True, "text_wrap": True}
_COVER_WIDTH = 100
_A4 = 9


class Link(str):
    """The name of a sheet, as a text that leads to it."""


class Column(NamedTuple):
    """A column of a table: its heading, its cells, its width in characters, and what is special in its format."""

    heading: str
    cells: Cells
    width: int
    look: dict[str, Any]


class Sheet(NamedTuple):
    """A sheet of the workbook, with one table.

    ``name``: of the table. ``mark``, ``explained``: the lines between title and table. ``heights``: of rows from the
    headings on, in points, where texts are wrapped. ``pinned``: columns that stay in view with the headings; None: not
    even these.
    """

    name: str
    title: str
    mark: Sequence[str]
    explained: Sequence[str]
    columns: Sequence[Column]
    heights: Sequence[float] = ()
    pinned: int | None = None


def table_sheet(page: Page, words: Words, said: Mapping[str, Any], mark: list[str]) -> Sheet:
    """The sheet of a page. ``said``: values quoted in the texts; ``mark``: of synthetic data, else empty."""
    subject = words["tables"][page.name]["subject"]
    columns = [_column(name, cells, words) for name, cells in page.columns.items()]
    # One line more, for the filter buttons: they must not cover a heading.
    height = _height([f"{column.heading}\n." for column in columns], [column.width for column in columns])
    return Sheet(
        page.name,
        words["title"].format(number=said["table"], subject=subject, years=span(page.years)),
        mark,
        [
            words["instructions"]["trend" if page.name == TREND else "with_notes"],
            words["legend"],
            words["source"].format(publisher=words["publisher"], release=words["release"].format(**said)),
        ],
        columns,
        [height],
        page.pinned,
    )


def text_sheet(name: str, rows: Iterable[tuple[str, str]], words: Words, frame: Words, mark: list[str]) -> Sheet:
    """A sheet with two columns of text. ``frame``: its ``title`` and ``columns``."""
    texts, widths = list(rows), (44, 110)
    cells = zip(frame["columns"], zip(*texts, strict=True), widths, strict=True)
    columns = [Column(*column, _LEFT | {"valign": "top"}) for column in cells]
    heights = [_height(row, widths) for row in (frame["columns"], *texts)]
    return Sheet(name, frame["title"], mark, [words["instructions"]["one_table"]], columns, heights)


def fiche_rows(fiche: Mapping[str, Any], language: str) -> Iterator[tuple[str, str]]:
    """The fiche, which is in ``language``, as rows of name and text; a row for each item of a list."""
    for field, name in fiche["labels"].items():
        content = fiche[field]
        for item in content if isinstance(content, list) else [content]:
            yield name, item if isinstance(item, str) else with_colon(language, item["code"], item["label"])


def write_cover(book: Workbook, words: Words, said: Mapping[str, Any], mark: list[str], description: str) -> None:
    """Write the cover, the first sheet."""
    cover = words["cover"]
    release = words["release"].format(**said)
    lines = [(_COVER_TITLE, said["title"]), *((_COVER_HEADING, text) for text in mark)]
    for heading, texts in (
        ("about", [description, cover["years"].format(**said), f"{release}."]),
        ("reading", [*cover["how"], words["legend"]]),
        ("more", [cover["files"]]),
        ("owner", [words["publisher"], cover["cite"].format(**said)]),
    ):
        lines.append((_COVER_HEADING, cover[heading]))
        lines.extend((_CELL, text) for text in texts)
    sheet = _new(book, cover["sheet"])
    for row, (look, text) in enumerate(lines):
        sheet.write_string(row, 0, text, book.add_format(look))
        sheet.set_row(row, _height([text], [_COVER_WIDTH], size=look["font_size"]))
    sheet.set_column(0, 0, _COVER_WIDTH)


def write_all(book: Workbook, words: Words, sheets: Mapping[str, Sheet], mark: list[str]) -> None:
    """Write the table of contents and every sheet (sheet name -> sheet)."""
    frame, instructions = words["contents"], [words["instructions"]["one_table"]]
    links, titles = [Link(name) for name in sheets], [sheet.title for sheet in sheets.values()]
    heading, of_title = frame["columns"]
    columns = [Column(heading, links, 44, _LEFT), Column(of_title, titles, 150, _LEFT)]
    contents = Sheet("contents", frame["title"], mark, instructions, columns)
    for name, sheet in {frame["sheet"]: contents, **sheets}.items():
        _write(book, name, sheet)


def _write(book: Workbook, name: str, sheet: Sheet) -> None:
    worksheet = _new(book, name)
    lines = [
        (_TITLE, sheet.title),
        *((_MARK, text) for text in sheet.mark),
        *((_PLAIN, text) for text in sheet.explained),
    ]
    for row, (look, text) in enumerate(lines):
        worksheet.write_string(row, 0, text, book.add_format(look))
    first, last, right = len(lines), len(lines) + len(sheet.columns[0].cells), len(sheet.columns) - 1
    headings = [(column.heading, book.add_format(_HEADING | column.look)) for column in sheet.columns]
    for place, (heading, look) in enumerate(headings):
        worksheet.write_string(first, place, heading, look)
    columns = [(column.cells, book.add_format(_CELL | column.look)) for column in sheet.columns]
    if sheet.pinned is None:
        _write_texts(worksheet, first + 1, columns, book.add_format(_LINK))
    else:
        worksheet.write_columns(first + 1, columns)
    table = {
        "name": sheet.name,
        "columns": [{"header": heading, "header_format": look} for heading, look in headings],
        "style": None,
        "autofilter": sheet.pinned is not None,
    }
    worksheet.add_table(first, 0, last, right, table)
    for place, column in enumerate(sheet.columns):
        worksheet.set_column(place, place, column.width)
    for row, height in enumerate(sheet.heights, start=first):
        worksheet.set_row(row, height)
    worksheet.repeat_rows(first)
    if sheet.pinned is not None:
        worksheet.freeze_panes(first + 1, sheet.pinned)
        # Codes are texts on purpose: no green corner for "number stored as text".
        worksheet.ignore_errors({"number_stored_as_text": xl_range(first, 0, last, right)})


def _write_texts(worksheet: TableSheet, first: int, columns: Iterable[tuple[Cells, Format]], of_link: Format) -> None:
    for row, texts in enumerate(zip(*(cells for cells, _ in columns), strict=True), start=first):
        for place, (text, (_, look)) in enumerate(zip(texts, columns, strict=True)):
            if isinstance(text, Link):
                worksheet.write_url(row, place, f"internal:'{text}'!A1", of_link, text)
            else:
                worksheet.write_string(row, place, text, look)


def _new(book: Workbook, name: str) -> TableSheet:
    """A sheet without grid lines, of which a page in landscape takes the whole width."""
    worksheet = book.add_worksheet(name, TableSheet)
    worksheet.hide_gridlines(2)
    worksheet.set_paper(_A4)
    worksheet.set_landscape()
    worksheet.fit_to_pages(1, 0)
    return worksheet


def _height(texts: Iterable[str], widths: Iterable[int], size: int = _FONT_SIZE) -> float:
    """Height in points of a row of wrapped texts. Not every program computes it when it opens a file."""

    def lines(text: str, width: int) -> int:
        return sum(len(textwrap.wrap(line, int(1.1 * width * _FONT_SIZE / size))) for line in text.splitlines())

    return 1.3 * size * max(lines(text, width) for text, width in zip(texts, widths, strict=True))


def _column(name: str, cells: Cells, words: Words) -> Column:
    is_of_year = name.isdigit()
    number_format, width = _LOOKS.get(name, (_RATE, 10 if is_of_year else 16))
    # Figures stand to the right; years as data, texts and a column of shorthand alone to the left.
    has_figures = name != "year" and any(not isinstance(cell, str) for cell in cells)
    # A text is indented, as it may follow a number.
    look = {
        "align": "right" if has_figures else "left",
        "num_format": number_format,
        "indent": int(number_format == _TEXT),
    }
    return Column(_heading(name, words), cells, width, look)


def _heading(column: str, words: Words) -> str:
    """The heading of a column with the number of its note; the year, for a year."""
    notes = list(words["note_texts"])
    note = _NOTES.get(column, column)
    reference = f"\n{words['reference'].format(number=notes.index(note) + 1)}" if note in notes else ""
    return words["columns"].get(column, column) + reference
