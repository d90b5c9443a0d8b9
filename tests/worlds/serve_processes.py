"""`evergreen serve` as processes, and clients that ask them without a pause."""

from __future__ import annotations

import contextlib
import os
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import httpx
import numpy as np
import psutil

from jobs.loopback import free_port
from jobs.settings import ROOT, Settings

COMMAND = (sys.executable, "-c", "import sys; from orchestration.cli import main; sys.exit(main())")
ROWS = np.array([[1, 2, np.nan], [0, -0.5, 3]], dtype=np.float32)
BODY = {"inputs": [{"name": "features", "datatype": "FP32", "shape": [2, 3], "data": np.nan_to_num(ROWS).tolist()}]}
"""A request to a model of `worlds.exported_models` without categories."""
PATIENCE = 60


@dataclass
class Running:
    """A server of a home, and how to reach it."""

    process: subprocess.Popen[str]
    port: int
    grpc_port: int
    home: Settings
    authority: ssl.SSLContext | None = None
    """Whom its certificate is checked with; None: it has none."""

    @property
    def address(self) -> str:
        return f"{'https' if self.authority else 'http'}://127.0.0.1:{self.port}"

    @property
    def infer(self) -> str:
        return f"{self.address}/v2/models/fraud/infer"

    def ready(self) -> bool:
        """Whether it says so; it must not have ended."""
        assert self.process.poll() is None, self.process.communicate()[0]
        try:
            return httpx.get(f"{self.address}/readyz", verify=self.authority or True).status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """End it and its workers at once."""
        for child in psutil.Process(self.process.pid).children(recursive=True) if self.process.poll() is None else []:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def started(home: Settings, *arguments: str, command: Sequence[str] = COMMAND, port: int | None = None) -> Running:
    """A server of a home, which is not yet waited for, at a port or a free one."""
    port, grpc_port = port or free_port(), free_port()
    outside = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    if home.online_store_url is not None:
        outside["EVERGREEN_ONLINE_STORE"] = home.online_store_url.reveal()
    checkout = {"PYTHONPATH": str(ROOT)} if command is COMMAND else {}
    process = subprocess.Popen(
        [*command, "serve", "--port", str(port), "--grpc-port", str(grpc_port), *arguments], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=home.home.parent,
        env={**outside, **checkout, "EVERGREEN_HOME": str(home.home)},
    )  # fmt: skip
    return Running(process, port, grpc_port, home)


@dataclass
class Asking:
    """Requests that go on until they are told to end: what was answered, and what failed."""

    address: str
    body: Callable[[], object] = lambda: BODY
    """Makes what is sent."""
    versions: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.ended.is_set():
            try:
                answer = httpx.post(self.address, json=self.body(), timeout=PATIENCE)
                self.versions.append(answer.raise_for_status().json()["model_version"])
            except httpx.HTTPError as error:
                self.failures.append(repr(error))


def workers_of(server: Running) -> list[psutil.Process]:
    """The workers of a server of several, but for those that are ending just now."""
    workers = []
    for each in psutil.Process(server.process.pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if "spawn_main" in str(each.cmdline()):
                workers.append(each)
    return workers


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something has come about."""
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.05)
