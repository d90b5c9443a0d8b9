"""Reading topics from the log of the decision service: what it decided about and was told, at the stamps that it gave.

A topic has one partition; an offset is a stamp. Where messages come from: see `jobs.streams.decision_messages`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence

from jobs.decisions.log_tail import LogTail
from jobs.decisions.opened import wall_clock
from jobs.messages.connection import StreamUnreachable
from jobs.messages.message import Message
from jobs.messages.position import Position
from jobs.messages.topics import Topics
from jobs.online.log_records import StoreDown
from jobs.settings import Settings
from jobs.streams.decision_messages import DecisionMessages

TOPIC_ID = "decisions"


class DecisionLogReader:
    """The topics of one use case that its log fills, each from its position on."""

    def __init__(self, settings: Settings, topics: Topics, positions: Sequence[Position]) -> None:
        self._topics = topics
        self._positions = {position.topic: position for position in positions}
        self._next = {each.topic: each.next.get(0, 0) for each in positions if each.topic_id == TOPIC_ID}
        self._tail = LogTail(settings, topics.use_case)
        self._waiting: deque[Message] = deque()

    def close(self) -> None:
        self._tail.close()

    def now(self) -> int:
        """The moment, in microseconds since 1970, not before the last stamp that was read: of another host's clock."""
        return max(wall_clock(), self._tail.stamp)

    def position(self, topic: str) -> Position:
        """The place in a topic behind all messages that were handed out."""
        if topic not in self._next:
            return self._positions[topic]
        return Position(topic, TOPIC_ID, {0: self._next[topic]})

    def lag(self) -> dict[str, int]:
        """Messages of each topic that were read and not handed out."""
        return {topic: sum(message.topic == topic for message in self._waiting) for topic in self._positions}

    def poll(self, most: int, seconds: float) -> list[Message]:
        """The next messages, in the order of the log; none if none came in that time. Raises StreamUnreachable."""
        try:
            self._read(most)
        except StoreDown as error:
            if not self._waiting:
                raise StreamUnreachable(str(error)) from error
        found = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        for message in found:
            self._next[message.topic] = message.offset + 1
        if not found:
            time.sleep(seconds)
        return found

    def _read(self, most: int) -> None:
        """Let as many messages wait, if there are as many."""
        log = self._tail.opened()
        if log is None:
            return
        messages = DecisionMessages(self._topics, log.get)
        for record in self._tail.records():
            message = messages.of(record)
            if message is not None and message.offset >= self._next.get(message.topic, 0):
                self._waiting.append(message)
            self._tail.took(record)
            if len(self._waiting) >= most:
                return
