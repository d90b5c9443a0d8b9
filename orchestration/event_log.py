"""Dagster's SQLite event log, with batches written as batches.

A run over half a year of daily partitions leaves an event per asset and day. Dagster's own SQLite storage opens
three connections for each of them, 15 to 50 ms, minutes in all. What is stored is the same.
"""

from collections.abc import Sequence
from typing import Any

from dagster import EventLogEntry
from dagster._core.events import ASSET_EVENTS
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData

BATCH_SIZE = 500


class BatchingSqliteEventLogStorage(SqliteEventLogStorage):
    """SqliteEventLogStorage whose batches of asset events take two transactions instead of three per event."""

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Any
    ) -> "BatchingSqliteEventLogStorage":
        return cls(inst_data=inst_data, **config_value)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events of one run, oldest first."""
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
