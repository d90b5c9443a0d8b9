"""Rows of files as the messages of a stream: which are sent, when each arrives, and what is in it.

Rows come from `jobs.messages.replay_files`, their order from `jobs.messages.replay_order`; sending them is the work of
`jobs.messages.sending`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import polars as pl

from jobs.ingest.readers import KNOWN_AT
from jobs.messages.replay_files import Rows
from jobs.messages.replay_order import Disturbance, arrivals, sending_order
from jobs.messages.topics import Topics
from jobs.use_case import Source

CHUNK = 20_000
_SOURCE, _ROW, _ARRIVED, _PLACE = "source", "row", "arrived", "place"


class Sent(NamedTuple):
    """What a producer is given of one message."""

    topic: str
    key: str
    value: str
    arrived: int
    """When it arrives in the replayed world, in microseconds since 1970."""


@dataclass(frozen=True)
class Replay:
    """Messages of several sources, in the order in which they are sent."""

    topics: Topics
    rows: Sequence[Rows]
    order: pl.DataFrame
    """Of each message the number of its source, its row there, and when it arrives."""

    def messages(self) -> Iterator[Sent]:
        """All messages; texts are made of a part of them at a time."""
        for chunk in self.order.with_row_index(_PLACE).iter_slices(CHUNK):
            parts = [self._texts(number, part) for (number,), part in chunk.partition_by(_SOURCE, as_dict=True).items()]
            yield from map(Sent._make, pl.concat(parts).sort(_PLACE).drop(_PLACE).iter_rows())

    def _texts(self, number: int, part: pl.DataFrame) -> pl.DataFrame:
        source, frame = self.rows[number].source, self.rows[number].frame
        return frame[part[_ROW]].select(
            part[_PLACE],
            topic=pl.lit(self.topics.topic(source)),
            key=pl.concat_str([pl.col(name).cast(pl.String) for name in source.key], separator=","),
            value=as_json(source),
            arrived=part[_ARRIVED].dt.epoch("us"),
        )


def as_json(source: Source) -> pl.Expr:
    """The columns of a row as a JSON object: numbers to their last digit, times in ISO 8601."""
    iso = "%Y-%m-%dT%H:%M:%S%.fZ"
    values = [pl.col(c.name).dt.strftime(iso) if c.kind == "timestamp" else pl.col(c.name) for c in source.columns]
    return pl.struct(values).struct.json_encode()


def plan(
    topics: Topics, rows: Sequence[Rows], disturbance: Disturbance, first: date | None, last: date | None
) -> Replay:
    """What is sent of rows, in which order: those that became known from the first to the last day."""
    parts = [pl.DataFrame(schema={_SOURCE: pl.Int64, _ROW: pl.UInt32, _ARRIVED: pl.Datetime("us", "UTC")})]
    for number, each in enumerate(rows):
        known_at = each.frame[KNOWN_AT]
        arrived = arrivals(known_at, disturbance, number + 1)
        part = pl.select(pl.lit(number, pl.Int64).alias(_SOURCE), arrived.alias(_ARRIVED)).with_row_index(_ROW)
        day = known_at.dt.date()
        parts.append(part.filter((day >= (first or date.min)) & (day <= (last or date.max))).select(parts[0].columns))
    order = pl.concat(parts).sort(_ARRIVED, _SOURCE, _ROW)
    return Replay(topics, rows, order[sending_order(order.height, disturbance)])
