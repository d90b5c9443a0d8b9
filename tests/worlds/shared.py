"""What the parallel workers of one test session build or start once: homes and servers, under a file lock."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

STARTED: list[object] = []
"""Processes that this worker started; a handle that is dropped while its process runs is a warning."""


def session_folder(factory: pytest.TempPathFactory, name: str) -> Path:
    """The folder of this name that all workers of this session see."""
    own = factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / name
    folder.mkdir(exist_ok=True)
    return folder


def built_once(folder: Path, build: Callable[[Path], None]) -> Path:
    """The folder `built`, which whoever needs it first builds; the others wait. Copy it before changing it."""
    built = folder / "built"
    with FileLock(folder / "lock"):
        if not (folder / "ready").exists():
            built.mkdir()
            build(built)
            (folder / "ready").touch()
    return built


@dataclass(frozen=True)
class Server:
    """A process that answers at `url`; it lives as long as the worker that started it, or until it is stopped."""

    url: str
    pid: int
    folder: str


@contextlib.contextmanager
def one_server(folder: Path, start: Callable[[], Server], stop: Callable[[Server], None]) -> Iterator[str]:
    """URL of a server that the first worker starts and the last one stops."""
    record = folder / "server.json"
    with FileLock(folder / "lock"):
        users, about = json.loads(record.read_text()) if record.exists() else (0, {})
        server = Server(**about) if users else start()
        record.write_text(json.dumps([users + 1, vars(server)]))
    try:
        yield server.url
    finally:
        with FileLock(folder / "lock"):
            users, about = json.loads(record.read_text())
            record.write_text(json.dumps([users - 1, about]))
            if users == 1:
                stop(server)
