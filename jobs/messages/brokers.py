"""What brokers of Kafka tell of topics: which there are, their partitions, and which offsets these hold."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from jobs.messages.connection import unreachable
from jobs.messages.position import Position

if TYPE_CHECKING:
    from confluent_kafka import Consumer

TIMEOUT = 10.0
Place = tuple[str, int]
"""A topic, and the number of a partition."""


class Brokers:
    """Those of one Kafka."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        """options: of the client, as librdkafka calls them."""
        from confluent_kafka import Consumer
        from confluent_kafka.admin import AdminClient

        own = {
            "group.id": "evergreen", "enable.auto.commit": False, "auto.offset.reset": "error",
            "isolation.level": "read_committed", "fetch.wait.max.ms": 20, "queued.min.messages": 50_000,
            "allow.auto.create.topics": False, "logger": _silent(),
        }  # fmt: skip
        self.client: Consumer = Consumer({**own, **options})
        """Also reads, if somebody lets it."""
        self._options = {**options, "logger": _silent()}
        self._admin = AdminClient(self._options)

    def close(self) -> None:
        self.client.close()

    def topics(self, names: Iterable[str]) -> dict[str, tuple[str, int]]:
        """Id and number of partitions of those topics that there are. Raises StreamUnreachable."""
        from confluent_kafka import KafkaException, TopicCollection
        from confluent_kafka.admin import AdminClient

        try:
            found = self._admin.describe_topics(TopicCollection(list(names)), request_timeout=TIMEOUT)
            return {topic: told for topic, answer in found.items() if (told := _told(answer)) is not None}
        except KafkaException as error:
            # One that lost its broker may look for it where it was.
            self._admin = AdminClient(self._options)
            raise unreachable(error) from error

    def ends(self, place: Place) -> tuple[int, int]:
        """The first offset of a partition, and the one behind its last. Raises StreamUnreachable."""
        from confluent_kafka import KafkaException, TopicPartition

        try:
            low, high = self.client.get_watermark_offsets(TopicPartition(*place), timeout=TIMEOUT, cached=False)
        except KafkaException as error:
            raise unreachable(error) from error
        return int(low), int(high)

    def positions(self, names: Iterable[str], moment: int | None) -> list[Position]:
        """The places of the first messages from a moment on, in milliseconds since 1970; None: of all there are.

        Topics that are not there are left out. Raises StreamUnreachable.
        """
        return [
            Position(topic, id, {number: self._first((topic, number), moment) for number in range(partitions)})
            for topic, (id, partitions) in self.topics(names).items()
        ]

    def _first(self, place: Place, moment: int | None) -> int:
        from confluent_kafka import KafkaException, TopicPartition

        if moment is None:
            return self.ends(place)[0]
        try:
            [later] = self.client.offsets_for_times([TopicPartition(*place, moment)], TIMEOUT)
        except KafkaException as error:
            raise unreachable(error) from error
        # Where no message is as late, only what comes is.
        return int(later.offset) if later.offset >= 0 else self.ends(place)[1]


def _told(answer: Any) -> tuple[str, int] | None:
    from confluent_kafka import KafkaException

    try:
        return str(answer.result().topic_id), len(answer.result().partitions)
    except KafkaException as error:
        if error.args[0].name() == "UNKNOWN_TOPIC_OR_PART":
            return None
        raise


def _silent() -> Any:
    """librdkafka tells of each broker that goes, in lines of its own."""
    logger = logging.getLogger("evergreen.kafka")
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    return logger
