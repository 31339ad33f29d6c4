"""The cells of a table, written at once: the bytes that xlsxwriter makes of them one by one."""

import math
from pathlib import Path

import pytest
import xlsxwriter
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from mm_pipeline.release.workbook.table_sheet import TableSheet
from mm_pipeline_tests.support.examples import examples

TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=9)
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
ROWS = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(TEXTS | NUMBERS, min_size=width, max_size=width), min_size=1, max_size=40)
)


def write(path: Path, rows: list[list[str | float]], *, at_once: bool) -> bytes:
    """A workbook with the rows on two sheets, under a title and headings, and with a sheet of one text behind them."""
    with xlsxwriter.Workbook(path, {"in_memory": True}) as book:
        looks = [book.add_format({"num_format": "0.0", "indent": place % 2}) for place in range(len(rows[0]))]
        for name in ("one", "two"):
            sheet = book.add_worksheet(name, TableSheet)
            sheet.write_string(0, 0, name)
            for place, look in enumerate(looks):
                sheet.write_string(1, place, f"heading {place}", look)
            if at_once:
                columns = zip(*rows, strict=True)
                sheet.write_columns(2, list(zip(columns, looks, strict=True)))
            else:
                for row, cells in enumerate(rows, start=2):
                    for place, cell in enumerate(cells):
                        write = sheet.write_string if isinstance(cell, str) else sheet.write_number
                        write(row, place, cell, looks[place])
        book.add_worksheet("last", TableSheet).write_string(0, 0, "last")
    return path.read_bytes()


@examples(25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS)
def test_the_bytes_are_those_of_cells_written_one_by_one(tmp_path: Path, rows: list[list[str | float]]) -> None:
    assert write(tmp_path / "a.xlsx", rows, at_once=True) == write(tmp_path / "b.xlsx", rows, at_once=False)


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_what_is_no_number_in_excel_is_refused(tmp_path: Path, number: float) -> None:
    with pytest.raises(ValueError, match="no number that Excel knows"):
        write(tmp_path / "a.xlsx", [[1.0, number]], at_once=True)
