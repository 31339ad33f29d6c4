"""What holds persons is for its owner only, whatever the umask, also while it is made; the release is for everybody."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest

from mm_pipeline import restricted
from mm_pipeline.assets.common import step
from mm_pipeline.instance import dagster_home
from mm_pipeline.settings import Settings
from mm_pipeline_tests.dagster_.server import environment_of
from mm_pipeline_tests.dagster_.world import World
from mm_pipeline_tests.harness import settings_for

_A_YEAR = """
import json, os, sys, tempfile, threading
from pathlib import Path

os.umask(int(sys.argv[1], 8))
data, temporary, seen, done = Path(os.environ["MM_DATA_DIR"]), Path(tempfile.gettempdir()), {}, threading.Event()

def note(path):
    try:
        seen.setdefault(f"{path.relative_to(data)} {path.lstat().st_mode & 0o777:o}", None)
    except FileNotFoundError:
        pass

def watch():
    while not done.wait(0.02):
        for path in data.rglob("*"):
            note(path)

from mm_pipeline.cli import main
from mm_pipeline.ingest import files
look = files.look

def looked(*arguments):
    file = look(*arguments)
    note(file.unpacked)
    return file

files.look = looked
before = temporary.stat().st_mtime_ns  # of a folder it changes with whatever is made in it or goes
thread = threading.Thread(target=watch)
thread.start()
try:
    main(["synthesize", "--years", "2006", "--scale", "0.003"], standalone_mode=False)
    main(["backfill", "--years", "2006"], standalone_mode=False)
finally:
    done.set()
    thread.join()
    print(json.dumps({"seen": list(seen), "temporary": temporary.stat().st_mtime_ns != before}))
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", ["000", "077"])
def test_whatever_the_umask_and_at_every_moment(tmp_path: Path, umask: str) -> None:
    """A year from its synthetic delivery to the release, watched all the while."""
    world, elsewhere = World(tmp_path / "world"), tmp_path / "tmp"
    elsewhere.mkdir()
    world.root.mkdir()
    environment = environment_of(world) | {"TMPDIR": str(elsewhere), "DAGSTER_HOME": "", "MM_ID_KEY": ""}
    done = subprocess.run(
        [sys.executable, "-c", _A_YEAR, umask],
        env=environment,
        cwd=world.root,
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout.splitlines()[-1])
    seen = {Path(name): mode for name, _, mode in (line.rpartition(" ") for line in told["seen"])}
    private = [path for path in seen if path.parts[0] in ("lake", "raw", "id.key", "dagster")]
    assert any(path.suffix == ".csv" and ".spill" in path.parts for path in private), "the unpacked delivery"
    assert [
        f"{path} {seen[path]}" for path in private if int(seen[path], 8) & 0o077 and path.parts[0] != "dagster"
    ] == []
    data = world.settings.data_dir
    for folder in ("lake", "raw", "dagster"):
        assert mode(data / folder) == 0o700
    assert mode(data / "id.key") == 0o600
    for path in (data / "lake", data / "raw", *(data / "lake").rglob("*"), *(data / "raw").rglob("*")):
        assert mode(path) == (0o700 if path.is_dir() else 0o600), path
    for path in (data / "published", *(data / "published").rglob("*")):
        assert mode(path) == (0o755 if path.is_dir() else 0o644), path
    assert not told["temporary"], "nothing is put where everybody puts things"


def test_what_is_spilled_is_private(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, memory_limit="60MB", threads=1)
    before = os.umask(0)
    try:
        with step(SimpleNamespace(partition_key="2019"), settings) as work:
            work.backend.con.execute("SET preserve_insertion_order = false")
            work.backend.con.execute("CREATE TEMP TABLE t AS SELECT md5(i::VARCHAR) AS x, i FROM range(1500000) r(i)")
            spilled = [path for path in work.lake.spill_dir().rglob("*") if path.is_file()]
            assert spilled
            assert {mode(path) for path in spilled} == {0o600}
        assert os.umask(0) == 0, "as before"
    finally:
        os.umask(before)


class TestClose:
    @pytest.mark.parametrize("given", [0o755, 0o777, 0o750, 0o701])
    def test_takes_it_from_others(self, tmp_path: Path, given: int) -> None:
        tmp_path.chmod(given)
        assert restricted.close(tmp_path)
        assert mode(tmp_path) == given & 0o700

    def test_leaves_what_is_not_ours(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        tmp_path.chmod(0o755)
        monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
        assert not restricted.close(tmp_path)
        assert mode(tmp_path) == 0o755

    def test_leaves_what_a_link_leads_to(self, tmp_path: Path) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        elsewhere.chmod(0o775)
        (tmp_path / "2019").symlink_to(elsewhere)
        assert restricted.close(tmp_path / "2019")
        assert mode(elsewhere) == 0o775

    def test_what_is_not_there_is_not_open(self, tmp_path: Path) -> None:
        assert restricted.close(tmp_path / "x")


def test_a_delivery_that_others_could_read_is_closed(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    folder = settings.raw_dir / "2019"
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    with step(SimpleNamespace(partition_key="2019"), settings):
        assert mode(folder) == 0o700


def test_one_of_another_account_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, said = settings_for(tmp_path), []
    folder = settings.raw_dir / "2019"
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    context = SimpleNamespace(partition_key="2019", log=SimpleNamespace(warning=said.append))
    with step(context, settings):  # type: ignore[arg-type]
        pass
    assert said == [
        f"{folder} can be read by other accounts, and belongs to one of them, so that it was left as it is. It holds "
        f"persons: have its owner run chmod -R go= {folder}."
    ]


def test_the_history_is_closed_and_an_operators_own_left(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    (settings.data_dir / "dagster").mkdir(parents=True)
    own = tmp_path / "own"
    own.mkdir()
    for folder in (own, settings.data_dir / "dagster"):
        folder.chmod(0o755)
    for home, expected in (("", 0o700), (str(own), 0o755)):
        with patch.dict(os.environ, DAGSTER_HOME=home):
            assert mode(dagster_home(settings)) == expected
