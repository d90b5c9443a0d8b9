"""Commits of a stream in a thread of their own, one after another, while the stream takes what comes next.

What a commit holds is cut off before, so that nothing which is taken meanwhile gets into it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

Write = Callable[[], object]
"""Makes something durable that was cut off."""


class Committer:
    """Not safe for several threads that ask."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "evergreen-commit")
        self._running: Future[None] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a commit is under way."""
        return self._running is not None and not self._running.done()

    def begin(self, writes: Sequence[Write]) -> None:
        """Begin a commit, whose parts are written in their order; the one before is settled."""
        self._running = self._thread.submit(_write, writes)

    def settle(self) -> None:
        """Wait for the commit under way; raises what stopped it."""
        running, self._running = self._running, None
        if running is not None:
            running.result()

    def close(self) -> None:
        """Wait for the commit under way, whatever becomes of it."""
        self._thread.shutdown()


def _write(writes: Sequence[Write]) -> None:
    for write in writes:
        write()
