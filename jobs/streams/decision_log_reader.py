"""Reading topics from the log of the decision service: what it decided about and was told, at the stamps that it gave.

A topic has one partition; an offset is a stamp. Where messages come from: see `jobs.streams.decision_messages`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence

from jobs.decisions.opened import log_file, open_log, wall_clock, was_served
from jobs.messages.connection import StreamUnreachable
from jobs.messages.message import Message
from jobs.messages.position import Position
from jobs.messages.topics import Topics
from jobs.online.log_records import Log, StoreDown
from jobs.settings import Settings
from jobs.streams.decision_messages import DecisionMessages

TOPIC_ID = "decisions"


class DecisionLogReader:
    """The topics of one use case that its log fills, each from its position on."""

    def __init__(self, settings: Settings, topics: Topics, positions: Sequence[Position]) -> None:
        self._settings, self._topics = settings, topics
        self._positions = {position.topic: position for position in positions}
        self._next = {each.topic: each.next.get(0, 0) for each in positions if each.topic_id == TOPIC_ID}
        self._log: Log | None = None
        self._file = 0
        """What tells the log's file from one that was put in its place."""
        self._end = self._stamp = 0
        """Behind the last record that was read, and its stamp."""
        self._waiting: deque[Message] = deque()

    def close(self) -> None:
        if self._log is not None:
            self._log.close()

    def now(self) -> int:
        """The moment, in microseconds since 1970, not before the last stamp that was read: of another host's clock."""
        return max(wall_clock(), self._stamp)

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
        log = self._opened()
        if log is None:
            return
        messages = DecisionMessages(self._topics, log.get)
        log.tail()  # a log in a file reads on then alone
        for record in log.records(self._end):
            message = messages.of(record) if record.stamp > self._stamp else None
            if message is not None and message.offset >= self._next.get(message.topic, 0):
                self._waiting.append(message)
            self._end, self._stamp = record.end, max(self._stamp, record.stamp)
            if len(self._waiting) >= most:
                return

    def _opened(self) -> Log | None:
        """The log; None while nothing was decided. Opened anew once its beginning was trimmed."""
        if not was_served(self._settings, self._topics.use_case):
            return None
        path = log_file(self._settings, self._topics.use_case)
        file = 0 if self._settings.online_store_url else path.stat().st_ino
        if self._log is None or file != self._file:
            self.close()
            self._log, self._file = open_log(self._settings, self._topics.use_case), file
            self._end = 0
        return self._log
