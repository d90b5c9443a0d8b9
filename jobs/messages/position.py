"""How far a topic is read, as it is kept with what was made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Position:
    """The place in one topic from which reading goes on."""

    topic: str
    topic_id: str = ""
    """Changes when a topic of the same name is made again; empty: no message was read yet."""
    next: Mapping[int, int] = field(default_factory=dict)
    """Partition -> offset of the first message that is not read."""

    @classmethod
    def restored(cls, topic: str, stored: Mapping[str, Any]) -> Position:
        """The place as `stored` says it; the beginning if that is of another topic, or of none."""
        if stored.get("topic") != topic:
            return cls(topic)
        return cls(topic, stored["topic_id"], {int(partition): offset for partition, offset in stored["next"].items()})

    def told(self) -> dict[str, Any]:
        """The same as JSON holds it."""
        return {
            "topic": self.topic,
            "topic_id": self.topic_id,
            "next": {str(p): o for p, o in sorted(self.next.items())},
        }
