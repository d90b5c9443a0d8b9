"""Processes that are started together, logged to files that rotate, and ended together: however this process ends.

One that is kept is started again when it ends (`orchestration.restarts`); of the others none may end.

Which ones `evergreen ui` and `evergreen up` start: see `orchestration.servers`.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import FrameType

from jobs.errors import Invalid
from jobs.loopback import ending_with_parent
from jobs.secret import hide
from orchestration import process_family
from orchestration.restarts import Restarts

POLL_SECONDS = 0.2
GRACE_SECONDS = 20.0
"""How long a process may take to end by itself, before what it started is told, and then killed."""
ORPHAN_SECONDS = 5.0
"""The same where this process was killed."""
LOG_BYTES, LOG_FILES = 10_000_000, 5


class ServiceEnded(Invalid):
    """A process ended by itself, or did not start."""


class Services:
    """Processes that run until one of them ends, or until this process ends or is told to (SIGTERM, SIGINT)."""

    def __init__(
        self, logs: Path, environment: Mapping[str, str], engine: bool = False, lock: int | None = None
    ) -> None:
        """`engine`: the engine of the home ends with them. `lock`: a file that stays open until all have ended."""
        self._family = uuid.uuid4().hex
        self._logs, self._environment = logs, {**environment, process_family.MARK: self._family}
        self._what_else, self._files = ("engine",) if engine else (), () if lock is None else (lock,)
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._kept: dict[str, tuple[Restarts, Callable[[], None]]] = {}
        """When a kept process is started again, and what does it."""
        self._told = threading.Event()

    def start(self, name: str, module: str, arguments: Sequence[str], **variables: str) -> None:
        """Start a Python module as a process, whose output goes to `NAME.log`."""
        process = subprocess.Popen(
            ending_with_parent([sys.executable, "-m", module, *arguments]),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            env={**os.environ, **self._environment, **variables}, start_new_session=True,
        )  # fmt: skip
        self._running[name] = process
        threading.Thread(target=_log, args=(process, self._logs / f"{name}.log"), daemon=True).start()

    def keep(self, name: str, module: str, arguments: Sequence[str]) -> None:
        """Start a Python module as a process that is started again whenever it ends by itself."""
        start = functools.partial(self.start, name, module, arguments)
        self._kept[name] = Restarts(time.monotonic()), start
        start()

    def wait_for(self, ready: Callable[[], bool], what: str, seconds: float) -> bool:
        """Wait until `what` is ready; False if this process was told to end before that."""
        end = time.monotonic() + seconds
        while not ready():
            self._check()
            if self._told.wait(POLL_SECONDS):
                return False
            if time.monotonic() > end:
                raise ServiceEnded(f"{what}: expected an answer within {seconds:.0f} s, found none; see {self._logs}")
        return True

    def wait(self) -> None:
        """Return when this process was told to end. Raises ServiceEnded if one of the processes ended by itself."""
        while not self._told.wait(POLL_SECONDS):
            self._check()

    def _check(self) -> None:
        ended = {name: process for name, process in self._running.items() if process.poll() is not None}
        for name, process in ended.items():
            if name not in self._kept:
                raise ServiceEnded(
                    f"{name}: expected it to run, found that it ended with status {process.returncode}; its last words "
                    f"are in {self._logs / f'{name}.log'}"
                )
            restarts, start = self._kept[name]
            if restarts.is_due(time.monotonic()):
                start()

    @contextlib.contextmanager
    def ending(self) -> Iterator[Path]:
        """Inside, signals to end are kept for `wait`; afterwards everything that was started has ended.

        Yields a folder of this user alone, with a short name, that is gone afterwards.
        """
        before = {number: signal.signal(number, self._tell) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            with tempfile.TemporaryDirectory(prefix="evergreen-") as scratch, self._guard(scratch):
                try:
                    yield Path(scratch)
                finally:
                    self._end()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def _guard(self, scratch: str) -> Iterator[None]:
        """A process that ends the others, and removes the folder, if this one is killed.

        It is in none of their groups, nor in this one's.
        """
        guard = subprocess.Popen(
            [sys.executable, "-m", process_family.__name__, self._family, str(ORPHAN_SECONDS), scratch,
             *self._what_else],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, **self._environment, process_family.MARK: ""},
            start_new_session=True, pass_fds=self._files,
        )  # fmt: skip
        with guard:
            yield

    def _tell(self, number: int, frame: FrameType | None) -> None:
        self._told.set()

    def _end(self) -> None:
        for service in self._running.values():
            service.terminate()
        deadline = time.monotonic() + GRACE_SECONDS
        for service in self._running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                service.wait(max(0, deadline - time.monotonic()))
        process_family.end(self._family, GRACE_SECONDS / 2)
        for service in self._running.values():
            service.wait()


class _PrivateLog(RotatingFileHandler):
    """A log that rotates; only its owner may read it and those before it."""

    def _open(self) -> TextIOWrapper:
        own = open(self.baseFilename, "a", encoding="utf-8", errors="replace", opener=_private)  # noqa: SIM115
        os.fchmod(own.fileno(), 0o600)  # one of an earlier version may be for everybody
        return own


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _log(process: subprocess.Popen[str], path: Path) -> None:
    """Write what a process prints to a file, without secrets."""
    assert process.stdout is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        contextlib.closing(_PrivateLog(path, maxBytes=LOG_BYTES, backupCount=LOG_FILES)) as log,
        process.stdout as lines,
    ):
        for line in lines:
            log.emit(logging.makeLogRecord({"msg": hide(line.rstrip("\n"))}))
