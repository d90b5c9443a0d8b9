"""Values that are records of Avro, each a row or the change of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import polars as pl
from fastavro import schemaless_reader

from jobs.ingest.csv_records import LINE
from jobs.ingest.json_objects import NoRecord, ObjectRead, as_frame, as_texts
from jobs.messages.avro_schemas import plain
from jobs.messages.debezium import Unwrap
from jobs.messages.message import ChangeKind, Decoded

NO_FIT, TOO_LONG = "bytes that are not of their schema", "bytes behind what their schema says"
"""Why a value is no record."""


def rows(schema: Any, values: Sequence[bytes], unwrap: Unwrap) -> Decoded:
    """The rows, or changes, that values of one schema say; each as fastavro takes it (`jobs.messages.avro_schemas`)."""
    read = [_read(schema, value, unwrap) for value in values]
    lines = pl.int_range(1, len(values) + 1, dtype=pl.UInt32, eager=True).alias(LINE)
    return Decoded(as_frame([each for each, _ in read], lines), [None] * len(read), [change for _, change in read])


def _read(schema: Any, value: bytes, unwrap: Unwrap) -> tuple[ObjectRead, ChangeKind | None]:
    try:
        row, change, _ = unwrap(_said(schema, value))
        return ObjectRead(as_texts(plain(row))), change
    except NoRecord as reason:
        return ObjectRead({}, str(reason)), None


def _said(schema: Any, value: bytes) -> Mapping[str, Any]:
    body = BytesIO(value)
    try:
        said = schemaless_reader(body, schema, None)
    except Exception as error:  # Bytes of anything may raise anything, of which fastavro documents nothing.
        raise NoRecord(NO_FIT) from error
    if body.tell() != len(value):
        raise NoRecord(TOO_LONG)
    return said  # type: ignore[return-value]  # a record
