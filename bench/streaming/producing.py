"""Messages at a steady rate, from a process of their own: a producer in the stream's would wait for its interpreter."""

from __future__ import annotations

import time
from collections.abc import Sequence

from confluent_kafka import Producer

from jobs.messages.connection import client_options
from jobs.secret import ClusterUrl


def produce(address: str, topic: str, values: Sequence[str], rate: float) -> list[float]:
    """Send messages, so many a second; returns when each was handed over, by the machine's monotonic clock."""
    producer = Producer(client_options(ClusterUrl(f"kafka://{address}")) | {"linger.ms": 1})
    began, sent = time.monotonic(), []
    for place, value in enumerate(values):
        time.sleep(max(0.0, began + place / rate - time.monotonic()))
        sent.append(time.monotonic())
        producer.produce(topic, value)
        producer.poll(0)
    assert producer.flush(60) == 0
    return sent
