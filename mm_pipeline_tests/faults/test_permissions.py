"""A whole year, watched while it is built: what holds persons is for its owner only, whatever the umask."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mm_pipeline_tests.support.installation import Installation
from mm_pipeline_tests.support.server import environment_of

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
from mm_pipeline_tests.support.small_country import complete
scan = files.scan

def scanned(*arguments):
    file = scan(*arguments)
    note(file.unpacked)
    return file

files.scan = scanned
before = temporary.stat().st_mtime_ns  # of a folder it changes with whatever is made in it or goes
thread = threading.Thread(target=watch)
thread.start()
try:
    main(["synthesize", "--years", "2006", "--scale", "0.003"], standalone_mode=False)
    with complete():
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
    installation, elsewhere = Installation.of_small_country(tmp_path / "installation"), tmp_path / "tmp"
    elsewhere.mkdir()
    environment = environment_of(installation) | {"TMPDIR": str(elsewhere), "DAGSTER_HOME": "", "MM_ID_KEY": ""}
    done = subprocess.run(
        [sys.executable, "-c", _A_YEAR, umask],
        env=environment,
        cwd=installation.root,
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
    data = installation.settings.data_dir
    for folder in ("lake", "raw", "dagster"):
        assert mode(data / folder) == 0o700
    assert mode(data / "id.key") == 0o600
    for path in (data / "lake", data / "raw", *(data / "lake").rglob("*"), *(data / "raw").rglob("*")):
        assert mode(path) == (0o700 if path.is_dir() else 0o600), path
    for path in (data / "published", *(data / "published").rglob("*")):
        assert mode(path) == (0o755 if path.is_dir() else 0o644), path
    assert not told["temporary"], "nothing is put where everybody puts things"
