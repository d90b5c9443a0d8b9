"""Facts that are no events, as clients send them: columns of their source, and those that SQL adds and windows read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa

from jobs.decisions.event_schema import KINDS, EventColumn, EventSchema, kind_of
from jobs.online.column_type import ColumnType
from jobs.use_case import Column, Source
from jobs.windows import FACT_ID


def fact_schema(source: Source, mart: pa.Schema, types: Mapping[str, ColumnType]) -> EventSchema:
    """What a request holds.

    Args:
        mart: the schema of the table of the facts.
        types: of `FACT_ID`, keys, and the columns that windows read.
    """
    asked = {each.column.name: each for each in _asked(source, mart, types)}
    return EventSchema(source.key[0], source.event_time, asked, ())


def _asked(source: Source, mart: pa.Schema, types: Mapping[str, ColumnType]) -> Iterator[EventColumn]:
    for column in source.columns:
        is_key = column.name == source.key[0]
        kind = kind_of(column.name, mart.field(column.name).type) if column.name in mart.names else None
        is_given = (is_key or column.name in types) and not (column.nullable or column.optional)
        is_required = is_given and column.name != source.event_time
        yield EventColumn.of(column, kind, is_required=is_required, is_key=is_key)
    declared = {column.name for column in source.columns} | {FACT_ID}
    for name in types.keys() - declared:
        kind = types[name].kind
        yield EventColumn.of(Column(name, KINDS[kind], nullable=True), kind, is_required=False)
