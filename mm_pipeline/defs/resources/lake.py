"""The lake as Dagster's IO manager: assets take their tables as parameters and return what is to be written.

A table is loaded as an expression of the engine, and computed when it is written: its schema is checked, its file replaced
whole and given a checksum, and what it was made from is kept with it (:mod:`mm_pipeline.storage.lake`).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import ibis.expr.types as ir

from mm_pipeline import schemas
from mm_pipeline.defs.contained import contained
from mm_pipeline.defs.resources.engine import DuckDBEngine
from mm_pipeline.defs.year_context import YearContext, working_on
from mm_pipeline.settings import Settings
from mm_pipeline.storage.earlier_houses import EarlierHouses, earlier_houses
from mm_pipeline.storage.lake import Lake, Provenance


@dataclass(frozen=True)
class Rows:
    """What an asset returns, if not a table alone."""

    table: ir.Table
    shown: Callable[[ir.Table], Mapping[str, Any]] = lambda _written: {}
    """What the UI shows of the table as it was written."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Kept in the provenance, beside what all loaded tables were made from."""
    provenance: Provenance | None = None
    """Of what was read from files."""


class LakeIOManager(dg.IOManager):
    """Loads and writes the tables of one asset at a time, on an engine session of its own."""

    def __init__(self, settings: Settings, engine: DuckDBEngine) -> None:
        self._settings, self._engine = settings, engine
        self._session = ExitStack()
        self._asset = ""
        self._work: YearContext | None = None
        self._loaded: list[schemas.Table] = []

    def load_input(self, context: dg.InputContext) -> ir.Table | EarlierHouses:
        """The table of the run's year; for earlier years of ``houses``, what they tell."""
        with self._working(context.op_def.name, context) as work:
            if context.dagster_type.typing_type is EarlierHouses:
                return earlier_houses(work.lake, work.year)
            table = schemas.LAKE_TABLES[context.asset_key.to_user_string()]
            self._loaded.append(table)
            return work.lake.read(work.engine, table, work.year)

    def handle_output(self, context: dg.OutputContext, obj: ir.Table | Rows | None) -> None:
        """Write the table; None: the asset has written its files itself."""
        if obj is None:
            return
        rows = obj if isinstance(obj, Rows) else Rows(obj)
        table = schemas.LAKE_TABLES[context.asset_key.to_user_string()]
        with self._working(context.op_def.name, context) as work:
            provenance = rows.provenance or work.lake.derived_from(*self._loaded, year=work.year, details=rows.details)
            engine = work.backend if rows.provenance else work.engine  # what was read from files is in memory
            written = work.lake.write(engine, table, work.year, rows.table, provenance)
            context.add_output_metadata(work.metadata(table, written, **rows.shown(work.read(table))))
            self.close()

    @property
    def lake(self) -> Lake:
        return Lake(self._settings.lake_dir)

    def provenance(self, table: schemas.Table) -> Provenance:
        """What a table that the asset has loaded was made from."""
        assert self._work is not None
        return self._work.lake.provenance(table, self._work.year)

    @contextmanager
    def _working(self, asset: str, context: dg.InputContext | dg.OutputContext) -> Iterator[YearContext]:
        """The session of the asset: one that another left, because it failed, ends before this one begins."""
        year = int(context.partition_key)
        with contained(self._settings, f"{year}-{asset}"):
            if self._work is None or self._asset != asset:
                self.close()
                self._asset = asset
                self._work = self._session.enter_context(working_on(year, self._settings, self._engine, context.log))
            yield self._work

    def close(self) -> None:
        """End the session that is open, if one is."""
        self._work, self._loaded = None, []
        self._session.close()


@dg.io_manager(  # type: ignore[arg-type]  # a generator, as of every resource: it ends the session that a failure left
    required_resource_keys={"settings", "engine"},
    description="Tables of the Parquet lake: data/lake/<table>/year=<year>/part-0.parquet.",
)
def lake(context: dg.InitResourceContext) -> Iterator[LakeIOManager]:
    manager = LakeIOManager(context.resources.settings, context.resources.engine)
    try:
        yield manager
    finally:
        with contained(context.resources.settings, "lake"):
            manager.close()


LakeParam = dg.ResourceParam[LakeIOManager]
