"""Sending the messages of a replay to Kafka, at a pace, until each was delivered.

What is sent, and in which order: see `jobs.messages.replay`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jobs.errors import EvergreenError
from jobs.messages.message import KNOWN_AT_HEADER
from jobs.messages.replay import Replay, Sent
from jobs.use_case import Progress

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Producer

TOLD_EVERY = 2_000
LAST_SECONDS = 300.0
"""So long the last messages have to be delivered; librdkafka gives up on each after as long."""


class NotDelivered(EvergreenError, ConnectionError):
    """Brokers did not take messages that were sent to them."""


@dataclass
class _Delivery:
    """What became of messages."""

    topics: Counter[str] = field(default_factory=Counter)
    """How many were sent to each topic."""
    failed: int = 0
    reason: str = ""
    """Why the first one failed."""

    def fail(self, error: KafkaError | None, _: Any = None) -> None:
        """What librdkafka calls for a message that was not delivered."""
        self.failed += 1
        self.reason = self.reason or (error.str() if error else "")


@dataclass
class Pace:
    """When messages are due: the world that they tell of goes `speed` times as fast as ours; 0: all at once."""

    speed: float = 0.0
    _began: tuple[float, int] | None = None

    def seconds_until(self, arrived: int) -> float:
        """Seconds until a message is due that arrives then; the first one is due at once."""
        if not self.speed:
            return 0.0
        now = time.monotonic()
        began, first = self._began = self._began or (now, arrived)
        return max(0.0, began + (arrived - first) / 1e6 / self.speed - now)


def send(replay: Replay, to: Producer, pace: Pace, progress: Progress | None = None) -> Mapping[str, int]:
    """Send all messages and wait until they are delivered; returns how many went to each topic.

    Interrupted, it still waits for what was sent. Raises NotDelivered, with the first reason.
    """
    delivery, total = _Delivery(), replay.order.height
    try:
        for done, message in enumerate(replay.messages()):
            seconds = pace.seconds_until(message.arrived)
            if progress and (seconds or done % TOLD_EVERY == 0):
                progress(done, total)
            _wait(to, seconds)
            _hand_over(to, message, delivery)
    finally:
        to.flush(LAST_SECONDS)
    _require_all(delivery, len(to))
    if progress:
        progress(total, total)
    return delivery.topics


def _wait(to: Producer, seconds: float) -> None:
    """Let librdkafka call back until a message is due."""
    due = time.monotonic() + seconds
    to.poll(0)
    while seconds > 0:
        to.poll(seconds)
        seconds = due - time.monotonic()


def _hand_over(to: Producer, message: Sent, delivery: _Delivery) -> None:
    from confluent_kafka import KafkaException

    headers: list[tuple[str, str | bytes | None]] = [(KNOWN_AT_HEADER, str(message.arrived))]
    delivery.topics[message.topic] += 1
    while True:
        try:
            to.produce(message.topic, message.value, message.key, on_delivery=delivery.fail, headers=headers)
        except BufferError:  # as many wait as may
            to.poll(0.1)
            continue
        except KafkaException as error:
            delivery.fail(error.args[0])
        return


def _require_all(delivery: _Delivery, waiting: int) -> None:
    if lost := delivery.failed + waiting:
        raise NotDelivered(
            f"expected all of {delivery.topics.total():,} messages to be delivered, found {lost:,} that were not: "
            f"{delivery.reason or f'no answer within {LAST_SECONDS:g} seconds'}; see to the brokers and their topics, "
            "and send them again"
        )
