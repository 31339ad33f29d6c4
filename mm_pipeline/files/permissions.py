"""Permissions: files and folders that only the account of the pipeline may read, whatever the umask.

They hold persons, small numbers and the history. Folders are 0700, files 0600. What other accounts own is not changed;
:func:`close` tells that it stays open.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_OTHERS = 0o077
"""Permission bits of the group and of everybody else."""


@contextmanager
def making_private_files() -> Iterator[None]:
    """Make all new files of the process private during the block, including those of libraries (spilled, unpacked data).

    The umask is the process's, not a thread's: a run executes its steps one by one in a process of its own.
    """
    before = os.umask(_OTHERS)
    try:
        yield
    finally:
        os.umask(before)


def folder(path: Path) -> Path:
    """Make a folder, 0700, if it is missing. Missing folders above it are made with the umask."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def close(path: Path) -> bool:
    """Close a folder or file to group and others, if this account owns it. False if it stays open to them.

    A symbolic link is left alone: its target may be anybody's, and nothing is read through it.
    """
    if path.is_symlink():
        return True
    try:
        found = path.stat()
    except FileNotFoundError:  # also one that another process removes just now
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
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    return path
