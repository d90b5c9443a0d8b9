"""What happened to topics beside messages that came: made again, more partitions, messages that are gone.

Places that are read to tell of it. What a reader does about it is in `jobs.messages`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypedDict

from jobs.messages.position import Position, PositionLost

KEPT = 5
"""Changes that are told of a topic, the latest."""


class Change(TypedDict):
    """Something that happened to a topic, as a heartbeat has it."""

    at: float
    """When it was noticed, in seconds since 1970."""
    what: str


class TopicChanges:
    """The latest changes of each topic, also those that processes before this one noticed."""

    def __init__(
        self,
        told: Mapping[str, Sequence[Change]],
        positions: Iterable[Position],
        now: Callable[[], float] = time.time,
    ) -> None:
        """
        Args:
            told: what a process before this one told.
            positions: places from which topics are read on.
        """
        self.told = {topic: list(changes) for topic, changes in told.items()}
        self._places = {position.topic: position for position in positions}
        self._now = now

    def look(self, positions: Iterable[Position]) -> None:
        """Notice what happened, by the places that are read to now."""
        for position in positions:
            before, self._places[position.topic] = self._places.get(position.topic), position
            if before is not None and (what := between(before, position)):
                self._tell(position.topic, what)

    def lost(self, error: PositionLost) -> None:
        """Notice that messages are gone."""
        self._tell(error.topic, str(error))

    def _tell(self, topic: str, what: str) -> None:
        self.told[topic] = [*self.told.get(topic, []), Change(at=self._now(), what=what)][-KEPT:]


def told(change: Change) -> str:
    """A change as people read it."""
    return f"{datetime.fromtimestamp(change['at'], UTC):%Y-%m-%d %H:%M:%S}: {change['what']}"


def between(before: Position, now: Position) -> str:
    """What happened to a topic between two places in it; empty: nothing but messages."""
    if before.topic_id and before.topic_id != now.topic_id:
        return "it was made again, and is read from its beginning"
    if before.next and _is_numbered(now) and len(now.next) > len(before.next):
        return f"it has {len(now.next)} partitions, where it had {len(before.next)}: the new ones are read whole"
    return ""


def _is_numbered(position: Position) -> bool:
    """Whether partitions are those of a topic of Kafka; of files each is one."""
    return sorted(position.next) == list(range(len(position.next)))
