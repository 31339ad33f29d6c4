"""However large a file is or unpacks to: memory and disk are bounded, and the message says what was too much."""

import gzip
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mm_pipeline.errors import DeliveryError, ReferenceDataError
from mm_pipeline.ingest import files, ingest, manifest, reader
from mm_pipeline.reference import geojson, refnis
from mm_pipeline_tests.support.ingestion import Ingestion, table
from mm_pipeline_tests.support.paths import REPOSITORY

HEADER = b"patient_id,practice_id\n"
CHUNKS = (1, 2, 3, 7, 10, 11, 1 << 22)


def in_its_own_process(data_dir: Path, largest: str, years: list[int]) -> list[dict[str, Any]]:
    ran = subprocess.run(
        [sys.executable, "-m", "mm_pipeline_tests.support.bounded", str(data_dir), largest, *map(str, years)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return [json.loads(line) for line in ran.stdout.splitlines()]


def sparse(path: Path, content: bytes, size: int) -> None:
    """A file of this size that takes no room on the disk."""
    path.write_bytes(content)
    os.truncate(path, size)


def bomb(path: Path, header: bytes, line: bytes, megabytes: int) -> None:
    """A gzip of some kilobytes for each 16 MB that it unpacks to."""
    member = gzip.compress((line * (16_000_000 // len(line))), compresslevel=6)
    path.write_bytes(gzip.compress(header) + member * (megabytes // 16))


def zip_bomb(path: Path) -> None:
    archive = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with archive, archive.open("sectors_2010.geojson", "w") as member:
        for _ in range(60):
            member.write(b" " * 10_000_000)


def value_bomb(path: Path) -> None:
    """One value that is larger than the engine's memory."""
    rows = pa.table({"patient_id": ["P1"], "practice_id": ["x" * 310_000_000]})
    pq.write_table(rows, path, compression="zstd", compression_level=1, use_dictionary=False, write_statistics=False)


BOMBS: dict[int, tuple[str, Callable[[Path], None], str, int]] = {
    2004: ("dmg.csv", lambda path: sparse(path, HEADER, 10**10), "dmg.csv, line 2: longer than 4 MiB", 100),
    2005: ("dmg.csv", lambda path: sparse(path, b"", 10**10), "dmg.csv, line 1: longer than 4 MiB", 100),
    2006: ("dmg.csv", lambda path: sparse(path, HEADER, 10**12), "dmg.csv has 1 TB; expected at most 100 GB", 50),
    2007: (
        "dmg.parquet",
        lambda path: sparse(path, b"PAR1", 10**12),
        "dmg.parquet has 1 TB; expected at most 100 GB",
        50,
    ),
    2008: (
        "dmg.csv.gz",
        lambda path: bomb(path, HEADER + b"P1,G1\n", b"x", 10_000),
        "dmg.csv.gz, line 3: longer than 4 MiB",
        100,
    ),
    2009: ("manifest.json", lambda path: sparse(path, b"{", 10**10), "manifest.json: more than 1 MiB", 50),
    2010: ("sectors_2010.geojson.zip", zip_bomb, "unpacked: found more than 512 MiB", 50),
    2011: ("refnis.csv", lambda path: sparse(path, b"", 10**10), "refnis.csv: found more than 16 MiB", 100),
    2013: ("dmg.parquet", value_bomb, "dmg.parquet needs more memory and disk than the engine may take", 350),
    2012: ("sectors_2012.geojson", lambda path: sparse(path, b"", 10**10), "found more than 512 MiB", 1100),
}
"""year -> file, how it is made, what is said, and by how many MB the peak of the process may rise."""


@pytest.mark.slow
def test_a_bomb_takes_no_memory_and_leaves_nothing(tmp_path: Path) -> None:
    for year, (name, make, *_) in BOMBS.items():
        folder = tmp_path / ("reference" if "refnis" in name or "sectors" in name else "raw") / str(year)
        folder.mkdir(parents=True)
        make(folder / name)
        if name == "manifest.json":
            (folder / "dmg.csv").write_bytes(HEADER + b"P1,G1\n")
    for year, result in zip(BOMBS, in_its_own_process(tmp_path, "100GB", list(BOMBS)), strict=True):
        *_, message, megabytes = BOMBS[year]
        assert message in result["message"]
        assert result["left"] == []
        assert result["megabytes"] < megabytes, result


def test_unpacking_stops_at_the_largest_delivery(tmp_path: Path) -> None:
    """8 GB of rows, at a ratio of about a thousand; 100 MB may be unpacked."""
    folder = tmp_path / "raw" / "2004"
    folder.mkdir(parents=True)
    bomb(folder / "dmg.csv.gz", HEADER, b"P1,G1\n", 8_000)
    assert (folder / "dmg.csv.gz").stat().st_size < 25_000_000
    (result,) = in_its_own_process(tmp_path, "100MB", [2004])
    assert result["message"] == (
        "2004/dmg.csv.gz unpacks to more than 100 MB; expected at most 100 MB. It is damaged or no delivery; if it is one, "
        "raise MM_LARGEST_DELIVERY."
    )
    assert result["left"] == []
    assert result["megabytes"] < 100


def test_exactly_the_largest_delivery(ingestion: Ingestion) -> None:
    content = HEADER + 1000 * b"P1,G1\n"
    for file_name, data in (("dmg.csv", content), ("dmg.csv.gz", gzip.compress(content))):
        path = ingestion.put(file_name, data)
        files.scan(path, ingestion.folder, len(content))
        with pytest.raises(DeliveryError, match="raise MM_LARGEST_DELIVERY"):
            files.scan(path, ingestion.folder, len(content) - 1)


def test_unpacking_leaves_room_on_the_disk(ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch) -> None:
    ingestion.put("dmg.csv.gz", gzip.compress(HEADER + b"P1,G1\n"))
    ingestion.ingest("dmg")
    monkeypatch.setattr(files, "_RESERVE", 1 << 62)
    message = ingestion.refused("dmg")
    assert message.startswith("2019/dmg.csv.gz needs more room than the disk of data/lake has; expected ") is False
    assert "2019/dmg.csv.gz needs more room than the disk of data/lake has" in message
    assert "Make room and materialise the year again" in message
    assert list(ingestion.lake.spill_dir().iterdir()) == []


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("suffix", ["csv", "csv.gz"])
@pytest.mark.parametrize(
    ("lines", "too_long"),
    [
        ([10 * b"x", 10 * b"y"], None),
        ([11 * b"x", b"y"], 1),
        ([b"x", 11 * b"y"], 2),
        ([b"x", b"", 5 * "é".encode(), b"z", 5 * "é".encode() + b"!", b"z"], 5),
        ([b"x", 25 * b"y", b"z", 25 * b"!"], 2),
        ([b"x", 3 * b"y", 10 * b"z", 11 * b"!"], 4),
    ],
)
def test_the_longest_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lines: list[bytes],
    too_long: int | None,
    suffix: str,
    line_end: bytes,
) -> None:
    """Found exactly, wherever a chunk ends, with the number of the line; a BOM and line ends do not count."""
    monkeypatch.setattr(files, "_LONGEST_LINE", 10)
    path = tmp_path / f"dmg.{suffix}"
    for ends in (line_end, b""):
        content = files.BOM + line_end.join(lines) + ends
        path.write_bytes(content if suffix == "csv" else gzip.compress(content))
        for chunk in CHUNKS:
            monkeypatch.setattr(files, "_CHUNK", chunk)
            if too_long is None:
                assert files.scan(path, tmp_path).text is not None
                continue
            with pytest.raises(DeliveryError, match=f"dmg.{suffix}, line {too_long}: longer than 10 bytes"):
                files.scan(path, tmp_path)


def test_a_line_of_4_mib_is_a_bad_line_and_one_byte_more_is_refused(ingestion: Ingestion) -> None:
    """Between the engine's limit of 2 MB and ours a line is bad, and the rest of the file is read."""
    line = b"P2," + ((1 << 22) - 3) * b"x"
    account = ingestion.take("dmg.csv", HEADER + b"P1,G1\n" + line + b"\nP3,G3\n")
    assert (account.kept, account.quarantined_by_reason) == (2, {"line: a line longer than 2 MB": 1})
    ingestion.put("dmg.csv", HEADER + b"P1,G1\n" + line + b"x\nP3,G3\n")
    assert "2019/dmg.csv, line 3: longer than 4 MiB; expected one row a line." in ingestion.refused("dmg")


def test_millions_of_members_of_a_gzip_take_no_time(tmp_path: Path) -> None:
    """Each is 20 bytes: copying what follows it took a second for every 2000 of them."""
    path = tmp_path / "dmg.csv.gz"
    path.write_bytes(gzip.compress(HEADER) + 300_000 * gzip.compress(b"") + gzip.compress(b"P1,G1\n"))
    text = files.scan(path, tmp_path).text
    assert text is not None
    assert text.lines == 2


def test_too_many_rows(ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_ROWS", 2)
    ingestion.take("dmg.csv", HEADER + b"P1,G1\nP2,G2")
    ingestion.put("dmg.csv", HEADER + b"P1,G1\nP2,G2\n")
    assert "2019/dmg.csv has more rows; expected at most 2" in ingestion.refused("dmg")
    (ingestion.folder / "dmg.csv").unlink()
    ingestion.take("dmg.parquet", table("dmg", 2))
    ingestion.put("dmg.parquet", table("dmg", 3))
    assert "2019/dmg.parquet has 3 rows; expected at most 2" in ingestion.refused("dmg")


def test_a_parquet_file_that_unpacks_to_too_much(ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ingestion.put("dmg.parquet", "")
    pq.write_table(table("dmg", 1000, practice_id=["G" * 1000] * 1000), path, use_dictionary=False, compression="zstd")
    monkeypatch.setattr(type(ingestion.settings), "largest_delivery_bytes", property(lambda _: path.stat().st_size))
    assert "2019/dmg.parquet unpacks to " in ingestion.refused("dmg")


def test_a_parquet_file_with_a_huge_footer(ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ingestion.put("dmg.parquet", table("dmg"))
    length = pq.read_metadata(path).serialized_size
    monkeypatch.setattr(files, "_LARGEST_FOOTER", length)
    ingestion.ingest("dmg")
    monkeypatch.setattr(files, "_LARGEST_FOOTER", length - 1)
    assert "2019/dmg.parquet: its footer has " in ingestion.refused("dmg")


@pytest.mark.parametrize("wrong", [b"P1\n", b'P1,"G1\n', b",G1\n"], ids=["engine", "line by line", "a rule"])
def test_too_many_bad_rows(ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch, wrong: bytes) -> None:
    monkeypatch.setattr(reader, "MOST_BAD", 2)
    good = 5 * b"P1,G1\n"
    assert ingestion.take("dmg.csv", HEADER + 2 * wrong + good).quarantined == 2
    ingestion.put("dmg.csv", HEADER + 3 * wrong + good)
    message = ingestion.refused("dmg")
    assert "rows are bad, most often" in message
    assert "expected at most 2. Nothing was kept" in message


@pytest.mark.parametrize("file_name", ["dmg.csv", "dmg.parquet"])
def test_bad_rows_that_are_too_long_for_the_quarantine(
    ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch, file_name: str
) -> None:
    """Their raw lines are put together in memory."""
    monkeypatch.setattr(ingest, "MOST_QUARANTINED_BYTES", 1000)
    for length, taken in ((100, True), (600, False)):
        ids = [f"G{length * 'x'}"] * 2
        rows = table("dmg", patient_id=["", ""], practice_id=ids)
        text = HEADER + "".join(f",{each}\n" for each in ids).encode()
        ingestion.put(file_name, rows if file_name.endswith("parquet") else text)
        if taken:
            assert ingestion.ingest("dmg").quarantined == 2
        else:
            assert f"2019/{file_name}: its bad rows hold more than 1 kB" in ingestion.refused("dmg")


def test_a_manifest_has_a_few_lines(ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "_LARGEST", 2)
    ingestion.put("manifest.json", "{}")
    ingestion.take("dmg.csv", HEADER + b"P1,G1\n")
    ingestion.put("manifest.json", "{} ")
    assert "2019/manifest.json: more than 2 bytes; expected a few lines" in ingestion.refused("dmg")


def test_reference_files_have_their_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "refnis.csv"
    path.write_text("x" * 11)
    with pytest.raises(ReferenceDataError, match="found more than 10 bytes; expected at most 10 bytes"):
        refnis.read_bytes(path, 10)
    assert refnis.read_bytes(path, 11) == b"x" * 11
    archive = tmp_path / "sectors_2010.geojson.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a.geojson", '{"features": [{}]}' + 1000 * " ")
    assert [feature.properties for feature in geojson.features(archive)] == [{}]
    monkeypatch.setattr(geojson, "LARGEST", 1000)
    with pytest.raises(ReferenceDataError, match="unpacked: found more than 1 kB"):
        geojson.features(archive)
