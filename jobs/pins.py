"""Pinned table versions: what a recorded training set (later a model) was built from, and maintenance must keep."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

from jobs.settings import Settings


@contextmanager
def _database(settings: Settings) -> Iterator[sqlite3.Connection]:
    settings.home.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(settings.home / "ledger.sqlite", timeout=30)) as connection, connection:
        connection.execute(
            "create table if not exists pins (table_name text, version integer, pinned_by text,"
            " primary key (table_name, version, pinned_by))"
        )
        yield connection


def pin(settings: Settings, versions: Mapping[str, int], by: str) -> None:
    """Keep these versions readable for ever, or until `unpin`; idempotent."""
    rows = [(table, version, by) for table, version in versions.items()]
    with _database(settings) as database:
        database.executemany("insert or ignore into pins values (?, ?, ?)", rows)


def unpin(settings: Settings, by: str) -> None:
    """Give up every version pinned by `by`."""
    with _database(settings) as database:
        database.execute("delete from pins where pinned_by = ?", (by,))


def pinned(settings: Settings, table: str) -> list[int]:
    """Pinned versions of a table, ascending."""
    with _database(settings) as database:
        rows = database.execute("select distinct version from pins where table_name = ? order by 1", (table,))
        return [version for (version,) in rows]
