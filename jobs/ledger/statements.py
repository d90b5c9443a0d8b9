"""Single statements on the ledger's database, for what must start fast: SQLite needs no SQLAlchemy.

Python's own driver is enough there, and SQLAlchemy takes longer to import than a pin to write.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from jobs.settings import Settings

TABLES = (
    "create table if not exists pins (table_name text not null, version integer not null, pinned_by text not null,"
    " primary key (table_name, version, pinned_by))"
)


def execute(settings: Settings, sql: str, parameters: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """Run one statement (`:name` for parameters) for each of `parameters`, in one transaction; the rows it returned."""
    if settings.ledger_url:
        return _in_server(settings, sql, parameters)
    settings.home.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(settings.home / "ledger.sqlite", timeout=30)) as connection, connection:
        connection.execute(TABLES)
        return [row for values in parameters for row in connection.execute(sql, values)]


def _in_server(settings: Settings, sql: str, parameters: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    import sqlalchemy as sa

    from jobs.ledger import database

    def run(connection: sa.Connection) -> list[tuple[Any, ...]]:
        results = [connection.execute(sa.text(sql), values) for values in parameters]
        return [tuple(row) for result in results if result.returns_rows for row in result]

    return database.repeated(settings, run)


def has_decisions(settings: Settings) -> bool:
    """Whether the table of decisions is there: SQLite's is made with the first decision, a server's at once."""
    query = "select count(*) from sqlite_master where name = 'decisions'"
    return bool(settings.ledger_url) or execute(settings, query, [{}]) == [(1,)]
