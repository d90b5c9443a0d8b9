"""What a stream is given besides tables: topics, the online store, topics of dead letters, who computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from jobs.errors import EvergreenError
from jobs.messages.dead_letters import DeadLetter
from jobs.messages.message import Message
from jobs.messages.position import Position
from jobs.streams.features import Computed

if TYPE_CHECKING:
    from jobs.streams.rebuilding import Rebuilding
    from jobs.streams.stream import Stream


class FeaturesEnded(EvergreenError, RuntimeError):
    """Whoever computes features elsewhere does so no more; they start again from tables."""


class Publish(Protocol):
    """The online store, which holds nothing up."""

    error: str
    """Why rows wait for it."""

    def __call__(self, computed: Sequence[Computed]) -> None: ...
    def anew(self) -> None: ...


class Reader(Protocol):
    """Topics, each from its position on."""

    def poll(self, most: int, seconds: float) -> list[Message]: ...
    def position(self, topic: str) -> Position: ...
    def lag(self) -> dict[str, int]: ...
    def close(self) -> None: ...


class Letters(Protocol):
    """Topics of messages that break the contract."""

    def add(self, letter: DeadLetter) -> None: ...
    def send(self, positions: Sequence[Position]) -> int: ...
    def close(self) -> None: ...


class Starter(Protocol):
    """Starts features, here or on a cluster."""

    def ready(self, stream: Stream) -> None: ...
    def start(self, stream: Stream, last: int) -> bool: ...
    def go_on(self, stream: Stream, rebuilding: Rebuilding) -> None: ...
