"""The lake: one Parquet file per table and year, replaced whole.

A partition is written beside its place and moved there with ``os.replace``: a reader sees the old one or the new one.
Beside it lies its checksum (:mod:`mm_pipeline.files.checksum`); a damaged partition is not read. Every write goes through
:meth:`Lake._write`, which asserts the physical schema against :mod:`mm_pipeline.schemas`. The :class:`Provenance` of a
partition is in its Parquet footer, so that the two cannot be separated.
"""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeAlias
from urllib.parse import quote, unquote

import ibis.expr.types as ir
import pyarrow.parquet as pq
from ibis.backends.duckdb import Backend

from mm_pipeline.errors import LakeError
from mm_pipeline.files import permissions
from mm_pipeline.files.atomic import replacing
from mm_pipeline.files.checksum import is_intact, is_lost, put_with_checksum
from mm_pipeline.schemas import DISCLOSED_RATES, PROTECTED_SENSITIVITY, QUARANTINE, RELEASES, SHOWN_SENSITIVITY, Table


class OtherEngine(Protocol):
    """Another engine than DuckDB, which hands the rows it computes to DuckDB to be written."""

    def read_parquet(self, path: Path, **options: Any) -> ir.Table: ...

    def handed_over(self, rows: ir.Table, table: Table) -> AbstractContextManager[tuple[Backend, ir.Table]]: ...


Engine: TypeAlias = Backend | OtherEngine

IRREPLACEABLE = frozenset(table.name for table in (DISCLOSED_RATES, RELEASES, SHOWN_SENSITIVITY))
"""Tables that cannot be made again: what past releases were made from and showed."""

MADE_BY = {
    **dict.fromkeys((PROTECTED_SENSITIVITY.name, DISCLOSED_RATES.name), "protected_rates"),
    **dict.fromkeys((RELEASES.name, SHOWN_SENSITIVITY.name), "published_year"),
}
"""Table -> the asset that writes it, where their names differ."""

_FOOTER_KEY = b"mm_pipeline"


@dataclass(frozen=True)
class Provenance:
    """The provenance of a partition: what it was made from.

    ``details``: anything but row data (ingest keeps its counts of rows there). ``sources``: ``deliveries/<file>`` or
    ``references/<file>`` -> SHA-256 of its content; derived partitions have those of all they are derived from.
    ``key_check``: fingerprint of the secret of their keys (``Settings.key_check``); empty: none or unknown.
    """

    synthetic: bool
    details: Mapping[str, Any] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    key_check: str = ""

    def footer(self) -> dict[str, str]:
        """The metadata of the Parquet footer: percent-encoded JSON, readable as far as possible.

        Ibis would garble backslashes and break on apostrophes, and a delivered column name may hold any character.
        """
        return {_FOOTER_KEY.decode(): quote(json.dumps(asdict(self), sort_keys=True), safe=' {}[]":,')}


@dataclass(frozen=True)
class Written:
    """A partition on disk: its path, and its size in rows and bytes."""

    path: Path
    rows: int
    bytes: int


@dataclass(frozen=True)
class Lake:
    """The tables in the folder ``root``. Folders are 0700 and files 0600: the lake holds persons and small numbers."""

    root: Path

    def spill_dir(self) -> Path:
        """The folder for temporary data of persons, inside the lake and as restricted as the lake."""
        return self._made(self.root / ".spill")

    def path(self, table: Table, year: int) -> Path:
        return self.root / table.name / f"year={year}" / "part-0.parquet"

    def quarantine_path(self, table: Table, year: int) -> Path:
        dataset = table.name.removeprefix("raw_")
        return self.root / "quarantine" / dataset / f"year={year}" / "part-0.parquet"

    def has(self, table: Table, year: int) -> bool:
        return self.path(table, year).is_file()

    def is_intact(self, table: Table, year: int) -> bool:
        """Whether the partition and its quarantine, as far as they were written, are neither damaged nor lost."""
        paths = self.path(table, year), self.quarantine_path(table, year)
        return all(is_intact(path) if path.is_file() else not is_lost(path) for path in paths)

    def is_usable(self, table: Table, year: int) -> bool:
        """Whether the partition is there and not damaged, so that another year can be compared with it."""
        return self.has(table, year) and self.is_intact(table, year)

    def was_written(self, table: Table, year: int) -> bool:
        """Whether the partition was written, lost ones included; reading one of these raises an error that says so."""
        return self.has(table, year) or is_lost(self.path(table, year))

    def read(self, engine: Engine, table: Table, year: int) -> ir.Table:
        """The partition as an expression. Raises :class:`LakeError` if it has not been built or is damaged."""
        return engine.read_parquet(self.existing(table, year), hive_partitioning=False)

    def quarantined(self, table: Table, year: int) -> int:
        """Number of rows in the quarantine, 0 where there is none. Raises :class:`LakeError` if it is damaged."""
        path = self.quarantine_path(table, year)
        if not path.is_file():
            return 0
        self._assert_intact(path, table, year)
        return pq.read_metadata(path).num_rows

    def written(self, table: Table, year: int) -> Written:
        """Path, rows and bytes of the partition on disk."""
        path = self.existing(table, year)
        return Written(path, pq.read_metadata(path).num_rows, path.stat().st_size)

    def provenance(self, table: Table, year: int) -> Provenance:
        footer = pq.read_metadata(self.existing(table, year)).metadata or {}
        return Provenance(**json.loads(unquote(footer[_FOOTER_KEY])))

    def derived_from(self, *tables: Table, year: int, details: Mapping[str, Any] | None = None) -> Provenance:
        """The provenance of a table made from these partitions: all their sources, and synthetic if one of them is.

        Raises :class:`LakeError` if their keys were made with different secrets: nobody would be found in both.
        """
        above = [self.provenance(table, year) for table in tables]
        made_with: dict[str, list[str]] = {}
        for table, provenance in zip(tables, above, strict=True):
            if provenance.key_check:
                made_with.setdefault(provenance.key_check, []).append(table.name)
        if len(made_with) > 1:
            parts = ", others in ".join(" and ".join(names) for names in made_with.values())
            raise LakeError(
                f"{year}: the same person has one key in {parts}: they were made with different secrets (MM_ID_KEY). "
                "Set the one that is to stay, and materialise the whole year again."
            )
        sources = {name: digest for provenance in above for name, digest in provenance.sources.items()}
        synthetic = any(provenance.synthetic for provenance in above)
        return Provenance(synthetic, details or {}, sources, next(iter(made_with), ""))

    def write(self, engine: Engine, table: Table, year: int, rows: ir.Table, provenance: Provenance) -> Written:
        """Replace the partition by ``rows`` of the engine, with the columns, types and order of the schema."""
        path = self.path(table, year)
        if isinstance(engine, Backend):
            self._write(engine, table, path, rows, provenance)
        else:
            with engine.handed_over(rows.select(table.column_names), table) as (backend, handed):
                self._write(backend, table, path, handed, provenance)
        return self.written(table, year)

    def write_quarantine(
        self, backend: Backend, table: Table, year: int, rows: ir.Table, provenance: Provenance
    ) -> None:
        """Replace the quarantine of a raw table's year; columns of :data:`~mm_pipeline.schemas.QUARANTINE`."""
        self._write(backend, QUARANTINE, self.quarantine_path(table, year), rows, provenance)

    def existing(self, table: Table, year: int) -> Path:
        """Path of the partition for reading. Raises :class:`LakeError` if it has not been built or is damaged."""
        path = self.path(table, year)
        if not path.is_file() and not is_lost(path):
            raise LakeError(f"{year}: {table.name} has not been built yet. Materialise {table.name} for {year} first.")
        self._assert_intact(path, table, year)
        return path

    def _assert_intact(self, path: Path, table: Table, year: int) -> None:
        name = f"data/lake/{path.relative_to(self.root).as_posix()}"
        if is_lost(path):
            what = f"{year}: {name} is lost: its checksum is there, and it is not."
        elif is_intact(path):
            return
        else:
            what = f"{year}: {name} is damaged: its bytes are not those that were written ({name}.sha256)."
        if table.name in IRREPLACEABLE:
            raise LakeError(
                f"{what} It cannot be made again, and a revision of {year} is protected with it: put the folder of the year "
                "back from a backup."
            )
        maker = MADE_BY.get(table.name, table.name)
        raise LakeError(f"{what} Materialise {maker} for {year} again, or run mm-pipeline backfill.")

    def _made(self, folder: Path) -> Path:
        """Make a folder of the lake. ``mkdir(parents=True)`` would leave the mode of the folders above to the umask."""
        if not folder.is_dir():
            if folder != self.root:
                self._made(folder.parent)
            permissions.folder(folder)
        return folder

    def _write(self, backend: Backend, table: Table, path: Path, rows: ir.Table, provenance: Provenance) -> None:
        self._made(path.parent)
        rows = rows.select(table.column_names)
        if table.order:
            rows = rows.order_by(list(table.order))
        durable = table.name in IRREPLACEABLE
        put = partial(put_with_checksum, durable=durable)
        with replacing(path, mode=0o600, durable=durable, put=put) as temporary:
            backend.to_parquet(rows, temporary, compression="zstd", kv_metadata=provenance.footer())
            written = pq.read_schema(temporary)
            # Names and types; whether a column may be empty is the optimiser's guess and not part of the contract.
            if [(f.name, f.type) for f in written] != [(f.name, f.type) for f in table.schema]:
                raise LakeError(
                    f"{table.name}: the rows to be written are not of the declared columns. This is a fault of the "
                    f"program; the earlier partition is untouched.\nexpected: {table.schema}\nfound: "
                    f"{written.remove_metadata()}"
                )
