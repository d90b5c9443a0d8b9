"""The process of a local server: started, waited for, ended with all that it started."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from jobs.errors import Invalid
from jobs.java_servers.java import ServerNotReady
from jobs.loopback import HOST, free_port

START_SECONDS = 120.0


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    url: str
    process: subprocess.Popen[bytes]
    work: Path
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def attend(self) -> int:
        """Wait until the server ends or this process is interrupted; returns an exit status."""
        try:
            return self.process.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            self.stop()

    def stop(self) -> None:
        """End the server and what it started, and remove what it worked with; again does nothing."""
        for number, patience in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(patience)
        shutil.rmtree(self.work, ignore_errors=True)


def port_for_server(port: int | None) -> int:
    """`port` if it is free; without one, any that is. Raises ServerNotReady."""
    try:
        return free_port(port)
    except Invalid as error:
        raise ServerNotReady(str(error)) from error


def start(command: Sequence[str], url: str, work: Path, log: IO[bytes], environment: Mapping[str, str]) -> Running:
    """Start a server, in a group of processes of its own, and wait until the port of `url` on loopback answers.

    work: the folder it works in, which ends with it; log: an open file. Raises ServerNotReady, with its last words.
    """
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        cwd=work, env=environment, start_new_session=True,
    )  # fmt: skip
    running = Running(url, process, work, Path(log.name))
    _wait(running, urlsplit(url).port or 0)
    return running


def _wait(running: Running, port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and running.process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return
        time.sleep(0.1)
    running.stop()
    last_words = running.log.read_text(errors="replace")[-2000:]
    raise ServerNotReady(f"{running.url} did not come up; the end of {running.log}:\n{last_words}")
