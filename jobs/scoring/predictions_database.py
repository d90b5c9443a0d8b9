"""The database of published predictions: SQLite, or PostgreSQL by URL. A day of rows is replaced in one transaction.

Which rows are published is decided in `jobs.scoring.publish`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
from adbc_driver_manager import dbapi

from jobs.error_messages import in_words
from jobs.errors import EvergreenError
from jobs.lakehouse.tables import PARTITION
from jobs.secret import Url
from jobs.settings import Settings


class PredictionsUnreachable(EvergreenError, RuntimeError):
    """The database of predictions cannot be reached or written."""


def _as_text(times: pa.Array) -> pa.Array:
    """Times as SQLite's own functions read them."""
    naive = times.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))
    return pc.binary_join_element_wise(naive.cast(pa.string()), "+00:00", "")


@dataclass(frozen=True)
class Dialect:
    """Where databases differ."""

    types: Mapping[str, str]
    """Family of Arrow types (see `family`) -> type of a column."""
    times: Callable[[pa.Array], pa.Array]
    """Times in the form in which they are sent."""
    begin: str = "begin"
    one_creator: tuple[str, ...] = ()
    """Statements that let one transaction at a time create `{table}`."""
    one_writer: tuple[str, ...] = ()
    """Statements that let one transaction at a time write `{table}`, while readers go on."""


SENT = {
    "boolean": pa.bool_(), "integer": pa.int64(), "float32": pa.float32(), "float": pa.float64(), "date": pa.date32(),
    "text": pa.string(),
}  # fmt: skip
"""Family of Arrow types -> the type in which its values are sent."""

SQLITE = Dialect(
    types={
        "boolean": "integer", "integer": "integer", "float32": "real", "float": "real", "date": "text",
        "timestamp": "text", "text": "text",
    },
    times=_as_text,
    begin="begin immediate",
)  # fmt: skip
POSTGRESQL = Dialect(
    types={
        "boolean": "boolean", "integer": "bigint", "float32": "real", "float": "double precision", "date": "date",
        "timestamp": "timestamptz", "text": "text",
    },
    times=lambda times: times.cast(pa.timestamp("us", "UTC")),
    # Of two that create a table at once one fails, even with "if not exists".
    one_creator=("do $$ begin perform pg_advisory_xact_lock(hashtext('{table}')); end $$",),
    one_writer=('lock table "{table}" in share row exclusive mode',),
)  # fmt: skip


DAYS = 'create table if not exists "{table}_days" (day text primary key, source text, rows bigint)'
"""The record of the days of a table."""


def family(kind: pa.DataType) -> str:
    """The family of an Arrow type: all its types are one column type of a database."""
    tests: dict[str, Callable[[pa.DataType], bool]] = {
        "boolean": pa.types.is_boolean, "integer": pa.types.is_integer, "float32": pa.types.is_float32,
        "float": pa.types.is_floating, "date": pa.types.is_date, "timestamp": pa.types.is_timestamp,
    }  # fmt: skip
    return next((name for name, test in tests.items() if test(kind)), "text")


@dataclass(frozen=True)
class Database:
    """An open database of predictions."""

    connection: dbapi.Connection
    dialect: Dialect

    def prepare(self, table: str, schema: pa.Schema, key: str, indexed: Sequence[str]) -> None:
        """Create the table and the record of its days, unless they exist."""
        columns = ", ".join(f'"{field.name}" {self.dialect.types[family(field.type)]}' for field in schema)
        with self._transaction(table, self.dialect.one_creator) as cursor:
            cursor.execute(f'create table if not exists "{table}" ({columns}, primary key ({PARTITION}, "{key}"))')
            for name in indexed:
                cursor.execute(f'create index if not exists "{table}_{name}" on "{table}" ("{name}", {PARTITION})')
            cursor.execute(DAYS.format(table=table))

    def published(self, table: str) -> dict[str, str]:
        """Day -> what it was copied from."""
        with self.connection.cursor() as cursor:
            cursor.execute(f'select day, source from "{table}_days"')
            return dict(cursor.fetchall())

    def forget(self, table: str) -> None:
        """Empty the record of the table's days."""
        with self._transaction(table, ()) as cursor:
            cursor.execute(DAYS.format(table=table))
            cursor.execute(f'delete from "{table}_days"')

    def replace(self, table: str, day: date, source: str, batches: Iterator[pa.RecordBatch]) -> int:
        """Put the rows of `batches` in the place of the day's, in one transaction; returns how many."""
        rows = 0
        with self._transaction(table, self.dialect.one_writer) as cursor:
            cursor.execute(f"delete from \"{table}\" where {PARTITION} = '{day}'")
            for batch in batches:
                cursor.adbc_ingest(table, self._converted(batch), mode="append")
                rows += batch.num_rows
            cursor.execute(f"delete from \"{table}_days\" where day = '{day}'")
            record = pa.RecordBatch.from_pylist([{"day": day.isoformat(), "source": source, "rows": rows}])
            cursor.adbc_ingest(f"{table}_days", record, mode="append")
        return rows

    @contextmanager
    def _transaction(self, table: str, alone: Sequence[str]) -> Iterator[dbapi.Cursor]:
        with self.connection.cursor() as cursor:
            cursor.execute(self.dialect.begin)
            try:
                for statement in alone:
                    cursor.execute(statement.format(table=table))
                yield cursor
                cursor.execute("commit")
            except BaseException:
                with contextlib.suppress(dbapi.Error):
                    cursor.execute("rollback")
                raise

    def _converted(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        def sent(column: pa.Array) -> pa.Array:
            kind = family(column.type)
            return self.dialect.times(column) if kind == "timestamp" else column.cast(SENT[kind])

        return pa.RecordBatch.from_arrays([sent(column) for column in batch.columns], names=batch.schema.names)


@contextmanager
def database(settings: Settings) -> Iterator[Database]:
    """The database of a home, open. Raises PredictionsUnreachable, which names no password."""
    url = settings.predictions_url
    try:
        with closing(_sqlite(settings) if url is None else _postgresql(url)) as connection:
            yield Database(connection, SQLITE if url is None else POSTGRESQL)
    except dbapi.Error as error:
        raise PredictionsUnreachable(_unreachable(settings, in_words(error))) from error


def _sqlite(settings: Settings) -> dbapi.Connection:
    # No other SQLite library may open the file in this process, Python's own included: closing a file drops the locks
    # of all libraries (https://www.sqlite.org/howtocorrupt.html, 2.2.1).
    import adbc_driver_sqlite.dbapi as driver

    settings.serving.mkdir(parents=True, exist_ok=True)
    connection = driver.connect(settings.predictions, autocommit=True)
    try:
        with connection.cursor() as cursor:
            # A writer waits a minute for another one; readers do not wait for a writer.
            cursor.execute("pragma busy_timeout = 60000")
            cursor.execute("pragma journal_mode = wal")
            # 64 MB (2 by default): rows come in any order of entities, and pages of their indexes that do not fit are
            # written again and again.
            cursor.execute("pragma cache_size = -65536")
    except BaseException:
        connection.close()
        raise
    return connection


def _postgresql(url: Url) -> dbapi.Connection:
    import adbc_driver_postgresql.dbapi as driver

    if (scheme := url.parts.scheme) not in ("postgresql", "postgres"):
        raise PredictionsUnreachable(
            f"EVERGREEN_PREDICTIONS: expected postgresql://user@host/database, found {scheme!r}; correct it, or "
            "unset it for the SQLite database of this home"
        )
    patient = f"{url.reveal()}{'&' if url.parts.query else '?'}connect_timeout=10"
    connection: dbapi.Connection = driver.connect(patient, autocommit=True)
    return connection


def _unreachable(settings: Settings, reason: str) -> str:
    if settings.predictions_url is None:
        return (
            f"{settings.predictions}: expected a database that can be written, found {reason}; free it, make room, or, "
            "if it is damaged, write it anew by `evergreen repair predictions`"
        )
    return (
        f"EVERGREEN_PREDICTIONS ({settings.predictions_url}): expected a PostgreSQL database "
        f"that can be written, found {reason}; start it, grant what is missing, or unset it for the SQLite database of "
        "this home"
    )
