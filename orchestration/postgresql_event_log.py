"""Dagster's PostgreSQL event log, with a connection that stays open and plans written as a batch.

Dagster's own opens up to three for each event, and PostgreSQL starts a process for each: minutes in a run over half a
year of daily partitions. What is stored is the same.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from dagster import DagsterEventType, EventLogEntry
from dagster._core.storage.event_log import SqlEventLogStorageTable
from dagster._serdes import ConfigurableClassData
from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_postgres.utils import create_pg_engine, pg_url_from_config

RECYCLE_SECONDS = 1800
PLANNED = DagsterEventType.ASSET_MATERIALIZATION_PLANNED


class PooledPostgresEventLogStorage(PostgresEventLogStorage):
    """PostgresEventLogStorage that keeps one connection, and opens others only where threads need them at once."""

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None):
        super().__init__(postgres_url, inst_data=inst_data)
        self._engine = create_pg_engine(
            postgres_url, isolation_level="AUTOCOMMIT", pool_size=1, max_overflow=-1, pool_pre_ping=True,
            pool_recycle=RECYCLE_SECONDS,
        )  # fmt: skip

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "PooledPostgresEventLogStorage":
        return cls(pg_url_from_config(config_value), inst_data)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events of one run, oldest first."""
        planned = [event for event in events if event.dagster_event_type is PLANNED]
        if rest := [event for event in events if event.dagster_event_type is not PLANNED]:
            super().store_event_batch(rest)
        if planned:
            self._store_planned(planned)

    def _store_planned(self, events: Sequence[EventLogEntry]) -> None:
        """What runs will materialize: Dagster writes these one by one."""
        insert = self.prepare_insert_event_batch(events).returning(SqlEventLogStorageTable.c.id)
        with self.index_transaction() as connection:
            ids = list(connection.execute(insert).scalars())
            self._store_asset_event_tags(connection, events, ids)
            latest = {e.get_dagster_event().asset_key: (e, i) for e, i in zip(events, ids, strict=True)}
            for event, event_id in latest.values():
                self._store_asset_event(connection, event, event_id)

    def dispose(self) -> None:
        """Close every connection."""
        super().dispose()
        self._engine.dispose()
