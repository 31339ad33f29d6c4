"""Dagster's event log in SQLite, with connections that are kept and one commit an event.

The tables and files are Dagster's own, and either class reads what the other wrote. Dagster's opens and closes a database
two or three times for each event, and waits for the disk as often: most of what a year costs beside its work
(``docs/decisions/0015-event-log.md``).
"""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import StaticPool

from mm_pipeline.operations.dagster_workarounds import ConfigurableClassData, SqliteEventLogStorage

# Databases with a connection: the index of all runs, and the runs that were asked for last; two work together.
_KEPT = 3
_PATIENCE = 30  # seconds to wait for another process that writes; as in Dagster


class SqliteEventLog(SqliteEventLogStorage):
    """In ``$DAGSTER_HOME/history/runs``, where Dagster has it by default."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: dict[str, Engine] = {}
        self._begun: dict[str, Connection] = {}
        """Connections in a transaction, of the thread that holds the lock."""
        self._tables: set[str] = set()
        super().__init__(base_dir, inst_data)
        self._db_lock = threading.RLock()  # type: ignore[assignment]  # a thread may ask again for what it has

    @classmethod
    def config_type(cls) -> Any:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> "SqliteEventLog":
        return cls(str(Path(os.environ["DAGSTER_HOME"]) / "history" / "runs"), inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        """The connection in a transaction: in that which has begun, if one has."""
        # One connection a database is enough: the lock lets one thread at a time in here.
        with self._db_lock:
            if shard in self._begun:
                yield self._begun[shard]
                return
            engine = self._engines.pop(shard, None) or self._new(shard)
            self._engines[shard] = engine  # the last one asked for is the last one to go
            while len(self._engines) > _KEPT:
                self._engines.pop(next(iter(self._engines))).dispose()
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as self._begun[shard]:
                try:
                    yield self._begun[shard]
                finally:
                    del self._begun[shard]

    def _new(self, shard: str) -> Engine:
        engine = create_engine(
            self.conn_string_for_shard(shard),
            poolclass=StaticPool,
            connect_args={"timeout": _PATIENCE, "check_same_thread": False},
        )

        @event.listens_for(engine, "connect")
        def does_not_wait_for_the_disk(connection: Any, _: Any) -> None:
            """A killed process loses nothing by it, a power cut the last commits, and no half of one."""
            connection.execute("PRAGMA journal_mode = WAL")  # Dagster sets it after it has made the tables
            connection.execute("PRAGMA synchronous = NORMAL")

        return engine

    def store_event(self, event: dg.EventLogEntry) -> None:
        """In one transaction a database; that of the run ends first."""
        with self.index_connection(), self.run_connection(event.run_id):
            super().store_event(event)

    def store_event_batch(self, events: Sequence[dg.EventLogEntry]) -> None:
        """All of them or none: what a run intends to do, in one transaction (``DAGSTER_EVENT_BATCH_SIZE``)."""
        with self.index_connection(), self.run_connection(events[0].run_id):
            super().store_event_batch(events)

    def has_table(self, table_name: str) -> bool:
        """Looked up until it is there: Dagster asks at each event of a check."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def _close(self) -> None:
        while self._engines:
            self._engines.popitem()[1].dispose()

    def wipe(self) -> None:
        self._close()
        super().wipe()

    def dispose(self) -> None:
        self._close()
        super().dispose()
