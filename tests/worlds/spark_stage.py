"""A stream whose topics and features are Spark's, with all its parts, each of which a test may harm."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions
from worlds.exact_streams import events, rows_with_features
from worlds.kafka_server import KafkaServer, create_topic, delete_topic
from worlds.quick_spark import PROGRAM
from worlds.spark_server import SESSION_SECONDS, SparkServer
from worlds.stream_processes import StreamProcess, Topics
from worlds.streamed_world import World, busy_days

from jobs.secret import ClusterUrl
from jobs.streams.rewind import rewind
from jobs.use_cases.fraud import FRAUD

PART = 10
"""Payments that come about each harm."""


@dataclass
class Stage:
    """The parts; they run, and one process with them."""

    world: World
    spark: SparkServer
    broker: KafkaServer
    topics: Topics
    process: StreamProcess = field(init=False)

    def __post_init__(self) -> None:
        self.process = self._started()

    def _started(self) -> StreamProcess:
        return StreamProcess(self.world, f"{self.topics.url}&reader=spark", program=PROGRAM)

    def close(self) -> None:
        self.process.kill()

    def comes(self, count: int = PART) -> None:
        """Let further payments come, with what belongs to them."""
        busy_days(self.world, count, max([999, *events(self.world)]) + 1)
        self.topics.fill()

    def waits(self) -> None:
        """Let some time go by."""
        time.sleep(self.world.chance.uniform(0, 3))

    def catches_up(self) -> None:
        """Wait until all payments have features."""
        wanted = len(events(self.world))
        self.process.heard(lambda said: rows_with_features(self.world) >= wanted, seconds=180)
        self.process.heard(lambda said: said.condition == "running" and not sum(said.lag.values()))

    def jvm_is_killed(self) -> None:
        self.spark.kill()
        self.waits()
        self.spark.start()

    def worker_is_killed(self) -> None:
        self.spark.kill_worker(self.world.chance)

    def client_is_killed(self) -> None:
        self.process.kill()
        self.waits()
        self.process = self._started()

    def client_is_stopped(self) -> None:
        """Past the time of its sessions."""
        self.process.process.send_signal(signal.SIGSTOP)
        time.sleep(SESSION_SECONDS + 2 + self.world.chance.uniform(0, 3))
        self.process.process.send_signal(signal.SIGCONT)

    def checkpoints_are_lost(self) -> None:
        shutil.rmtree(self._streams, ignore_errors=True)

    def checkpoints_are_old(self) -> None:
        """Those of a moment ago are back in the place of those of now."""
        self.process.heard(lambda _: self._streams.exists(), seconds=180)  # a process that has just begun has none
        old = self._streams.with_name("_old")
        shutil.copytree(self._streams, old, ignore_dangling_symlinks=True, copy_function=_copied)
        self.waits()
        shutil.rmtree(self._streams, ignore_errors=True)
        shutil.copytree(old, self._streams, dirs_exist_ok=True)
        shutil.rmtree(old)

    @property
    def _streams(self) -> Path:
        return Path(self.world.lakehouse.warehouse) / "_streams"

    def two_start_at_once(self) -> None:
        self.process.kill()
        both = [self._started(), self._started()]
        before = time.monotonic()
        while all(each.process.poll() is None for each in both) and time.monotonic() - before < 60:
            time.sleep(0.1)
        [refused] = [each for each in both if each.process.poll() is not None]
        [self.process] = [each for each in both if each is not refused]
        told = refused.process.communicate()[0]
        assert refused.process.returncode == 1 and "expected no stream of this use case to run" in told

    def broker_is_killed(self) -> None:
        self.broker.kill()
        self.waits()
        self.broker.start()

    def topics_get_partitions(self) -> None:
        admin = AdminClient({"bootstrap.servers": self.broker.address, "log_level": 0})
        for name in self.topics.names.values():
            count = len(admin.list_topics(name, timeout=10).topics[name].partitions)
            admin.create_partitions([NewPartitions(name, count + 1)])[name].result(30)

    def topics_are_made_again(self) -> None:
        self.catches_up()  # what was not read would be gone
        for name in self.topics.names.values():
            delete_topic(self.broker.address, name)
            create_topic(self.broker.address, name, 2)

    def messages_are_gone(self) -> None:
        """Before they were read; a person lets the stream go on, and they come again."""
        self.catches_up()
        self.process.kill()
        sent = len(self.world.messages)
        self.comes()
        self._remove_messages()
        with self._started() as one:
            told = one.process.communicate(timeout=60)[0]
            assert one.process.returncode == 1 and "are gone" in told
        rewind(replace(self.world.settings, stream_url=ClusterUrl(self.topics.url)), FRAUD, None)
        self.topics.sent = sent
        self.topics.fill()
        self.process = self._started()

    def _remove_messages(self) -> None:
        admin = AdminClient({"bootstrap.servers": self.broker.address, "log_level": 0})
        for name in self.topics.names.values():
            places = [TopicPartition(name, number, -1) for number in admin.list_topics(name).topics[name].partitions]
            for removed in admin.delete_records(places).values():
                removed.result(30)


def _copied(source: str, target: str) -> None:
    """A copy, if the file is there still."""
    try:
        shutil.copy2(source, target)
    except FileNotFoundError:
        return


HARMS: Sequence[str] = [
    "jvm_is_killed", "worker_is_killed", "client_is_killed", "client_is_stopped", "checkpoints_are_lost",
    "checkpoints_are_old", "two_start_at_once", "broker_is_killed", "topics_get_partitions", "topics_are_made_again",
    "messages_are_gone",
]  # fmt: skip
