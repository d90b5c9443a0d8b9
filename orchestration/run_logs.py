"""Removal of what runs of long ago left in Dagster's history: their logs.

A run itself stays (its status, days and tags, at which sensors and schedules look), and so do the events of assets and
checks: the history of tables, freshness and partitions is as before. Of what was observed without a run, which is every
minute where a stream runs, the last of each asset stays. The ledger is no part of Dagster's history.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import sqlalchemy as sa
from dagster import DagsterEventType, DagsterRunStatus, RunsFilter
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS
from dagster._core.instance.utils import RUNLESS_RUN_ID
from dagster._core.storage.event_log import SqlEventLogStorage, SqlEventLogStorageTable

from orchestration.event_log import BatchingSqliteEventLogStorage

ENDED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]
KEPT = [kind.value for kind in (*ASSET_EVENTS, *ASSET_CHECK_EVENTS)]
OBSERVED = DagsterEventType.ASSET_OBSERVATION.value
AT_ONCE = 200
"""Runs of one transaction."""


def remove(instance: dg.DagsterInstance, before: datetime) -> int:
    """Remove the logs of runs that ended before a moment; returns of how many. A repeated call goes on."""
    ended = instance.get_run_ids(RunsFilter(statuses=ENDED, updated_before=before))
    return sum(len(_removed(instance, ended[start : start + AT_ONCE])) for start in range(0, len(ended), AT_ONCE))


def _removed(instance: dg.DagsterInstance, runs: Sequence[str]) -> set[str]:
    """Remove the logs of some runs; returns those that had any."""
    storage = instance.event_log_storage
    removed = set(_remove_files(instance, runs))
    if isinstance(storage, SqlEventLogStorage):
        table = SqlEventLogStorageTable
        kind = table.c.dagster_event_type
        events = table.delete().where(table.c.run_id.in_(runs), kind.is_(None) | kind.not_in(KEPT))
        with storage.index_connection() as connection:
            removed |= set(connection.execute(events.returning(table.c.run_id)).scalars())
    return removed


def remove_observations(instance: dg.DagsterInstance, before: datetime) -> int:
    """Remove what was observed of assets before a moment, but the last of each; returns how many observations.

    Streams make one of each topic a minute (`orchestration.stream_sensor`).
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return 0
    if isinstance(storage, BatchingSqliteEventLogStorage):
        with storage.run_connection(RUNLESS_RUN_ID) as connection:
            connection.execute(_old_observations(before))
    with storage.index_connection() as connection:
        return connection.execute(_old_observations(before)).rowcount


def _old_observations(before: datetime) -> sa.Delete:
    table = SqlEventLogStorageTable
    columns = table.c
    of_streams = (columns.dagster_event_type == OBSERVED) & (columns.run_id == RUNLESS_RUN_ID)
    last = sa.select(sa.func.max(columns.id)).where(of_streams).group_by(columns.asset_key)
    moment = before.astimezone(UTC).replace(tzinfo=None)
    return table.delete().where(of_streams, columns.timestamp < moment, columns.id.not_in(last))


def _remove_files(instance: dg.DagsterInstance, runs: Sequence[str]) -> Iterator[str]:
    """What steps printed and, in SQLite, the database that each run has beside the index."""
    storage = instance.event_log_storage
    for run in runs:
        printed = Path(instance.storage_directory()) / run
        had_database = isinstance(storage, BatchingSqliteEventLogStorage) and storage.remove_shard(run)
        if had_database or printed.exists():
            yield run
        shutil.rmtree(printed, ignore_errors=True)
