"""Atomic replacement of files and folders: a reader sees either the old one or the new one."""

import ctypes
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_NEW, _OLD = ".tmp", ".old"
"""Suffixes of what is being written, and of a folder that was just replaced."""

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


@contextmanager
def replacing(
    path: Path, *, mode: int, durable: bool = False, put: Callable[[Path, Path], object] = Path.replace
) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block succeeds, and vanishes when it fails.

    ``durable``: flush file and folder to the disk, so that it survives a power failure. ``put`` moves the temporary path.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=_NEW)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(mode)
        if durable:
            _to_disk(temporary)
        put(temporary, path)
        if durable:
            _to_disk(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def replace_text(path: Path, text: str, *, mode: int, durable: bool = False) -> None:
    """Write a text file that takes the place of ``path``, as :func:`replacing`."""
    with replacing(path, mode=mode, durable=durable) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """An empty folder beside ``path`` that takes its place, readable by everybody, when the block succeeds.

    The exchange is one step where the file system can (Linux: ext4, xfs, btrfs, tmpfs and most others). Elsewhere it is two,
    between which ``path`` is missing; if the process is killed there, :func:`clean_up` puts the old folder back.
    """
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(0o755)  # whatever the umask
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=_NEW))
    try:
        yield temporary
        for below in temporary.rglob("*"):
            below.chmod(0o755 if below.is_dir() else 0o644)
        temporary.chmod(0o755)
        if not path.exists():
            temporary.rename(path)
        elif not _exchange(temporary, path):
            old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=_OLD))
            path.rename(old)
            try:
                temporary.rename(path)
            except OSError:
                old.rename(path)
                raise
            shutil.rmtree(old, ignore_errors=True)  # the new one is there: what stays is for clean_up
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def left_beside(path: Path) -> list[Path]:
    """The temporary files and folders of replacements that are at work or were killed, with DuckDB's ``tmp_<name>``."""
    names = f".{path.name}.*", f"tmp_.{path.name}.*"
    return sorted(found for name in names for found in path.parent.glob(name) if found.suffix in (_NEW, _OLD))


def clean_up(path: Path) -> None:
    """Remove what killed processes left beside ``path``. Must not run while ``path`` is being replaced.

    A folder that was moved away, and whose successor never took its place, is put back.
    """
    for left in left_beside(path):
        if left.suffix == _OLD and not path.exists() and any(left.iterdir()):
            left.rename(path)
        elif left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step (renameat2). False where the system cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        return False
    return rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0
