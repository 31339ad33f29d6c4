"""The checksum beside a file of the lake, ``<file>.sha256`` as ``sha256sum`` writes it: is the file what was written?

File and checksum cannot be replaced in one step. So while a file is replaced its checksum file names both: the one that
lies there and the one that comes. Whenever the process is killed, the file that lies there is known.
"""

import hashlib
from pathlib import Path

from mm_pipeline.files.atomic import replacing

_MODE = 0o600

_found_intact: dict[Path, tuple[int, ...]] = {}
"""By this process: files as they were then."""


def checksum_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def is_intact(path: Path) -> bool:
    """Whether a file that is there has the bytes that were written. It is read whole, but not again until it is touched.

    A file without checksum, as an earlier version of the program wrote it, passes.
    """
    if _found_intact.get(path) == (touched := _touched(path)):
        return True
    expected = _expected(path)
    while expected is not None and _sum(path) not in expected:
        before, expected = expected, _expected(path)
        if expected == before:  # else it was replaced meanwhile
            return False
    _found_intact[path] = touched
    return True


def is_lost(path: Path) -> bool:
    """Whether only the checksum of a file is there: it was written, and somebody or something took it away."""
    return not path.is_file() and checksum_path(path).is_file()


def put_with_checksum(new: Path, path: Path, *, durable: bool) -> None:
    """Move ``new`` to ``path``; at any moment the checksum file knows the one that lies there."""
    digest, before = _sum(new), _expected(path)
    if before is None and path.is_file():
        before = {_sum(path)}
    if before is not None:  # else there is nothing yet, and a checksum by itself would say that a file was lost
        _write(path, before | {digest}, durable=durable)
    new.replace(path)
    _write(path, {digest}, durable=durable)
    _found_intact[path] = _touched(path)


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _expected(path: Path) -> set[str] | None:
    """None: there is no checksum file. A damaged one expects nothing that any file has."""
    try:
        lines = checksum_path(path).read_text(encoding="ascii", errors="replace").splitlines()
    except FileNotFoundError:
        return None
    return {line.partition(" ")[0] for line in lines}


def _write(path: Path, sums: set[str], *, durable: bool) -> None:
    with replacing(checksum_path(path), mode=_MODE, durable=durable) as file:
        file.write_text("".join(f"{digest}  {path.name}\n" for digest in sorted(sums)), encoding="ascii")


def _touched(path: Path) -> tuple[int, ...]:
    is_now = path.stat()
    return is_now.st_dev, is_now.st_ino, is_now.st_size, is_now.st_mtime_ns, is_now.st_ctime_ns
