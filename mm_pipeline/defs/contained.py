"""No message but an operator's reaches Dagster's event log, which is outside the restricted zones."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

import mm_pipeline
from mm_pipeline.clock import now
from mm_pipeline.errors import OperatorError, UnexpectedError, storage_error
from mm_pipeline.files import permissions
from mm_pipeline.settings import Settings

_INTERRUPTED = "Query interrupted"
"""A RuntimeError of DuckDB, in place of what the handler of a signal raised."""

_PACKAGE = Path(mm_pipeline.__file__).resolve().parent


@contextmanager
def contained(settings: Settings, what: str) -> Iterator[None]:
    """No message but an operator's leaves the block: Dagster keeps it, with all that led to it, in its event log.

    What was not raised on purpose may quote a value (DuckDB does, of what it cannot convert). It is written with its
    traceback to ``data/lake/.errors/<time>-<what>.txt``; the :class:`UnexpectedError` that takes its place tells its kind
    and place. Errors of the disk are told in words. Interrupts, and what is meant for Dagster, pass.
    """
    try:
        yield
    except Exception as error:
        if str(error) == _INTERRUPTED:
            raise KeyboardInterrupt from None
        if isinstance(error, OperatorError | dg.Failure | dg.RetryRequested):
            raise error from None
        raise storage_error(error, settings.data_dir) or _unexpected(error, settings, what) from None
    except BaseException as interrupt:
        raise interrupt from None


def _unexpected(error: Exception, settings: Settings, what: str) -> UnexpectedError:
    path = settings.lake_dir / ".errors" / f"{now():%Y%m%dT%H%M%S.%f}-{what}.txt"
    try:
        permissions.write(path, "".join(traceback.format_exception(error)))
        details = f"are in {path.relative_to(settings.data_dir.parent)}, which is as restricted as the lake"
    except OSError as failure:
        details = f"could not be written to {path.parent} ({failure.strerror})"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(f"{_PACKAGE}/")]
    place = (
        f"{Path(frames[-1].filename).relative_to(_PACKAGE.parent)}:{frames[-1].lineno}" if frames else "no line of ours"
    )
    return UnexpectedError(
        f"an unexpected {type(error).__module__}.{type(error).__qualname__} at {place}. Earlier results are as they were. "
        f"Its message may quote a person and is not shown: it and the details {details}. Start the year again; if it stays, "
        "report kind and place, and not the details."
    )
