"""Single statements on the ledger's database, for what must start fast: SQLite needs no SQLAlchemy.

Python's own driver is enough there, and SQLAlchemy takes longer to import than a pin to write.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from jobs.error_messages import in_words
from jobs.errors import EvergreenError
from jobs.secret import Url
from jobs.settings import Settings

TABLES = (
    "create table if not exists pins (table_name text not null, version integer not null, pinned_by text not null,"
    " primary key (table_name, version, pinned_by))",
    "create table if not exists admin_actions (id integer not null primary key, acted_at varchar(32) not null,"
    ' "by" text not null, action text not null, subject text not null, origin text not null)',
)


class LedgerUnreachable(EvergreenError, RuntimeError):
    """The ledger's database does not answer, or is none; nothing was decided."""


def url(settings: Settings) -> Url:
    """The database of the ledger."""
    return settings.ledger_url or Url(f"sqlite:///{settings.home / 'ledger.sqlite'}")


def unreachable(settings: Settings, reason: str) -> LedgerUnreachable:
    """The error that names the database and what was found instead."""
    advice = "start it, or correct EVERGREEN_LEDGER" if settings.ledger_url else "free it, or restore it from a backup"
    return LedgerUnreachable(f"ledger: expected a database that answers at {url(settings)}, found {reason}; {advice}")


def execute(settings: Settings, sql: str, parameters: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """Run one statement (`:name` for parameters) for each of `parameters`, in one transaction; the rows it returned."""
    if settings.ledger_url:
        return _in_server(settings, sql, parameters)
    settings.home.mkdir(parents=True, exist_ok=True)
    try:
        with closing(sqlite3.connect(settings.home / "ledger.sqlite", timeout=30)) as connection, connection:
            for table in TABLES:
                connection.execute(table)
            return [row for values in parameters for row in connection.execute(sql, values)]
    except sqlite3.DatabaseError as error:
        raise unreachable(settings, in_words(error)) from error


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
