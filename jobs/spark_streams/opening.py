"""A stream of a home as its settings say, with what Spark does of it."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.errors import Invalid
from jobs.messages.brokers import Brokers
from jobs.messages.connection import client_options, is_kafka, own_options, stream_of
from jobs.messages.java_options import java_options
from jobs.messages.kafka_reader import KafkaReader
from jobs.messages.position import Position
from jobs.messages.topics import Topics
from jobs.settings import STREAM_VARIABLE, Settings
from jobs.spark_streams.consumer import SparkConsumer
from jobs.spark_streams.starter import starter_of
from jobs.streams import clock, opening, sources
from jobs.streams.ends import Reader
from jobs.streams.rebuilding import Rebuilding
from jobs.streams.stream import Stream
from jobs.use_case import UseCase

SPARK = "spark"
"""Value of the option `reader` of EVERGREEN_STREAM."""


def open_of(settings: Settings, use_case: UseCase, rebuilding: Rebuilding | None = None) -> Stream:
    """The stream of EVERGREEN_STREAM, opened as by `jobs.streams`. Raises Invalid if that is wrong or not set."""
    return opening.open_of(settings, use_case, rebuilding, starter_of(settings), reader_of)


def reader_of(settings: Settings, topics: Topics, positions: Sequence[Position]) -> Reader:
    """A reader of topics from their positions on: Spark, if EVERGREEN_STREAM says so. Raises Invalid if it is wrong."""
    url = stream_of(settings)
    reader = own_options(url).get("reader")
    if reader is None:
        return sources.reader_of(settings, topics, positions)
    if reader != SPARK or not is_kafka(url) or not settings.spark_remote:
        raise Invalid(
            f"{STREAM_VARIABLE}={url}: expected reader=spark only of a Kafka, and with SPARK_REMOTE set, found "
            f"reader={reader}; correct it, or leave it out: this process reads topics itself then"
        )
    options = client_options(url)
    brokers = Brokers(options)
    consumer = SparkConsumer(settings, topics.use_case, brokers, java_options(options))
    return KafkaReader(brokers, consumer, positions, clock.order_of)
