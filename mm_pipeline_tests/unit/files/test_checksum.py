"""The checksum beside a file of the lake: damage is found, and no file that was written whole is taken for damaged."""

import hashlib
import os
import subprocess
from pathlib import Path

import ibis
import pytest

from mm_pipeline import schemas
from mm_pipeline.defs.resources.engine import DuckDBEngine
from mm_pipeline.errors import LakeError
from mm_pipeline.files import checksum
from mm_pipeline.files.checksum import checksum_path, is_intact, put_with_checksum
from mm_pipeline.storage.lake import IRREPLACEABLE, Lake, Provenance
from mm_pipeline_tests.support.damage import DAMAGE, flip
from mm_pipeline_tests.support.pipeline import settings_for

YEAR = 2019


def put(path: Path, text: str) -> None:
    new = path.with_name("new")
    new.write_text(text)
    put_with_checksum(new, path, durable=False)


def test_the_program_sha256sum_understands_it(tmp_path):
    put(tmp_path / "file", "content")
    done = subprocess.run(["sha256sum", "--check", "file.sha256"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_found(tmp_path, damage):
    path = tmp_path / "file"
    put(path, "content")
    assert is_intact(path)
    path.write_bytes(damage(path.read_bytes()))
    assert not is_intact(path)
    put(path, "content")
    assert is_intact(path)


def test_a_file_of_an_earlier_version_is_unknown_and_passes(tmp_path):
    path = tmp_path / "file"
    path.write_text("without a checksum")
    assert is_intact(path)


def test_a_checksum_file_without_a_sum_lets_nothing_pass(tmp_path):
    path = tmp_path / "file"
    put(path, "content")
    checksum_path(path).write_text("")
    checksum._found_intact.clear()
    assert not is_intact(path)


class TestKilled:
    """Whoever is killed while a file is replaced leaves one that is known."""

    @pytest.mark.parametrize("known_before", [True, False], ids=["with a checksum", "of an earlier version"])
    @pytest.mark.parametrize("at", [1, 2, 3])
    def test_between_any_two_steps(self, tmp_path, monkeypatch, at, known_before):
        path, steps = tmp_path / "file", []
        put(path, "old")
        if not known_before:
            checksum_path(path).unlink()
        replace = os.replace

        def killed(one, other):
            steps.append(other)
            if len(steps) == at:
                raise KeyboardInterrupt
            return replace(one, other)

        monkeypatch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            put(path, "new")
        monkeypatch.undo()
        checksum._found_intact.clear()
        assert is_intact(path)
        assert path.read_text() == ("old" if at < 3 else "new")
        path.write_text("damaged")
        assert is_intact(path) == (not known_before and at == 1)
        put(path, "again")
        assert checksum_path(path).read_text() == f"{hashlib.sha256(b'again').hexdigest()}  file\n"

    def test_a_file_that_is_replaced_while_it_is_read_is_no_damage(self, tmp_path, monkeypatch):
        path, sum_of = tmp_path / "file", checksum.sha256
        put(path, "old")
        checksum._found_intact.clear()
        reads = []

        def replaced_meanwhile(read):
            if read == path and not reads:
                reads.append(read)
                put(path, "new")
            return sum_of(read)

        monkeypatch.setattr(checksum, "sha256", replaced_meanwhile)
        assert is_intact(path)
        assert reads


def test_it_is_read_once_until_it_is_touched(tmp_path, monkeypatch):
    path, read = tmp_path / "file", []
    path.write_text("content")
    checksum_path(path).write_text(f"{hashlib.sha256(b'content').hexdigest()}  file\n")
    monkeypatch.setattr(
        checksum, "sha256", lambda path: read.append(path) or hashlib.sha256(path.read_bytes()).hexdigest()
    )
    assert is_intact(path)
    assert is_intact(path)
    assert len(read) == 1
    before = path.stat()
    path.write_text("CONTENT")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not is_intact(path), "also when the time of its contents was put back"


class TestLake:
    @pytest.fixture
    def lake(self, tmp_path):
        settings = settings_for(tmp_path)
        lake = Lake(settings.lake_dir)
        with DuckDBEngine.of(settings).session() as backend:
            for table in (schemas.RAW_DMG, schemas.RELEASES, schemas.CLEARED):
                rows = ibis.memtable(table.schema.empty_table())
                lake.write(backend, table, YEAR, rows, Provenance(synthetic=True))
            empty = ibis.memtable(schemas.QUARANTINE.schema.empty_table())
            lake.write_quarantine(backend, schemas.RAW_DMG, YEAR, empty, Provenance(synthetic=True))
            yield lake, backend

    @pytest.mark.parametrize(
        ("table", "do"),
        [
            (schemas.RAW_DMG, "Materialise raw_dmg for 2019 again, or run mm-pipeline backfill."),
            (schemas.CLEARED, "Materialise cleared for 2019 again, or run mm-pipeline backfill."),
            (schemas.RELEASES, "put the folder of the year back from a backup."),
        ],
        ids=str,
    )
    def test_what_is_damaged_is_not_read_but_told(self, lake, table, do):
        lake, backend = lake
        path = lake.path(table, YEAR)
        assert lake.is_intact(table, YEAR)
        path.write_bytes(flip(path.read_bytes()))
        assert not lake.is_intact(table, YEAR)
        for look in (
            lambda: lake.read(backend, table, YEAR),
            lambda: lake.written(table, YEAR),
            lambda: lake.provenance(table, YEAR),
        ):
            with pytest.raises(LakeError) as raised:
                look()
            assert str(raised.value).startswith(f"2019: data/lake/{table.name}/year=2019/part-0.parquet is damaged: ")
            assert str(raised.value).endswith(do)

    def test_a_damaged_quarantine_too(self, lake):
        lake, _backend = lake
        path = lake.quarantine_path(schemas.RAW_DMG, YEAR)
        path.write_bytes(path.read_bytes()[:-1])
        assert not lake.is_intact(schemas.RAW_DMG, YEAR)
        with pytest.raises(LakeError, match=r"quarantine/dmg/year=2019/part-0\.parquet is damaged"):
            lake.quarantined(schemas.RAW_DMG, YEAR)

    def test_only_what_cannot_be_made_again_is_written_through(self, tmp_path, monkeypatch):
        written = []
        monkeypatch.setattr(
            os, "fsync", lambda descriptor: written.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        )
        settings = settings_for(tmp_path)
        with DuckDBEngine.of(settings).session() as backend:
            for table in (schemas.RAW_DMG, schemas.RELEASES):
                rows = ibis.memtable(table.schema.empty_table())
                Lake(settings.lake_dir).write(backend, table, YEAR, rows, Provenance(synthetic=True))
        assert {Path(path).parent.parent.name for path in written if "part-0" in path} == {"releases"}
        assert {Path(path).parent.name for path in written if path.endswith("year=2019")} == {"releases"}
        assert schemas.RELEASES.name in IRREPLACEABLE
