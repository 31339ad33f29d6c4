"""What killed processes left is removed, and nothing of those that live."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mm_pipeline.files.locks import ID_KEY, SERIES, Locks
from mm_pipeline.operations.recovery import clean_up_under, remove_stale_files
from mm_pipeline.settings import Settings
from mm_pipeline.storage.lake import Lake
from mm_pipeline.storage.scratch import remove_abandoned, scratch

OWNER = """
import sys, time
from pathlib import Path
from mm_pipeline.storage.lake import Lake
from mm_pipeline.storage.scratch import scratch
with scratch(Lake(Path(sys.argv[1]))) as folder:
    (folder / "persons").write_text("persons")
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path / "data")


def never(said: str) -> None:
    raise AssertionError(said)


def leave(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("half")
    return path


def test_a_scratch_folder_goes_when_its_process_was_killed(settings):
    lake = Lake(settings.lake_dir)
    with subprocess.Popen([sys.executable, "-c", OWNER, str(lake.root)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        folder = Path(process.stdout.readline().strip())
        with scratch(lake) as own:
            remove_abandoned(lake)
            assert folder.exists(), "its process lives"
            assert own.exists(), "so does this one"
            os.kill(process.pid, signal.SIGKILL)
            process.wait(60)
            remove_abandoned(lake)
            assert not folder.exists()
            assert own.exists()
    assert list(lake.spill_dir().iterdir()) == []


def everything_half_made(settings: Settings) -> dict[str, list[Path]]:
    """Lock -> what is left under it."""
    lake, published = settings.lake_dir, settings.published_dir
    return {
        "2004": [
            leave(lake / "houses" / "year=2004" / ".part-0.parquet.abc.tmp"),
            leave(lake / "houses" / "year=2004" / "tmp_.part-0.parquet.abc.tmp"),
            leave(lake / "houses" / "year=2004" / ".part-0.parquet.sha256.abc.tmp"),
            leave(lake / "quarantine" / "dmg" / "year=2004" / ".part-0.parquet.abc.tmp"),
            leave(published / ".2004.abc.tmp" / "rates.csv").parent,
        ],
        SERIES: [leave(published / f".{name}.abc.tmp" / "x").parent for name in ("series", "atlas")],
        ID_KEY: [leave(settings.data_dir / ".id.key.abc.tmp")],
    }


def test_whoever_holds_the_lock_removes_what_lies_under_it(settings):
    left = everything_half_made(settings)
    kept = leave(settings.lake_dir / "houses" / "year=2004" / "part-0.parquet")
    clean_up_under(settings, ["2004"])
    assert [name for name, paths in left.items() if any(path.exists() for path in paths)] == [SERIES, ID_KEY]
    assert not any(path.exists() for path in left["2004"])
    assert kept.exists()


@pytest.mark.parametrize("held", ["2004", SERIES, ID_KEY])
def test_all_is_removed_but_where_somebody_is_at_work(settings, held):
    left = everything_half_made(settings)
    with Locks(settings.lake_dir).held([held], by="the test", say=never):
        remove_stale_files(settings, Locks(settings.lake_dir))
        assert {name: [path.exists() for path in paths] for name, paths in left.items()} == {
            name: [name == held] * len(paths) for name, paths in left.items()
        }
    remove_stale_files(settings, Locks(settings.lake_dir))
    assert not any(path.exists() for paths in left.values() for path in paths)


def test_a_release_that_was_taken_away_comes_back(settings):
    """Killed between the two steps of a switch where folders cannot be exchanged."""
    published = settings.published_dir
    leave(published / ".2004.abc.old" / "rates.csv").write_text("released")
    leave(published / ".2004.def.tmp" / "rates.csv")
    clean_up_under(settings, ["2004"])
    assert [path.relative_to(published).as_posix() for path in sorted(published.rglob("*"))] == [
        "2004",
        "2004/rates.csv",
    ]
    assert (published / "2004" / "rates.csv").read_text() == "released"


def test_an_old_release_does_not_take_the_place_of_the_new_one(settings):
    leave(settings.published_dir / ".2004.abc.old" / "rates.csv").write_text("old")
    leave(settings.published_dir / "2004" / "rates.csv").write_text("new")
    clean_up_under(settings, ["2004"])
    assert [path.name for path in settings.published_dir.iterdir()] == ["2004"]
    assert (settings.published_dir / "2004" / "rates.csv").read_text() == "new"
