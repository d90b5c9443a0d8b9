"""The one clock of a stream: when each message became known, stamped once, as it comes in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from jobs.arrays import Ints
from jobs.decisions.opened import wall_clock
from jobs.messages.message import KNOWN_AT_HEADER, Message

_LONGEST = 20


@dataclass
class Clock:
    """Strictly increasing stamps."""

    last: int
    """The last stamp that was given, in microseconds since 1970."""
    now: Callable[[], int] = wall_clock

    def stamps(self, messages: Sequence[Message]) -> Ints:
        """A stamp for each message, in their order: when it says that it was seen first, but not later than now, and
        behind every stamp before it."""
        now = self.now()
        seen = np.array([min(_seen_at(message, now), now) for message in messages], np.int64)
        places = np.arange(len(seen))
        stamps: Ints = np.maximum(np.maximum.accumulate(seen - places), self.last + 1) + places
        self.last = int(stamps[-1]) if len(stamps) else self.last
        return stamps


def order_of(message: Message) -> int:
    """Where a message belongs among those of other partitions, in microseconds since 1970: when it was first seen."""
    return _seen_at(message, message.timestamp * 1000)


def _seen_at(message: Message, otherwise: int) -> int:
    for name, value in message.headers:
        if name == KNOWN_AT_HEADER and value is not None and value.isdigit() and len(value) < _LONGEST:
            return int(value)
    return otherwise
