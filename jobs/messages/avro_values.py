"""Values that are records of Avro, each a row or the change of one."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Any

import polars as pl
from fastavro import schemaless_reader

from jobs.ingest.csv_records import LINE
from jobs.ingest.json_objects import NoRecord, ObjectRead, as_frame
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
    body = BytesIO(value)
    try:
        row, change, _ = unwrap(schemaless_reader(body, schema, None))  # type: ignore[arg-type]  # a record
        read = ObjectRead({name: _text(each) for name, each in row.items()})
    except NoRecord as reason:
        return ObjectRead({}, str(reason)), None
    except Exception:  # Bytes of anything may raise anything, of which fastavro documents nothing.
        return ObjectRead({}, NO_FIT), None
    return (read, change) if body.tell() == len(value) else (ObjectRead({}, TOO_LONG), None)


def _float(value: float) -> str:
    return repr(value) if math.isfinite(value) else json.dumps(value)


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


_TEXT_OF: Mapping[type, Callable[[Any], str]] = {
    str: str,
    bool: json.dumps,
    int: str,
    float: _float,
    bytes: _base64,
}
"""The text that JSON would have of a value; bytes in base64."""


def _text(value: Any) -> str | None:
    if value is None:
        return None
    of = _TEXT_OF.get(type(value))
    return of(value) if of else json.dumps(_plain(value))


def _plain(value: Any) -> Any:
    """A value within another, as JSON would have it with texts instead of numbers."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value if isinstance(value, bool | None) else _TEXT_OF[type(value)](value)
