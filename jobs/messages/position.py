"""How far a topic is read, as it is kept with what was made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jobs.errors import EvergreenError


class PositionLost(EvergreenError, RuntimeError):
    """Messages from the place on at which reading has to go on are gone, or that place is not there."""

    def __init__(self, topic: str, message: str) -> None:
        super().__init__(message)
        self.topic = topic


@dataclass(frozen=True)
class Position:
    """The place in one topic from which reading goes on."""

    topic: str
    topic_id: str = ""
    """Changes when a topic of the same name is made again; empty: no message was read yet."""
    next: Mapping[int, int] = field(default_factory=dict)
    """Partition -> offset of the first message that is not read."""
    marks: Mapping[int, str] = field(default_factory=dict)
    """Partition -> what tells the part before that offset from any other, where partitions do not keep it for good."""

    @classmethod
    def restored(cls, topic: str, stored: Mapping[str, Any]) -> Position:
        """The place as `stored` says it; the beginning if that is of another topic, or of none."""
        if stored.get("topic") != topic:
            return cls(topic)
        return cls(topic, stored["topic_id"], _by_partition(stored["next"]), _by_partition(stored.get("marks", {})))

    def told(self) -> dict[str, Any]:
        """The same as JSON holds it."""
        told = {"topic": self.topic, "topic_id": self.topic_id, "next": _by_text(self.next)}
        return told | ({"marks": _by_text(self.marks)} if self.marks else {})


def _by_partition(stored: Mapping[str, Any]) -> dict[int, Any]:
    return {int(partition): value for partition, value in stored.items()}


def _by_text(kept: Mapping[int, Any]) -> dict[str, Any]:
    return {str(partition): value for partition, value in sorted(kept.items())}
