"""Fingerprints of content (SHA-256) and traces of changes, to tell what a file holds and whether it was touched."""

import hashlib
import os
from pathlib import Path

from mm_pipeline.clock import now
from mm_pipeline.files import safe_names

_TIME_RESOLUTION = 2.0
"""Seconds within which a file system may give two changes the same time."""
_known: dict[Path, tuple[tuple[int, ...], str]] = {}
"""Files that this process has read -> their state then, and their SHA-256."""


def fingerprint(path: Path, *, follow: bool = True) -> str:
    """SHA-256 of the content of a file. Raises OSError if it cannot be read or is no file.

    A file that was not touched since this process last read it is not read again.
    """
    with safe_names.opened(path, follow=follow) as file:
        seen = state(os.fstat(file.fileno()))
        if (known := _known.get(path)) and known[0] == seen:
            return known[1]
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        after = os.fstat(file.fileno())
    # File times may be whole seconds: a file that changed just now can change again without changing its time.
    if state(after) == seen and now().timestamp() - after.st_ctime > _TIME_RESOLUTION:
        _known[path] = seen, sha256
    return sha256


def state(of: os.stat_result) -> tuple[int, ...]:
    """The state of a file, which changes when it is written, replaced or renamed. Its change time cannot be set back."""
    return of.st_dev, of.st_ino, of.st_size, of.st_mtime_ns, of.st_ctime_ns


def trace(folder: Path) -> tuple[tuple[str | int, ...], ...]:
    """The state of a folder, which changes when anything in it is written, replaced, renamed or removed. Reads no file."""
    with os.scandir(folder) as entries:
        return tuple(sorted((entry.name, *state(entry.stat(follow_symlinks=False))) for entry in entries))
