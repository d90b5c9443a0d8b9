"""The process of a home's embedded engine: started, recognised among others, ended.

Calls to it: see `jobs.lakehouse.engine`. That something listens on the recorded port says nothing: ports are taken
over. An engine is the home's own if the kernel says that the process that was recorded, by number and start, is the one
that listens there, and if it shows the token that was recorded (`jobs.lakehouse.engine_token`).
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from jobs.error_messages import is_full
from jobs.errors import EvergreenError
from jobs.processes import start_of
from jobs.secret import Secret
from jobs.settings import ROOT, Settings
from jobs.state_files import file_lock

START_SECONDS = 60.0
STOP_SECONDS = 10.0
Condition = Literal["runs", "stopped", "gone"]


class EngineUnreachable(EvergreenError, RuntimeError):
    """No engine answers at the given address, or the embedded one did not start."""


class EngineLost(EngineUnreachable):
    """The engine ended during a call, or answers no more. What was committed stays; a repeated step goes on."""


@dataclass(frozen=True)
class EngineProcess:
    """The process that the state file of a home names."""

    pid: int
    started: float
    """When it started, as `jobs.processes` tells it: a number of a process is given out again."""
    port: int
    session_id: str
    token: Secret
    log: Path

    def condition(self) -> Condition:
        """Whether it runs, is stopped by a signal, or is gone."""
        try:
            process = self._process()
            status = process.status() if process else psutil.STATUS_DEAD
        except psutil.NoSuchProcess:
            return "gone"
        if status in (psutil.STATUS_DEAD, psutil.STATUS_ZOMBIE):
            return "gone"
        return "stopped" if status == psutil.STATUS_STOPPED else "runs"

    def listens(self) -> bool:
        """Whether it is what listens on its port."""
        with contextlib.suppress(psutil.Error):
            process = self._process()
            return process is not None and any(
                c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == self.port
                for c in process.net_connections(kind="tcp")
            )
        return False

    def processor_seconds(self) -> float:
        """Seconds of processor time that it used so far; 0 if it is gone."""
        with contextlib.suppress(psutil.Error):
            if process := self._process():
                return float(sum(process.cpu_times()[:2]))
        return 0.0

    def end(self, patience: float = 0.0) -> None:
        """Wait `patience` seconds for its end, and kill it then."""
        with contextlib.suppress(psutil.NoSuchProcess):
            if process := self._process():
                try:
                    process.wait(patience)
                except psutil.TimeoutExpired:
                    process.kill()
                    with contextlib.suppress(psutil.TimeoutExpired):
                        process.wait(STOP_SECONDS)

    def _process(self) -> psutil.Process | None:
        return psutil.Process(self.pid) if abs(start_of(self.pid) - self.started) < 0.01 else None


def recorded(settings: Settings) -> EngineProcess | None:
    """The process that the state file of the home names, running or not."""
    state_file = _state_file(settings)
    try:
        state = json.loads(state_file.read_text())
        return EngineProcess(
            int(state["pid"]), float(state["started"]), int(state["port"]), str(uuid.UUID(state["session_id"])),
            Secret(str(state["token"])), state_file.with_name("server.log"),
        )  # fmt: skip
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def running(settings: Settings) -> EngineProcess | None:
    """The engine of the home, if it runs."""
    found = recorded(settings)
    return found if found and found.condition() != "gone" and found.listens() else None


def started(settings: Settings) -> EngineProcess:
    """The engine of the home, which is started unless it runs. Raises EngineUnreachable if it does not start."""
    if found := running(settings):
        return found
    with file_lock(_state_file(settings).with_name("start.lock")):
        return running(settings) or _start(settings)


def forget(settings: Settings, process: EngineProcess) -> None:
    """Let a process that is not the engine of the home, whatever its record says, be it no longer; it is left alone."""
    with file_lock(_state_file(settings).with_name("start.lock")):
        if recorded(settings) == process:
            _state_file(settings).unlink(missing_ok=True)


def stop(settings: Settings) -> None:
    """End the embedded engine of this home, if it runs: it leaves when its state file is gone, or is killed."""
    if found := running(settings):
        _state_file(settings).unlink(missing_ok=True)
        found.end(STOP_SECONDS if found.condition() == "runs" else 0)


def _state_file(settings: Settings) -> Path:
    return settings.home / "engine" / "server.json"


def _start(settings: Settings) -> EngineProcess:
    state_file = _state_file(settings)
    state_file.unlink(missing_ok=True)
    log = state_file.with_name("server.log")
    with log.open("a") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "jobs.lakehouse.engine_server", *_arguments(settings, state_file)],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            cwd=settings.home, env=_environment(), start_new_session=True,
        )  # fmt: skip
    for _ in _until(time.monotonic() + START_SECONDS):
        if found := running(settings):
            process.returncode = 0  # it outlives us: Popen must not warn that it was not waited for
            return found
        if process.poll() is not None:
            break
    if is_full(settings.home):
        raise EngineUnreachable(
            f"{state_file}: expected room on the disk, found none left; make room and run again, it goes on"
        )
    raise EngineUnreachable(
        f"embedded engine: expected it to start within {START_SECONDS:.0f} s, found that it "
        f"{'does not answer' if process.poll() is None else 'ended'}; its last words are in {log}"
    )


def _arguments(settings: Settings, state_file: Path) -> tuple[str, ...]:
    return str(state_file), str(settings.engine_idle_seconds)


def _environment() -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        # Rows per Arrow batch: with the default of 8,192 a join of 10 M rows spends its time handing batches on.
        "SAIL_EXECUTION__BATCH_SIZE": "32768",
        # Arrays of kernels go back to the machine when they are freed: a join of 10 M rows peaks a fifth lower.
        "MALLOC_MMAP_THRESHOLD_": str(2**20),
        "MALLOC_ARENA_MAX": "2",
        # The server reaps itself; a session it dropped on its own would lose every registered table.
        "SAIL_SPARK__SESSION_TIMEOUT_SECS": str(10**9),
        "RUST_LOG": "warn",
    }


def _until(deadline: float, pause: float = 0.05) -> Iterator[None]:
    while time.monotonic() < deadline:
        yield
        time.sleep(pause)
