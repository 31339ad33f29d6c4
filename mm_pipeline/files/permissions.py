"""Files and folders that only the account of the pipeline may read, whatever the umask: persons, small numbers, history.

Folders are 0700, files 0600. What others own is not touched: :func:`close` says that it is open.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_OTHERS = 0o077
"""What the group and everybody else may do."""


@contextmanager
def making_private_files() -> Iterator[None]:
    """Whatever the process makes meanwhile is for its owner only, also what libraries make: spilled and unpacked data.

    The umask is of the process and not of a thread: the steps of a run are one after the other in a process of their own.
    """
    before = os.umask(_OTHERS)
    try:
        yield
    finally:
        os.umask(before)


def folder(path: Path) -> Path:
    """Make the folder if it is not there, 0700; those above it are made as the umask has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def close(path: Path) -> bool:
    """Take a folder or file from group and others, if it is ours. False when it stays open to them.

    A link is left alone: what it leads to may be anybody's, and nothing is read through it.
    """
    if path.is_symlink():
        return True
    try:
        found = path.stat()
    except FileNotFoundError:
        return True
    if not found.st_mode & _OTHERS:
        return True
    if found.st_uid == os.geteuid():
        with suppress(OSError):
            path.chmod(found.st_mode & 0o777 & ~_OTHERS)
    return not path.stat().st_mode & _OTHERS


def write(path: Path, text: str) -> Path:
    """Write a text file, 0600, into its folder, 0700."""
    folder(path.parent)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return path
