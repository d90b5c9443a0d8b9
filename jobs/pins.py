"""Pinned table versions: what a recorded training set (later a model) was built from, and maintenance must keep.

They live in the ledger's database. With SQLite, Python's own driver is enough: SQLAlchemy takes longer to import than a
pin to write.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from jobs.settings import Settings

TABLE = (
    "create table if not exists pins (table_name text not null, version integer not null, pinned_by text not null,"
    " primary key (table_name, version, pinned_by))"
)


def pin(settings: Settings, versions: Mapping[str, int], by: str) -> None:
    """Keep these versions readable for ever, or until `unpin`; idempotent."""
    rows = [{"name": table, "version": version, "by": by} for table, version in versions.items()]
    _execute(settings, "insert into pins values (:name, :version, :by) on conflict do nothing", rows)


def unpin(settings: Settings, by: str) -> None:
    """Give up every version pinned by `by`."""
    _execute(settings, "delete from pins where pinned_by = :by", [{"by": by}])


def pinned(settings: Settings, table: str) -> list[int]:
    """Pinned versions of a table, ascending."""
    query = "select distinct version from pins where table_name = :name order by 1"
    return [version for (version,) in _execute(settings, query, [{"name": table}])]


def _execute(settings: Settings, sql: str, parameters: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """Run one statement for each of `parameters`, in one transaction; the rows it returned."""
    if settings.ledger_url:
        return _in_ledger(settings, sql, parameters)
    settings.home.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(settings.home / "ledger.sqlite", timeout=30)) as connection, connection:
        connection.execute(TABLE)
        return [row for values in parameters for row in connection.execute(sql, values)]


def _in_ledger(settings: Settings, sql: str, parameters: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    import sqlalchemy as sa

    from jobs import ledger_tables

    def run(connection: sa.Connection) -> list[tuple[Any, ...]]:
        results = [connection.execute(sa.text(sql), values) for values in parameters]
        return [tuple(row) for result in results if result.returns_rows for row in result]

    return ledger_tables.repeated(settings, run)
