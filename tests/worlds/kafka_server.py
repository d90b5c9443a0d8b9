"""A real Kafka broker of a test, which it may kill and start again on the same topics, and one that tests share."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from jobs.java_servers.process import Running
from jobs.loopback import HOST, free_port
from jobs.messages import kafka_server
from jobs.settings import ROOT

CACHE = ROOT / ".cache"
RETENTION_CHECKED = {"log.initial.task.delay.ms": "500", "log.retention.check.interval.ms": "500"}
"""Options of a broker that removes messages past their time within a second; the default is five minutes."""


def launch(folder: Path, port: int | None = None) -> Running:
    """Start a broker on what `folder` holds of earlier ones."""
    return kafka_server.start(kafka_server.prepare(CACHE), port, folder, RETENTION_CHECKED)


class KafkaServer:
    """A broker of a test's own; starts with the block, and ends with it."""

    def __init__(self, folder: Path) -> None:
        """folder: holds topics and log."""
        self.address = f"{HOST}:{free_port()}"
        self._folder = folder
        self._running: Running | None = None

    @property
    def url(self) -> str:
        return f"kafka://{self.address}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()

    def start(self) -> None:
        """Start it at the same address, on what it kept."""
        self._running = launch(self._folder, int(self.address.split(":")[1]))

    def kill(self) -> None:
        """End it at once, by SIGKILL; again does nothing."""
        assert self._running is not None
        self._running.process.kill()
        self._running.process.wait()


def create_topic(address: str, name: str | None = None, partitions: int = 1, **options: str | int) -> str:
    """Make a topic, and wait until it is there; returns its name, a new one if none is given.

    options: such as `retention_ms`, `segment_bytes`; for both, see the broker's settings of a topic.
    """
    name = name or f"topic-{uuid4().hex}"
    config = {option.replace("_", "."): str(value) for option, value in options.items()}
    # A client that nobody holds ends before it has an answer.
    client = AdminClient({"bootstrap.servers": address})
    client.create_topics([NewTopic(name, partitions, 1, config=config)])[name].result(30)
    return name


def delete_topic(address: str, name: str) -> None:
    """Remove a topic with its messages, and wait until it is gone."""
    client = AdminClient({"bootstrap.servers": address})
    client.delete_topics([name], operation_timeout=30)[name].result(30)
