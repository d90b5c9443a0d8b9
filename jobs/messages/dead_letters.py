"""Messages that cannot be used, in topics of their own: as they came, with the reason, each once; and back again.

Beside letters a transaction holds how far the topic was read, so that a sender that dies and reads the same messages
again sends none twice. Whoever reads dead letters has to read committed messages alone, which is what clients do.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jobs.messages.connection import unreachable
from jobs.messages.message import Message, message_of
from jobs.messages.place import Place
from jobs.messages.position import Position

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Producer

ENDING = ".dead-letters"
REASON, TOPIC, PARTITION, OFFSET = (f"evergreen-{name}" for name in ("reason", "topic", "partition", "offset"))
"""Headers of a dead letter: why it is one, and where the message is."""
REPLAYED = "evergreen-replayed"
"""Header of a message that was a dead letter: its place in the topic of those."""
TIMEOUT = 10.0
QUIET = 2.0
"""Seconds without a message after which a topic is read to its end."""


@dataclass(frozen=True)
class DeadLetter:
    """A message that cannot be used, and why."""

    message: Message
    reason: str


@dataclass
class DeadLetters:
    """The letters of one use case that wait to be sent."""

    options: Mapping[str, Any]
    """Of clients, as librdkafka calls them."""
    name: str
    """Of the use case: who sends is fenced off by the next one of that name."""
    _waiting: list[DeadLetter] = field(default_factory=list)
    _sent: dict[tuple[str, int], int] | None = None
    _producer: Producer | None = None
    _consumer: Consumer | None = None

    def add(self, letter: DeadLetter) -> None:
        """Keep a letter until `send`."""
        self._waiting.append(letter)

    def send(self, positions: Sequence[Position]) -> int:
        """Send what waits, before the places behind it are made durable; returns how many letters.

        Raises StreamUnreachable; what waits then waits on, and is sent once whatever became of it.
        """
        if not self._waiting:
            return 0
        from confluent_kafka import KafkaException

        try:
            return self._sent_all(positions)
        except KafkaException as error:
            # The next one ends its transaction, and says what was sent.
            self.close()
            raise unreachable(error, "a Kafka that takes dead letters") from error

    def _sent_all(self, positions: Sequence[Position]) -> int:
        producer, consumer = self._opened(positions)
        letters = [each for each in self._waiting if not self._is_sent(each.message)]
        producer.begin_transaction()
        for letter in letters:
            _produce(producer, letter)
        producer.send_offsets_to_transaction(_places(positions), consumer.consumer_group_metadata(), TIMEOUT)
        producer.commit_transaction(TIMEOUT)
        self._waiting.clear()
        return len(letters)

    def close(self) -> None:
        """Let go of the brokers; what waits is kept."""
        if self._consumer is not None:
            self._consumer.close()
        self._producer = self._consumer = self._sent = None

    def _is_sent(self, message: Message) -> bool:
        assert self._sent is not None
        return message.offset < self._sent.get((message.topic, message.partition), -1)

    def _opened(self, positions: Sequence[Position]) -> tuple[Producer, Consumer]:
        if self._producer is None or self._consumer is None:
            from confluent_kafka import Consumer, Producer

            group = {"group.id": f"evergreen.{self.name}", "enable.auto.commit": False}
            self._consumer = Consumer({**group, **self.options})
            self._producer = Producer({"transactional.id": f"evergreen.{self.name}.dead-letters", **self.options})
            self._producer.init_transactions(TIMEOUT)
            ensure_topics(self.options, [position.topic + ENDING for position in positions])
            committed = self._consumer.committed(_places(positions), TIMEOUT)
            self._sent = {(place.topic, place.partition): place.offset for place in committed}
        return self._producer, self._consumer


def _places(positions: Sequence[Position]) -> list[Any]:
    from confluent_kafka import TopicPartition

    return [TopicPartition(each.topic, number, offset) for each in positions for number, offset in each.next.items()]


def _produce(producer: Producer, letter: DeadLetter) -> None:
    message = letter.message
    told = {REASON: letter.reason, TOPIC: message.topic, PARTITION: message.partition, OFFSET: message.offset}
    headers: list[Any] = [*message.headers, *((name, str(value).encode()) for name, value in told.items())]
    producer.produce(message.topic + ENDING, message.value, message.key, headers=headers)


def ensure_topics(options: Mapping[str, Any], topics: Sequence[str], partitions: int = 1) -> None:
    """Make the topics that there are not."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

    admin = AdminClient(dict(options))
    there = admin.list_topics(timeout=TIMEOUT).topics
    missing = [NewTopic(topic, partitions) for topic in topics if topic not in there]
    for made in (admin.create_topics(missing) if missing else {}).values():
        try:
            made.result(TIMEOUT)
        except KafkaException as error:  # somebody else made it at the same time
            if error.args[0].name() != "TOPIC_ALREADY_EXISTS":
                raise


def stored_letters(options: Mapping[str, Any], topics: Sequence[str], group: str) -> Iterator[DeadLetter]:
    """The dead letters of topics that were not sent back yet, in the order of each; of a group that says which."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer(
        {"group.id": group, "enable.auto.commit": False, "isolation.level": "read_committed", **options}
    )
    try:
        there = consumer.list_topics(timeout=TIMEOUT).topics
        places = [
            TopicPartition(topic, number) for topic in topics if topic in there for number in there[topic].partitions
        ]
        starts = consumer.committed(places, TIMEOUT) if places else []
        ends = {}
        for place in starts:
            low, high = consumer.get_watermark_offsets(place, TIMEOUT, cached=False)
            place.offset = max(place.offset, low)
            ends[place.topic, place.partition] = high
        consumer.assign(starts)
        yield from _until(consumer, ends)
    finally:
        consumer.close()


def _until(consumer: Consumer, ends: Mapping[tuple[str, int], int]) -> Iterator[DeadLetter]:
    left = {place for place, high in ends.items() if high > 0}
    heard = time.monotonic()
    while left and time.monotonic() - heard < QUIET:
        for raw in consumer.consume(1000, 0.2):
            if raw.error() is not None:
                continue
            heard = time.monotonic()
            message = message_of(raw)
            reason = dict(message.headers).get(REASON)
            yield DeadLetter(message, (reason or b"").decode())
            if message.offset + 1 >= ends[message.topic, message.partition]:
                left.discard((message.topic, message.partition))


def send_back(options: Mapping[str, Any], name: str, letters: Sequence[DeadLetter]) -> int:
    """Send letters to the topics that they came from, and remember them as sent back, at once; returns how many."""
    from confluent_kafka import Consumer, Producer, TopicPartition

    if not letters:
        return 0
    producer = Producer({"transactional.id": f"evergreen.{name}.replay", **options})
    consumer = Consumer({"group.id": replay_group(name), "enable.auto.commit": False, **options})
    producer.init_transactions(TIMEOUT)
    producer.begin_transaction()
    behind: dict[tuple[str, int], int] = {}
    for letter in letters:
        message = letter.message
        place = str(Place(message.topic, message.partition, message.offset))
        kept = [(name, value) for name, value in message.headers if not name.startswith("evergreen-")]
        headers: list[Any] = [*kept, (REPLAYED, place.encode())]
        producer.produce(message.topic.removesuffix(ENDING), message.value, message.key, headers=headers)
        behind[message.topic, message.partition] = max(
            behind.get((message.topic, message.partition), 0), message.offset + 1
        )
    places = [TopicPartition(topic, number, offset) for (topic, number), offset in behind.items()]
    producer.send_offsets_to_transaction(places, consumer.consumer_group_metadata(), TIMEOUT)
    producer.commit_transaction(TIMEOUT)
    consumer.close()
    return len(letters)


def replay_group(name: str) -> str:
    """The group that says which dead letters of a use case were sent back."""
    return f"evergreen.{name}.replay"
