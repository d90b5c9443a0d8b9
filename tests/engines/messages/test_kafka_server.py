"""The local Kafka broker: loopback only, its messages outlive it, and it starts in a small heap."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, Consumer, Producer, TopicPartition
from worlds.kafka_server import CACHE, KafkaServer, create_topic, delete_topic, launch

from jobs.java_servers.java import ServerNotReady
from jobs.loopback import free_port
from jobs.settings import ROOT

pytestmark = pytest.mark.servers


def send(address: str, topic: str, *values: bytes) -> None:
    producer = Producer({"bootstrap.servers": address, "enable.idempotence": True, "log_level": 0})
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(30) == 0


def received(address: str, topic: str, count: int, partition: int = 0) -> list[bytes | None]:
    """The first messages of a partition, read without a group."""
    consumer = Consumer({"bootstrap.servers": address, "group.id": "test", "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(topic, partition, 0)])
    messages = consumer.consume(count, timeout=30)
    consumer.close()
    return [message.value() for message in messages]


def test_a_broker_that_is_killed_keeps_its_messages(tmp_path: Path) -> None:
    sent = [f"message {number}".encode() for number in range(1000)]
    with KafkaServer(tmp_path / "kafka") as server:
        topic = create_topic(server.address)
        send(server.address, topic, *sent)
        server.kill()
        server.start()
        assert received(server.address, topic, len(sent)) == sent
        send(server.address, topic, b"after")
        assert received(server.address, topic, len(sent) + 1) == [*sent, b"after"]


def test_a_topic_that_nobody_made_is_made_with_four_partitions(kafka: str) -> None:
    topic = f"unmade-{os.getpid()}-{time.monotonic_ns()}"
    send(kafka, topic, b"first")
    metadata = Consumer({"bootstrap.servers": kafka, "group.id": "test"}).list_topics(topic, 30)
    assert len(metadata.topics[topic].partitions) == 4


def test_messages_of_years_ago_are_kept_unless_a_topic_says_otherwise(kafka: str) -> None:
    kept = create_topic(kafka)
    expiring = create_topic(kafka, retention_ms=1000, segment_bytes=1_048_576)
    producer = Producer({"bootstrap.servers": kafka})
    for topic in (kept, expiring):
        producer.produce(topic, b"old", timestamp=1_522_540_800_000)
    assert producer.flush(30) == 0
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "test"})
    deadline = time.monotonic() + 30
    while consumer.get_watermark_offsets(TopicPartition(expiring, 0)) != (1, 1) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert consumer.get_watermark_offsets(TopicPartition(expiring, 0)) == (1, 1)
    assert consumer.get_watermark_offsets(TopicPartition(kept, 0)) == (0, 1)
    consumer.assign([TopicPartition(kept, 0, 0)])
    assert consumer.consume(1, 30)[0].timestamp() == (TIMESTAMP_CREATE_TIME, 1_522_540_800_000)
    consumer.close()


def test_a_topic_can_be_made_again(kafka: str) -> None:
    topic = create_topic(kafka, partitions=2)
    send(kafka, topic, b"before")
    delete_topic(kafka, topic)
    create_topic(kafka, topic)
    send(kafka, topic, b"after")
    assert received(kafka, topic, 1) == [b"after"]


def test_a_second_broker_on_the_same_topics_is_refused_and_the_first_one_goes_on(tmp_path: Path) -> None:
    with KafkaServer(tmp_path / "kafka") as server:
        topic = create_topic(server.address)
        with pytest.raises(ServerNotReady, match=r"expected topics that no broker uses, found one that runs on them"):
            launch(tmp_path / "kafka")
        create_topic(server.address)
        send(server.address, topic, b"after")
        assert received(server.address, topic, 1) == [b"after"]


def test_the_command_says_its_address_listens_on_loopback_only_and_ends_when_interrupted(tmp_path: Path) -> None:
    home, port = tmp_path / "home", free_port()
    home.mkdir()
    (home / "cache").symlink_to(CACHE)
    command = subprocess.Popen(
        [sys.executable, "-c", "from orchestration.cli import main; main()", "kafka", "--port", str(port)],
        env={**os.environ, "EVERGREEN_HOME": str(home)}, cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert command.stdout is not None
    *_, setting = (command.stdout.readline() for _ in range(3))
    assert setting.strip() == f"export EVERGREEN_STREAM=kafka://127.0.0.1:{port}"
    send(f"127.0.0.1:{port}", "topic", b"kept")
    servers = psutil.Process(command.pid).children()
    ports = [each for server in servers for each in server.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
    assert {each.laddr.ip.removeprefix("::ffff:") for each in ports} == {"127.0.0.1"}
    command.send_signal(signal.SIGINT)
    assert command.communicate(timeout=60)[0] == ""
    assert command.returncode == 0
    assert list((home / "kafka" / "data").glob("topic-*/*.log"))
