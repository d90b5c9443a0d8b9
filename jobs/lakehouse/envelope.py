"""Where rows of raw tables came from that came over a topic: columns beside the declared ones, null for rows of files.

A table has them from its first such row on. What topics are: see `jobs.streams`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

TOPIC, PARTITION, OFFSET, SCHEMA = "stream_topic", "stream_partition", "stream_offset", "stream_schema"
ENVELOPE = pa.schema([(TOPIC, pa.string()), (PARTITION, pa.int64()), (OFFSET, pa.int64()), (SCHEMA, pa.string())])
"""The topic, the place in it, and the version of the schema that the message was written with."""
POSITION = "stream"
"""The part of a raw table's state that says how far its topic is read."""


def enveloped(schema: pa.Schema, stored: pa.Schema | None) -> pa.Schema:
    """The schema of rows of files, with the columns of the envelope if the table has them."""
    return pa.unify_schemas([schema, ENVELOPE]) if stored is not None and TOPIC in stored.names else schema


def kept_position(state: Mapping[str, Any]) -> dict[str, Any]:
    """What a load of files leaves in a table's state as it was."""
    return {POSITION: state[POSITION]} if POSITION in state else {}
