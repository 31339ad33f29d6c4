"""The errors that are meant for the people who run the pipeline.

What is raised because of something an operator can mend derives from :class:`OperatorError`. Its text is the whole message:
which file, line and column; what was found; what was expected; what to do. The command line prints it without a traceback,
and Dagster shows it as the failure of the step. It never holds a pseudonym. What is raised without purpose may quote a
value: :func:`mm_pipeline.defs.contained.contained` keeps that inside the lake.
"""

import errno
import os
import re
import sqlite3
from pathlib import Path


class OperatorError(Exception):
    """Something an operator can mend; the text says what and how."""


class DeliveryError(OperatorError):
    """A delivery under ``data/raw/<year>/`` breaks its contract as a whole (a single bad line is quarantined instead)."""


class ReferenceDataError(OperatorError):
    """A file under ``data/reference/`` cannot be used."""


class SettingsError(OperatorError):
    """A setting (an ``MM_*`` environment variable) has a value that makes no sense."""


class LakeError(OperatorError):
    """A table of the lake is missing, damaged or not of its declared schema."""


class ReleaseError(OperatorError):
    """The release cannot be made of what lies in ``data/published``."""


class TableError(OperatorError):
    """A table given to the disclosure control is not in its shape, or contradicts itself. Names cells, never counts."""


class StorageError(OperatorError):
    """The disk is full, or a folder may not be written to or read."""


class UnexpectedError(OperatorError):
    """A fault of the program; its own message and traceback are in ``data/lake/.errors``, since they may quote a value."""


_FULL = {
    errno.ENOSPC: "there is no space left",
    errno.EDQUOT: "the quota of this account is used up",
    errno.EFBIG: "a file may not become as large as it must: too little space is allowed (ulimit -f, or the file system)",
    errno.EIO: "there is no space left, or the disk is faulty",
}
_CLOSED = {
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "this account may not read or write there",
    errno.EPERM: "this account may not read or write there",
}
_OF_HISTORY = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_READONLY: errno.EACCES,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
}
"""What SQLite says, in which Dagster keeps its history, and what it is of the disk."""
_SPILLED_OUT = re.compile(r"max_temp_directory_size|temp_directory", re.IGNORECASE)


def storage_error(error: BaseException, data_dir: Path) -> StorageError | None:
    """An error of the disk in words: which folder (never which file), and what to do; None for any other error."""
    is_of_files = isinstance(error, OSError) or type(error).__name__ == "IOException"
    code = error.errno if isinstance(error, OSError) else _of_history(error)
    known = [*_FULL, *_CLOSED]
    if code not in known:
        code = next((each for each in known if is_of_files and os.strerror(each).lower() in str(error).lower()), None)
    where = _folder(error, data_dir)
    if code in _FULL or (type(error).__name__ == "OutOfMemoryException" and _SPILLED_OUT.search(str(error))):
        why, do = _FULL.get(code or 0, "there is no space left to spill to"), "Make room on that disk"
    elif code in _CLOSED:
        why = _CLOSED[code]
        do = "See that it is mounted for writing and belongs to the account that runs mm-pipeline,"
    else:
        return None
    return StorageError(
        f"{where}: {why}. Nothing of this step was kept, earlier results are as they were. {do} and start the year again."
    )


def _of_history(error: BaseException) -> int | None:
    """The system's error behind one of SQLite; SQLAlchemy wraps it."""
    original = getattr(error, "orig", error)
    return _OF_HISTORY.get(original.sqlite_errorcode & 0xFF) if isinstance(original, sqlite3.OperationalError) else None


def _folder(error: BaseException, data_dir: Path) -> Path:
    """The folder of the file that the error is about; the data folder if it does not tell."""
    if isinstance(error, OSError) and isinstance(error.filename, str):
        return Path(error.filename).parent
    for text in re.findall(r"[\"']([^\"']*/[^\"']*)[\"']", str(error)):  # DuckDB and Arrow name it in their text
        if (folder := Path(text).parent).is_relative_to(data_dir):
            return folder
    if _of_history(error):
        return Path(os.environ.get("DAGSTER_HOME", data_dir / "dagster"))
    return data_dir
