"""A real Redis server of a test, which it may kill and start again, on loopback and without persistence."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from redis import Redis

from jobs.loopback import free_port
from jobs.secret import Url
from jobs.settings import Settings


class RedisServer:
    """A server; starts with the block, and ends with it."""

    def __init__(self, folder: Path | None = None) -> None:
        """folder: where each command is kept before it is answered; None: a death loses everything."""
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, empty or with what it kept."""
        binary = shutil.which("redis-server")
        assert binary, "redis-server is missing: apt-get install redis-server"
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        if self._folder is not None:
            self._folder.mkdir(exist_ok=True)
            options += ["--appendonly", "yes", "--appendfsync", "always", "--dir", str(self._folder)]
        self._process = subprocess.Popen([binary, *options], stdout=subprocess.DEVNULL)
        while not self._answers():
            assert self._process.poll() is None, "Redis did not start"
            time.sleep(0.02)

    def kill(self) -> None:
        """End it at once; what it held is gone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def empty_home(folder: Path, store: str | None) -> Settings:
    """A home whose log of decisions is empty. store: the address of a Redis, which is flushed; None: it is a file."""
    if store is None:
        return Settings(home=folder)
    client = Redis.from_url(store)
    client.flushall()
    client.close()
    return Settings(home=folder, online_store_url=Url(store))
