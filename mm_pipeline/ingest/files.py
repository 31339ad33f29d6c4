"""Delivered files: finding them and scanning their bytes for fingerprint, completeness, encoding and lines.

The scan is one pass over the file that does not use the engine, so its count of lines is an independent check of what the
engine read. A ``.csv.gz`` is unpacked once on the way: then the engine reads it with all its threads, and rows to be quoted
are found without unpacking again.

A delivery comes from outside. Nothing under ``data/raw`` is read through a link, nothing that is no file is waited for, and
memory and disk are bounded however large a file is or unpacks to (``docs/decisions/0018-bounds.md``). Between the scan and
the last reading the file must stay the same (:meth:`DeliveredFile.hold_unchanged`).
"""

import csv
import errno
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from isal import isal_zlib
from isal.igzip_lib import IsalError

from mm_pipeline.errors import DeliveryError
from mm_pipeline.files import safe_names
from mm_pipeline.files.fingerprint import fingerprint, state
from mm_pipeline.files.safe_names import size

FORMATS = (".parquet", ".csv", ".csv.gz")
_IS_DATA = re.compile(r"\.(csv|parquet|txt|tsv|xlsx?|sas7bdat|dat|zip|gz)$", re.IGNORECASE)
BOM = b"\xef\xbb\xbf"
EMPTY = (b"", b"\r")
"""Lines, without their newline, that are empty and so no row."""
_CHUNK = 1 << 22
_PIECE = 1 << 12
_LONGEST_HEADER = 1 << 16
_LONGEST_LINE = 1 << 22
"""Bytes; a file with a longer line is refused. At half of it, the engine's own limit, a line is a bad line."""
MOST_ROWS = 10**9
"""Rows in a file, at most; a year of the whole country has some hundreds of millions."""
LARGEST = 20 * 10**9
_LARGEST_FOOTER = 1 << 26
_RESERVE = 1 << 28
"""Bytes that unpacking leaves free on the disk."""
_COARSE = 50_000_000
"""Nanoseconds within which two changes of a file may have the same time."""
_BLANKS_OUTSIDE_QUOTES = re.compile(
    rb'[,;\n][ \t]+"'  # before an opening quote
    rb'|"[ \t]+[,;\n]'  # after a closing quote
    rb'|(?<![,;\n])"[ \t]+"|"[ \t]+"(?![,;\n])'  # between two, unless they are a value of blanks
)


@dataclass(frozen=True)
class TextFacts:
    """Facts on a CSV file from the scan."""

    header: str
    lines: int
    """Lines that are not empty, header included."""
    empty_lines: int
    has_quotes: bool
    has_blanks: bool
    """Whether there is a blank or tab anywhere, so that values may need trimming."""
    is_regular: bool
    """Whether line ends are all alike, without other carriage returns, with a header on line 1, no blanks around quotes.

    Only of a regular file can the engine be trusted to split lines and values as intended.
    """

    @property
    def delimiter(self) -> str:
        """Comma or semicolon, whichever is more frequent in the header."""
        return ";" if self.header.count(";") > self.header.count(",") else ","


@dataclass(frozen=True)
class DeliveredFile:
    """A delivered file that was scanned."""

    path: Path
    sha256: str
    text: TextFacts | None
    """Facts on the text; None for Parquet."""
    unpacked: Path
    """The file to read: ``path``, or the unpacked copy of a ``.csv.gz``."""
    state: tuple[int, ...]
    """State before the scan."""
    is_fresh: bool
    """Whether it changed so shortly before the scan that another change may have the same time."""

    def hold_unchanged(self) -> None:
        """Raise :class:`DeliveryError` if the file is no longer as it was scanned."""
        with suppress(OSError):
            if state(_seen(self.path)) == self.state and (
                not self.is_fresh or fingerprint(self.path, follow=False) == self.sha256
            ):
                return
        raise changed(self.path)

    @property
    def label(self) -> str:
        """The name of the file in messages: ``<year>/<file>``."""
        return label(self.path)


def _seen(path: Path) -> os.stat_result:
    """What the system says of a file. Raises OSError if nothing is there, safe_names.NotAFileError if it is no file."""
    if what := safe_names.irregular(path, follow=False):
        raise safe_names.NotAFileError(0, what, str(path))
    return path.stat(follow_symlinks=False)


def label(path: Path) -> str:
    """The name of a delivered file in messages: ``<year>/<file>``."""
    return f"{path.parent.name}/{path.name}"


def changed(path: Path) -> DeliveryError:
    """The error of a file that changed while it was read."""
    return DeliveryError(
        f"{label(path)} changed while it was read; expected a file that is complete and at rest. Nothing was kept. Copy a "
        "delivery under another name (such as .part) and rename it at the end; then materialise the year again."
    )


def year_folder(raw_dir: Path, year: int) -> Path:
    """The folder ``data/raw/<year>``. Raises :class:`DeliveryError` if it is a link or no folder; it may be missing."""
    folder = raw_dir / str(year)
    if what := hindrance(folder):
        raise DeliveryError(
            f"data/raw/{year} is {what}; expected a folder of its own: nothing outside data/raw is read as a delivery, and "
            "no link is followed. Put the files themselves into a folder of this name."
        )
    return folder


def hindrance(folder: Path) -> str:
    """Why the year's folder is not read ("a symbolic link", "no folder"); empty if it is a folder or missing."""
    if folder.is_symlink():
        return "a symbolic link"
    return "no folder" if folder.exists() and not folder.is_dir() else ""


def candidates(folder: Path, dataset: str) -> list[Path]:
    """The paths that may be this dataset in the year's folder: at most one in a right delivery. It may be no file."""
    if hindrance(folder):
        return []
    return [path for suffix in FORMATS if os.path.lexists(path := folder / f"{dataset}{suffix}")]


def find(folder: Path, dataset: str) -> Path:
    """The file of the dataset in ``data/raw/<year>/``. Raises :class:`DeliveryError` if it is missing or there twice."""
    found = candidates(folder, dataset)
    if len(found) == 1:
        return found[0]
    names = " or ".join(f"{dataset}{suffix}" for suffix in FORMATS)
    if found:
        raise DeliveryError(
            f"{folder.name}: {dataset} is there {len(found)} times ({', '.join(path.name for path in found)}); "
            "expected one file. Keep the right one and move the others away."
        )
    others = names_in(folder)
    there = f"the folder holds {safe_names.listed(others)}" if others else "the folder is missing or empty"
    raise DeliveryError(
        f"{folder.name}: {dataset} is missing; expected {names} in data/raw/{folder.name}/; {there}. "
        "Put the file there under this name and materialise the year again."
    )


def lookalikes(folder: Path, dataset: str) -> list[str]:
    """The names, safe to show, of files probably meant as this dataset, without those that are still being copied."""
    alike = [name for name in names_in(folder) if is_like(name, dataset)]
    return [safe_names.shown(name) for name in alike if not name.endswith((".part", ".tmp"))]


def beside(path: Path) -> list[str]:
    """The names, safe to show, of files that are probably a part or another version of a dataset's file and are not read."""
    dataset = path.name.partition(".")[0]
    alike = (name for name in names_in(path.parent) if name.lower().startswith(dataset) and name != path.name)
    return [safe_names.shown(name) for name in alike if _IS_DATA.search(name)]


def is_like(name: str, dataset: str) -> bool:
    """Whether a file of this name is probably meant as the dataset."""
    return name.lower().startswith(dataset[:-1])


def names_in(folder: Path) -> list[str]:
    """The sorted names in a year's folder; empty if the folder is not read."""
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() and not hindrance(folder) else []


def state_of(path: Path, largest: int = LARGEST) -> str:
    """SHA-256 of a file under ``data/raw``; the reason, if it is refused without being read; empty if nothing is there."""
    try:
        if (bytes_ := _seen(path).st_size) > largest:
            return f"{bytes_} bytes"
        return fingerprint(path, follow=False)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return str(error.strerror)


def scan(path: Path, scratch: Path, largest: int = LARGEST) -> DeliveredFile:
    """Scan a file in one pass: SHA-256 for all formats, and the :class:`TextFacts` of CSV.

    A ``.csv.gz`` is unpacked into ``scratch``, which must be as restricted as the lake. Raises :class:`DeliveryError` for
    anything but a regular file, an empty file, one of more than ``largest`` bytes, packed or not, a truncated or damaged
    gzip, text that is not UTF-8, and lines that are too long (naming the line) or too many.
    """
    with readable(path):
        seen = _seen(path)
        before, is_fresh = state(seen), time.time_ns() - seen.st_ctime_ns < _COARSE
        if seen.st_size == 0:
            raise DeliveryError(
                f"{label(path)} is empty (0 bytes); expected a header and rows. Ask the sender to deliver it again."
            )
        if seen.st_size > largest:
            raise too_large(path, f"has {size(seen.st_size)}", largest)
        if path.suffix == ".parquet":
            _hold_footer(path)
            return DeliveredFile(path, fingerprint(path, follow=False), None, path, before, is_fresh)
        digest, text, unpacked = hashlib.sha256(), _TextPass(path), path
        if path.suffix == ".gz":
            unpacked = scratch / path.stem
            with unpacked.open("wb") as copy:
                for chunk in _ahead(_decompressed(path, digest.update)):
                    if copy.tell() + len(chunk) > largest:
                        raise too_large(path, f"unpacks to more than {size(largest)}", largest)
                    hold_room(path, scratch)
                    copy.write(chunk)
                    text.feed(chunk)
        else:
            for chunk in _blocks(path):
                digest.update(chunk)
                text.feed(chunk)
        return DeliveredFile(path, digest.hexdigest(), text.finish(), unpacked, before, is_fresh)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn an error of the system on reading a file into :class:`DeliveryError`."""
    try:
        yield
    except safe_names.NotAFileError as error:
        raise DeliveryError(
            f"{label(path)} is {error.strerror}; expected a file of its own: nothing outside data/raw is read as a "
            "delivery, and no link is followed. Put the file itself there."
        ) from None
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise _no_room(path) from None
        raise DeliveryError(
            f"{label(path)} cannot be read ({error.strerror}); expected a readable file. Check its permissions and the "
            "disk, or copy it again."
        ) from None


def hold_room(path: Path, folder: Path) -> None:
    """Raise :class:`DeliveryError` if the disk of ``folder`` has too little space for more of the file."""
    if shutil.disk_usage(folder).free < _RESERVE:
        raise _no_room(path)


def _no_room(path: Path) -> DeliveryError:
    return DeliveryError(
        f"{label(path)} needs more room than the disk of data/lake has: expected {size(_RESERVE)} to stay free while it is "
        "unpacked. Make room and materialise the year again; a small file that unpacks to this much is damaged or no "
        "delivery."
    )


def too_large(path: Path, how: str, largest: int) -> DeliveryError:
    """The error of a file of more than ``largest`` bytes. ``how``: in which form, as a clause."""
    return DeliveryError(
        f"{label(path)} {how}; expected at most {size(largest)}. It is damaged or no delivery; if it is one, raise "
        "MM_LARGEST_DELIVERY."
    )


def _hold_footer(path: Path) -> None:
    """Raise :class:`DeliveryError` if the footer of a Parquet file, which is read whole, is too large."""
    with safe_names.opened(path) as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 8))
        length = int.from_bytes(file.read(4), "little")
        if file.read(4) == b"PAR1" and length > _LARGEST_FOOTER:
            raise DeliveryError(
                f"{label(path)}: its footer has {size(length)}; expected at most {size(_LARGEST_FOOTER)}. It is damaged or "
                "no delivery: copy or deliver the file again."
            )


class _TextPass:
    """The text facts of a stream of bytes, of which it holds no more than a chunk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._newlines = self._crlf = self._empty_lines = 0
        self._started = self._quotes = self._blanks = self._irregular = False
        self._line = 0  # bytes of the line that has begun
        self._head = b""
        self._tail = b"\n"  # the last byte that is neither blank nor quote, and the blanks and quotes after it
        self._held = b""  # a carriage return, or part of an UTF-8 sequence, that the end of a chunk cut off

    def feed(self, chunk: bytes) -> None:
        text, self._held = self._whole_characters(self._held + chunk)
        if not text:
            return
        if not self._started:
            self._started, text = True, text.removeprefix(BOM)
        if b"\r" in text:
            self._crlf += text.count(b"\r\n")
            text = text.replace(b"\r\n", b"\n")
            self._irregular = self._irregular or b"\r" in text
        if len(self._head) < _LONGEST_HEADER:
            self._head += text[:_LONGEST_HEADER]
        self._quotes = self._quotes or b'"' in text
        self._blanks = self._blanks or b" " in text or b"\t" in text
        self._hold_lines(text)
        text = self._tail + text
        whole = len(text.rstrip(b' \t"'))
        if self._quotes and self._blanks:
            self._irregular = self._irregular or _has_blanks_outside_quotes(text[:whole])
        self._tail = text[whole - 1 :]

    def _hold_lines(self, text: bytes) -> None:
        """Count the lines. Raises :class:`DeliveryError` if one is too long, or they are too many."""
        ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))
        lengths = np.diff(ends, prepend=-1 - self._line, append=len(text)) - 1
        if lengths.max() > _LONGEST_LINE:
            number = self._newlines + int(np.argmax(lengths > _LONGEST_LINE)) + 1
            raise DeliveryError(
                f"{label(self._path)}, line {number}: longer than {size(_LONGEST_LINE)}; expected one row a line. "
                "The file is damaged, or no CSV: ask the sender to deliver it again."
            )
        self._newlines += len(ends)
        self._empty_lines += int(np.count_nonzero(lengths[:-1] == 0))
        self._line = int(lengths[-1])
        if self._newlines > MOST_ROWS:
            raise too_many_rows(self._path, "more")

    def _whole_characters(self, text: bytes) -> tuple[bytes, bytes]:
        """Split off what only the next chunk can complete. Raises :class:`DeliveryError` if the text is not UTF-8."""
        whole = len(text)
        if not text.isascii():
            try:
                text.decode("utf-8")
            except UnicodeDecodeError as error:
                if error.reason != "unexpected end of data":
                    raise self._not_utf8(text[: error.start]) from None
                whole = error.start
        if text[:whole].endswith(b"\r"):
            whole -= 1
        return text[:whole], text[whole:]

    def _not_utf8(self, before: bytes) -> DeliveryError:
        line = self._newlines + before.count(b"\n") + 1
        return DeliveryError(
            f"{label(self._path)}, line {line}: a byte that is not UTF-8; expected UTF-8 (with or without BOM). "
            "The file was probably written in Windows-1252 or Latin-1: save it again as UTF-8, or ask the sender to."
        )

    def finish(self) -> TextFacts:
        if self._held not in (b"", b"\r"):
            raise self._not_utf8(b"")
        is_regular = not (
            self._irregular
            or self._held == b"\r"
            or 0 < self._crlf < self._newlines
            or self._head.startswith(b"\n")
            or _has_blanks_outside_quotes(self._tail + b"\n")
        )
        lines = self._newlines - self._empty_lines + (self._line > 0)
        if lines == 0:
            raise DeliveryError(f"{label(self._path)} holds no line; expected a header and rows. Deliver it again.")
        head = self._head[:_LONGEST_HEADER].lstrip(b"\n").split(b"\n", 1)[0]
        header = head.decode("utf-8", errors="replace")
        return TextFacts(header, lines, self._empty_lines, self._quotes, self._blanks, is_regular)


def _has_blanks_outside_quotes(text: bytes) -> bool:
    """Whether blanks are before an opening or after a closing quote; some blanks inside quotes count as well."""
    near = any(pair in text for pair in (b' "', b'" ', b'\t"', b'"\t'))
    return near and _BLANKS_OUTSIDE_QUOTES.search(text) is not None


def too_many_rows(path: Path, rows: object) -> DeliveryError:
    """The error of a file with more than ``MOST_ROWS`` rows."""
    return DeliveryError(
        f"{label(path)} has {rows} rows; expected at most {MOST_ROWS}. It is damaged or no delivery: ask the sender to "
        "deliver it again."
    )


def _blocks(path: Path) -> Iterator[bytes]:
    with safe_names.opened(path) as file:
        yield from iter(partial(file.read, _CHUNK), b"")


def _decompressed(path: Path, seen: Callable[[bytes], object]) -> Iterator[bytes]:
    """The text of a ``.csv.gz`` in chunks. ``seen`` is called with the compressed bytes."""
    # What a member does not use of a part is copied for the next one: of millions of tiny members, of little each time.
    inflate, piece = isal_zlib.decompressobj(wbits=31), _PIECE
    for block in _blocks(path):
        seen(block)
        try:
            at = 0
            while at < len(block):
                part = block[at : at + piece]
                at, piece = at + len(part), min(4 * piece, _CHUNK)
                while part:
                    if inflate.eof:  # a gzip file may hold several members, and zero bytes after each (RFC 1952, tapes)
                        if not (part := part.lstrip(b"\0")):
                            break
                        inflate, piece = isal_zlib.decompressobj(wbits=31), _PIECE
                    if chunk := inflate.decompress(part, _CHUNK):
                        yield chunk
                    part = inflate.unconsumed_tail or inflate.unused_data
        except IsalError:  # type: ignore[misc]  # its stub says that it is an instance
            raise _damaged(path, "is damaged") from None
    if not inflate.eof:
        raise _damaged(path, "ends too early (truncated)")


def _ahead(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same chunks, each produced by another thread while the one before it is processed."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, chunks, None)
        while (chunk := coming.result()) is not None:
            coming = thread.submit(next, chunks, None)
            yield chunk


def _damaged(path: Path, how: str) -> DeliveryError:
    return DeliveryError(
        f"{label(path)}: the gzip file {how}; expected a complete .csv.gz. "
        "The transfer was probably cut: copy or deliver the file again."
    )


def header_of(file: DeliveredFile) -> list[str]:
    """The column names of a CSV file, as delivered."""
    assert file.text is not None
    header, names = file.text.header, None
    with suppress(csv.Error):
        names = next(csv.reader([header], delimiter=file.text.delimiter, strict=True, skipinitialspace=True))
    if names is None or "\r" in header or len(header.encode()) >= _LONGEST_HEADER:
        raise DeliveryError(
            f"{file.label}, line 1: the header cannot be read (a quote that is not closed, a carriage return, or "
            f"{_LONGEST_HEADER} bytes and more); expected column names on one line. Correct it, or deliver the file again."
        )
    return [name.strip() for name in names]


def blocks_of_lines(path: Path) -> Iterator[bytes]:
    """Blocks of whole lines of an unpacked CSV file, without BOM and without the last newline of each block."""
    mark, rest = BOM, b""
    for chunk in _blocks(path):
        lines, newline, rest = (rest + chunk).rpartition(b"\n")
        if newline:
            yield lines.removeprefix(mark)
            mark = b""
        if len(rest) > _LONGEST_LINE + len(BOM) + 1:  # there was no such line at the scan
            raise changed(path)
    yield rest.removeprefix(mark)


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The number (from 1) and the bytes, without line end, of every line that is not empty, header included."""
    lines = (line for block in blocks_of_lines(path) for line in block.split(b"\n"))
    for number, line in enumerate(lines, 1):
        if line not in EMPTY:
            yield number, line.removesuffix(b"\r")
