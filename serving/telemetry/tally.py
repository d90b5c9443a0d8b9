"""What is seen while somebody waits, and counted later: on the way of a request it costs an append, and no lock."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar
from weakref import WeakSet

Seen = TypeVar("Seen")


class Tally(Generic[Seen]):
    """What was seen since it was counted last; safe for several threads."""

    def __init__(self, count: Callable[[Sequence[Seen]], None]) -> None:
        """count: is given what was seen, in order, and at least one of it."""
        self._count, self._turn = count, threading.Lock()
        self._seen: deque[Seen] = deque()
        self.add = self._seen.append
        _ALL.add(self)

    def flush(self) -> None:
        """Count what was seen."""
        with self._turn:
            if seen := [self._seen.popleft() for _ in range(len(self._seen))]:
                self._count(seen)


_ALL: WeakSet[Tally[Any]] = WeakSet()


def flush_all() -> None:
    """Count what was seen by this process."""
    for tally in list(_ALL):
        tally.flush()
