"""Temporary folders of a process: inside the lake, as restricted as the lake, and removed afterwards.

A process holds a lock in each of its folders, which the kernel releases when the process ends, however it ends. So the
next process recognises what a killed one left, and removes it.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mm_pipeline.files.locks import lies_at
from mm_pipeline.storage.lake import Lake

_LOCK = ".lock"


class Scratch:
    """A temporary folder of this process (mode 0700), until :meth:`remove`."""

    def __init__(self, lake: Lake) -> None:
        while True:
            self.path = Path(tempfile.mkdtemp(dir=lake.spill_dir()))
            with suppress(FileNotFoundError):  # another process removed it before it was locked
                self._lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
                fcntl.flock(self._lock, fcntl.LOCK_EX)
                if lies_at(self.path / _LOCK, self._lock):  # else it was taken for abandoned before it was locked
                    return
                os.close(self._lock)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


@contextmanager
def scratch(lake: Lake) -> Iterator[Path]:
    """A temporary folder, removed at the end of the block."""
    folder = Scratch(lake)
    try:
        yield folder.path
    finally:
        folder.remove()


def remove_abandoned(lake: Lake) -> None:
    """Remove the temporary folders whose process has ended."""
    for folder in (lake.root / ".spill").glob("*"):
        with suppress(BlockingIOError, FileNotFoundError, NotADirectoryError):
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if lies_at(folder / _LOCK, lock):
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
