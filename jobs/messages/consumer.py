"""Messages of partitions of Kafka from given offsets on, read by this process.

In which order partitions are taken, and what must not pass unnoticed, is `jobs.messages.kafka_reader`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from jobs.errors import EvergreenError
from jobs.messages.brokers import Place
from jobs.messages.connection import StreamUnreachable, unreachable
from jobs.messages.message import Message, message_of

if TYPE_CHECKING:
    from confluent_kafka import Consumer as Client


class Interrupted(EvergreenError):
    """What is read next may not be there any more, or reading has to begin anew for another reason."""

    def __init__(self, why: str = "") -> None:
        super().__init__(why)
        self.why = why
        """The other reason, if there is one."""


class Consumer(Protocol):
    """Whoever reads partitions."""

    def has_news(self) -> bool:
        """Whether messages came that count only if their topics turn out now not to have been made again."""

    def read(self, most: int, seconds: float) -> list[Message]:
        """The next messages, of each partition in their order; none if none came in that time."""

    def check(self) -> None:
        """Raises Interrupted, or StreamUnreachable if nobody may read."""

    def take_up(self, place: Place, offset: int) -> None:
        """Read a partition from an offset on."""

    def go_to(self, place: Place, offset: int) -> None:
        """Read a partition that was taken up from an offset on."""

    def let_go(self, place: Place) -> None:
        """Read a partition no more."""

    def hold(self, place: Place, is_held: bool) -> None:
        """Read a partition no further until it is not held."""

    def high(self, place: Place) -> int:
        """Offset behind the last message of a partition, as brokers told last; negative: they told nothing."""

    def close(self) -> None: ...


class KafkaConsumer:
    """A client of librdkafka."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._errors: list[Any] = []
        self._is_lost = False
        """Whether some partition is read no further until it is told where."""

    def has_news(self) -> bool:
        return False

    def read(self, most: int, seconds: float) -> list[Message]:
        read = self._client.consume(most, seconds)
        self._errors += [raw.error() for raw in read if raw.error() is not None]
        return [message_of(raw) for raw in read if raw.error() is None]

    def check(self) -> None:
        from confluent_kafka import KafkaError

        gone = (KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET)
        refused = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError._AUTHENTICATION)
        errors, self._errors = self._errors, []
        self._is_lost |= any(error.code() in gone for error in errors)
        if self._is_lost:
            raise Interrupted
        for error in errors:
            if error.fatal() or error.code() in refused:
                raise StreamUnreachable(f"EVERGREEN_STREAM: expected to read its topics, found: {error.str()}")

    def take_up(self, place: Place, offset: int) -> None:
        self._client.incremental_assign([_at(place, offset)])

    def go_to(self, place: Place, offset: int) -> None:
        from confluent_kafka import KafkaException

        try:
            self._client.seek(_at(place, offset))
        except KafkaException as error:
            raise unreachable(error) from error
        self._is_lost = False

    def let_go(self, place: Place) -> None:
        self._client.incremental_unassign([_at(place)])

    def hold(self, place: Place, is_held: bool) -> None:
        (self._client.pause if is_held else self._client.resume)([_at(place)])

    def high(self, place: Place) -> int:
        _, high = self._client.get_watermark_offsets(_at(place), cached=True)
        return int(high)

    def close(self) -> None:
        """The client is closed by whoever opened it."""


def _at(place: Place, offset: int = 0) -> Any:
    from confluent_kafka import TopicPartition

    return TopicPartition(*place, offset)
