"""The processes of `evergreen up`: started together, logged to files that rotate, and ended together."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import FrameType

import psutil

from jobs.errors import Invalid
from jobs.secret import hide

POLL_SECONDS = 0.2
GRACE_SECONDS = 20.0
"""How long a process may take to end by itself, before what it started is told, and then killed."""
LOG_BYTES, LOG_FILES = 10_000_000, 5


class ServiceEnded(Invalid):
    """A process of `evergreen up` ended by itself, or did not start."""


class Services:
    """Processes that run until one of them ends, or until this process is told to end (SIGTERM, SIGINT)."""

    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        self._logs, self._environment = logs, environment
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._told = threading.Event()

    def start(self, name: str, module: str, arguments: Sequence[str]) -> None:
        """Start a Python module as a process, whose output goes to `NAME.log`."""
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            env={**os.environ, **self._environment}, start_new_session=True,
        )  # fmt: skip
        self._running[name] = process
        threading.Thread(target=_log, args=(process, self._logs / f"{name}.log"), daemon=True).start()

    def wait_for(self, port: int, seconds: float) -> bool:
        """Wait until something listens on a port of loopback; False if this process was told to end before that."""
        end = time.monotonic() + seconds
        while not listens(port):
            self._check()
            if self._told.wait(POLL_SECONDS):
                return False
            if time.monotonic() > end:
                raise ServiceEnded(
                    f"port {port}: expected an answer within {seconds:.0f} s, found none; see {self._logs}"
                )
        return True

    def wait(self) -> None:
        """Return when this process was told to end. Raises ServiceEnded if one of the processes ended by itself."""
        while not self._told.wait(POLL_SECONDS):
            self._check()

    def _check(self) -> None:
        for name, process in self._running.items():
            if process.poll() is not None:
                raise ServiceEnded(
                    f"{name}: expected it to run, found that it ended with status {process.returncode}; its last words "
                    f"are in {self._logs / f'{name}.log'}"
                )

    @contextlib.contextmanager
    def ending(self) -> Iterator[None]:
        """Inside, signals to end are kept for `wait`; afterwards everything that was started has ended."""
        before = {number: signal.signal(number, self._tell) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            self._end()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _tell(self, number: int, frame: FrameType | None) -> None:
        self._told.set()

    def _end(self) -> None:
        processes = [psutil.Process(each.pid) for each in self._running.values() if each.poll() is None]
        started = [child for each in processes for child in each.children(recursive=True)]
        for wave, seconds in ((processes, GRACE_SECONDS), (started, GRACE_SECONDS / 2)):
            for each in wave:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.terminate()
            psutil.wait_procs(wave, seconds)
        for each in (*processes, *started):
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        for service in self._running.values():
            service.wait()


def listens(port: int) -> bool:
    """Whether something answers on a port of loopback."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """Held by one process at a time. Raises Invalid if another one holds it."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Invalid(
                f"{lock.parent.parent}: expected no `evergreen up` of this home, found one; stop it first"
            ) from None
        yield


def _log(process: subprocess.Popen[str], path: Path) -> None:
    """Write what a process prints to a file, without secrets."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8", errors="replace")
    path.chmod(0o600)
    assert process.stdout is not None
    with contextlib.closing(handler), process.stdout as lines:
        for line in lines:
            handler.emit(logging.makeLogRecord({"msg": hide(line.rstrip("\n"))}))
