"""Removing persons from the lake when they are no longer needed: ``mm-pipeline purge``.

The person-level partitions of past years go (:data:`PERSONS`, their quarantine, the details of errors), and their
deliveries if asked. What is made from them stays: houses, rates, what is known of earlier releases, the release. A
receipt in ``data/lake/receipts`` says who removed which file when; the event log of each asset says so too.
"""

import json
import os
import pwd
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import date, datetime
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic.dataclasses import dataclass

from mm_pipeline import schemas
from mm_pipeline.clock import now
from mm_pipeline.disclosure.small_numbers import told
from mm_pipeline.errors import OperatorError
from mm_pipeline.files import permissions
from mm_pipeline.files.atomic import replace_text
from mm_pipeline.files.checksum import checksum_path
from mm_pipeline.files.fingerprint import fingerprint
from mm_pipeline.files.locks import Locks, Say, command_line
from mm_pipeline.ingest.contract import DATASETS, OPTIONAL
from mm_pipeline.operations.recovery import clean_up_under, remove_stale_files
from mm_pipeline.settings import Settings
from mm_pipeline.storage.lake import Lake

RAW = tuple(schemas.LAKE_TABLES[f"raw_{name}"] for name in DATASETS)
PERSONS = (*RAW, schemas.REGISTRATIONS, schemas.FORFAITS_PER_PATIENT, schemas.ATTRIBUTED_PATIENTS)
"""Tables with a row a person or a billed line."""

_OF_OPTIONAL = {f"raw_{name}" for name in OPTIONAL}

TABLE, QUARANTINE, DETAILS, DELIVERY = "table", "quarantine", "details of an error", "delivery"
PLANNED, DONE = "planned", "done"

_YEAR = "year=[12][0-9][0-9][0-9]"


@dataclass(frozen=True)
class Found:
    """A file that is to go; ``asset`` is the one it belongs to, empty for a delivery and the details of an error."""

    path: Path
    year: int
    kind: str
    asset: str = ""


@dataclass(frozen=True)
class Removed:
    """A file that goes, in a receipt; ``path`` below the data folder, ``rows`` as they may be shown (None: unknown).

    ``changed``: when it last was, in nanoseconds, by which :func:`purged` knows one that was made anew.
    """

    path: str
    year: int
    kind: str
    asset: str
    rows: int | str | None
    bytes: int
    sha256: str
    changed: int


@dataclass(frozen=True)
class Receipt:
    by: str
    at: str
    before: int
    state: str  # ``planned`` until all files are removed: a purge that was killed stays so, and the next one goes on
    files: tuple[Removed, ...]
    ended: str = ""

    @classmethod
    def read(cls, path: Path) -> "Receipt":
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError, RecursionError):
            raise OperatorError(
                f"{path.name} in data/lake/receipts is damaged; expected the receipt of a purge. Put it back from a backup, "
                "or move it away: then years that it tells of are built again if their deliveries are there."
            ) from None

    def write(self, path: Path) -> None:
        replace_text(path, json.dumps(asdict(self), indent=1) + "\n", mode=0o600)


def to_purge(settings: Settings, before: int, *, deliveries: bool) -> list[Found]:
    """The files that a purge removes, of the years before ``before``; :class:`OperatorError` if it must not."""
    found = [*_of_lake(settings), *(_deliveries(settings, before) if deliveries else ())]
    return sorted((each for each in found if each.year < before), key=lambda each: (each.year, each.path))


def purge(
    settings: Settings, instance: dg.DagsterInstance, before: int, *, deliveries: bool, say: Say
) -> tuple[Path, Receipt] | None:
    """Remove the persons of all years before ``before``; the receipt and where it lies, or None if there was nothing.

    Waits for runs of these years. The receipt lies there before the first file goes.
    """
    locks = Locks(settings.lake_dir)
    remove_stale_files(settings, locks)  # what killed runs left holds persons too
    years = {str(each.year) for each in to_purge(settings, before, deliveries=deliveries)}
    with locks.held(years, by=command_line(), say=say):
        clean_up_under(settings, years)
        found = [each for each in to_purge(settings, before, deliveries=deliveries) if str(each.year) in years]
        if not found:
            return None
        at = now()
        path = permissions.folder(_receipts(settings)) / f"purge-{at:%Y%m%dT%H%M%S.%f}.json"
        files = tuple(_described(settings, each) for each in found)
        receipt = Receipt(_user(), at.isoformat(timespec="seconds"), before, PLANNED, files)
        receipt.write(path)
        for each in found:
            checksum_path(each.path).unlink(missing_ok=True)  # before the table: nothing of a purged one is left
            each.path.unlink(missing_ok=True)
            _remove_empty(each.path.parent, settings)
        for asset, year in dict.fromkeys((file.asset, file.year) for file in files if file.asset):
            instance.report_runless_asset_event(_observation(asset, year, files, path))
        receipt = replace(receipt, state=DONE, ended=now().isoformat(timespec="seconds"))
        receipt.write(path)
        return path, receipt


def purged(settings: Settings, year: int) -> date | None:
    """When the persons of the year were purged; None if they never were, or have been built again since.

    A purge that was killed counts. One table that was made anew is enough: somebody has begun to build the year again.
    """
    receipts = [Receipt.read(path) for path in _receipts(settings).glob("purge-*.json")]
    of_year = [
        (receipt, file)
        for receipt in receipts
        for file in receipt.files
        # A run without deliveries makes the table of an optional one, which is empty: nobody was built again.
        if (file.year, file.kind) == (year, TABLE) and file.asset not in _OF_OPTIONAL
    ]
    known = {(file.path, file.bytes, file.changed) for _receipt, file in of_year}
    for name in {file.path for _receipt, file in of_year}:
        with suppress(FileNotFoundError):
            found = (settings.data_dir / name).stat()
            if (name, found.st_size, found.st_mtime_ns) not in known:
                return None
    return max((datetime.fromisoformat(receipt.at).date() for receipt, _file in of_year), default=None)


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name  # not $LOGNAME, which may say anything
    except KeyError:
        return f"user {os.getuid()}"


def _receipts(settings: Settings) -> Path:
    return settings.lake_dir / "receipts"


def _of_lake(settings: Settings) -> Iterator[Found]:
    lake = Lake(settings.lake_dir)
    places = [
        *((table, TABLE, lake.path) for table in PERSONS),
        *((table, QUARANTINE, lake.quarantine_path) for table in RAW),
    ]
    for table, kind, path_of in places:
        for folder in path_of(table, 0).parent.parent.glob(_YEAR):
            year = int(folder.name.removeprefix("year="))
            if (path := path_of(table, year)).is_file():
                yield Found(path, year, kind, table.name)
    for path in (settings.lake_dir / ".errors").glob("*.txt"):
        if of_year := re.search(r"-(\d{4})-", path.name):
            yield Found(path, int(of_year[1]), DETAILS)


def _deliveries(settings: Settings, before: int) -> Iterator[Found]:
    for folder in settings.raw_dir.glob("[12][0-9][0-9][0-9]"):
        if (year := int(folder.name)) < before and folder.is_symlink():
            raise OperatorError(
                f"{folder} is a link to another place, and nothing is removed there. Remove that delivery by hand, then the "
                "link, and purge again. Nothing was removed."
            )
        yield from (Found(path, year, DELIVERY) for path in folder.rglob("*") if path.is_file() or path.is_symlink())


def _described(settings: Settings, found: Found) -> Removed:
    rows: int | str | None = None
    if found.kind in (TABLE, QUARANTINE):
        with suppress(OSError, pa.ArrowException):  # damaged: it goes all the same
            rows = told(pq.read_metadata(found.path).num_rows)
    lies_there = found.path.lstat()
    path = found.path.relative_to(settings.data_dir).as_posix()
    sha256 = fingerprint(found.path) if found.path.is_file() else ""
    return Removed(path, found.year, found.kind, found.asset, rows, lies_there.st_size, sha256, lies_there.st_mtime_ns)


def _remove_empty(folder: Path, settings: Settings) -> None:
    while folder not in (settings.lake_dir, settings.raw_dir) and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def _observation(asset: str, year: int, files: tuple[Removed, ...], receipt: Path) -> dg.AssetObservation:
    of = {file.kind: file.rows for file in files if (file.asset, file.year) == (asset, year)}
    metadata = {f"rows of the {kind}": "unknown" if rows is None else rows for kind, rows in of.items()}
    return dg.AssetObservation(
        asset,
        partition=str(year),
        description="The persons of this year were purged; what was made from them stays.",
        metadata={**metadata, "receipt": f"data/lake/receipts/{receipt.name}"},
    )
