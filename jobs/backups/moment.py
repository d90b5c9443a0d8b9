"""What changes in a home, taken at one moment while a run may write: state files, databases, versions of tables.

Nothing is locked: what was read counts if nothing had changed when all of it was read; otherwise it is read again.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs import unfinished
from jobs.backups.archive import BackupError
from jobs.lakehouse import table_log
from jobs.settings import Settings

DECISIVE = ("ledger.sqlite", "tracking/mlflow.db")
"""Databases of a home that have to fit its tables. The others are written from them, and are written again."""
PATIENCE_SECONDS = 120.0
PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class Moment:
    """State files (name in the home -> content and time of change in ns), copies of databases, versions of tables."""

    state: dict[str, tuple[bytes, int]]
    databases: dict[str, Path]
    versions: dict[str, int]


def taken(settings: Settings, scratch: Path, patience: float = PATIENCE_SECONDS) -> Moment:
    """The home at one moment; copies of databases lie in `scratch`.

    Raises BackupError if the home changed all the time for `patience` seconds.
    """
    end = time.monotonic() + patience
    while True:
        with _watched(settings) as marks:
            before = marks()
            moment = _read(settings, scratch)
            if marks() == before:
                return moment
        if time.monotonic() > end:
            raise BackupError(
                f"{settings.home}: expected a moment without changes within {patience:.0f} s, found none; run it "
                "again when the run has ended"
            )
        time.sleep(PAUSE_SECONDS)


def copy_database(source: Path, target: Path) -> None:
    """Copy an SQLite database as its last transaction left it, by SQLite's own backup."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    with closing(_connect(source)) as read, closing(sqlite3.connect(target)) as written:
        read.backup(written)
    target.chmod(source.stat().st_mode & 0o777)


@contextlib.contextmanager
def _watched(settings: Settings) -> Iterator[Any]:
    """A function whose answer differs from its last one if anything was committed or replaced in between."""
    with ExitStack() as stack:
        open_ones = {name: stack.enter_context(closing(_connect(path))) for name, path in _databases(settings)}

        def marks() -> tuple[Any, ...]:
            # SQLite's number of commits by others, as this connection sees it ("PRAGMA data_version").
            commits = [
                (name, database.execute("pragma data_version").fetchone()) for name, database in open_ones.items()
            ]
            files = {name: _stamp(path) for name, path in _state_files(settings)}
            return commits, [name for name, _ in _databases(settings)], files, _versions(settings)

        yield marks


def _read(settings: Settings, scratch: Path) -> Moment:
    state: dict[str, tuple[bytes, int]] = {}
    for name, path in _state_files(settings):
        with contextlib.suppress(FileNotFoundError):
            state[name] = path.read_bytes(), path.stat().st_mtime_ns
    databases = {name: scratch / name for name, _ in _databases(settings)}
    for name, copy in databases.items():
        copy_database(settings.home / name, copy)
    return Moment(state, databases, _versions(settings))


def _versions(settings: Settings) -> dict[str, int]:
    """Table -> its newest version, of the tables that lie in the home."""
    if settings.warehouse_url is not None:
        return {}
    warehouse = settings.warehouse
    names = table_log.find_tables(warehouse)
    return {name: table_log.newest(f"{warehouse}/{name.replace('.', '/')}") for name in names}


def _databases(settings: Settings) -> list[tuple[str, Path]]:
    return [(name, settings.home / name) for name in DECISIVE if (settings.home / name).exists()]


def _state_files(settings: Settings) -> list[tuple[str, Path]]:
    files = sorted(path for path in settings.state.rglob("*") if path.is_file() and not unfinished.is_one(path.name))
    return [(str(path.relative_to(settings.home)), path) for path in files]


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        about = os.stat(path)
    except FileNotFoundError:
        return None
    return about.st_ino, about.st_size, about.st_mtime_ns


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=30)
