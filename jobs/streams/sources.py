"""What EVERGREEN_STREAM names as a source of messages: a Kafka, or a folder of topics."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote

from jobs.errors import Invalid
from jobs.messages import kafka_reader
from jobs.messages.connection import client_options, is_kafka
from jobs.messages.folder_reader import FolderReader
from jobs.messages.kafka_reader import KafkaReader
from jobs.messages.position import Position
from jobs.secret import ClusterUrl
from jobs.settings import STREAM_VARIABLE
from jobs.streams import clock
from jobs.streams.stream import Reader
from jobs.times import microseconds


def reader_of(url: ClusterUrl, positions: Sequence[Position]) -> Reader:
    """A reader of the topics of positions, from there on."""
    if is_kafka(url):
        return KafkaReader(client_options(url), positions, clock.order_of)
    return FolderReader(Path(unquote(url.parts.path)), positions)


def places_at(url: ClusterUrl, topics: Sequence[str], moment: datetime | None) -> list[Position]:
    """Where reading of topics goes on to meet all messages from a moment on; None: all that there are.

    Raises Invalid if the source does not say when messages were sent, or StreamUnreachable.
    """
    if is_kafka(url):
        sent = None if moment is None else microseconds(moment) // 1000
        return kafka_reader.places_at(client_options(url), topics, sent)
    if moment is not None:
        raise Invalid(
            f"{STREAM_VARIABLE}={url}: expected messages that say when they were sent, found files and tables, which "
            "do not; read all of them again by `evergreen stream rewind --earliest`"
        )
    return [Position(topic) for topic in topics]
