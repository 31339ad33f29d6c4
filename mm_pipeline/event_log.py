"""Dagster's event log in SQLite, with connections that are kept.

The tables and files are Dagster's own, and either class reads what the other wrote. Dagster's opens and closes a database
two or three times for each event: two thirds of what a year costs beside its work (``docs/decisions/0015-event-log.md``).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import StaticPool

from mm_pipeline.operations.dagster_workarounds import ConfigurableClassData, SqliteEventLogStorage

_KEPT = 3  # databases with a connection: the index of all runs, and the runs that were asked for last
_PATIENCE = 30  # seconds to wait for another process that writes; as in Dagster


class SqliteEventLog(SqliteEventLogStorage):
    """In ``$DAGSTER_HOME/history/runs``, where Dagster has it by default."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: dict[str, Engine] = {}
        super().__init__(base_dir, inst_data)

    @classmethod
    def config_type(cls) -> Any:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> "SqliteEventLog":
        return cls(str(Path(os.environ["DAGSTER_HOME"]) / "history" / "runs"), inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        # One connection a database is enough: Dagster's lock lets one thread at a time in here.
        with self._db_lock:
            engine = self._engines.pop(shard, None) or create_engine(
                self.conn_string_for_shard(shard),
                poolclass=StaticPool,
                connect_args={"timeout": _PATIENCE, "check_same_thread": False},
            )
            self._engines[shard] = engine  # the last one asked for is the last one to go
            while len(self._engines) > _KEPT:
                self._engines.pop(next(iter(self._engines))).dispose()
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection

    def _close(self) -> None:
        while self._engines:
            self._engines.popitem()[1].dispose()

    def wipe(self) -> None:
        self._close()
        super().wipe()

    def dispose(self) -> None:
        self._close()
        super().dispose()
