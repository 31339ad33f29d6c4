"""The released tables: complete, in reading order, marked, and matching their checksums."""

import csv
import hashlib
import stat

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mm_pipeline.catalogue import PROTECTED_RATES, RELEASED_RATES
from mm_pipeline.release.tables import broken_checksums, released_rates, write_tables


def row(level: str, area: str, dimension: str = "total", category: str = "total", patients: int | None = 50) -> dict:
    rate = None if patients is None else patients / 1000
    return {
        "year": 2024,
        "level": level,
        "area_code": area,
        "parent_code": "",
        "dimension": dimension,
        "category": category,
        "beneficiaries": 1000,
        "patients": patients,
        "rate_per_10000": None if rate is None else 10_000 * rate,
        "rate_percent": None if rate is None else 100 * rate,
        "status": "suppressed" if patients is None else "published",
    }


@pytest.fixture
def protected() -> pa.Table:
    rows = [
        row("sector", "11002A00-", patients=None),
        row("municipality", "11002", "sex", "M"),
        row("municipality", "11002"),
        row("country", "BE", "age_group", "0-17"),
        row("country", "BE"),
    ]
    return pa.Table.from_pylist(rows, schema=PROTECTED_RATES.schema)


def test_reading_order_and_mark(protected):
    table = released_rates(protected, synthetic=True)
    assert table.schema == RELEASED_RATES.schema
    assert table["level"].to_pylist() == ["country", "country", "municipality", "municipality", "sector"]
    assert table["dimension"].to_pylist() == ["total", "age_group", "total", "sex", "total"]
    assert set(table["synthetic"].to_pylist()) == {True}


def test_csv_and_parquet_say_the_same(protected, tmp_path):
    table = released_rates(protected, synthetic=False)
    write_tables(tmp_path, [table, table])
    with (tmp_path / "rates.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    parquet = pq.read_table(tmp_path / "rates.parquet").to_pylist()
    assert len(rows) == len(parquet) == 10
    for text, value in zip(rows, parquet, strict=True):
        assert text["area_code"] == value["area_code"]
        assert text["patients"] == ("" if value["patients"] is None else str(value["patients"]))
        assert text["rate_per_10000"] == "" or float(text["rate_per_10000"]) == value["rate_per_10000"]
        assert text["synthetic"] == "false"


def test_checksums(protected, tmp_path):
    write_tables(tmp_path, [released_rates(protected, synthetic=True)])
    sums = dict(reversed(line.split("  ")) for line in (tmp_path / "SHA256SUMS").read_text().splitlines())
    for name, digest in sums.items():
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest
    assert broken_checksums(tmp_path) == []
    (tmp_path / "rates.csv").write_text("changed")
    (tmp_path / "stranger.txt").write_text("x")
    assert broken_checksums(tmp_path) == ["rates.csv", "stranger.txt"]
    (tmp_path / "rates.parquet").unlink()
    assert "rates.parquet" in broken_checksums(tmp_path)
    (tmp_path / "SHA256SUMS").unlink()
    assert broken_checksums(tmp_path) == ["SHA256SUMS"]


def test_same_bytes_again_and_readable_by_everybody(protected, tmp_path):
    for folder in ("one", "two"):
        write_tables(tmp_path / folder, [released_rates(protected, synthetic=True)])
    for name in ("rates.csv", "rates.parquet", "SHA256SUMS"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
        assert stat.S_IMODE((tmp_path / "one" / name).stat().st_mode) == 0o644


def test_a_failing_write_leaves_the_old_release(protected, tmp_path):
    table = released_rates(protected, synthetic=True)
    write_tables(tmp_path, [table])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def breaks():
        yield table
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_tables(tmp_path, breaks())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
