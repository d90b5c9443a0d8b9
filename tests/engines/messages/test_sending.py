"""Replayed files on a real Kafka: every message once, also when its broker is killed, and what fails is told."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner
from confluent_kafka import Consumer, Message, TopicPartition
from worlds.kafka_server import KafkaServer, create_topic, delete_topic

from jobs.messages import connection, replay, replay_files, sending
from jobs.messages.replay import Replay
from jobs.messages.replay_order import Disturbance
from jobs.messages.topics import Topics
from jobs.secret import ClusterUrl
from jobs.use_cases.fraud import FRAUD
from orchestration.cli import main

pytestmark = pytest.mark.servers
TOPIC = "fraud.transactions"
START = datetime(2026, 5, 1, tzinfo=UTC)
NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    with KafkaServer(tmp_path_factory.mktemp("kafka")) as running:
        yield running


@pytest.fixture
def server(broker: KafkaServer) -> Iterator[KafkaServer]:
    """A broker without the topic that tests send to, of whose name there is one."""
    yield broker
    delete_topic(broker.address, TOPIC)


def payments(path: Path, count: int) -> Path:
    number = pl.int_range(count, dtype=pl.Int64)
    pl.select(
        TRANSACTION_ID=number, TX_DATETIME=pl.lit(START) + number * timedelta(seconds=1), CUSTOMER_ID=number % 50,
        TERMINAL_ID=number % 7, TX_AMOUNT=number / 4,
    ).write_parquet(path)  # fmt: skip
    return path


def planned(file: Path, **how: Any) -> Replay:
    rows = replay_files.read(FRAUD, replay_files.given(FRAUD, {"transactions": [file]}, None), NOW)
    return replay.plan(Topics(FRAUD), rows, Disturbance(**how), None, None)


def all_of(address: str, topic: str) -> list[Message]:
    """All messages of a topic, each partition in its order."""
    consumer = Consumer({"bootstrap.servers": address, "group.id": "test", "auto.offset.reset": "earliest"})
    partitions = consumer.list_topics(topic, 30).topics[topic].partitions
    places = [TopicPartition(topic, number, 0) for number in partitions]
    count = sum(consumer.get_watermark_offsets(place, 30)[1] for place in places)
    consumer.assign(places)
    messages: list[Message] = []
    deadline = time.monotonic() + 60
    while len(messages) < count and time.monotonic() < deadline:
        messages += consumer.consume(count - len(messages), 1)
    consumer.close()
    assert len(messages) == count and not any(message.error() for message in messages)
    return messages


def text(data: bytes | str | None) -> str:
    return data.decode() if isinstance(data, bytes) else str(data)


def test_what_was_planned_is_in_the_topic_each_key_in_one_partition_and_in_order(
    server: KafkaServer, tmp_path: Path
) -> None:
    how: dict[str, Any] = {"late": timedelta(hours=1), "duplicates": 0.2, "disorder": 0.2, "seed": 3}
    made = planned(payments(tmp_path / "p.parquet", 5000), **how)
    sent = sending.send(made, connection.producer(ClusterUrl(server.url)), sending.Pace())
    messages = all_of(server.address, TOPIC)
    expected = [(m.key, m.value, str(m.arrived)) for m in made.messages()]
    found = [(text(m.key()), text(m.value()), text(dict(m.headers() or [])["evergreen-known-at"])) for m in messages]
    assert sorted(found) == sorted(expected) and sent == {TOPIC: len(expected)}
    partition = {text(m.key()): m.partition() for m in messages}
    assert all(partition[text(m.key())] == m.partition() for m in messages) and set(partition.values()) == {0, 1, 2, 3}
    for number in range(4):
        here = [row for row, message in zip(found, messages, strict=True) if message.partition() == number]
        assert here == [row for row in expected if partition[row[0]] == number]


def test_a_broker_that_is_killed_on_the_way_has_every_message_once(server: KafkaServer, tmp_path: Path) -> None:
    made = planned(payments(tmp_path / "p.parquet", 30_000))
    create_topic(server.address, TOPIC, 4)
    done_at_kill: list[int] = []

    def kill_in_the_middle(done: int, total: int) -> None:
        if done >= total // 2 and not done_at_kill:
            done_at_kill.append(done)
            server.kill()
            server.start()

    sending.send(made, connection.producer(ClusterUrl(server.url)), sending.Pace(), kill_in_the_middle)
    assert 15_000 <= done_at_kill[0] < 30_000
    assert sorted(int(text(m.key())) for m in all_of(server.address, TOPIC)) == list(range(30_000))


def test_messages_that_no_broker_takes_are_told(server: KafkaServer, tmp_path: Path) -> None:
    made = planned(payments(tmp_path / "p.parquet", 100))
    create_topic(server.address, TOPIC)
    to = connection.producer(ClusterUrl(f"{server.url}?message.timeout.ms=1500"))
    server.kill()
    with pytest.raises(sending.NotDelivered, match=r"all of 100 messages to be delivered, found 100 that were not"):
        sending.send(made, to, sending.Pace())
    server.start()


def test_the_command_sends_files_and_says_how_many(server: KafkaServer, tmp_path: Path) -> None:
    file = payments(tmp_path / "p.parquet", 172_800)
    arguments = ["stream", "produce", "--transactions", str(file), "--first", "2026-05-02", "--duplicates", "0.5"]
    environment = {"EVERGREEN_HOME": str(tmp_path / "home"), "EVERGREEN_STREAM": server.url}
    inherited = dict.fromkeys(name for name in os.environ if name.startswith("EVERGREEN_"))
    told = CliRunner().invoke(main, arguments, env={**inherited, **environment})
    assert told.exit_code == 0, told.output
    count = int(told.output.rpartition(f"{TOPIC}: ")[2].split()[0].replace(",", ""))
    assert count == pytest.approx(86_400 * 1.5, rel=0.02)
    keys = [int(text(message.key())) for message in all_of(server.address, TOPIC)]
    assert len(keys) == count and set(keys) == set(range(86_400, 172_800))


def test_a_pace_waits_as_long_as_the_world_did() -> None:
    pace = sending.Pace(speed=60)
    assert pace.seconds_until(10**15) == 0
    assert pace.seconds_until(10**15 + 3_600_000_000) == pytest.approx(60, abs=1)
    assert pace.seconds_until(10**15 - 1) == 0
    assert sending.Pace().seconds_until(10**18) == 0
