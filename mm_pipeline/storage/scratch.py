"""Temporary folders of a process: inside the lake, as restricted as the lake, and removed afterwards.

A process holds a lock in each of its folders, which the kernel releases when the process ends, however it ends. So the
next process recognises what a killed one left, and removes it.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from mm_pipeline.files.locks import locked
from mm_pipeline.storage.lake import Lake

_LOCK = ".lock"


class Scratch:
    """A temporary folder of this process (mode 0700), until :meth:`remove`."""

    def __init__(self, lake: Lake) -> None:
        self._lock = ExitStack()
        while True:
            self.path = Path(tempfile.mkdtemp(dir=lake.spill_dir()))
            with suppress(FileNotFoundError):  # another process removed it before it was locked
                self._lock.enter_context(locked(self.path / _LOCK))
                return

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


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
    for folder in (lake.root / ".spill").glob("*/"):
        with suppress(BlockingIOError, FileNotFoundError), locked(folder / _LOCK, wait=False):
            shutil.rmtree(folder, ignore_errors=True)
