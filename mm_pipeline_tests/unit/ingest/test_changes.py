"""A delivery that changes while it is read: it is read several times, and never is a partition made of a mixture."""

import gzip
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from mm_pipeline.errors import DeliveryError
from mm_pipeline.ingest import files, ingest, manifest, reader
from mm_pipeline_tests.support.ingestion import YEAR, Ingestion, table

HEADER = b"patient_id,practice_id\n"
OLD = HEADER + b"P1,G1\nP2,\nP3,G3\n"
SAME_SIZE = HEADER + b"P4,G4\nP5,\nP6,G6\n"
MORE = OLD + b"P7,G7\n"

MOMENTS: dict[str, tuple[object, str]] = {
    "while it is looked at": (files._TextPass, "finish"),
    "between the scan and the engine": (ingest, "_hold_against_manifest"),
    "after the engine": (reader, "_hold_against_header"),
    "before bad rows are located": (ingest, "_by_reason"),
    "while bad rows are located": (reader, "locate"),
}


def replaced(content: bytes) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        other = path.with_suffix(".part")
        other.write_bytes(content)
        other.rename(path)

    return change


def linked(path: Path) -> None:
    """The same file, through a link."""
    moved = path.rename(path.with_suffix(".old"))
    path.symlink_to(moved)


def rewritten(path: Path) -> None:
    path.write_bytes(SAME_SIZE)


def appended(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"P7,G7\n")


def same_size_and_time(path: Path) -> None:
    """As a tool does it that keeps the time of the file."""
    before = path.stat()
    path.write_bytes(SAME_SIZE)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES: dict[str, Callable[[Path], None]] = {
    "replaced": replaced(MORE),
    "replaced by one of the same size": replaced(SAME_SIZE),
    "rewritten": rewritten,
    "rewritten with its time kept": same_size_and_time,
    "appended to": appended,
    "cut": lambda path: os.truncate(path, len(HEADER) + 6),
    "emptied": lambda path: os.truncate(path, 0),
    "taken away": Path.unlink,
    "a link": linked,
}

CHANGED = (
    "changed while it was read; expected a file that is complete and at rest. Nothing was kept. Copy a delivery under "
    "another name (such as .part) and rename it at the end; then materialise the year again."
)


def at(monkeypatch: pytest.MonkeyPatch, where: tuple[object, str], change: Callable[[], None]) -> None:
    """Change something when this function is called for the first time."""
    owner, name = where
    there, done = getattr(owner, name), []

    def changing(*args: Any, **kwargs: Any) -> Any:
        if not done:
            done.append(change())
        return there(*args, **kwargs)

    monkeypatch.setattr(owner, name, changing)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_csv_file_that_changes_is_refused(
    ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch, moment: str, change: str
) -> None:
    path = ingestion.put("dmg.csv", OLD)
    at(monkeypatch, MOMENTS[moment], lambda: CHANGES[change](path))
    assert ingestion.refused("dmg") == f"2019/dmg.csv {CHANGED}"
    assert list(ingestion.lake.spill_dir().iterdir()) == []


@pytest.mark.parametrize(
    "change", ["replaced", "replaced by one of the same size", "appended to", "emptied", "taken away"]
)
@pytest.mark.parametrize("suffix", ["csv.gz", "parquet"])
def test_so_is_a_packed_one(ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch, suffix: str, change: str) -> None:
    path = ingestion.put(f"dmg.{suffix}", gzip.compress(OLD) if suffix == "csv.gz" else table("dmg"))
    at(monkeypatch, (ingest, "_hold_against_manifest"), lambda: CHANGES[change](path))
    assert ingestion.refused("dmg") == f"2019/dmg.{suffix} {CHANGED}"


def test_a_parquet_file_that_changes_between_its_footer_and_its_rows(
    ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ingestion.put("dmg.parquet", table("dmg", 3))
    at(monkeypatch, (reader, "_columns"), lambda: pq.write_table(table("dmg", 3, patient_id=["X", "Y", "Z"]), path))
    assert ingestion.refused("dmg") == f"2019/dmg.parquet {CHANGED}"


@pytest.mark.parametrize("before", [None, "{}"])
@pytest.mark.parametrize("after", [None, '{"version": "2"}'])
def test_so_is_a_manifest(
    ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch, before: str | None, after: str | None
) -> None:
    ingestion.put("dmg.csv", OLD)
    path = ingestion.folder / manifest.NAME

    def put(content: str | None) -> None:
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_text(content)

    put(before)
    at(monkeypatch, (ingest, "_by_reason"), lambda: put(after))
    if before == after:
        ingestion.ingest("dmg")
    else:
        assert ingestion.refused("dmg") == f"2019/manifest.json {CHANGED}"


def test_a_delivery_at_rest_is_taken(ingestion: Ingestion) -> None:
    account = ingestion.take("dmg.csv", OLD)
    assert (account.kept, account.quarantined) == (2, 1)


def test_a_change_that_the_clock_of_the_disk_does_not_show(
    ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written twice within a few milliseconds a file may bear the same time: then its content is compared once more."""
    path = ingestion.put("dmg.csv", OLD)
    file = files.scan(path, ingestion.lake.spill_dir())
    assert file.is_fresh
    path.write_bytes(SAME_SIZE)
    monkeypatch.setattr(files, "state", lambda _: file.state)
    with pytest.raises(DeliveryError, match="changed while it was read"):
        file.hold_unchanged()


def test_a_line_that_was_not_there_at_the_look_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "dmg.csv"
    path.write_bytes(OLD)
    os.truncate(path, 10**10)
    with pytest.raises(DeliveryError, match="changed while it was read"):
        list(files.numbered_lines(path))


def test_what_is_written_all_the_time(ingestion: Ingestion) -> None:
    """A sender that writes on while deliveries are taken again and again: every one is the file at one moment."""
    path = ingestion.put("dmg.csv", HEADER + b"P0,G0\n")
    ended = threading.Event()

    def write() -> None:
        with path.open("ab", buffering=0) as file:
            number = 0
            while not ended.wait(0.001):
                number += 1
                file.write(b"P%d,G%d\n" % (number, number))

    sender = threading.Thread(target=write)
    sender.start()
    try:
        for _ in range(20):
            try:
                account = ingestion.ingest("dmg")
            except DeliveryError as error:
                assert str(error) == f"{YEAR}/dmg.csv {CHANGED}"  # noqa: PT017 - whether it is refused is chance
            else:
                assert ingestion.values("dmg", "practice_id") == [f"G{i}" for i in range(account.kept)]
    finally:
        ended.set()
        sender.join()
    assert ingestion.ingest("dmg").quarantined == 0
