"""The files: the same in three formats, right in a Belgian Excel, and matching their checksums."""

import csv
import hashlib
import io
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_pipeline.release.files import broken_checksums, for_excel, sizes, write_checksums, write_table
from mm_pipeline.schemas import RELEASED_RATES
from mm_pipeline_tests.support.protected import released, row

NAMES = ["rates.csv", "rates.excel.csv", "rates.parquet"]


@pytest.fixture
def table() -> pa.Table:
    return released(
        row("country", "BE"),
        row("region", "04000", patients=7, people=1234, parent="BE"),
        row("municipality", "11002", patients=None, parent="10000"),
        row("sector", "11002E122", parent="11002"),
    )


def read(path, **form) -> list[dict[str, str]]:
    return list(
        csv.DictReader(io.StringIO(path.read_bytes().decode(form.pop("encoding", "utf-8")), newline=""), **form)
    )


def test_the_three_formats_say_the_same(table, tmp_path):
    write_table(tmp_path, RELEASED_RATES, [table, table])
    parquet = pq.read_table(tmp_path / "rates.parquet")
    assert parquet.schema == RELEASED_RATES.schema
    texts = read(tmp_path / "rates.csv")
    excel = read(tmp_path / "rates.excel.csv", encoding="utf-8-sig", delimiter=";")
    assert len(texts) == len(excel) == len(parquet) == 8
    assert list(texts[0]) == list(excel[0]) == RELEASED_RATES.column_names
    for text, other, value in zip(texts, excel, parquet.to_pylist(), strict=True):
        for column in RELEASED_RATES.columns:
            expected, shown = value[column.name], text[column.name]
            if expected is None:
                assert shown == other[column.name] == ""
            elif pa.types.is_floating(column.type):
                assert float(shown) == float(other[column.name].replace(",", ".")) == expected
                assert "." not in other[column.name]
            elif isinstance(expected, bool):
                assert shown == other[column.name] == str(expected).lower()
            else:
                assert shown == str(expected)
                assert re.sub(r'^="(.*)"$', r"\1", other[column.name]) == str(expected)


def test_excel_takes_no_code_for_a_number(table, tmp_path):
    """Regression: 04000 would lose its zero, and the sector 11002E122 would become 1.1E+126."""
    write_table(tmp_path, RELEASED_RATES, [table])
    rows = read(tmp_path / "rates.excel.csv", encoding="utf-8-sig", delimiter=";")
    assert [cell["area_code"] for cell in rows] == ['="BE"', '="04000"', '="11002"', '="11002E122"']
    assert [cell["parent_code"] for cell in rows] == ["", '="BE"', '="10000"', '="11002"']
    assert (tmp_path / "rates.excel.csv").read_bytes().startswith(b"\xef\xbb\xbf")


@given(st.text(max_size=8))
def test_no_name_becomes_a_formula_in_excel(name):
    column = for_excel(pa.table({"area_name_fr": pa.array([name], pa.string())}))["area_name_fr"][0].as_py()
    assert column.removeprefix("'") == name.removeprefix("'")
    assert not column.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_same_bytes_again(table, tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write_table(tmp_path / folder, RELEASED_RATES, [table])
        write_checksums(tmp_path / folder)
    for name in (*NAMES, "SHA256SUMS"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_checksums(table, tmp_path):
    write_table(tmp_path, RELEASED_RATES, [table])
    (tmp_path / "codelists").mkdir()
    (tmp_path / "codelists" / "level.csv").write_text("code\n")
    write_checksums(tmp_path)
    sums = dict(reversed(line.split("  ")) for line in (tmp_path / "SHA256SUMS").read_text().splitlines())
    assert sorted(sums) == ["codelists/level.csv", *NAMES]
    for name, digest in sums.items():
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest
    assert set(sizes(tmp_path)) == {*sums, "SHA256SUMS"}
    assert broken_checksums(tmp_path) == []
    (tmp_path / "codelists" / "level.csv").write_text("changed")
    (tmp_path / "stranger.txt").write_text("x")
    assert broken_checksums(tmp_path) == ["codelists/level.csv", "stranger.txt"]
    (tmp_path / "rates.parquet").unlink()
    assert "rates.parquet" in broken_checksums(tmp_path)
    (tmp_path / "SHA256SUMS").unlink()
    assert broken_checksums(tmp_path) == ["SHA256SUMS"]
