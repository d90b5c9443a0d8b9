"""What EVERGREEN_STREAM names as a source of messages: a Kafka, a folder, or the decision service's log."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote

from jobs.errors import Invalid
from jobs.messages.brokers import Brokers
from jobs.messages.connection import DECISIONS, client_options, is_kafka, stream_of
from jobs.messages.consumer import KafkaConsumer
from jobs.messages.folder_reader import FolderReader
from jobs.messages.kafka_reader import KafkaReader
from jobs.messages.position import Position
from jobs.messages.topics import Topics
from jobs.secret import ClusterUrl
from jobs.settings import STREAM_VARIABLE, Settings
from jobs.streams import clock, decision_log_reader
from jobs.streams.decision_log_reader import DecisionLogReader
from jobs.streams.ends import Reader
from jobs.times import microseconds


def reader_of(settings: Settings, topics: Topics, positions: Sequence[Position]) -> Reader:
    """A reader of topics from their positions on. Raises Invalid if EVERGREEN_STREAM is not set or wrong."""
    url = stream_of(settings)
    if is_kafka(url):
        brokers = Brokers(client_options(url))
        return KafkaReader(brokers, KafkaConsumer(brokers.client), positions, clock.order_of)
    if url.parts.scheme == DECISIONS:
        return DecisionLogReader(settings, topics, positions)
    return FolderReader(Path(unquote(url.parts.path)), positions)


def places_at(url: ClusterUrl, topics: Sequence[str], moment: datetime | None) -> list[Position]:
    """Where reading of topics goes on to meet all messages from a moment on; None: all that there are.

    Raises Invalid if the source does not say when messages were sent, or StreamUnreachable.
    """
    if is_kafka(url):
        sent = None if moment is None else microseconds(moment) // 1000
        with closing(Brokers(client_options(url))) as brokers:
            return brokers.positions(topics, sent)
    if url.parts.scheme == DECISIONS:
        stamp = 0 if moment is None else microseconds(moment)
        return [Position(topic, decision_log_reader.TOPIC_ID, {0: stamp}) for topic in topics]
    if moment is not None:
        raise Invalid(
            f"{STREAM_VARIABLE}={url}: expected messages that say when they were sent, found files and tables, which "
            "do not; read all of them again by `evergreen stream rewind --earliest`"
        )
    return [Position(topic) for topic in topics]
