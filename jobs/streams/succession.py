"""A stream whose declarations change while it runs: a process of the code as it is by then takes it over.

What says so are the window tables of the night, which a run has made by other declarations. The process that runs goes
on with its own until the later one has made all features beside (`jobs.streams.rebuilding`) and asks for its turn.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator, Sequence
from threading import Event
from types import TracebackType
from typing import Self

from jobs.errors import EvergreenError
from jobs.lakehouse.tables import Lakehouse
from jobs.loopback import ending_with_parent
from jobs.streams import control, handover, stored_features
from jobs.streams.rebuilding import Rebuilding
from jobs.use_case import UseCase

POLL_SECONDS = 0.1
AGAIN_SECONDS = 300.0
"""Between two starts of a later process, where one died or was refused."""


class EndedBefore(EvergreenError):
    """This process was told to end before its turn came."""


@contextlib.contextmanager
def turn(lakehouse: Lakehouse, use_case: UseCase, end: Event) -> Iterator[Rebuilding | None]:
    """Held by the one process that runs the stream; with what it made beside, if it takes over from another.

    Raises control.Taken while another runs, unless that one's features are not, and the night's are, as declared here;
    and while a third process takes it over.
    """
    settings = lakehouse.settings
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(control.only_one(settings, use_case))
            rebuilding = None
        except control.Taken:
            beside = held.enter_context(contextlib.ExitStack())
            if _is_due(lakehouse, use_case):
                beside.enter_context(control.only_successor(settings, use_case))
            if not _is_due(lakehouse, use_case):  # or no more, as another took it over just now
                raise
            rebuilding = Rebuilding(lakehouse, use_case, beside.close)
            rebuilding.catch_up(end.is_set)
            held.enter_context(handover.taken_over(settings, use_case, lambda: _go_on_waiting(end)))
        yield rebuilding


def _is_due(lakehouse: Lakehouse, use_case: UseCase) -> bool:
    is_of_night = _of_night(lakehouse, use_case) == stored_features.declared(use_case)
    return is_of_night and stored_features.are_of_others(lakehouse, use_case)


def _of_night(lakehouse: Lakehouse, use_case: UseCase) -> list[str | None]:
    return stored_features.fingerprints(lakehouse, map(use_case.window_table, use_case.windows))


def _go_on_waiting(end: Event) -> None:
    if end.is_set():
        raise EndedBefore("expected to take the stream over, found a signal to end; start it again")


class Successor:
    """The later process, as the one that runs sees it: it ends with this one, unless this one waits for it."""

    def __init__(self, lakehouse: Lakehouse, use_case: UseCase, command: Sequence[str]) -> None:
        """command: starts the stream by the code as it is then."""
        self._lakehouse, self._use_case, self._command = lakehouse, use_case, command
        self._before = _of_night(self._lakehouse, self._use_case)
        self._process: subprocess.Popen[bytes] | None = None
        self._started = -AGAIN_SECONDS

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    @property
    def note(self) -> str:
        """What is to be said while it works."""
        if self._process is None or self._process.poll() is not None:
            return ""
        return f"declarations changed: process {self._process.pid} makes all features by those of now, and takes over"

    def look(self) -> None:
        """Start it, if the night's features are of other declarations than this process has, and than when it began."""
        night = _of_night(self._lakehouse, self._use_case)
        if None in night or night in (self._before, stored_features.declared(self._use_case)) or self.note:
            return
        if time.monotonic() - self._started > AGAIN_SECONDS:
            self._started = time.monotonic()
            self._process = subprocess.Popen(ending_with_parent(self._command), stdin=subprocess.DEVNULL)

    def wait(self, end: Event) -> int:
        """Wait until it ends, and tell it to once `end` is set; returns its exit status, 0 if it never began."""
        if self._process is None:
            return 0
        while self._process.poll() is None and not end.wait(POLL_SECONDS):
            pass
        self._process.terminate()
        return self._process.wait()
