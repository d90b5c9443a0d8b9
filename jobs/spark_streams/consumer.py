"""Messages of partitions of Kafka from given offsets on, read by Spark: a query lands them in a table of its own.

Offsets are those that raw tables say, each time a query starts, and each has a folder of its own: what one before left,
or still writes, is read by nobody. So a checkpoint that is lost, old or shared does no harm.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jobs.lakehouse.engine import EngineUnreachable
from jobs.messages.brokers import Brokers, Place
from jobs.messages.connection import StreamUnreachable
from jobs.messages.consumer import Interrupted
from jobs.messages.message import Message
from jobs.settings import Settings
from jobs.spark_streams import session
from jobs.spark_streams.arrived import COLUMNS, Arrived
from jobs.spark_streams.queries import remove_folder
from jobs.spark_streams.session import READING
from jobs.use_case import UseCase

if TYPE_CHECKING:
    from pyspark.sql.connect.session import SparkSession

TRIGGER = "1 second"
"""From one batch to the next, if that is done."""
MOST_OF_BATCH = 200_000
"""Messages."""
CHECK_EVERY = 1.0
"""Seconds between looks at the query and at what brokers have."""
MOST_BATCHES = 1000
"""Of one query: the next one begins with an empty table."""


class SparkConsumer:
    """Partitions that Spark reads for the stream of one use case."""

    def __init__(self, settings: Settings, use_case: UseCase, brokers: Brokers, options: Mapping[str, str]) -> None:
        """options: of Kafka's client of Java."""
        self._settings, self._use_case, self._brokers, self._options = settings, use_case, brokers, options
        self._next: dict[Place, int] = {}
        """Of each partition the offset of the first message that was not read."""
        self._held: set[Place] = set()
        self._highs: dict[Place, int] = {}
        self._spark: SparkSession | None = None
        self._query: Any = None
        self._arrived: Arrived | None = None
        self._checked = 0.0
        self._is_new = False
        """Whether a batch came of which nothing was read."""

    def has_news(self) -> bool:
        """Whether a batch came: at the offset where a topic was read on there may be one of the same name by now."""
        if self._arrived is None and self._next:
            self._begin()
        if self._arrived is not None and not self._held:
            self._is_new |= self._arrived.look()
        return self._is_new

    def read(self, most: int, seconds: float) -> list[Message]:
        self._is_new = False
        came = self._arrived.take(most) if self._arrived is not None and not self._held else []
        found = [message for message in came if self._is_next(message)]
        if not found:
            time.sleep(seconds)
        return found

    def _is_next(self, message: Message) -> bool:
        """Whether a message was not read before; then it was."""
        place = message.topic, message.partition
        if message.offset < self._next[place]:
            return False
        self._next[place] = message.offset + 1
        return True

    def check(self) -> None:
        if self._query is None or time.monotonic() - self._checked < CHECK_EVERY:
            return
        if why := session.why_ended(self._settings, [self._query]):
            self._end()
            raise Interrupted(f"reader=spark: {why}")
        self._highs = {place: self._brokers.ends(place)[1] for place in self._next}
        self._checked = time.monotonic()
        if self._arrived is not None and self._arrived.batches > MOST_BATCHES:
            self._end()

    def take_up(self, place: Place, offset: int) -> None:
        self.go_to(place, offset)

    def go_to(self, place: Place, offset: int) -> None:
        self._end()
        self._next[place] = offset

    def let_go(self, place: Place) -> None:
        self._end()
        del self._next[place]
        self._held.discard(place)

    def hold(self, place: Place, is_held: bool) -> None:
        """Nothing is read while some partition is held: batches are of all."""
        (self._held.add if is_held else self._held.discard)(place)

    def high(self, place: Place) -> int:
        return self._highs.get(place, -1)

    def close(self) -> None:
        self._end()

    def _begin(self) -> None:
        """Let a query read from where partitions were read to."""
        try:
            session.end_left_over(self._settings, self._use_case, READING)
            with session.errors():
                self._spark = session.new_session(self._settings, self._use_case, READING)
                self._arrived = Arrived(self._started())
        except EngineUnreachable as error:
            self._end()
            raise StreamUnreachable(f"reader=spark: expected a Spark that reads Kafka, found: {error}") from error

    def _started(self) -> str:
        """Start a query; returns where its table is."""
        folder = f"{self._settings.warehouse.rstrip('/')}/_streams/{self._use_case.name}.messages"
        remove_folder(folder)
        folder = f"{folder}/{uuid.uuid4().hex}"
        writer = self._messages().writeStream.format("delta").option("checkpointLocation", f"{folder}/checkpoint")
        writer = writer.trigger(processingTime=TRIGGER).queryName(f"{self._use_case.name}.messages")
        self._query = writer.start(f"{folder}/messages")
        return f"{folder}/messages"

    def _messages(self) -> Any:
        assert self._spark is not None
        offsets: dict[str, dict[str, int]] = {}
        for (topic, number), offset in self._next.items():
            offsets.setdefault(topic, {})[str(number)] = offset
        partitions = {topic: list(map(int, numbers)) for topic, numbers in offsets.items()}
        reader = self._spark.readStream.format("kafka").option("assign", json.dumps(partitions))
        reader = reader.option("startingOffsets", json.dumps(offsets)).option("includeHeaders", "true")
        reader = reader.option("maxOffsetsPerTrigger", str(MOST_OF_BATCH)).option("failOnDataLoss", "true")
        for name, value in {"isolation.level": "read_committed", **self._options}.items():
            reader = reader.option(f"kafka.{name}", value)
        # One file of a batch, as one process reads it.
        return reader.load().selectExpr(*COLUMNS).coalesce(1)

    def _end(self) -> None:
        """End the query; the next one starts once something is read."""
        if self._spark is not None:
            session.end(self._settings, self._use_case, self._spark, READING)
        self._spark = self._query = self._arrived = None
        self._is_new = False
