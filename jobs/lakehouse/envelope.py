"""Columns of raw tables beside the declared ones: where rows came from that came over a topic, and which are deletions.

They are null for rows of files, and a table has them from its first such row on. What topics are: see `jobs.streams`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

TOPIC, PARTITION, OFFSET, SCHEMA = "stream_topic", "stream_partition", "stream_offset", "stream_schema"
ENVELOPE = pa.schema([(TOPIC, pa.string()), (PARTITION, pa.int64()), (OFFSET, pa.int64()), (SCHEMA, pa.string())])
"""The topic, the place in it, and the version of the schema that the message was written with."""
DELETED = "row_deleted"
"""Whether a row says that the row of its key is no more, from its `known_at` on: then it says nothing else."""
DELETIONS = pa.schema([(DELETED, pa.bool_())])
POSITION = "stream"
"""The part of a raw table's state that says how far its topic is read."""


def enveloped(schema: pa.Schema, stored: pa.Schema | None) -> pa.Schema:
    """The schema of rows of files, with those of these columns that the table has."""
    there = [] if stored is None else stored.names
    return pa.unify_schemas([schema, *(extra for extra in (ENVELOPE, DELETIONS) if extra.names[0] in there)])


def kept_position(state: Mapping[str, Any]) -> dict[str, Any]:
    """What a load of files leaves in a table's state as it was."""
    return {POSITION: state[POSITION]} if POSITION in state else {}
