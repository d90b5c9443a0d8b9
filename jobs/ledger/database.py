"""Transactions on the ledger's database, SQLite or PostgreSQL. Its tables: see `jobs.ledger.schema`.

Importing this module imports SQLAlchemy: code that must start fast imports it late.
"""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import NullPool

from jobs.error_messages import recognised
from jobs.errors import Invalid
from jobs.ledger.schema import METADATA
from jobs.ledger.statements import LedgerUnreachable as LedgerUnreachable
from jobs.ledger.statements import unreachable, url
from jobs.secret import Url
from jobs.settings import Settings

Result = TypeVar("Result")
ATTEMPTS = 20
"""Of a transaction that the database gives up because another one changed what it had read."""
GIVEN_UP = ("40001", "40P01")
"""PostgreSQL's codes of a serialization failure and of a deadlock."""
CONNECT_SECONDS = 10
CREATION = 0x45564552
"""Number of the advisory lock under which PostgreSQL's tables are made ("EVER")."""


@contextmanager
def transaction(settings: Settings) -> Iterator[sa.Connection]:
    """A serializable transaction: committed at the end, rolled back at an exception, whole or not at all.

    Raises LedgerUnreachable if the database does not do what a ledger's does.
    """
    with _reached(settings), _connected(settings) as connection, connection.begin():
        yield connection


@contextmanager
def _reached(settings: Settings) -> Iterator[None]:
    """Turns errors of a driver, which say what the database or its file is, into LedgerUnreachable."""
    try:
        yield
    except DBAPIError as error:
        if isinstance(error, IntegrityError) or (reason := recognised(error.orig)) is None:
            raise
        raise unreachable(settings, reason) from error


def _connected(settings: Settings) -> sa.Connection:
    if not settings.ledger_url:
        settings.home.mkdir(parents=True, exist_ok=True)
    engine = _engine(url(settings))
    if engine.dialect.name == "sqlite":
        _create(engine)  # a home may have been deleted since
    return engine.connect()


def repeated(settings: Settings, work: Callable[[sa.Connection], Result]) -> Result:
    """What `work` returns in a transaction; tried again from its start if another transaction got in its way."""
    with _reached(settings):
        return _repeated(settings, work)


def _repeated(settings: Settings, work: Callable[[sa.Connection], Result]) -> Result:
    for attempt in range(ATTEMPTS):
        try:
            with _connected(settings) as connection, connection.begin():
                return work(connection)
        except DBAPIError as error:
            given_up = getattr(error.orig, "sqlstate", None) in GIVEN_UP
            if attempt == ATTEMPTS - 1 or not (given_up or isinstance(error, IntegrityError)):
                raise
            time.sleep(random.random() * 0.05)
    raise AssertionError("unreachable")


def record_once(settings: Settings, key: sa.Column[Any], values: Mapping[str, Any]) -> sa.Row[Any] | None:
    """Insert a row into the table of `key`, unless one with the same value of `key` is there; returns that one."""
    table = key.table

    def insert(connection: sa.Connection) -> sa.Row[Any] | None:
        earlier = connection.execute(table.select().where(key == values[key.key])).first()
        if earlier is None:
            connection.execute(table.insert().values(values))
        return earlier

    return repeated(settings, insert)


@lru_cache
def _engine(url: Url) -> sa.Engine:
    """An engine that opens a connection per transaction: nothing is shared after a fork, nothing is left open."""
    scheme = url.parts.scheme
    if scheme == "sqlite":
        engine = sa.create_engine(url.reveal(), poolclass=NullPool, connect_args={"timeout": 30})
        # Python's driver begins a transaction at the first write, after what was read before it may have changed.
        sa.event.listen(engine, "connect", _by_hand)
        sa.event.listen(engine, "begin", _begin)
        return engine
    if scheme.split("+")[0] not in ("postgresql", "postgres"):
        raise Invalid(f"EVERGREEN_LEDGER: expected postgresql://user@host/database, found {scheme}://...")
    engine = sa.create_engine(
        url.with_scheme("postgresql+psycopg").reveal(),
        poolclass=NullPool,
        isolation_level="SERIALIZABLE",
        connect_args={"connect_timeout": CONNECT_SECONDS},
    )
    _create(engine)
    return engine


def _by_hand(connection: Any, record: Any) -> None:
    connection.isolation_level = None


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("begin immediate")


def _create(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        present = set(sa.inspect(connection).get_table_names())
    if set(METADATA.tables) <= present:
        return
    if engine.dialect.name == "postgresql":
        # A process that waited for the lock must see what its holder made.
        engine = engine.execution_options(isolation_level="READ COMMITTED")
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text("select pg_advisory_xact_lock(:number)"), {"number": CREATION})
        METADATA.create_all(connection)
