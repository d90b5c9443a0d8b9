"""Reading a real Kafka: what is read is handed out, also when its topic is made again meanwhile."""

from __future__ import annotations

import contextlib
import time
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from worlds.kafka_server import create_topic, delete_topic

from jobs.messages import kafka_reader
from jobs.messages.brokers import Brokers
from jobs.messages.connection import StreamUnreachable
from jobs.messages.consumer import KafkaConsumer
from jobs.messages.kafka_reader import KafkaReader
from jobs.messages.position import Position

pytestmark = [pytest.mark.embedded, pytest.mark.servers]
BEFORE, AFTER, PATIENCE = 300, 20, 60.0


def fill(address: str, topic: str, numbers: range) -> None:
    producer = Producer({"bootstrap.servers": address, "log_level": 0})
    for number in numbers:
        producer.produce(topic, str(number).encode())
    assert producer.flush(30) == 0


def test_messages_that_wait_are_handed_out_though_their_topic_is_made_again(
    kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, before = f"again-{uuid4().hex[:12]}", time.monotonic()
    create_topic(kafka, topic, 2)
    fill(kafka, topic, range(BEFORE))
    brokers = Brokers({"bootstrap.servers": kafka, "log_level": 0})
    reader = KafkaReader(brokers, KafkaConsumer(brokers.client), [Position(topic)], lambda each: each.timestamp)
    found = reader.poll(1, 1.0)
    while reader.lag()[topic] > sum(len(each.waiting) for each in reader._partitions.values()):
        reader._read(BEFORE, 0.2)  # as a poll does that hands out less than it read
    delete_topic(kafka, topic)
    create_topic(kafka, topic, 2)
    fill(kafka, topic, range(BEFORE, BEFORE + AFTER))
    monkeypatch.setattr(kafka_reader, "LOOK_EVERY", 0.0)
    while len(found) < BEFORE + AFTER and time.monotonic() - before < PATIENCE:
        with contextlib.suppress(StreamUnreachable):  # brokers say late that there are partitions
            found += reader.poll(50, 0.2)
    reader.close()
    assert sorted(int(message.value or b"") for message in found) == list(range(BEFORE + AFTER))
    assert sum(reader.position(topic).next.values()) == AFTER
