"""Copying nightly predictions into a database that people can query, day by day.

A day is copied together with the identity of the files it came from, so that a day that is there already is skipped.
Rows stream from the prediction log; only a batch is ever in memory. How a database is written: see
`jobs.scoring.predictions_database`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.scoring import prediction_log
from jobs.scoring.decided_columns import further
from jobs.scoring.prediction_log import NIGHTLY
from jobs.scoring.predictions_database import database
from jobs.use_case import UseCase

COLUMNS = (PARTITION, "scored_at", "score", "decision", "model_version")
BATCH_ROWS = 20_000


def columns_of(use_case: UseCase) -> list[str]:
    """What is published besides the event."""
    task = use_case.task
    return [*COLUMNS, *(field.name for field in further(task))]


def table_name(use_case: UseCase) -> str:
    return f"{use_case.name}_predictions"


def publish(lakehouse: Lakehouse, use_case: UseCase, days: Sequence[date]) -> dict[date, int]:
    """Copy the log's nightly rows of these days, where the database differs; returns the rows of each day written.

    Raises PredictionsUnreachable if the database cannot be used; days before the failing one are published.
    """
    log, table = prediction_log.table(use_case), table_name(use_case)
    if not lakehouse.exists(log):
        return {}
    with lakehouse.lock(f"publish.{table}"):
        version, columns = lakehouse.version(log), [*prediction_log.event_columns(use_case), *columns_of(use_case)]
        schema = pa.schema([lakehouse.schema(log, version).field(name) for name in columns])
        sources = _sources(lakehouse, log, version)
        with database(lakehouse.settings) as target:
            target.prepare(table, schema, use_case.event_id, use_case.entities)
            published = target.published(table)
            due = [day for day in days if published.get(day.isoformat(), "") != sources.get(day, "")]
            rows = (_rows(lakehouse, log, version, columns, day) for day in due)
            return {
                day: target.replace(table, day, sources.get(day, ""), batches)
                for day, batches in zip(due, rows, strict=True)
            }


def forget(lakehouse: Lakehouse, use_case: UseCase) -> None:
    """Take no day for published: the next `publish` writes each again."""
    with lakehouse.lock(f"publish.{table_name(use_case)}"), database(lakehouse.settings) as target:
        target.forget(table_name(use_case))


def _sources(lakehouse: Lakehouse, log: str, version: int | None) -> dict[date, str]:
    """Day -> a hash of the files that hold it."""
    files = lakehouse.files_by_day(log, version)
    return {day: hashlib.sha256("\n".join(paths).encode()).hexdigest() for day, paths in files.items() if day}


def _rows(
    lakehouse: Lakehouse, log: str, version: int | None, columns: Sequence[str], day: date
) -> Iterator[pa.RecordBatch]:
    nightly = (pc.field(PARTITION) == pa.scalar(day)) & (pc.field("origin") == NIGHTLY)
    dataset = lakehouse.snapshot(log, version).to_pyarrow_dataset()
    # Read no further ahead than the database writes.
    scan = dataset.scanner(
        columns=list(columns), filter=nightly, batch_size=BATCH_ROWS, batch_readahead=2, fragment_readahead=1
    )
    return (batch for batch in scan.to_batches() if batch.num_rows)
