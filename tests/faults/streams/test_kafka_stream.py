"""Streams of a real Kafka through kills and other faults: counts are exact, and every cell is what a batch makes."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions
from worlds.draws import POINTS, drawn
from worlds.exact_streams import assert_exact, assert_letters
from worlds.kafka_server import KafkaServer, create_topic, delete_topic
from worlds.stream_processes import StreamProcess, Topics, has_read
from worlds.streamed_world import DAY, PAYMENTS, START, World, busy_days, deletions

from jobs.messages import dead_letters
from jobs.settings import Settings
from jobs.streams import control, verify
from jobs.streams.intake import ROW_UNKNOWN
from jobs.use_cases.fraud import FRAUD, TRANSACTIONS

pytestmark = pytest.mark.servers


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(Settings(home=tmp_path / "home"), drawn("kafka streams"))
    made.history(200)
    return made


def test_kills_at_random_points_lose_and_double_nothing(world: World, kafka: str) -> None:
    busy_days(world, 300)
    topics = Topics(world, kafka)
    parts = max(6, POINTS)
    for part in range(1, parts + 1):
        topics.fill(part * len(world.messages) // parts)
        with StreamProcess(world, topics.url) as one:
            # Every other one dies while it reads; the others may die while they start.
            one.heard(lambda said, part=part: said.condition == "running" or part % 2 == 0)  # type: ignore[misc]
            time.sleep(world.chance.uniform(0, 0.6))
    with StreamProcess(world, topics.url) as one:
        one.heard(has_read(len(world.messages)))
        assert "messages" in one.end()
    assert_exact(world)
    assert_letters(topics)


def test_deletions_of_debezium_end_rows_through_kills(world: World, kafka: str) -> None:
    """Random ones among other messages, of partitions in no order; then known ones, step by step."""
    busy_days(world, 80)
    deletions(world, 0.4)
    topics, later = Topics(world, kafka), START + 30 * DAY
    rows = {number: world.payment(number, later) for number in range(5000, 5004)}
    acts: list[tuple[str, list[int]]] = [
        ("", []), ("c", list(rows)), ("u", [5001]), ("d", [5000, 5001, 5002]), ("d", [5000, 6000]), ("c", [5001, 5002]),
    ]  # fmt: skip
    for number, (op, ids) in enumerate(acts):
        for id in ids:
            row = rows.setdefault(id, {"transaction_id": id}) | ({"tx_amount": 1.0} if (op, id) == ("u", 5001) else {})
            world.change(PAYMENTS, op, row, later + number * DAY)
            world.send(PAYMENTS, None if op == "d" else world.payment(7000 + number, later), later + number * DAY)
        topics.fill()
        with StreamProcess(world, topics.url) as one:
            one.heard(has_read(len(world.messages)) if number % 2 else lambda said: said.condition == "running")
    with StreamProcess(world, topics.url) as one:
        one.heard(has_read(len(world.messages)))
        one.end()
    world.night()
    found = verify.verify(world.lakehouse, FRAUD, verify.days_of(world.lakehouse, FRAUD))
    assert (found.different, found.examples, found.not_in_marts) == (0, [], 0)
    events = pl.DataFrame(world.lakehouse.to_arrow(FRAUD.events, filters=[("transaction_id", ">=", 5000)]))
    versions = events.filter(pl.col("transaction_id") < 6000).group_by("transaction_id").agg(
        pl.len(), there=pl.col("superseded_at").is_null().any()
    ).sort("transaction_id").rows()  # fmt: skip
    assert versions == [(5000, 1, False), (5001, 3, True), (5002, 2, True), (5003, 1, True)]
    names = [topics.names[PAYMENTS] + dead_letters.ENDING]
    letters = list(dead_letters.stored_letters({"bootstrap.servers": kafka, "log_level": 0}, names, "nobody"))
    assert [each.reason for each in letters if b"6000" in (each.message.value or b"")] == [ROW_UNKNOWN]


def test_a_broker_that_dies_is_waited_for(world: World, tmp_path: Path) -> None:
    busy_days(world, 100)
    with KafkaServer(tmp_path / "kafka") as broker:
        topics = Topics(world, broker.address)
        topics.fill(len(world.messages) // 2)
        with StreamProcess(world, topics.url) as one:
            one.heard(has_read(topics.sent))
            for _ in range(POINTS):
                topics.fill(topics.sent + world.chance.randint(0, (len(world.messages) - topics.sent) // 2))
                time.sleep(world.chance.uniform(0, 0.3))
                broker.kill()
                one.heard(lambda said: said.condition == "waiting")
                broker.start()
            topics.fill()
            one.heard(has_read(len(world.messages)))
            one.end()
    assert_exact(world)


def test_a_topic_that_is_made_again_and_one_with_more_partitions_are_read_whole(world: World, kafka: str) -> None:
    busy_days(world, 90)
    topics = Topics(world, kafka, partitions=2)
    third = len(world.messages) // 3
    topics.fill(third)
    with StreamProcess(world, topics.url) as one:
        one.heard(has_read(third))
        admin, payments = AdminClient({"bootstrap.servers": kafka, "log_level": 0}), topics.names[PAYMENTS]
        admin.create_partitions([NewPartitions(payments, 4)])[payments].result(30)
        topics.fill(2 * third)
        one.heard(has_read(2 * third))
        # A producer may have been told late of new partitions, and have sent nothing there.
        said = one.heard(lambda said: payments in said.changes)
        assert "4 partitions" in said.changes[payments][-1]["what"]
        one.end()
    for name in topics.names.values():
        delete_topic(kafka, name)
        create_topic(kafka, name, 2)
    half = (len(world.messages) - 2 * third) // 2
    topics.fill(2 * third + half)
    with StreamProcess(world, topics.url) as one:
        one.heard(has_read(half))
        for name in topics.names.values():
            delete_topic(kafka, name)
            create_topic(kafka, name, 3)
        topics.fill()
        said = one.heard(lambda said: said.counts["messages"] > half)
        assert any("made again" in each["what"] for changes in said.changes.values() for each in changes)
        one.end()
    with StreamProcess(world, topics.url) as one:
        one.heard(has_read(len(world.messages) - 2 * third - half))
        one.end()
    assert_exact(world)


def test_messages_that_are_gone_stop_the_stream_until_a_person_says_go_on(world: World, kafka: str) -> None:
    busy_days(world, 60)
    topics = Topics(world, kafka, partitions=1)
    half = len(world.messages) // 2
    topics.fill(half)
    with StreamProcess(world, topics.url) as one:
        one.heard(has_read(half))
        one.end()
    topics.fill(half + 20)
    admin = AdminClient({"bootstrap.servers": kafka, "log_level": 0})
    gone = TopicPartition(topics.names[PAYMENTS], 0, sum(m.topic == PAYMENTS for m in world.messages[: half + 20]))
    admin.delete_records([gone])[gone].result()
    with StreamProcess(world, topics.url) as one:
        told = one.process.communicate(timeout=60)[0]
        assert one.process.returncode == 1
    assert "expected to go on at offset" in told
    assert "are gone" in told
    assert "`evergreen stream rewind --earliest`" in told
    said = control.heartbeat(world.settings, FRAUD)
    assert said is not None and "are gone" in said.changes[topics.names[PAYMENTS]][-1]["what"]


def test_only_one_process_runs_a_stream(world: World, kafka: str) -> None:
    topics = Topics(world, kafka)
    with StreamProcess(world, topics.url) as one:
        one.heard(lambda said: True)
        with StreamProcess(world, topics.url) as other:
            told = other.process.communicate(timeout=60)[0]
            assert other.process.returncode == 1
        assert f"found process {one.process.pid}" in told
        one.heard(lambda said: said.condition == "running")


def test_a_mended_dead_letter_comes_back(world: World, kafka: str, tmp_path: Path) -> None:
    topics = Topics(world, kafka, partitions=1)
    payment = world.payment(5000, world.now - timedelta(hours=1))
    world.send(PAYMENTS, payment | {"tx_amount": "twelve"})
    world.send(PAYMENTS, b"\xff{")
    topics.fill()
    options = {"bootstrap.servers": kafka, "log_level": 0}
    names = [topics.names[PAYMENTS] + dead_letters.ENDING]
    with StreamProcess(world, topics.url) as one:
        one.heard(has_read(2))
        one.heard(lambda said: said.counts["bad"] == 2)
        time.sleep(1)
        first, second = dead_letters.stored_letters(options, names, "fraud-mended")
        assert first.reason == "tx_amount: no number"
        assert second.message.value == b"\xff{"
        mended = dead_letters.DeadLetter(
            first.message._replace(value=(first.message.value or b"").replace(b'"twelve"', b"12.5")), first.reason
        )
        assert dead_letters.send_back(options, "mended", [mended]) == 1
        one.heard(lambda said: said.counts["new"] == 1)
        one.end()
    rows = world.lakehouse.to_arrow(FRAUD.raw_table(TRANSACTIONS), filters=[("transaction_id", "=", 5000)])
    assert rows.column("tx_amount").to_pylist() == [12.5]
