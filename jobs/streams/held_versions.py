"""Versions of schemas of the topics that a stream reads, held against the first that each raw table has rows of."""

from __future__ import annotations

import polars as pl

from jobs.ingest.readers import KNOWN_AT
from jobs.lakehouse.envelope import SCHEMA
from jobs.lakehouse.tables import Lakehouse
from jobs.messages.registry import SchemaByNumber
from jobs.messages.schema_versions import AcceptedVersions
from jobs.streams.stream import Stream


def hold_versions(stream: Stream, schemas: SchemaByNumber) -> None:
    """From here on messages are no records whose version retypes a column; of a topic without rows the first to come
    is the first."""
    for intake in stream.intakes.values():
        first = first_version(stream.lakehouse, stream.use_case.raw_table(intake.source))
        names = intake.names.of(intake.source)
        intake.decode = AcceptedVersions(intake.decode, intake.source, schemas, names, first)


def first_version(lakehouse: Lakehouse, table: str) -> str | None:
    """The version of the row of a raw table that came first over a topic; None: no row says one."""
    if not lakehouse.exists(table) or SCHEMA not in lakehouse.schema(table).names:
        return None
    # Rows of files, and of messages without a version, have null, which no comparison holds for.
    rows = pl.DataFrame(lakehouse.to_arrow(table, columns=[KNOWN_AT, SCHEMA], filters=[(SCHEMA, "!=", "")]))
    return None if rows.is_empty() else str(rows.sort(KNOWN_AT)[SCHEMA][0])
