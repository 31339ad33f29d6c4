"""Safe handling of files, names and values that others supplied and that may be or hold anything.

Opens a file only if it is a regular one, reads no more of it than is wanted, and renders names and values such that a
terminal or the UI's Markdown can show them. Which file is wanted, and the errors for operators, are not decided here.
"""

import os
import re
import stat
from collections.abc import Iterable
from io import BufferedReader
from pathlib import Path
from reprlib import Repr
from typing import Any

_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_UNSAFE = re.compile(r"[^\w .,;:()+@=%/'-]")
_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 100


class NotAFileError(OSError):
    """The path is neither a regular file nor, if links are followed, a link to one; ``strerror`` says what it is."""


class TooLargeError(OSError):
    """The file holds more bytes than may be read."""


def irregular(path: Path, *, follow: bool) -> str:
    """The kind of what is at ``path`` ("a symbolic link"); empty for a regular file. Raises OSError if nothing is there."""
    return _irregular(path.stat(follow_symlinks=follow).st_mode)


def opened(path: Path, *, follow: bool = False) -> BufferedReader:
    """Open a regular file for reading, never waiting for a pipe or a device. ``follow``: also through a symbolic link.

    Raises OSError; NotAFileError if it is something else.
    """
    _refuse(irregular(path, follow=follow), path)
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    file = os.fdopen(os.open(path, flags), "rb")
    try:
        _refuse(_irregular(os.fstat(file.fileno()).st_mode), path)  # it may have been replaced meanwhile
    except NotAFileError:
        file.close()
        raise
    return file


def content(path: Path, most: int, *, follow: bool = False) -> bytes:
    """The bytes of a regular file. Raises TooLargeError if they are more than ``most``, else as :func:`opened`."""
    with opened(path, follow=follow) as file:
        return at_most(file, most)


def at_most(file: Any, most: int) -> bytes:
    """The remaining bytes of a file. Raises TooLargeError if they are more than ``most``."""
    data: bytes = file.read(most + 1)
    if len(data) > most:
        raise TooLargeError(f"more than {size(most)}")
    return data


def shown(text: str, most: int = 60) -> str:
    """A supplied name or text in one short line, without control characters or anything that Markdown or HTML interpret."""
    return _UNSAFE.sub("?", text if len(text) <= most else text[:most] + "...")


def listed(names: Iterable[str], most: int = 10) -> str:
    """The first names, and how many more there are, in one line."""
    every = list(names)
    more = [f"{len(every) - most} more"] if len(every) > most else []
    return ", ".join([*map(shown, every[:most]), *more])


def short(value: object) -> str:
    """The ``repr`` of a value that may be long, deep or unprintable, shortened."""
    text = _SHORT.repr(value)
    return text if len(text) <= 200 else text[:200] + "..."


def size(number: int) -> str:
    """A number of bytes for people: 4 MiB, 20 GB, 1.5 GB."""
    binary = number % 1000 != 0 and number % 1024 == 0
    base, units = (1024, ("KiB", "MiB", "GiB")) if binary else (1000, ("kB", "MB", "GB", "TB"))
    sizes = [f"{number / base**power:.4g} {unit}" for power, unit in enumerate(units, 1) if number >= base**power]
    return sizes[-1] if sizes else f"{number} bytes"


def _irregular(mode: int) -> str:
    return "" if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "no file")


def _refuse(what: str, path: Path) -> None:
    if what:
        raise NotAFileError(0, what, str(path))
