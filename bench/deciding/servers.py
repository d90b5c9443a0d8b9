"""Servers as processes of their own, on one core where there are several: what they cost, and how they are ended."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

import httpx
import psutil
from worlds.serve_processes import COMMAND

from jobs.loopback import free_port
from jobs.settings import ROOT, Settings

START_SECONDS = 120.0
CORES = sorted(os.sched_getaffinity(0))


class Server:
    """A server and all its processes; `with` waits until it is ready, and ends it."""

    def __init__(
        self, command: Sequence[str | Path], port: int, folder: Path, ready: str = "/",
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        self.port, self._ready, self._log = port, f"http://127.0.0.1:{port}{ready}", folder / f"{port}.log"
        folder.mkdir(parents=True, exist_ok=True)
        start = time.perf_counter()
        with self._log.open("w") as log:
            self._process = psutil.Popen(
                list(map(str, command)),
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**os.environ, **variables},
            )
        self.start = start
        self.ready_seconds = 0.0

    def __enter__(self) -> Self:
        until = self.start + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.perf_counter() > until:
                self.__exit__(None, None, None)
                raise RuntimeError(f"{self._ready}: expected an answer; {self._log.read_text()[-2000:]}")
            time.sleep(0.02)
        self.ready_seconds = time.perf_counter() - self.start
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        tree = self.tree()
        for each in tree[:1]:
            each.terminate()
        _, alive = psutil.wait_procs(tree, 15)
        for each in alive:
            each.kill()
        psutil.wait_procs(alive, 5)

    def tree(self) -> list[psutil.Process]:
        """All its processes."""
        try:
            return [psutil.Process(self._process.pid), *psutil.Process(self._process.pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def cpu(self) -> float:
        """Seconds of processors so far."""
        return sum(sum(each.cpu_times()[:2]) for each in self.tree())

    def resident(self) -> int:
        """Bytes of the largest process, which is the worker."""
        return max(each.memory_info().rss for each in self.tree())

    def pin(self) -> None:
        """Keep to one core, so that servers that have more threads get no more of the machine."""
        for each in self.tree() if len(CORES) > 1 else []:
            for thread in each.threads():
                os.sched_setaffinity(thread.id, CORES[:1])

    def _answers(self) -> bool:
        try:
            return httpx.get(self._ready, timeout=5).status_code == 200
        except httpx.TransportError:
            return False


def ours(
    settings: Settings, *arguments: str, command: Sequence[str] = COMMAND,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> Server:  # fmt: skip
    """`evergreen serve` of a home. command: what `serve` and its arguments are given to."""
    port = free_port()
    variables = {"PYTHONPATH": str(ROOT), "EVERGREEN_HOME": str(settings.home), **variables}
    if settings.online_store_url is not None:
        variables["EVERGREEN_ONLINE_STORE"] = settings.online_store_url.reveal()
    command = [*command, "serve", "--use-case", "fraud", "--port", str(port), *arguments]
    return Server(command, port, settings.home.parent, "/readyz", variables)


def client_core() -> None:
    """Leave the servers' core to them."""
    if len(CORES) > 1:
        os.sched_setaffinity(0, CORES[1:])
