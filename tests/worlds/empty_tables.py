"""Tables without rows of any use case, of the types that its columns have: what a home is before its first events."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from deltalake import write_deltalake
from worlds.marts import TIME

from jobs.decisions.event_schema import event_source, needed_columns
from jobs.lakehouse.tables import attach
from jobs.settings import Settings
from jobs.use_case import UseCase

TYPES: dict[str, Any] = {
    "identifier": pa.int64(), "timestamp": TIME, "number": pa.float64(), "integer": pa.int64(), "boolean": pa.bool_(),
    "string": pa.string(), "category": pa.string(), "vector": pa.string(), "text": pa.string(),
}  # fmt: skip
BOOKKEEPING = {"known_at": TIME, "superseded_at": TIME, "version": pa.int64(), "event_date": pa.date32()}


def write_empty(settings: Settings, use_case: UseCase) -> None:
    """Tables of a use case's events and labels, of the types that its columns have, without rows."""
    reported = {name for windows in use_case.windows for name in (*windows.keys, *windows.label_columns)}
    reported |= {use_case.event_id, use_case.event_timestamp, use_case.label}
    sent = {*needed_columns(use_case), *(column.name for column in event_source(use_case).columns)}
    undeclared = {use_case.label: "boolean"}
    for table, names in ((use_case.events, sent), (use_case.labels, reported)):
        kinds = {name: use_case.kinds.get(name) or undeclared.get(name, "number") for name in names}
        schema = pa.schema({name: TYPES[kind] for name, kind in kinds.items()} | BOOKKEEPING)
        write_deltalake(attach(settings).path(table), schema.empty_table(), partition_by=["event_date"])
