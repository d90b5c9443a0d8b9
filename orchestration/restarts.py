"""When a process that ended is started again: at once, and later each time while it does not last."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_SECONDS, LONGEST_SECONDS = 1.0, 300.0
"""Shortest and longest time between an end and the next start."""
LASTING_SECONDS = 300.0
"""One that ran for longer has lasted: its next end is a new story."""


@dataclass
class Restarts:
    """The starts of one process. Moments are seconds of a clock that only goes on."""

    started: float
    _wait: float = FIRST_SECONDS
    _due: float | None = None

    def is_due(self, now: float) -> bool:
        """Whether to start it again, asked for as long as it is not running; it counts as started from then on."""
        if self._due is None:
            self._wait = FIRST_SECONDS if now - self.started > LASTING_SECONDS else self._wait
            self._due, self._wait = now + self._wait, min(2 * self._wait, LONGEST_SECONDS)
        if now < self._due:
            return False
        self.started, self._due = now, None
        return True
