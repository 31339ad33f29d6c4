"""The lake: whole partitions of the declared columns, closed to others, with their provenance."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ibis.backends.duckdb import Backend

from mm_pipeline.defs.resources.engine import DuckDBEngine
from mm_pipeline.errors import LakeError
from mm_pipeline.files.atomic import replacing
from mm_pipeline.files.checksum import checksum_path
from mm_pipeline.schemas import GEOGRAPHY, QUARANTINE, RAW_DMG, SECTOR_RATES
from mm_pipeline.storage.lake import Lake, Provenance
from mm_pipeline_tests.support.pipeline import settings_for

YEAR = 2019
MADE_UP = Provenance(synthetic=True)


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with DuckDBEngine.of(settings_for(tmp_path_factory.mktemp("engine"))).session() as backend:
        yield backend


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "data" / "lake")


def dmg(*practices: str) -> pa.Table:
    rows = {"patient_key": range(len(practices)), "practice_id": practices}
    return pa.table(rows, schema=RAW_DMG.schema)


def write(lake: Lake, backend: Backend, rows: pa.Table | None = None, provenance: Provenance = MADE_UP) -> Path:
    rows = dmg("G1", "G2") if rows is None else rows
    return lake.write(backend, RAW_DMG, YEAR, ibis.memtable(rows), provenance).path


class TestWriting:
    def test_what_is_written_can_be_read(self, lake: Lake, backend: Backend) -> None:
        assert not lake.has(RAW_DMG, YEAR)
        written = lake.write(backend, RAW_DMG, YEAR, ibis.memtable(dmg("G1", "G2")), MADE_UP)
        assert written.path == lake.root / "raw_dmg" / "year=2019" / "part-0.parquet"
        assert (written.rows, written.bytes) == (2, written.path.stat().st_size)
        assert lake.written(RAW_DMG, YEAR) == written
        assert lake.has(RAW_DMG, YEAR)
        assert not lake.has(RAW_DMG, 2020)
        assert lake.read(backend, RAW_DMG, YEAR).to_pyarrow().to_pylist() == dmg("G1", "G2").to_pylist()
        assert pq.read_metadata(written.path).row_group(0).column(0).compression == "ZSTD"

    def test_columns_and_rows_have_the_order_of_the_schema(self, lake: Lake, backend: Backend) -> None:
        names = GEOGRAPHY.column_names
        rows = pa.table({name: [f"{name} {i}" for i in (2, 3, 1)] for name in reversed(["extra", *names])})
        path = lake.write(backend, GEOGRAPHY, YEAR, ibis.memtable(rows), MADE_UP).path
        assert pq.read_schema(path).names == names
        assert pq.read_table(path, partitioning=None)["level"].to_pylist() == ["level 1", "level 2", "level 3"]

    def test_no_rows(self, lake: Lake, backend: Backend) -> None:
        path = write(lake, backend, dmg())
        assert pq.read_metadata(path).num_rows == 0
        assert pq.read_schema(path).names == RAW_DMG.column_names

    def test_the_quarantine_lies_beside(self, lake: Lake, backend: Backend) -> None:
        rows = pa.table({"line": [9, 2], "column": ["", "x"], "reason": ["r", "r"], "raw_line": ["a\r", "\x00"]})
        lake.write_quarantine(backend, RAW_DMG, YEAR, ibis.memtable(rows), MADE_UP)
        path = lake.quarantine_path(RAW_DMG, YEAR)
        assert path == lake.root / "quarantine" / "dmg" / "year=2019" / "part-0.parquet"
        assert pq.read_table(path, partitioning=None)["line"].to_pylist() == [2, 9]
        assert pq.read_schema(path).names == QUARANTINE.column_names

    def test_a_folder_named_like_a_partition_adds_no_column(self, tmp_path: Path, backend: Backend) -> None:
        lake = Lake(tmp_path / "zone=restricted" / "lake")
        write(lake, backend)
        assert lake.read(backend, RAW_DMG, YEAR).columns == tuple(RAW_DMG.column_names)


class TestSchemaGuard:
    @pytest.mark.parametrize(
        ("column", "type_"),
        [
            ("patient_key", pa.int32()),
            ("patient_key", pa.float64()),
            ("patient_key", pa.decimal128(38, 0)),
            ("practice_id", pa.int64()),
            ("practice_id", pa.binary()),
        ],
    )
    def test_another_type_is_refused(self, lake: Lake, backend: Backend, column: str, type_: pa.DataType) -> None:
        path = write(lake, backend)
        before = path.read_bytes()
        rows = pa.table({"patient_key": [1], "practice_id": ["1"]})
        rows = rows.set_column(rows.schema.get_field_index(column), column, pa.array([None], type_))
        with pytest.raises(LakeError) as raised:
            write(lake, backend, rows)
        for part in ("raw_dmg: ", "not of the declared columns", "the earlier partition is untouched", "found: "):
            assert part in str(raised.value)
        assert path.read_bytes() == before
        assert sorted(path.parent.iterdir()) == [path, checksum_path(path)]

    def test_a_sum_in_another_type_is_refused(self, lake: Lake, backend: Backend) -> None:
        """DuckDB's SUM is a HUGEINT, which Parquet stores as DOUBLE; Ibis believes it to be int64."""
        rows = ibis.memtable(dmg("G1", "G1")).group_by("practice_id").agg(patient_key=ibis._.patient_key.sum())
        with pytest.raises(LakeError, match="patient_key: double"):
            lake.write(backend, RAW_DMG, YEAR, rows, MADE_UP)
        assert not lake.has(RAW_DMG, YEAR)

    def test_a_missing_column_is_an_error(self, lake: Lake, backend: Backend) -> None:
        with pytest.raises(Exception, match="practice_id"):
            write(lake, backend, pa.table({"patient_key": [1]}))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_only_the_owner_may_look(lake: Lake, backend: Backend, umask: int) -> None:
    earlier = os.umask(umask)
    try:
        write(lake, backend)
        lake.write_quarantine(backend, RAW_DMG, YEAR, ibis.memtable(QUARANTINE.schema.empty_table()), MADE_UP)
        lake.spill_dir()
    finally:
        os.umask(earlier)
    modes = {path.relative_to(lake.root).as_posix(): mode(path) for path in [lake.root, *lake.root.rglob("*")]}
    assert modes == {
        ".": 0o700,
        ".spill": 0o700,
        "raw_dmg": 0o700,
        "raw_dmg/year=2019": 0o700,
        "raw_dmg/year=2019/part-0.parquet": 0o600,
        "raw_dmg/year=2019/part-0.parquet.sha256": 0o600,
        "quarantine": 0o700,
        "quarantine/dmg": 0o700,
        "quarantine/dmg/year=2019": 0o700,
        "quarantine/dmg/year=2019/part-0.parquet": 0o600,
        "quarantine/dmg/year=2019/part-0.parquet.sha256": 0o600,
    }


class TestReplacing:
    def test_a_write_that_fails_half_way_leaves_the_old_file(self, lake: Lake, backend: Backend) -> None:
        path = write(lake, backend)
        before = path.read_bytes()
        backend.raw_sql(
            "CREATE OR REPLACE TEMP VIEW failing AS SELECT i AS patient_key, "
            "CASE WHEN i = 299999 THEN error('no') ELSE 'G' || i END AS practice_id FROM range(300000) t(i)"
        )
        with pytest.raises(Exception, match="no"):
            lake.write(backend, RAW_DMG, YEAR, backend.table("failing"), MADE_UP)
        assert path.read_bytes() == before
        assert sorted(path.parent.iterdir()) == [path, checksum_path(path)]

    def test_a_reader_sees_the_old_file_or_the_new_one(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_text("old")
        with path.open() as reader, replacing(path, mode=0o640) as temporary:
            assert temporary.parent == tmp_path
            temporary.write_text("new")
            assert path.read_text() == "old"
        with path.open() as later:
            assert later.read() == "new"
        assert (mode(path), list(tmp_path.iterdir())) == (0o640, [path])
        assert reader.closed

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
    def test_an_exception_leaves_nothing(self, tmp_path: Path, error: type[BaseException]) -> None:
        def write_half() -> None:
            with replacing(tmp_path / "file", mode=0o600) as temporary:
                temporary.write_text("half")
                raise error

        with pytest.raises(error):
            write_half()
        assert list(tmp_path.iterdir()) == []

    def test_two_writers_do_not_share_a_temporary_file(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        with replacing(path, mode=0o600) as one, replacing(path, mode=0o600) as two:
            assert one != two
            one.write_text("1")
            two.write_text("2")
        assert path.read_text() == "1"  # the one that ends last


class TestProvenance:
    @pytest.mark.parametrize(
        "provenance",
        [
            Provenance(synthetic=False),
            Provenance(True, {"file": "forfaits.csv.gz", "rows": 3, "by_reason": {"sex: not M": 1}, "columns": []}),
            Provenance(False, {"column d'été": ['l\'an "2003"', "\\", "%41", "𝄞\n\t", "$1", "{}", ""], "none": None}),
        ],
    )
    def test_it_comes_back_as_it_was(self, lake: Lake, backend: Backend, provenance: Provenance) -> None:
        write(lake, backend, provenance=provenance)
        assert lake.provenance(RAW_DMG, YEAR) == provenance

    def test_what_is_made_from_something_synthetic_is_synthetic(self, lake: Lake, backend: Backend) -> None:
        write(lake, backend, provenance=Provenance(synthetic=False, details={"file": "x"}))
        assert lake.derived_from(RAW_DMG, year=YEAR) == Provenance(synthetic=False)
        lake.write(backend, GEOGRAPHY, YEAR, ibis.memtable(GEOGRAPHY.schema.empty_table()), MADE_UP)
        assert lake.derived_from(RAW_DMG, GEOGRAPHY, year=YEAR) == Provenance(synthetic=True)


def test_a_partition_that_has_not_been_built(lake: Lake, backend: Backend) -> None:
    message = "2019: sector_rates has not been built yet. Materialise sector_rates for 2019 first."
    for look in (
        lambda: lake.read(backend, SECTOR_RATES, YEAR),
        lambda: lake.written(SECTOR_RATES, YEAR),
        lambda: lake.provenance(SECTOR_RATES, YEAR),
        lambda: lake.derived_from(SECTOR_RATES, year=YEAR),
    ):
        with pytest.raises(LakeError) as raised:
            look()
        assert str(raised.value) == message
