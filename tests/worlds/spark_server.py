"""A real Apache Spark of a test, which it may kill and start again at the same address."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Self

import psutil
from worlds.kafka_server import CACHE

from jobs.java_servers.process import Running
from jobs.lakehouse import spark_server
from jobs.loopback import HOST, free_port
from jobs.settings import ROOT

SESSION_SECONDS = 20
"""As long it waits for a client before it ends a session."""
OPTIONS = spark_server.QUICK_TO_WARM | {
    "spark.connect.session.manager.defaultSessionTimeout": f"{SESSION_SECONDS}s",
    "spark.connect.session.manager.maintenanceInterval": "1s",
}


class SparkServer:
    """Starts with the block, and ends with it."""

    def __init__(self, folder: Path) -> None:
        """folder: holds warehouse and log."""
        self._folder, self._port = folder, free_port()
        self.url = f"sc://{HOST}:{self._port}"
        self._running: Running | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._running is not None:
            self._running.stop()

    def start(self) -> None:
        """Start it at the same address."""
        prepared = spark_server.prepare(CACHE, ROOT / "requirements.lock")
        self._running = spark_server.start(
            prepared, self._port, self._folder / "warehouse", self._folder / "log", OPTIONS
        )

    def kill(self) -> None:
        """End it at once, with its Python workers."""
        assert self._running is not None
        os.killpg(self._running.pid, signal.SIGKILL)
        self._running.process.wait()

    def kill_worker(self, chance: Random) -> None:
        """End one of its Python processes at once, as soon as there is one."""
        assert self._running is not None
        while True:
            # One that is told of may have ended by itself meanwhile.
            with contextlib.suppress(psutil.NoSuchProcess, IndexError):
                children = psutil.Process(self._running.pid).children(recursive=True)
                chance.choice([child for child in children if "python" in child.name()]).kill()
                return
            time.sleep(0.05)
