"""Reading topics from a folder that has a folder for each, of JSON Lines or a Delta table.

Topics are read in their order, each to its end before the next, so that what rows refer to comes before them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from jobs.messages import line_files
from jobs.messages.connection import StreamUnreachable
from jobs.messages.delta_topic import DeltaTopic
from jobs.messages.line_files import LineFiles
from jobs.messages.message import Message
from jobs.messages.position import Position, PositionLost
from jobs.settings import STREAM_VARIABLE


class FolderReader:
    """Several topics, each from its position on."""

    def __init__(self, folder: Path, positions: Sequence[Position]) -> None:
        self._folder = folder
        self._positions = {position.topic: position for position in positions}
        self._topics: dict[str, LineFiles | DeltaTopic] = {}

    def close(self) -> None:
        """There is nothing to let go of."""

    def position(self, topic: str) -> Position:
        """The place in a topic behind all messages that were handed out."""
        return self._topics[topic].position() if topic in self._topics else self._positions[topic]

    def lag(self) -> dict[str, int]:
        """Messages of each topic that are there and were not handed out, as far as that can be told quickly."""
        return {name: self._topics[name].lag() if name in self._topics else 0 for name in self._positions}

    def poll(self, most: int, seconds: float) -> list[Message]:
        """The next messages of all topics, in order; none if none came in that time.

        Raises StreamUnreachable if the folder cannot be read, or PositionLost with what to do.
        """
        found: list[Message] = []
        try:
            for messages in self._unread(most):
                found += messages
        except (OSError, PositionLost) as error:
            if not found:  # what was found before is handed out first
                raise self._said(error) from error
        if not found:
            time.sleep(seconds)
        return found

    def _unread(self, most: int) -> Iterator[list[Message]]:
        # Raises if there is no such folder.
        os.scandir(self._folder).close()
        for name in self._positions:
            topic = self._topic(name)
            for messages in topic.unread(most) if topic else ():
                most -= len(messages)
                yield messages

    def _topic(self, name: str) -> LineFiles | DeltaTopic | None:
        """A topic, once there is something of it."""
        folder = self._folder / name
        if name not in self._topics and folder.is_dir():
            if (folder / "_delta_log").is_dir():
                self._topics[name] = DeltaTopic(folder, self._positions[name])
            elif line_files.holds_lines(folder):
                self._topics[name] = LineFiles(folder, self._positions[name])
        return self._topics.get(name)

    def _said(self, error: OSError | PositionLost) -> Exception:
        if isinstance(error, PositionLost):
            return error
        return StreamUnreachable(
            f"{STREAM_VARIABLE}={self._folder}: expected a folder of topics that can be read, found: {error}; make it, "
            "or correct its place or rights"
        )
