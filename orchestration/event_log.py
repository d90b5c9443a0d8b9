"""Dagster's SQLite event log, with connections that stay open and batches written as batches.

A run over half a year of daily partitions leaves an event per asset and day. Dagster's own SQLite storage opens up to
three connections for each event, 15 to 50 ms: minutes in all, and seconds in a run over one day. The last connection
to close a database also empties its write-ahead log into it, and waits for the disk. What is stored is the same.
"""

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster import EventLogEntry
from dagster._core.events import ASSET_EVENTS
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, StaticPool

BATCH_SIZE = 500
OPEN_SHARDS = 4
"""Number of databases that stay open: the index, the run that is written, and a few that people look at."""


class BatchingSqliteEventLogStorage(SqliteEventLogStorage):
    """SqliteEventLogStorage that keeps its connections, and writes a batch of asset events in two transactions."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None):
        self._open: OrderedDict[str, Engine] = OrderedDict()
        self._has_checks = False
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Any
    ) -> "BatchingSqliteEventLogStorage":
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        # One connection per shard is enough: Dagster's own lock lets one thread at a time have any.
        with self._db_lock:
            engine = self._open.pop(shard, None) or self._engine(shard)
            self._open[shard] = engine
            while len(self._open) > OPEN_SHARDS:
                self._open.popitem(last=False)[1].dispose()
            with engine.connect() as connection, connection.begin():
                yield connection

    def _engine(self, shard: str) -> Engine:
        address, options = self.conn_string_for_shard(shard), {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
        if shard not in self._initialized_dbs:
            self._make(shard, create_engine(address, poolclass=NullPool, connect_args=options))
            self._initialized_dbs.add(shard)
        engine = create_engine(address, poolclass=StaticPool, connect_args={**options, "check_same_thread": False})
        event.listen(engine, "connect", _relax)
        return engine

    def _make(self, shard: str, engine: Engine) -> None:
        """Make the tables that are not there. Those of a new database reach the disk together: each waits thrice."""
        file = Path(self.path_for_shard(shard))
        is_new = not file.exists()
        if is_new:
            event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
        self._initdb(engine)
        if is_new:
            with file.open("rb") as made:
                os.fsync(made)

    @property
    def supports_asset_checks(self) -> bool:
        """Whether the database has a table of checks; Dagster asks at every check, with a connection of its own."""
        self._has_checks = self._has_checks or bool(super().supports_asset_checks)
        return self._has_checks

    def _close(self) -> None:
        with self._db_lock:
            while self._open:
                self._open.popitem()[1].dispose()

    def dispose(self) -> None:
        """Close every connection."""
        self._close()
        super().dispose()

    def wipe(self) -> None:
        """Remove every event; no connection may hold a file that is removed."""
        self._close()
        super().wipe()

    def remove_shard(self, run_id: str) -> bool:
        """Remove the database of a run, but none of what the index has of it; whether there was one."""
        with self._db_lock:
            if engine := self._open.pop(run_id, None):
                engine.dispose()
            self._initialized_dbs.discard(run_id)
            files = [file for end in ("", "-wal", "-shm") if (file := Path(self.path_for_shard(run_id) + end)).exists()]
            for file in files:
                file.unlink(missing_ok=True)
            return bool(files)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events of one run, oldest first. Raises the error of SQLite itself, which Dagster prints."""
        try:
            self._store(events)
        except DBAPIError as error:
            raise (error.orig or error) from None

    def _store(self, events: Sequence[EventLogEntry]) -> None:
        together = [e for e in events if e.dagster_event and e.dagster_event_type in ASSET_EVENTS]
        super().store_event_batch([e for e in events if not (e.dagster_event and e.dagster_event_type in ASSET_EVENTS)])
        if together:
            self._store_asset_events(together)

    def _store_asset_events(self, events: Sequence[EventLogEntry]) -> None:
        statements = [self.prepare_insert_event(event) for event in events]
        with self.run_connection(events[0].run_id) as run, run.begin_nested():
            for statement in statements:
                run.execute(statement)
        with self.index_transaction() as index:
            keys = [index.execute(statement).inserted_primary_key for statement in statements]
            ids = [key[0] for key in keys if key is not None]
            self._store_asset_event_tags(index, events, ids)
            latest = {e.get_dagster_event().asset_key: (e, i) for e, i in zip(events, ids, strict=True)}
            for event, event_id in latest.values():
                self._store_asset_event(index, event, event_id)


def _relax(connection: Any, _: Any) -> None:
    """With a write-ahead log a killed process loses no commit this way, and a lost machine the last ones at most."""
    connection.execute("PRAGMA synchronous=NORMAL")
