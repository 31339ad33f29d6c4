"""Full disks and folders that may not be written: words, earlier results as they were, and the next run makes the rest."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from mm_pipeline_tests.faults.before_and_after import BeforeAndAfter, digests, faults_in, run_again
from mm_pipeline_tests.faults.build_processes import YEAR, BuildProcesses
from mm_pipeline_tests.support.installation import Installation

NOBODY = 65534
BALLAST = ".ballast"


@pytest.fixture
def installation(revision: BeforeAndAfter, place: Path) -> Iterator[Installation]:
    """A year that is built, and whose delivery has changed since."""
    installation = revision.before.copied_to(place / "no_space")
    yield installation
    shutil.rmtree(installation.root)


def assert_told(installation: Installation, change: BeforeAndAfter, processes: BuildProcesses, *words: str) -> None:
    """The run that goes on fails in these words, and leaves each result as it was, or made anew, and nothing else."""
    assert processes.wait() == 1
    assert [word for word in words if word not in processes.said] == [], processes.said
    assert "Traceback" not in processes.said
    assert faults_in(installation, change) == []
    unknown = digests(installation).keys() - change.old.keys() - change.new.keys()
    assert {str(path) for path in unknown if path.name != BALLAST} == set(), "left there"


# --- Full


@contextmanager
def disk(folder: Path, megabytes: int) -> Iterator[None]:
    """A small disk of its own for a folder, with what lies in the folder; skips where that cannot be had."""
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder.with_name(f"{folder.name} aside")
    folder.rename(aside)
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no command mount")
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted: {mounted.stderr.strip()}")
    try:
        shutil.copytree(aside, folder, dirs_exist_ok=True)
        shutil.rmtree(aside)
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def filled(folder: Path, *, but: int) -> Iterator[None]:
    """No space on the disk of the folder but so many kilobytes."""
    ballast = folder / BALLAST
    found = os.statvfs(folder)
    ballast.write_bytes(b"x" * (found.f_bavail * found.f_frsize - but * 1024))
    yield
    ballast.unlink()


FULL = {"dagster": 100, "data/lake/raw_beneficiaries": 16, "data/lake/disclosed_rates": 0, "data/published": 20}
"""Folder -> kilobytes that are left: enough for its small files, and not for all."""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_the_disk_is_full(installation, revision, processes):
    with ExitStack() as disks:
        for name in FULL:
            disks.enter_context(disk(installation.root / name, 32))
        for name, kilobytes in FULL.items():
            before = digests(installation)
            with filled(installation.root / name, but=kilobytes):
                processes.start(installation)
                assert_told(installation, revision, processes, "there is no space left", f"{installation.root / name}")
            after = digests(installation)
            assert {path: of for path, of in after.items() if name in str(path)} == {
                path: of for path, of in before.items() if name in str(path)
            }
        run_again(installation, revision, processes, [])


@pytest.mark.parametrize("kilobytes", [150, 900])
def test_files_may_not_grow(installation, revision, processes, kilobytes):
    """For every user as if the disk were full, for files above a size: first those of the history."""
    processes.start(installation, file_size=kilobytes * 1000)
    assert_told(
        installation,
        revision,
        processes,
        "there is no space left, or the disk is faulty",
        f"{installation.root / 'dagster'}",
    )
    run_again(installation, revision, processes, [])


# --- Read-only


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    modes = {path: path.stat().st_mode for path in [folder, *folder.rglob("*")] if path.is_dir()}
    for path in modes:
        path.chmod(0o555)
    yield
    for path, mode in modes.items():
        path.chmod(mode)


def given_to(installation: Installation, uid: int) -> dict[str, int]:
    """The installation as one of this account; how a process becomes it. Root may write everywhere."""
    if os.geteuid() != 0:
        return {}
    for path in [installation.root, *installation.root.rglob("*")]:
        os.chown(path, uid, uid)
    for above in installation.root.parents:
        if not above.stat().st_mode & 0o001:
            above.chmod(0o711)
    return {"uid": uid}


def test_folders_are_read_only(installation, revision, processes):
    account = given_to(installation, NOBODY)
    data = installation.root / "data"
    for folder in (data / "lake", data / "lake" / "houses", data / "published"):
        with read_only(folder):
            processes.start(installation, **account)
            assert_told(installation, revision, processes, "this account may not read or write there", str(folder))
    with read_only(installation.raw(YEAR)), read_only(installation.settings.raw_dir):
        run_again(installation, revision, processes, [], **account)
