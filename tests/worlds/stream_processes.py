"""`evergreen stream run` as a process on a home and topics of a test, and what it is told."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from uuid import uuid4

from confluent_kafka import Producer
from worlds.kafka_server import create_topic
from worlds.serve_processes import COMMAND
from worlds.streamed_world import World

from jobs.messages.message import Message
from jobs.settings import ROOT
from jobs.streams import control
from jobs.streams.control import Heartbeat
from jobs.use_cases.fraud import FRAUD

PATIENCE = 60.0


class Topics:
    """Topics of Kafka that hold what a world sends, by names of their own."""

    def __init__(self, world: World, address: str, partitions: int = 3, **options: str | int) -> None:
        self.world, self.address = world, address
        self.names = {f"fraud.{each.name}": f"{each.name}-{uuid4().hex[:12]}" for each in FRAUD.sources}
        for name in self.names.values():
            create_topic(address, name, partitions, **options)
        self.sent = 0

    @property
    def url(self) -> str:
        return f"kafka://{self.address}?topics=" + ",".join(f"{usual}:{name}" for usual, name in self.names.items())

    def fill(self, upto: int | None = None) -> None:
        """Send what the world put into its topics, up to a number of messages."""
        messages = self.world.messages[self.sent : upto]
        producer = Producer({"bootstrap.servers": self.address, "linger.ms": 5, "log_level": 0})
        for message in messages:
            self._produce(producer, message)
        assert producer.flush(30) == 0
        self.sent += len(messages)

    def _produce(self, producer: Producer, message: Message) -> None:
        key = str(hash(message.value) % 50)
        producer.produce(self.names[message.topic], message.value, key, headers=list(message.headers))


class StreamProcess:
    """One process; ends with the block."""

    def __init__(self, world: World, url: str, *options: str, program: Sequence[str] = COMMAND) -> None:
        self.world = world
        environment = {**os.environ, "EVERGREEN_HOME": str(world.settings.home), "EVERGREEN_STREAM": url}
        command = [*program, "stream", "run", "--commit-seconds", "0.2", *options]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def __enter__(self) -> StreamProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def heard_or_ended(self, condition: Callable[[Heartbeat], bool]) -> bool:
        """Whether that holds within some seconds; False if it ended before, as it should when it is told to."""
        try:
            self.heard(condition)
        except AssertionError:
            if self.process.returncode != 0:
                raise
        return self.process.returncode is None

    def heard(self, condition: Callable[[Heartbeat], bool], seconds: float = PATIENCE) -> Heartbeat:
        """What it says of itself once that holds, within some seconds; it must not end before."""
        before = time.monotonic()
        while time.monotonic() - before < seconds:
            said = control.heartbeat(self.world.settings, FRAUD)
            if said is not None and said.process.startswith(f"{self.process.pid}@") and condition(said):
                return said
            assert self.process.poll() is None, self.process.communicate()[0]
            time.sleep(0.05)
        raise AssertionError(f"not within {seconds} s; said last: {said}")

    def kill(self) -> None:
        """End it at once, unless it ended."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def end(self) -> str:
        """Tell it to end, and what it wrote."""
        self.process.terminate()
        return self.process.communicate(timeout=PATIENCE)[0]


def has_read(messages: int) -> Callable[[Heartbeat], bool]:
    """Whether all topics are read, so many messages of them, by a stream that runs: one that starts says what was."""
    return lambda said: (
        said.condition == "running" and sum(sum(places.values()) for places in said.positions.values()) >= messages
    )
