"""Messages that came from a topic which was made again meanwhile, by whoever reads it."""

from __future__ import annotations

from typing import Any

from jobs.messages.brokers import Place
from jobs.messages.kafka_reader import KafkaReader
from jobs.messages.message import Message
from jobs.messages.position import Position


class OneTopic:
    """Brokers with a topic of one partition."""

    id = "first"

    def topics(self, names: Any) -> dict[str, tuple[str, int]]:
        return {"t": (self.id, 1)}

    def ends(self, place: Place) -> tuple[int, int]:
        return 0, 30


class Batches:
    """A consumer whose messages come together, before they are read; they are from wherever it was told to read."""

    def __init__(self, brokers: OneTopic) -> None:
        self.brokers, self.batch = brokers, list[Message]()

    def has_news(self) -> bool:
        return bool(self.batch)

    def read(self, most: int, seconds: float) -> list[Message]:
        read, self.batch = self.batch, []
        return read

    def take_up(self, place: Place, offset: int) -> None:
        self.batch = [Message(*place, number, -1, None, self.brokers.id.encode()) for number in range(offset, 30)]

    def let_go(self, place: Place) -> None:
        self.batch = []

    def check(self) -> None: ...
    def hold(self, place: Place, is_held: bool) -> None: ...
    def go_to(self, place: Place, offset: int) -> None: ...
    def high(self, place: Place) -> int:
        return 30

    def close(self) -> None: ...


def test_a_batch_counts_only_if_its_topic_is_still_the_one_whose_place_it_is_from() -> None:
    brokers: Any = OneTopic()
    consumer = Batches(brokers)
    reader = KafkaReader(brokers, consumer, [Position("t", "first", {0: 20})], lambda each: each.offset)
    reader._look()
    brokers.id = "second"
    consumer.take_up(("t", 0), 20)  # it reads on at the old place, where the new topic has messages, too
    assert [(each.offset, each.value) for each in reader.poll(100, 0)] == [(n, b"second") for n in range(30)]
    assert reader.position("t") == Position("t", "second", {0: 30})
