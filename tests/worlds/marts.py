"""Marts that a test writes row by row: their columns, and the windows that are kept of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from jobs.features import window_tables
from jobs.lakehouse.tables import Lakehouse
from jobs.use_cases.fraud import FRAUD

TIME = pa.timestamp("us", "UTC")
Row = dict[str, Any]

EVENT_SCHEMA = pa.schema(
    {"transaction_id": pa.int64(), "tx_datetime": TIME, "customer_id": pa.int64(), "terminal_id": pa.int64(),
     "tx_amount": pa.float64(), "known_at": TIME, "version": pa.int64(), "superseded_at": TIME,
     "loaded_in": pa.int64(), "first_event_date": pa.date32(), "event_date": pa.date32()}
)  # fmt: skip
LABEL_SCHEMA = pa.schema(
    {"transaction_id": pa.int64(), "customer_id": pa.int64(), "terminal_id": pa.int64(), "tx_datetime": TIME,
     "is_fraud": pa.bool_(), "known_at": TIME, "superseded_at": TIME, "loaded_in": pa.int64(),
     "event_date": pa.date32()}
)  # fmt: skip


def put(lakehouse: Lakehouse, table: str, rows: list[Row], schema: pa.Schema, mode: str = "overwrite") -> None:
    """Write rows to a mart, in place of those it holds or (`mode` "append") beside them."""
    frame = pa.Table.from_pylist(rows, schema=schema)
    lakehouse.write(table, frame, mode=mode, schema=schema, partition_by=["event_date"])


def update_windows(lakehouse: Lakehouse, as_of: datetime) -> None:
    """Bring the windows of all entities up to a moment."""
    for windows in FRAUD.windows:
        window_tables.update(lakehouse, windows, FRAUD.events, FRAUD.labels, FRAUD.window_table(windows), as_of)


def built_or_copied(lakehouse: Lakehouse, folder: Path, build: Callable[[Lakehouse], None]) -> None:
    """Fill an empty warehouse as `build` does, which each engine does once: `folder` keeps what it made.

    On Spark, two marts and their windows take as long to write as most tests that need them.
    """
    kept = folder / ("spark" if lakehouse.settings.spark_remote else "embedded")
    if kept.exists():
        shutil.copytree(kept, lakehouse.settings.warehouse, dirs_exist_ok=True)
        return
    build(lakehouse)
    shutil.copytree(lakehouse.settings.warehouse, kept)
