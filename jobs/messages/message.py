"""A message as a topic holds it, and what is read of one: the forms that all readers and decoders share.

Nothing is read or decoded here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, Self, TypeAlias

import polars as pl

from jobs.ingest.csv_records import LINE, MALFORMED

KNOWN_AT_HEADER = "evergreen-known-at"
"""Header that says when a message was first known: microseconds since 1970, in decimal digits."""
ChangeKind = Literal["create", "update", "delete", "tombstone"]
"""What a message does to its row. A tombstone says nothing that the delete before it did not say: it is to be left
out."""


class Message(NamedTuple):
    """One message in its place in a topic."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    """When the producer, or the broker, says that it was sent, in milliseconds since 1970; -1: it does not say."""
    key: bytes | None
    value: bytes | None
    """None: a tombstone."""
    headers: tuple[tuple[str, bytes | None], ...] = ()


def message_of(read: Any) -> Message:
    """A message as a client of librdkafka reads it."""
    kind, at = read.timestamp()
    headers = tuple(read.headers() or ())
    place = read.topic(), read.partition(), read.offset()
    return Message(*place, at if kind else -1, read.key(), read.value(), headers)


class Decoded(NamedTuple):
    """What messages say, in their order."""

    records: pl.DataFrame
    """A row for each message. Columns by the names in any of them, as text (numbers keep their digits); `_line`, the
    number of each in the batch from 1, and `_malformed`, why it is no record."""
    schemas: list[str | None]
    """Of each message the version of the schema that it was written with."""
    changes: list[ChangeKind | None]
    """Of each message what it does to its row, where it says so; None: it is the row, whether known or not, or it is
    no record."""

    @classmethod
    def plain(cls, records: pl.DataFrame) -> Self:
        """Records of messages that say neither schemas nor changes."""
        return cls(records, [None] * records.height, [None] * records.height)

    @classmethod
    def no_records(cls, count: int, why: str) -> Self:
        """So many messages, none of which is a record, for one reason."""
        lines = pl.int_range(1, count + 1, dtype=pl.UInt32, eager=True).alias(LINE)
        return cls.plain(lines.to_frame().with_columns(pl.lit(why).alias(MALFORMED)))


Decoder: TypeAlias = Callable[[Sequence[Message]], Decoded]
"""Decodes messages in their order; whatever they hold, none is lost and nothing is raised for it."""
Values: TypeAlias = Sequence[bytes | None]
"""Values of messages."""
ValueDecoder: TypeAlias = Callable[[Values], Decoded]
"""Decodes values as a Decoder does messages."""
