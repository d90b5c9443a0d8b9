"""Messages that nobody foresaw: one that makes reading fail goes to quarantine alone, and the others are taken."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

import polars as pl

from jobs.arrays import Ints
from jobs.ingest.contracts import with_reasons
from jobs.ingest.readers import FOUND
from jobs.messages.message import Decoded, Message
from jobs.streams.intake import Taken, envelope

LOG = logging.getLogger("evergreen.stream")
LONGEST = 10_000
"""Bytes of a message that quarantine keeps as text; its dead letter has all of it."""


class Part(NamedTuple):
    """What came of one source, decoded, with the stamp of each."""

    messages: list[Message]
    decoded: Decoded
    stamps: Ints

    def between(self, first: int, last: int) -> Part:
        """Some of it, from one number to before another."""
        decoded = self.decoded
        some = Decoded(decoded.records[first:last], decoded.schemas[first:last], decoded.changes[first:last])
        return Part(self.messages[first:last], some, self.stamps[first:last])


Take = Callable[[list[Message], Decoded, Ints, datetime], Taken]


def taken(take: Take, part: Part, now: datetime) -> list[Taken]:
    """What `take` makes of a part; of one that makes it fail, of its halves, until the one message is found."""
    try:
        return [take(*part, now)]
    except (OSError, MemoryError):
        raise
    except (Exception, pl.exceptions.PanicException) as error:
        size = len(part.messages)
        if size > 1:
            halves = part.between(0, size // 2), part.between(size // 2, size)
            return [each for half in halves for each in taken(take, half, now)]
        LOG.exception("a message could not be taken: %s", part.messages[0][:3])
        return [_refused(part, error)]


def _refused(part: Part, error: BaseException) -> Taken:
    value = (part.messages[0].value or b"")[:LONGEST].decode(errors="replace")
    row = pl.DataFrame({FOUND + "message": [value]}).with_columns(envelope(*part))
    bad = with_reasons(row, [f"could not be taken: {type(error).__name__}"], [])
    return Taken(bad.clear(), bad, bad.clear())
