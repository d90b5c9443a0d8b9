"""A stream of a real Kafka by a real schema registry: what has no schema waits with the dead letters, and the stream
waits for a registry that is down."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from random import Random

import polars as pl
import pytest
from worlds.kafka_server import KafkaServer
from worlds.registered_messages import avro_body, framed, record_of
from worlds.schema_registry import SchemaRegistry
from worlds.stream_processes import PATIENCE, Topics
from worlds.streamed_world import PAYMENTS, START, World

from jobs.messages.avro_values import NO_FIT
from jobs.messages.json_values import TOMBSTONE
from jobs.messages.message import Message
from jobs.messages.registered_values import UNKNOWN
from jobs.messages.registry import RegistryError
from jobs.secret import ClusterUrl
from jobs.settings import Settings
from jobs.streams.opening import open_of
from jobs.streams.stream import Stream
from jobs.use_cases.fraud import FRAUD, TRANSACTIONS

pytestmark = [pytest.mark.embedded, pytest.mark.servers]
FIRST = record_of(
    transaction_id="long", tx_datetime={"type": "long", "logicalType": "timestamp-micros"}, customer_id="long",
    terminal_id="long", tx_amount="double",
)  # fmt: skip
RETYPED = {**FIRST, "fields": [*FIRST["fields"][:-1], {"name": "tx_amount", "type": "string"}]}
TABLE = FRAUD.raw_table(TRANSACTIONS)
HELD = "a schema version that is held: transactions.tx_amount: expected number, found text"


def taken(stream: Stream, count: int) -> None:
    """Take messages until there were so many in all."""
    patience = time.monotonic() + PATIENCE
    while stream.counts.messages < count and time.monotonic() < patience:
        stream.step(0.2)
    assert stream.counts.messages == count


def test_a_stream_goes_on_without_its_registry_as_far_as_schemas_are_known(tmp_path: Path) -> None:
    world = World(Settings(home=tmp_path / "home"), Random(1))
    world.history(5)
    for folder in ("kafka", "registry"):
        (tmp_path / folder).mkdir()
    with KafkaServer(tmp_path / "kafka") as broker, SchemaRegistry(tmp_path / "registry") as registry:
        first, retyped = registry.register("payments-value", FIRST), registry.register("later-value", RETYPED)
        topics = Topics(world, broker.address, 1)

        def paid(number: int) -> bytes:
            return framed(first, avro_body(FIRST, world.payment(number, START) | {"tx_amount": 1.5}))

        broken = [framed(retyped, avro_body(RETYPED, world.payment(2000, START) | {"tx_amount": "1.5"})), paid(1)[:-1],
                  framed(9999, b"")]  # fmt: skip
        for value in [paid(1000), *broken, paid(1001)]:
            world.send(PAYMENTS, value)
        world.messages.append(Message(PAYMENTS, 0, len(world.messages), -1, None, None))
        topics.fill()
        settings = Settings(home=tmp_path / "home", stream_url=ClusterUrl(f"{topics.url}&registry={registry.url}"))
        stream = open_of(settings, FRAUD)
        taken(stream, 6)
        registry.stop()
        world.send(PAYMENTS, paid(1002))
        topics.fill()
        taken(stream, 7)
        stream.commit()
        world.send(PAYMENTS, framed(9998, b""))
        topics.fill()
        for _ in range(2):
            with pytest.raises(RegistryError, match=r"start the registry"):
                taken(stream, 8)
        stream.close()
    rows = world.lakehouse.to_arrow(TABLE, columns=["transaction_id", "stream_schema"]).to_pylist()
    assert {r["transaction_id"]: r["stream_schema"] for r in rows if r["transaction_id"] >= 1000} == dict.fromkeys(
        (1000, 1001, 1002), str(first)
    )
    reasons = pl.DataFrame(world.lakehouse.to_arrow(f"{TABLE}_quarantine"))["reasons"]
    assert Counter(reasons) == Counter([HELD, NO_FIT, UNKNOWN, TOMBSTONE])
