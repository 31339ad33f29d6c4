"""What all assets share: how they are declared, how they say what they wrote, and what of it may be shown.

Metadata goes into Dagster's event log and UI, which are outside the restricted zones: no pseudonym, no key, no small
number of people (``people``), and how many people there are, or rows of theirs, only in round numbers (``rounded``).
"""

import hashlib
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

import mm_pipeline
from mm_pipeline.clock import now
from mm_pipeline.defs.partitions import YEARS
from mm_pipeline.disclosure.small_numbers import rounded
from mm_pipeline.errors import OperatorError, UnexpectedError, storage_error
from mm_pipeline.files import permissions
from mm_pipeline.ingest.ingest import Account
from mm_pipeline.schemas import Table
from mm_pipeline.settings import Settings
from mm_pipeline.storage.engine import chosen, session
from mm_pipeline.storage.lake import Engine, Lake, Provenance, Written

SettingsParam = dg.ResourceParam[Settings]

_INTERRUPTED = "Query interrupted"
"""A RuntimeError of DuckDB, in place of what the handler of a signal raised."""

_PACKAGE = Path(mm_pipeline.__file__).resolve().parent


@dataclass(frozen=True)
class Stage:
    """A group of assets: who answers for it and who may see its rows."""

    group: str
    owner: str
    zone: str
    """restricted (persons), confidential (small numbers) or public."""


DELIVERIES = Stage("deliveries", "team:deliveries", "restricted")
PATIENTS = Stage("patients", "team:statistics", "restricted")
HOUSES = Stage("houses", "team:statistics", "confidential")
RATES = Stage("rates", "team:statistics", "confidential")
PUBLICATION = Stage("publication", "team:publication", "public")


@cache
def code_version(*rooms: str) -> str:
    """A hash of the source of these rooms (folders or modules of the package): what a result depends on beside data.

    A room holds all its files: texts, templates and scripts count as much as code.
    """
    digest = hashlib.sha256()
    for room in sorted({*rooms, "schemas", "dimensions"}):
        path = _PACKAGE / room
        files = path.rglob("*") if path.is_dir() else path.parent.glob(f"{path.name}.*")
        for file in sorted(file for file in files if file.is_file() and not _is_transient(file)):
            digest.update(file.relative_to(_PACKAGE).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]


def _is_transient(file: Path) -> bool:
    """What an interpreter, an editor or a file manager leaves there, for a moment or for good."""
    return "__pycache__" in file.parts or file.name.startswith(".") or file.name.endswith("~")


def declared(
    stage: Stage,
    description: str,
    *,
    table: Table | None = None,
    rooms: Sequence[str],
    kinds: set[str] | None = None,
    yearly: bool = True,
    uri: str = "",
) -> dict[str, Any]:
    """Arguments of ``@dg.asset`` that every asset of a stage has: group, owner, tags, kinds, columns, code version.

    ``uri``: where the result lies; by default the table's place in the lake.
    """
    metadata: dict[str, Any] = {}
    if table is not None:
        # The UI reads a description as Markdown, where <NIS5> would be an HTML tag and vanish.
        columns = [
            dg.TableColumn(column.name, str(column.type), description=column.description.replace("<", r"\<"))
            for column in table.columns
        ]
        metadata["dagster/column_schema"] = dg.TableSchema(columns)
        uri = uri or f"data/lake/{table.name}/year=<year>/part-0.parquet"
    if uri:
        metadata["dagster/uri"] = uri
    return {
        "partitions_def": YEARS if yearly else None,
        "group_name": stage.group,
        "owners": [stage.owner],
        "tags": {"zone": stage.zone},
        "kinds": kinds or {"duckdb", "parquet"},
        "description": description,
        "metadata": metadata,
        "code_version": code_version(*rooms),
    }


@dataclass
class Step:
    """One asset's work for one year: engine, lake, settings, and the time since it began."""

    backend: Backend
    lake: Lake
    settings: Settings
    year: int
    started: float

    @cached_property
    def engine(self) -> Engine:
        """What computes the tables of the statistic (``MM_ENGINE``); all else is for ``backend``, DuckDB."""
        return chosen(self.settings, self.backend)

    def read(self, table: Table) -> Any:
        """A table of the year, to look at."""
        return self.lake.read(self.backend, table, self.year)

    def source(self, table: Table) -> Any:
        """A table of the year, to compute another one from with :meth:`write`."""
        return self.lake.read(self.engine, table, self.year)

    def write(self, table: Table, rows: ir.Table, provenance: Provenance) -> Written:
        """Replace the year's partition by what was computed from ``source``."""
        return self.lake.write(self.engine, table, self.year, rows, provenance)

    def result(
        self,
        written: Written,
        *,
        rows: int | None = None,
        of_people: bool = False,
        data_version: str | None = None,
        **metadata: Any,
    ) -> dg.MaterializeResult:
        """What Dagster shows: rows (of people: in round numbers, and none for 0), size, seconds, and what else is given.

        ``rows``: how many of the table's rows are told, if not all.
        """
        rows = written.rows if rows is None else rows
        shown: dict[str, Any] = {
            "seconds": round(time.monotonic() - self.started, 3),
            "megabytes": round(written.bytes / 1e6, 3),
            **metadata,
        }
        if not of_people or rounded(rows):
            shown["dagster/row_count"] = rounded(rows) if of_people else rows
        version = dg.DataVersion(data_version) if data_version else None
        return dg.MaterializeResult(metadata=shown, data_version=version)


@contextmanager
def step(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, settings: Settings) -> Iterator[Step]:
    """The work of an asset or a group of checks on a year: all that it makes is private, and its errors are contained."""
    year = int(context.partition_key)
    with contained(settings, f"{year}-{_name(context)}"), permissions.making_private_files():
        for folder in (settings.lake_dir, settings.raw_dir / str(year)):
            if not permissions.close(folder):
                context.log.warning(
                    f"{folder} can be read by other accounts, and belongs to one of them, so that it was left as it is. It "
                    f"holds persons: have its owner run chmod -R go= {folder}."
                )
        with session(settings) as backend:
            yield Step(backend, Lake(settings.lake_dir), settings, year, time.monotonic())


def _name(context: Any) -> str:
    """What the step makes or checks, as Dagster calls it."""
    return context.op_def.name if hasattr(context, "op_def") else "step"


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


def usable_rows(account: Account) -> int:
    """The delivered rows that are not in the quarantine, how many of which is told exactly.

    Two round numbers and an exact one between them can leave a single value; with those delivered that would be so.
    """
    return account.delivered - account.quarantined


def counted(totals: ir.Table) -> dict[str, int]:
    """The one row of an aggregation as whole numbers; a sum over nothing is 0."""
    return {name: int(value or 0) for name, value in totals.to_pyarrow().to_pylist()[0].items()}


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> dg.MarkdownMetadataValue:
    """A small table for the UI."""
    if not rows:
        return dg.MetadataValue.md("(nothing)")
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(str(row[name]) for name in names) + " |" for row in rows]
    return dg.MetadataValue.md("\n".join(lines))
