"""Reading topics of Kafka: from given places on, all partitions in one order, and what must not pass unnoticed.

The places are the reader's own business: Kafka is told of none. What messages mean belongs in `jobs.streams`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jobs.messages.connection import StreamUnreachable, unreachable
from jobs.messages.message import Message, message_of
from jobs.messages.position import Position, PositionLost

if TYPE_CHECKING:
    from confluent_kafka import Consumer

MOST_WAITING = 20_000
"""Messages of a partition that wait for those of others."""
PATIENCE = 0.1
"""Seconds that messages wait for a partition that has more, and whose messages may belong before them."""
LOOK_EVERY = 5.0
"""Seconds between looks at topics and partitions that may be new."""
TIMEOUT = 10.0
Place = tuple[str, int]


@dataclass
class _Partition:
    waiting: deque[Message] = field(default_factory=deque)
    next: int = 0
    """Offset of the first message that was not handed out."""
    read: int = 0
    """Offset of the first message that was not read."""
    is_paused: bool = False


class KafkaReader:
    """Several topics, each from its position on."""

    def __init__(
        self, options: Mapping[str, Any], positions: Sequence[Position], order: Callable[[Message], int]
    ) -> None:
        """
        Args:
            options: of the client, as librdkafka calls them.
            order: what messages of different partitions are put into order by.
        """
        from confluent_kafka import Consumer
        from confluent_kafka.admin import AdminClient

        own = {
            "group.id": "evergreen", "enable.auto.commit": False, "auto.offset.reset": "error",
            "isolation.level": "read_committed", "fetch.wait.max.ms": 20, "queued.min.messages": 50_000,
            "allow.auto.create.topics": False, "logger": _silent(),
        }  # fmt: skip
        self._consumer: Consumer = Consumer({**own, **options})
        self._options = {**options, "logger": _silent()}
        self._admin = AdminClient(self._options)
        self._positions = {position.topic: position for position in positions}
        self._order = order
        self._partitions: dict[Place, _Partition] = {}
        self._left: list[Message] = []
        """What waited of topics that were made again since."""
        self._looked = self._waits_since = 0.0

    def close(self) -> None:
        self._consumer.close()

    def position(self, topic: str) -> Position:
        """The place in a topic behind all messages that were handed out."""
        mine = {number: each.next for (name, number), each in self._partitions.items() if name == topic}
        return Position(topic, self._positions[topic].topic_id, {**self._positions[topic].next, **mine})

    def at(self, moment: int | None) -> list[Position]:
        """The places of the first messages from a moment on, in milliseconds since 1970; None: of all there are."""
        from confluent_kafka import KafkaException, TopicPartition

        self._look()
        found = [TopicPartition(topic, number, each.next) for (topic, number), each in self._partitions.items()]
        if moment is not None:
            wanted = [TopicPartition(place.topic, place.partition, moment) for place in found]
            try:
                later = self._consumer.offsets_for_times(wanted, TIMEOUT)
            except KafkaException as error:
                raise unreachable(error) from error
            # Where no message is as late, only what comes is.
            found = [place if place.offset >= 0 else self._end(place) for place in later]
        topics = dict.fromkeys(place.topic for place in found)
        return [
            Position(topic, self._positions[topic].topic_id, {p.partition: p.offset for p in found if p.topic == topic})
            for topic in topics
        ]

    def _end(self, place: Any) -> Any:
        _, place.offset = self._consumer.get_watermark_offsets(place, timeout=TIMEOUT, cached=False)
        return place

    def lag(self) -> dict[str, int]:
        """Messages of each topic that are there and were not handed out, as far as brokers told lately."""
        lags = dict.fromkeys(self._positions, 0)
        for (topic, number), each in self._partitions.items():
            high = self._high(topic, number)
            lags[topic] += max(0, high - each.next) if high >= 0 else 0
        return lags

    def poll(self, most: int, seconds: float) -> list[Message]:
        """The next messages of all topics, in order; none if none came in that time.

        Raises StreamUnreachable, or PositionLost with what to do.
        """
        if time.monotonic() - self._looked > LOOK_EVERY:
            self._look()
        self._read(most, 0.0 if any(each.waiting for each in self._partitions.values()) else seconds)
        return self._handed_out(most)

    def _read(self, most: int, seconds: float) -> None:
        read = self._consumer.consume(most, seconds)
        for message in (message_of(raw) for raw in read if raw.error() is None):
            partition = self._partitions[message.topic, message.partition]
            partition.waiting.append(message)
            partition.read = message.offset + 1
        for place, partition in self._partitions.items():
            self._pause(place, partition)
        # Last, as a topic that was made again is taken up anew.
        for error in filter(None, (raw.error() for raw in read)):
            self._judge(error)

    def _pause(self, place: Place, partition: _Partition) -> None:
        from confluent_kafka import TopicPartition

        is_full = len(partition.waiting) > MOST_WAITING
        if is_full != partition.is_paused:
            (self._consumer.pause if is_full else self._consumer.resume)([TopicPartition(*place)])
            partition.is_paused = is_full

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
        return partition.read < self._high(*place)

    def _high(self, topic: str, number: int) -> int:
        """Offset behind the last message of a partition, as brokers told last; negative: they told nothing."""
        from confluent_kafka import TopicPartition

        _, high = self._consumer.get_watermark_offsets(TopicPartition(topic, number), cached=True)
        return int(high)

    def _judge(self, error: Any) -> None:
        from confluent_kafka import KafkaError

        if error.code() in (KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET):
            # Of a topic that was made again it may be told late, when that has been taken up.
            self._look()
            self._go_on()
            return
        if error.fatal() or error.code() in (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError._AUTHENTICATION):
            raise StreamUnreachable(
                f"EVERGREEN_STREAM: expected to read {', '.join(self._positions)}, found: {error.str()}"
            )

    def _go_on(self) -> None:
        """Read on where each partition is read to. Raises PositionLost if that is not there."""
        from confluent_kafka import KafkaException, TopicPartition

        try:
            for (topic, number), partition in self._partitions.items():
                place = TopicPartition(topic, number, partition.read)
                low, high = self._consumer.get_watermark_offsets(place, timeout=TIMEOUT, cached=False)
                place.offset = _start(Position(topic, next={number: partition.read}), number, low, high)
                self._consumer.seek(place)
        except KafkaException as error:
            raise unreachable(error) from error

    def _look(self) -> None:
        """Take up topics and partitions that are new."""
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        try:
            ids = self._ids()
            for topic, found in ids.items():
                self._take_up(topic, found)
        except KafkaException as error:
            # One that lost its broker may look for it where it was.
            self._admin = AdminClient(self._options)
            raise unreachable(error) from error
        self._looked = time.monotonic()

    def _ids(self) -> dict[str, tuple[str, int]]:
        """Id and number of partitions of the topics that there are."""
        from confluent_kafka import KafkaException, TopicCollection

        found = self._admin.describe_topics(TopicCollection(list(self._positions)), request_timeout=TIMEOUT)
        ids = {}
        for topic, answer in found.items():
            try:
                ids[topic] = (str(answer.result().topic_id), len(answer.result().partitions))
            except KafkaException as error:
                if error.args[0].name() != "UNKNOWN_TOPIC_OR_PART":
                    raise
        return ids

    def _take_up(self, topic: str, found: tuple[str, int]) -> None:
        from confluent_kafka import TopicPartition

        id, partitions = found
        position = self._positions[topic]
        if position.topic_id and position.topic_id != id:
            # The topic was made again; it is read from its beginning.
            self._let_go(topic)
            position = Position(topic)
        self._positions[topic] = position = Position(topic, id, position.next)
        for number in range(partitions):
            if (topic, number) in self._partitions:
                continue
            place = TopicPartition(topic, number)
            low, high = self._consumer.get_watermark_offsets(place, timeout=TIMEOUT, cached=False)
            place.offset = _start(position, number, low, high)
            self._partitions[topic, number] = _Partition(next=place.offset, read=place.offset)
            self._consumer.incremental_assign([place])

    def _let_go(self, topic: str) -> None:
        from confluent_kafka import TopicPartition

        for place in [place for place in self._partitions if place[0] == topic]:
            self._consumer.incremental_unassign([TopicPartition(*place)])
            self._left += self._partitions.pop(place).waiting
        self._left.sort(key=self._order)


def places_at(options: Mapping[str, Any], topics: Sequence[str], moment: int | None) -> list[Position]:
    """Where reading of topics goes on to meet all messages from a moment on, in milliseconds since 1970; None: all.

    Topics that are not there are left out. Raises StreamUnreachable.
    """
    reader = KafkaReader(options, [Position(topic) for topic in topics], lambda _: 0)
    try:
        return reader.at(moment)
    finally:
        reader.close()


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


def _silent() -> Any:
    """librdkafka tells of each broker that goes, in lines of its own."""
    import logging

    logger = logging.getLogger("evergreen.kafka")
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    return logger
