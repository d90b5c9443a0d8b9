"""Payments as messages of a real broker, and streams that read them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import polars as pl
from confluent_kafka import Producer
from worlds.kafka_server import KafkaServer, create_topic

from jobs.ingest.columns_file import ColumnsFile
from jobs.lakehouse.tables import Lakehouse
from jobs.messages.brokers import Brokers
from jobs.messages.connection import client_options
from jobs.messages.consumer import KafkaConsumer
from jobs.messages.formats import decoder
from jobs.messages.kafka_reader import KafkaReader
from jobs.messages.message import KNOWN_AT_HEADER
from jobs.messages.topics import Topics
from jobs.secret import ClusterUrl
from jobs.streams import clock, starting
from jobs.streams.stream import Stream
from jobs.use_case import UseCase
from jobs.use_cases.fraud import FRAUD

PAYMENTS, REPORTS = (f"fraud.{name}" for name in ("transactions", "fraud_reports"))
PARTITIONS = 4
COLUMNS = ("transaction_id", "tx_datetime", "customer_id", "terminal_id", "tx_amount")


@contextmanager
def broker(folder: Path) -> Iterator[str]:
    """A broker with the topics of a use case; its address."""
    with KafkaServer(folder) as server:
        for source in FRAUD.sources:
            create_topic(server.address, f"fraud.{source.name}", PARTITIONS)
        yield server.address


def texts(frame: pl.DataFrame) -> pl.Series:
    """Payments as JSON."""
    moment = pl.from_epoch("tx_datetime", "us").dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ")
    row = frame.with_columns(moment.alias("tx_datetime")).select(COLUMNS)
    return row.select(pl.struct(pl.all()).struct.json_encode()).to_series()


def send(
    address: str, topic: str, values: pl.Series, known: pl.Series | None = None, keys: pl.Series | None = None
) -> None:
    """Send messages in their order; known: when each was first seen, in microseconds since 1970.

    keys: whole numbers, all messages of one of which are in one partition.
    """
    producer = Producer(client_options(ClusterUrl(f"kafka://{address}")) | {"linger.ms": 50})
    moments = [None] * len(values) if known is None else known.to_list()
    places = range(len(values)) if keys is None else keys.to_list()
    for value, moment, place in zip(values.to_list(), moments, places, strict=True):
        headers: list[tuple[str, str | bytes | None]] = [] if moment is None else [(KNOWN_AT_HEADER, str(moment))]
        while True:
            try:
                key = None if keys is None else str(place)
                producer.produce(topic, value, key, partition=place % PARTITIONS, headers=headers)
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(120) == 0


def opened(lakehouse: Lakehouse, address: str, use_case: UseCase = FRAUD) -> Stream:
    """A stream of the broker into a home, without features."""
    topics = Topics(use_case)
    brokers = Brokers(client_options(ClusterUrl(f"kafka://{address}")))
    positions = starting.positions(lakehouse, topics)
    reader = KafkaReader(brokers, KafkaConsumer(brokers.client), positions, clock.order_of)
    return starting.open_stream(lakehouse, topics, reader, decoder(), ColumnsFile())


def read_all(one: Stream, messages: int, commit_seconds: float = 2.0, end: Event | None = None) -> None:
    """Take so many messages, with commits as a process makes them."""
    committed = time.monotonic()
    while one.counts.messages < messages and not (end and end.is_set()):
        one.step(0.02)
        if (time.monotonic() - committed > commit_seconds and not one.is_committing) or one.rows > 100_000:
            one.begin_commit()
            committed = time.monotonic()
    one.commit()
