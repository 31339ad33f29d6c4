"""Finding a delivered file and looking at its bytes: fingerprint, completeness, encoding, lines.

The look is one pass over the file that does not use the engine, so its count of lines is an independent witness of
what the engine read. A ``.csv.gz`` is unpacked on the way, once: the engine then reads it with all its threads, and a row
that has to be quoted is found without unpacking again.
"""

import csv
import hashlib
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from isal import isal_zlib
from isal.igzip_lib import IsalError

from mm_pipeline.clock import now
from mm_pipeline.errors import DeliveryError

FORMATS = (".parquet", ".csv", ".csv.gz")
BOM = b"\xef\xbb\xbf"
_CHUNK = 1 << 22
_LONGEST_HEADER = 1 << 16
_TIME_RESOLUTION = 2.0
_known: dict[Path, tuple[tuple[int, ...], str]] = {}
_BLANKS_OUTSIDE_QUOTES = re.compile(
    rb'[,;\n][ \t]+"'  # before an opening quote
    rb'|"[ \t]+[,;\n]'  # after a closing quote
    rb'|(?<![,;\n])"[ \t]+"|"[ \t]+"(?![,;\n])'  # between two, unless they are a value of blanks
)


@dataclass(frozen=True)
class TextFacts:
    """What one pass over a CSV file saw."""

    header: str
    lines: int
    """Lines that are not empty, the header among them."""
    empty_lines: int
    has_quotes: bool
    has_blanks: bool
    """A blank or tab somewhere: values may need trimming."""
    is_regular: bool
    """Line ends all alike, no other carriage return, a header on line 1, no blanks around a quoted value.

    What is regular the engine may split into lines and values; elsewhere it does so in its own way.
    """


@dataclass(frozen=True)
class DeliveredFile:
    path: Path
    sha256: str
    text: TextFacts | None
    """None for Parquet."""
    unpacked: Path
    """Where its content can be read: ``path``, or the unpacked copy of a ``.csv.gz``."""

    @property
    def label(self) -> str:
        """``<year>/<file>``: how messages name the file."""
        return label(self.path)


def label(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def candidates(folder: Path, dataset: str) -> list[Path]:
    """The files of the year's folder that could be this dataset: none or one, if the delivery is right."""
    return [path for suffix in FORMATS if (path := folder / f"{dataset}{suffix}").is_file()]


def find(folder: Path, dataset: str) -> Path:
    """The one file of the dataset in ``data/raw/<year>/``; :class:`DeliveryError` if it is missing or there twice."""
    found = candidates(folder, dataset)
    if len(found) == 1:
        return found[0]
    names = " or ".join(f"{dataset}{suffix}" for suffix in FORMATS)
    if found:
        raise DeliveryError(
            f"{folder.name}: {dataset} is there {len(found)} times ({', '.join(path.name for path in found)}); "
            "expected one file. Keep the right one and move the others away."
        )
    others = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    there = f"the folder holds {', '.join(others)}" if others else "the folder is missing or empty"
    raise DeliveryError(
        f"{folder.name}: {dataset} is missing; expected {names} in data/raw/{folder.name}/; {there}. "
        "Put the file there under this name and materialise the year again."
    )


def lookalikes(folder: Path, dataset: str) -> list[str]:
    """Where there are no candidates: files that are probably meant to be it, but for those still being copied."""
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    return [name for name in names if name.lower().startswith(dataset[:-1]) and not name.endswith((".part", ".tmp"))]


def fingerprint(path: Path) -> str:
    """SHA-256 of the file as it lies there. One that has not been touched since this process read it is not read again."""
    seen = identity(path)
    known = _known.get(path)
    if known and known[0] == seen:
        return known[1]
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    # A file system may keep its times by the second: what changed just now can change again at the same time.
    if now().timestamp() - path.stat().st_ctime > _TIME_RESOLUTION and identity(path) == seen:
        _known[path] = seen, sha256
    return sha256


def identity(path: Path) -> tuple[int, ...]:
    """What changes when a file is written, replaced or renamed; its change time (ctime) cannot be set back."""
    stat = path.stat()
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def look(path: Path, scratch: Path) -> DeliveredFile:
    """One pass over the file: SHA-256 for all formats, and for CSV the :class:`TextFacts`.

    A ``.csv.gz`` is unpacked into ``scratch``, which must be as restricted as the lake. Raises :class:`DeliveryError` on
    an empty file, a truncated or damaged gzip, text that is not UTF-8 (with the line).
    """
    if path.stat().st_size == 0:
        raise DeliveryError(
            f"{label(path)} is empty (0 bytes); expected a header and rows. Ask the sender to deliver it again."
        )
    if path.suffix == ".parquet":
        return DeliveredFile(path, fingerprint(path), None, path)
    digest = hashlib.sha256()
    pass_ = _TextPass(path)
    if path.suffix != ".gz":
        for chunk in _blocks(path):
            digest.update(chunk)
            pass_.feed(chunk)
        return DeliveredFile(path, digest.hexdigest(), pass_.finish(), path)
    unpacked = scratch / path.stem
    with unpacked.open("wb") as copy:
        for chunk in _ahead(_decompressed(path, digest.update)):
            copy.write(chunk)
            pass_.feed(chunk)
    return DeliveredFile(path, digest.hexdigest(), pass_.finish(), unpacked)


class _TextPass:
    """Counts over a stream of bytes; keeps no more than a chunk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._newlines = self._crlf = self._empty_lines = 0
        self._started = self._quotes = self._blanks = self._irregular = False
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
        self._newlines += text.count(b"\n")
        text = self._tail + text
        self._empty_lines += _repeated_newlines(text)
        whole = len(text.rstrip(b' \t"'))
        if self._quotes and self._blanks:
            self._irregular = self._irregular or _has_blanks_outside_quotes(text[:whole])
        self._tail = text[whole - 1 :]

    def _whole_characters(self, text: bytes) -> tuple[bytes, bytes]:
        """Split off what only the next chunk can complete; :class:`DeliveryError` on what is not UTF-8."""
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
        lines = self._newlines - self._empty_lines + (self._tail != b"\n")
        if lines == 0:
            raise DeliveryError(f"{label(self._path)} holds no line; expected a header and rows. Deliver it again.")
        header = self._head[:_LONGEST_HEADER].lstrip(b"\n").split(b"\n", 1)[0]
        return TextFacts(
            header=header.decode("utf-8", errors="replace"),
            lines=lines,
            empty_lines=self._empty_lines,
            has_quotes=self._quotes,
            has_blanks=self._blanks,
            is_regular=is_regular,
        )


def _has_blanks_outside_quotes(text: bytes) -> bool:
    """Whether blanks stand before an opening or after a closing quote; some inside quotes cannot be told from these."""
    near = any(pair in text for pair in (b' "', b'" ', b'\t"', b'"\t'))
    return near and _BLANKS_OUTSIDE_QUOTES.search(text) is not None


def _repeated_newlines(text: bytes) -> int:
    """How many newlines follow directly on a newline (each ends an empty line)."""
    newline = np.frombuffer(text, np.uint8) == ord("\n")  # searching for two bytes would take three times as long
    return int(np.count_nonzero(newline[1:] & newline[:-1]))


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from iter(partial(file.read, _CHUNK), b"")


def _decompressed(path: Path, seen: Callable[[bytes], object]) -> Iterator[bytes]:
    """The text of a ``.csv.gz`` in chunks; ``seen`` gets the bytes as they lie on disk."""
    inflate = isal_zlib.decompressobj(wbits=31)
    for block in _blocks(path):
        seen(block)
        try:
            while block:
                if inflate.eof:  # a gzip file may hold several members
                    inflate = isal_zlib.decompressobj(wbits=31)
                yield inflate.decompress(block, _CHUNK)
                block = inflate.unconsumed_tail or inflate.unused_data
        except IsalError:  # type: ignore[misc]  # its stub says that it is an instance
            raise _damaged(path, "is damaged") from None
    if not inflate.eof:
        raise _damaged(path, "ends too early (truncated)")


def _ahead(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same chunks, each made by another thread while the one before it is looked at."""
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


def delimiter_of(file: DeliveredFile) -> str:
    """Comma or semicolon: the one the header has more of."""
    assert file.text is not None
    header = file.text.header
    return ";" if header.count(";") > header.count(",") else ","


def header_of(file: DeliveredFile) -> list[str]:
    """The column names of a CSV file, as delivered."""
    assert file.text is not None
    header, names = file.text.header, None
    with suppress(csv.Error):
        names = next(csv.reader([header], delimiter=delimiter_of(file), strict=True, skipinitialspace=True))
    if names is None or "\r" in header or len(header.encode()) >= _LONGEST_HEADER:
        raise DeliveryError(
            f"{file.label}, line 1: the header cannot be read (a quote that is not closed, a carriage return, or "
            f"{_LONGEST_HEADER} bytes and more); expected column names on one line. Correct it, or deliver the file again."
        )
    return [name.strip() for name in names]


def blocks_of_lines(path: Path) -> Iterator[bytes]:
    """An unpacked CSV file in blocks of whole lines, without BOM and without the last newline of each block."""
    blocks = _cut_at_newlines(path)
    yield next(blocks).removeprefix(BOM)
    yield from blocks


def _cut_at_newlines(path: Path) -> Iterator[bytes]:
    rest = b""
    for chunk in _blocks(path):
        lines, newline, rest = (rest + chunk).rpartition(b"\n")
        if newline:
            yield lines
    yield rest


def is_empty(line: bytes) -> bool:
    """Whether a line, without its newline, holds nothing: it is no row."""
    return line in (b"", b"\r")


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Line number (from 1) and bytes, without line end, of every line that is not empty; the header included."""
    lines = (line for block in blocks_of_lines(path) for line in block.split(b"\n"))
    for number, line in enumerate(lines, 1):
        if not is_empty(line):
            yield number, line.removesuffix(b"\r")
