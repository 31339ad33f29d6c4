"""Layout of the sheets of the workbook: gptables' tables, columns wide enough, headings that stay in view."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
from gptables import GPTable, GPWorkbook
from gptables.core.gptable import FormatList
from xlsxwriter.utility import xl_range

from mm_pipeline.dimensions import BREAKDOWNS
from mm_pipeline.release.codelists import LANGUAGES
from mm_pipeline.release.history import span
from mm_pipeline.release.metadata.fiche import with_colon
from mm_pipeline.release.workbook.pages import SHORTHAND, TREND, Page

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

_COVER_WIDTH = 100
_FONT_SIZE = 12
_A4 = 9


class Sheet(NamedTuple):
    """A sheet of the workbook.

    ``widths``: of columns, in characters. ``heights``: of rows from the headings on, in points, as far as texts are wrapped.
    ``pinned``: columns that stay in view with the headings; None: not even the headings.
    """

    table: GPTable
    widths: Sequence[int]
    heights: Sequence[float] = ()
    pinned: int | None = None


def table_sheet(page: Page, words: Words, said: Mapping[str, Any], mark: list[str]) -> Sheet:
    """The sheet of a page. ``said``: values quoted in the texts; ``mark``: of synthetic data, else empty."""
    looks = [_LOOKS.get(column, (_RATE, 10 if column.isdigit() else 16)) for column in page.columns]
    headings = [_heading(column, words) for column in page.columns]
    subject = words["tables"][page.name]["subject"]
    table = GPTable(
        table=_frame(dict(zip(headings, page.columns.values(), strict=True))),
        table_name=page.name,
        title=words["title"].format(number=said["table"], subject=subject, years=span(page.years)),
        subtitles=mark,
        instructions=words["instructions"]["trend" if page.name == TREND else "with_notes"],
        legend=[words["legend"]],
        source=words["source"].format(publisher=words["publisher"], release=words["release"].format(**said)),
        index_columns={},
        additional_formatting=[
            # Indented, as a text may follow a number.
            {"column": {"columns": [place], "format": {"num_format": look, "indent": int(look == _TEXT)}}}
            for place, (look, _) in enumerate(looks)
        ],
    )
    widths = [width for _, width in looks]
    # One line more, for the filter buttons: they must not cover a heading.
    return Sheet(table, widths, [_height([f"{heading}\n." for heading in headings], widths)], page.pinned)


def text_sheet(name: str, rows: Iterable[tuple[str, str]], words: Words, frame: Words, mark: list[str]) -> Sheet:
    """A sheet with two columns of text. ``frame``: its ``title`` and ``columns``."""
    texts = list(rows)
    widths = [44, 110]
    table = GPTable(
        table=_frame(dict(zip(frame["columns"], zip(*texts, strict=True), strict=True))),
        table_name=name,
        title=frame["title"],
        subtitles=mark,
        instructions=words["instructions"]["one_table"],
        index_columns={},
        additional_formatting=[{"column": {"columns": [0, 1], "format": {"valign": "top"}}}],
    )
    return Sheet(table, widths, [_height(row, widths) for row in (frame["columns"], *texts)])


def fiche_rows(fiche: Mapping[str, Any], language: str) -> Iterator[tuple[str, str]]:
    """The fiche, which is in ``language``, as rows of name and text; a row for each item of a list."""
    for field, name in fiche["labels"].items():
        content = fiche[field]
        for item in content if isinstance(content, list) else [content]:
            yield name, item if isinstance(item, str) else with_colon(language, item["code"], item["label"])


def write_cover(book: GPWorkbook, words: Words, said: Mapping[str, Any], mark: list[str], description: str) -> None:
    """Write the cover, the first sheet. Not gptables' own one, whose headings are in English."""
    theme, cover = book.theme, words["cover"]
    release = words["release"].format(**said)
    lines = [(theme.cover_title_format, said["title"]), *((theme.cover_subtitle_format, text) for text in mark)]
    for heading, texts in (
        ("about", [description, cover["years"].format(**said), f"{release}."]),
        ("reading", [*cover["how"], words["legend"]]),
        ("more", [cover["files"]]),
        ("owner", [words["publisher"], cover["cite"].format(**said)]),
    ):
        lines.append((theme.cover_subtitle_format, cover[heading]))
        lines.extend((theme.cover_text_format, text) for text in texts)
    sheet = book.add_worksheet(cover["sheet"])
    for row, (look, text) in enumerate(lines):
        sheet.write_string(row, 0, text, book.add_format(look))
        sheet.set_row(row, _height([text], [_COVER_WIDTH], size=look["font_size"]))
    sheet.set_column(0, 0, _COVER_WIDTH)
    _for_print(sheet)


def write_all(book: GPWorkbook, words: Words, sheets: Mapping[str, Sheet], mark: list[str]) -> None:
    """Write the table of contents and every sheet (sheet name -> sheet)."""
    contents = book.make_table_of_contents(
        {name: sheet.table for name, sheet in sheets.items()},
        column_names=words["contents"]["columns"],
        table_name="contents",
        title=words["contents"]["title"],
        subtitles=mark,
        instructions=words["instructions"]["one_table"],
    )
    for name, sheet in {words["contents"]["sheet"]: Sheet(contents, [44, 150]), **sheets}.items():
        worksheet = book.add_worksheet(name)
        worksheet.write_gptable(sheet.table, auto_width=False)
        for column, width in enumerate(sheet.widths):
            worksheet.set_column(column, column, width)
        first, left, last, right = sheet.table.data_range
        for row, height in enumerate(sheet.heights, start=first):
            worksheet.set_row(row, height)
        worksheet.repeat_rows(first)
        if sheet.pinned is not None:
            worksheet.freeze_panes(first + 1, sheet.pinned)
            # gptables makes tables without a filter, and Excel takes a filter of the sheet over a table for damage.
            worksheet.tables[-1]["autofilter"] = worksheet.tables[-1]["range"]
            # Codes are texts on purpose: no green corner for "number stored as text".
            worksheet.ignore_errors({"number_stored_as_text": xl_range(first, left, last, right)})
        _for_print(worksheet)


def _for_print(worksheet: Any) -> None:
    worksheet.set_paper(_A4)
    worksheet.set_landscape()
    worksheet.fit_to_pages(1, 0)


def _height(texts: Iterable[str], widths: Iterable[int], size: int = _FONT_SIZE) -> float:
    """Height in points of a row of wrapped texts. Not every program computes it when it opens a file."""

    def lines(text: str, width: int) -> int:
        return sum(len(textwrap.wrap(line, int(1.1 * width * _FONT_SIZE / size))) for line in text.splitlines())

    return 1.3 * size * max(lines(text, width) for text, width in zip(texts, widths, strict=True))


def _heading(column: str, words: Words) -> str:
    """The heading of a column with the number of its note; the year, for a year."""
    notes = list(words["note_texts"])
    note = _NOTES.get(column, column)
    reference = f"\n{words['reference'].format(number=notes.index(note) + 1)}" if note in notes else ""
    return words["columns"].get(column, column) + reference


def _frame(columns: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """A table for gptables. Texts are rich text, in which it searches nothing; shorthand is not: it marks numbers."""

    def cell(content: Any) -> Any:
        return FormatList([{}, content]) if isinstance(content, str) and content not in SHORTHAND else content

    return pd.DataFrame(columns, dtype=object).map(cell)
