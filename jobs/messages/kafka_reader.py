"""Reading topics of Kafka: from given places on, all partitions in one order, and what must not pass unnoticed.

The places are the reader's own business: Kafka is told of none. What messages mean belongs in `jobs.streams`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from jobs.messages.brokers import Brokers, Place
from jobs.messages.connection import StreamUnreachable
from jobs.messages.consumer import Consumer, Interrupted
from jobs.messages.message import Message
from jobs.messages.position import Position, PositionLost

MOST_WAITING = 20_000
"""Messages of a partition that wait for those of others."""
PATIENCE = 0.1
"""Seconds that messages wait for a partition that has more, and whose messages may belong before them."""
LOOK_EVERY = 5.0
"""Seconds between looks at topics and partitions that may be new."""


@dataclass
class _Partition:
    waiting: deque[Message] = field(default_factory=deque)
    next: int = 0
    """Offset of the first message that was not handed out."""
    read: int = 0
    """Offset of the first message that was not read."""
    is_held: bool = False


class KafkaReader:
    """Several topics, each from its position on."""

    def __init__(
        self, brokers: Brokers, consumer: Consumer, positions: Sequence[Position], order: Callable[[Message], int]
    ) -> None:
        """order: what messages of different partitions are put into order by."""
        self._brokers, self._consumer = brokers, consumer
        self._positions = {position.topic: position for position in positions}
        self._order = order
        self._partitions: dict[Place, _Partition] = {}
        self._left: list[Message] = []
        """What waited of topics that were made again since."""
        self._looked = self._waits_since = 0.0

    def close(self) -> None:
        self._consumer.close()
        self._brokers.close()

    def position(self, topic: str) -> Position:
        """The place in a topic behind all messages that were handed out."""
        mine = {number: each.next for (name, number), each in self._partitions.items() if name == topic}
        return Position(topic, self._positions[topic].topic_id, {**self._positions[topic].next, **mine})

    def lag(self) -> dict[str, int]:
        """Messages of each topic that are there and were not handed out, as far as brokers told lately."""
        lags = dict.fromkeys(self._positions, 0)
        for (topic, number), each in self._partitions.items():
            high = self._consumer.high((topic, number))
            lags[topic] += max(0, high - each.next) if high >= 0 else 0
        return lags

    def poll(self, most: int, seconds: float) -> list[Message]:
        """The next messages of all topics, in order; none if none came in that time.

        Raises StreamUnreachable, or PositionLost with what to do.
        """
        if self._consumer.has_news() or time.monotonic() - self._looked > LOOK_EVERY:
            self._look()
        self._read(most, 0.0 if any(each.waiting for each in self._partitions.values()) else seconds)
        return self._handed_out(most)

    def _read(self, most: int, seconds: float) -> None:
        for message in self._consumer.read(most, seconds):
            partition = self._partitions[message.topic, message.partition]
            partition.waiting.append(message)
            partition.read = message.offset + 1
        for place, partition in self._partitions.items():
            self._hold(place, partition)
        # Last, as a topic that was made again is taken up anew.
        try:
            self._consumer.check()
        except Interrupted as error:
            self._begin_anew(error.why)

    def _hold(self, place: Place, partition: _Partition) -> None:
        is_full = len(partition.waiting) > MOST_WAITING
        if is_full != partition.is_held:
            self._consumer.hold(place, is_full)
            partition.is_held = is_full

    def _handed_out(self, most: int) -> list[Message]:
        """Messages that belong before all that may still come, in order."""
        if self._left:
            left, self._left = self._left[:most], self._left[most:]
            return left
        waiting = {place: each for place, each in self._partitions.items() if each.waiting}
        if not waiting:
            return []
        behind = [place for place, each in self._partitions.items() if not each.waiting and self._has_more(place, each)]
        if behind and not self._waits_since:
            self._waits_since = time.monotonic()
        if behind and time.monotonic() - self._waits_since < PATIENCE:
            return []
        self._waits_since = 0.0
        # Beyond the last message of a partition that has more, others of it may belong.
        ends = [self._order(each.waiting[-1]) for place, each in waiting.items() if self._has_more(place, each)]
        return self._merged(list(waiting.values()), min(ends, default=None), most)

    def _merged(self, partitions: list[_Partition], until: int | None, most: int) -> list[Message]:
        from heapq import merge

        found: list[Message] = []
        for message in merge(*(list(each.waiting) for each in partitions), key=self._order):
            if len(found) >= most or (until is not None and found and self._order(message) > until):
                break
            found.append(message)
        for message in found:
            partition = self._partitions[message.topic, message.partition]
            partition.waiting.popleft()
            partition.next = message.offset + 1
        return found

    def _has_more(self, place: Place, partition: _Partition) -> bool:
        return partition.read < self._consumer.high(place)

    def _begin_anew(self, why: str) -> None:
        """Read on where each partition is read to. Raises PositionLost if that is not there, or tells why."""
        # Of a topic that was made again it may be told late, when that has been taken up.
        self._look()
        for (topic, number), partition in self._partitions.items():
            ends = self._brokers.ends((topic, number))
            start = _start(Position(topic, next={number: partition.read}), number, *ends)
            self._consumer.go_to((topic, number), start)
        if why:
            raise StreamUnreachable(why)

    def _look(self) -> None:
        """Take up topics and partitions that are new."""
        for topic, found in self._brokers.topics(self._positions).items():
            self._take_up(topic, *found)
        self._looked = time.monotonic()

    def _take_up(self, topic: str, id: str, partitions: int) -> None:
        position = self._positions[topic]
        if position.topic_id and position.topic_id != id:
            # The topic was made again; it is read from its beginning.
            self._let_go(topic)
            position = Position(topic)
        self._positions[topic] = position = Position(topic, id, position.next)
        for place in ((topic, number) for number in range(partitions)):
            if place not in self._partitions:
                start = _start(position, place[1], *self._brokers.ends(place))
                self._partitions[place] = _Partition(next=start, read=start)
                self._consumer.take_up(place, start)

    def _let_go(self, topic: str) -> None:
        for place in [place for place in self._partitions if place[0] == topic]:
            self._consumer.let_go(place)
            self._left += self._partitions.pop(place).waiting
        self._left.sort(key=self._order)


def _start(position: Position, number: int, low: int, high: int) -> int:
    """Where reading of a partition goes on. Raises PositionLost if that is not there."""
    start = position.next.get(number)
    if start is None:
        return low
    if low <= start <= high:
        return start
    found = f"offsets {low} to {high}"
    what = "are gone, as they were kept no longer" if start < low else "never were in this topic"
    raise PositionLost(
        position.topic,
        f"{position.topic}, partition {number}: expected to go on at offset {start}, found {found}: the messages "
        f"between {what}; go on from what is there by `evergreen stream rewind --earliest`",
    )
