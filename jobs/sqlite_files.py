"""SQLite databases that a library makes in many steps: made whole or not at all.

A process that is killed between two steps of a schema leaves a database that the library never makes good.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from jobs import unfinished
from jobs.state_files import file_lock

BESIDE = ("-wal", "-shm", "-journal")
"""Ends of the names of files that SQLite keeps beside a database."""


def make_whole(file: Path, lock: Path, make: Callable[[Path], object], last_table: str) -> None:
    """Have `make` write a database elsewhere and put it in the place of `file`, unless that is there and finished.

    A finished one has a row in `last_table`, the table that `make` fills last. One that cannot be read is left alone.
    """
    if _is_finished(file, last_table):
        return
    with file_lock(lock):
        if _is_finished(file, last_table):
            return
        unfinished.sweep(file.parent)
        with unfinished.folder_beside(file) as scratch:
            made = scratch / file.name
            make(made)
            for suffix in BESIDE:  # of an unfinished one: SQLite would take them for parts of the new one
                file.with_name(file.name + suffix).unlink(missing_ok=True)
            made.replace(file)


def _is_finished(file: Path, last_table: str) -> bool:
    if not file.exists():
        return False
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, timeout=30)) as connection:
            return connection.execute(f"select 1 from {last_table} limit 1").fetchone() is not None
    except sqlite3.Error as error:
        return getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_ERROR  # which is: no such table
