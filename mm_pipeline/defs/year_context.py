"""Work on one year: what checks, and assets that write their own files, are given."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import dagster as dg
from ibis.backends.duckdb import Backend

from mm_pipeline import schemas
from mm_pipeline.defs.contained import contained
from mm_pipeline.defs.resources.engine import CHANGED_IN_LAUNCHPAD, DuckDBEngine, chosen
from mm_pipeline.disclosure.small_numbers import rounded
from mm_pipeline.errors import SettingsError
from mm_pipeline.files import permissions
from mm_pipeline.settings import Settings
from mm_pipeline.storage.lake import Engine, Lake, Written


@dataclass
class YearContext:
    """Work on one year: engine, lake, settings, and the time since it began."""

    backend: Backend
    lake: Lake
    settings: Settings
    year: int
    started: float = field(default_factory=time.monotonic)
    tolerance: float = 0.0
    """Of the check that looks."""
    hold_limit: float = math.inf
    """Of the check that looks: beyond it the year is held."""

    @cached_property
    def engine(self) -> Engine:
        """What computes the tables of the statistic (``MM_ENGINE``); all else is for ``backend``, DuckDB."""
        return chosen(self.settings, self.backend)

    def read(self, table: schemas.Table) -> Any:
        """A table of the year, to look at."""
        return self.lake.read(self.backend, table, self.year)

    def metadata(self, table: schemas.Table, written: Written, **shown: Any) -> dict[str, Any]:
        """What the UI shows of each table: rows (of people: in round numbers, and none for 0), size, seconds."""
        rows = shown.pop("dagster/row_count", written.rows)
        told = rounded(rows) if table.of_people else rows
        return {
            "seconds": round(time.monotonic() - self.started, 3),
            "megabytes": round(written.bytes / 1e6, 3),
            **shown,
            **({"dagster/row_count": told} if told or not table.of_people else {}),
        }


@contextmanager
def working_on(year: int, settings: Settings, engine: DuckDBEngine, log: dg.DagsterLogManager) -> Iterator[YearContext]:
    """An engine session over the lake; all that is made meanwhile is private."""
    if engine.model_dump() != DuckDBEngine.of(settings).model_dump():
        raise SettingsError(CHANGED_IN_LAUNCHPAD)
    with permissions.making_private_files():
        for folder in (settings.lake_dir, settings.raw_dir / str(year)):
            if not permissions.close(folder):
                log.warning(
                    f"{folder} can be read by other accounts, and belongs to one of them, so that it was left as it is. It "
                    f"holds persons: have its owner run chmod -R go= {folder}."
                )
        with engine.session() as backend:
            yield YearContext(backend, Lake(settings.lake_dir), settings, year)


@contextmanager
def year_context(
    context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, settings: Settings, engine: DuckDBEngine
) -> Iterator[YearContext]:
    """:func:`working_on` the year of a step, whose errors are contained."""
    year = int(context.partition_key)
    with contained(settings, f"{year}-{context.op_def.name}"), working_on(year, settings, engine, context.log) as work:
        yield work
