"""Values as producers of a schema registry write them, and its schemas without a registry."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import fastavro

from jobs.messages.registry import Registered


def framed(number: int, body: bytes) -> bytes:
    """The body behind the number of its schema."""
    return b"\0" + struct.pack(">I", number) + body


def avro_body(schema: Any, value: Mapping[str, Any]) -> bytes:
    """A value as fastavro writes it, with the meaning that it has for logical types."""
    body = BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(schema), value)
    return body.getvalue()


def record_of(**types: Any) -> dict[str, Any]:
    """The schema of a record with these fields."""
    return {"type": "record", "name": "Row", "fields": [{"name": name, "type": of} for name, of in types.items()]}


def registered(schema: Any, kind: str = "AVRO", refers: bool = False) -> Registered:
    """A schema as a registry has it."""
    return Registered(kind, json.dumps(schema), refers)
