"""What becomes of an error that nobody raised on purpose: words about the disk, or kind and place; never its message."""

import errno
import re
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from mm_pipeline.defs.contained import contained
from mm_pipeline.errors import DeliveryError, OperatorError, StorageError, UnexpectedError, storage_error
from mm_pipeline.storage.lake import Lake
from mm_pipeline_tests.support.pipeline import settings_for

FULL = "Make room on that disk and start the year again"
TOO_LARGE = "a file may not become as large as it must: too little space is allowed (ulimit -f, or the file system)"
CLOSED = "See that it is mounted for writing and belongs to the account that runs mm-pipeline"


@pytest.mark.parametrize(
    ("code", "why", "todo"),
    [
        (errno.ENOSPC, "there is no space left", FULL),
        (errno.EDQUOT, "the quota of this account is used up", FULL),
        (errno.EFBIG, TOO_LARGE, FULL),
        (errno.EIO, "there is no space left, or the disk is faulty", FULL),
        (errno.EROFS, "the file system is read-only", CLOSED),
        (errno.EACCES, "this account may not read or write there", CLOSED),
        (errno.EPERM, "this account may not read or write there", CLOSED),
    ],
)
def test_errors_of_the_disk_are_told_in_words(tmp_path: Path, code: int, why: str, todo: str) -> None:
    import os

    file = tmp_path / "lake" / "raw_dmg" / "part-0.parquet"
    python = OSError(code, os.strerror(code), str(file))
    engine = duckdb.IOException(f'IO Error: Could not write file "{file}": {os.strerror(code)}')
    arrow = OSError(f"[Errno {code}] Error writing bytes to file. Detail: [errno {code}] {os.strerror(code)}")
    for error, folder in ((python, file.parent), (engine, file.parent), (arrow, tmp_path)):
        with pytest.raises(StorageError) as raised, contained(settings_for(tmp_path), "x"):
            raise error
        assert str(raised.value).startswith(f"{folder}: {why}. ")
        assert todo in str(raised.value)
        assert (raised.value.__cause__, raised.value.__suppress_context__) == (None, True)
    assert not (tmp_path / "lake").exists()


def test_a_spill_that_finds_no_room_is_one_of_them(tmp_path: Path) -> None:
    """DuckDB calls it a lack of memory."""
    with duckdb.connect() as engine:
        engine.execute(f"SET memory_limit = '60MB'; SET threads = 1; SET temp_directory = '{tmp_path}'")
        engine.execute("SET max_temp_directory_size = '10MB'; SET preserve_insertion_order = false")
        with pytest.raises(duckdb.OutOfMemoryException) as raised:
            engine.execute("CREATE TEMP TABLE t AS SELECT md5(i::VARCHAR) AS x, i FROM range(3000000) r(i)")
    told = storage_error(raised.value, tmp_path)
    assert told is not None
    assert "there is no space left to spill to" in str(told)


@pytest.mark.parametrize(
    "error", [ValueError("Anna"), FileNotFoundError(2, "Anna"), duckdb.Error("Anna"), MemoryError("Anna")]
)
def test_of_others_kind_and_place(tmp_path: Path, error: Exception) -> None:
    settings = settings_for(tmp_path / "data")
    with pytest.raises(UnexpectedError) as raised, contained(settings, "2019-raw_dmg"):
        raise error
    (details,) = (settings.lake_dir / ".errors").iterdir()
    assert re.fullmatch(r"\d{8}T\d{6}\.\d{6}-2019-raw_dmg\.txt", details.name)
    assert "Anna" in details.read_text()
    assert f"{type(error).__module__}.{type(error).__qualname__}" in str(raised.value)
    assert f"data/lake/.errors/{details.name}" in str(raised.value)
    assert "Anna" not in str(raised.value)
    assert (raised.value.__cause__, raised.value.__suppress_context__) == (None, True), "Dagster keeps what led to it"


def test_the_place_is_ours(tmp_path: Path) -> None:
    with (
        pytest.raises(UnexpectedError, match=r" at mm_pipeline/storage/lake\.py:\d+\. "),
        contained(settings_for(tmp_path), "x"),
    ):
        Lake(tmp_path).path(None, 2019)  # type: ignore[arg-type]


def test_where_the_details_cannot_be_written_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("in the way")
    with (
        pytest.raises(UnexpectedError, match=r"could not be written to .*lake/\.errors"),
        contained(settings_for(tmp_path), "x"),
    ):
        raise ValueError


def test_a_signal_that_the_engine_catches_is_a_signal(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), contained(settings_for(tmp_path), "x"):
        raise RuntimeError("Query interrupted")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error",
    [DeliveryError("x"), OperatorError("x"), dg.Failure("x"), dg.RetryRequested(), KeyboardInterrupt(), SystemExit(1)],
    ids=lambda error: type(error).__name__,
)
def test_what_is_meant_for_others_passes_alone(tmp_path: Path, error: BaseException) -> None:
    """And without what led to it."""

    def fail() -> None:
        try:
            raise ValueError("Anna")
        except ValueError as anna:
            raise error from anna

    with pytest.raises(type(error)) as raised, contained(settings_for(tmp_path), "x"):
        fail()
    assert raised.value is error
    assert (error.__cause__, error.__suppress_context__) == (None, True)
    assert list(tmp_path.iterdir()) == []
