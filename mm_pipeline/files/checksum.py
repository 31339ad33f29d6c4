"""Checksums of the files of the lake, each in ``<file>.sha256`` beside its file, as ``sha256sum`` writes it.

File and checksum cannot be replaced in one step. So while a file is replaced, its checksum file holds both checksums, the
old and the new one: whenever the process is killed, the file that lies there matches one of them.
"""

import hashlib
from pathlib import Path

from mm_pipeline.files.atomic import replace_text
from mm_pipeline.files.fingerprint import state

_found_intact: dict[Path, tuple[int, ...]] = {}
"""Files that this process found intact -> their state then."""


def checksum_path(path: Path) -> Path:
    """The path of the checksum file of ``path``."""
    return path.with_name(f"{path.name}.sha256")


def is_intact(path: Path) -> bool:
    """Whether an existing file has the bytes that were written. Reads all of it, but not again until it is touched.

    A file without a checksum, as earlier versions of the program wrote, counts as intact.
    """
    if _found_intact.get(path) == (touched := state(path.stat())):
        return True
    expected = _expected(path)
    while expected is not None and sha256(path) not in expected:
        before, expected = expected, _expected(path)
        if expected == before:  # else it was replaced meanwhile
            return False
    _found_intact[path] = touched
    return True


def is_lost(path: Path) -> bool:
    """Whether only the checksum of a file is there: the file was written and has been removed since."""
    return not path.is_file() and checksum_path(path).is_file()


def put_with_checksum(new: Path, path: Path, *, durable: bool) -> None:
    """Move ``new`` to ``path``, keeping the checksum file valid for whatever lies there at any moment."""
    digest, before = sha256(new), _expected(path)
    if before is None and path.is_file():
        before = {sha256(path)}
    if before is not None:  # else there is nothing yet, and a checksum by itself would say that a file was lost
        _write(path, before | {digest}, durable=durable)
    new.replace(path)
    _write(path, {digest}, durable=durable)
    _found_intact[path] = state(path.stat())


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _expected(path: Path) -> set[str] | None:
    """The checksums in the checksum file; None without one. A damaged one has none that any file can match."""
    try:
        lines = checksum_path(path).read_text(encoding="ascii", errors="replace").splitlines()
    except FileNotFoundError:
        return None
    return {line.partition(" ")[0] for line in lines}


def _write(path: Path, sums: set[str], *, durable: bool) -> None:
    text = "".join(f"{digest}  {path.name}\n" for digest in sorted(sums))
    replace_text(checksum_path(path), text, mode=0o600, durable=durable)
