"""Nightly predictions as a table of a database that people can query: SQLite, or PostgreSQL by URL.

A day is one transaction: its rows are deleted and written anew, together with what they were copied from, so that a
day that is there already is skipped. Rows stream from the prediction log; only a batch is ever in memory.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import date
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.compute as pc

from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.scoring import prediction_log
from jobs.scoring.prediction_log import NIGHTLY
from jobs.settings import Settings
from jobs.use_case import UseCase

if TYPE_CHECKING:
    import psycopg

COLUMNS = (PARTITION, "scored_at", "score", "decision", "model_version")
BATCH_ROWS = 20_000


class PredictionsUnreachable(RuntimeError):
    """The database of predictions cannot be reached or written."""


class Database(Protocol):
    """What publishing needs of a database; each call of `replace` is one transaction."""

    def prepare(self, table: str, schema: pa.Schema, key: str, indexed: Sequence[str]) -> None:
        """Make the table and the record of days, if they are not there."""

    def published(self, table: str) -> dict[str, str]:
        """Day -> what it was copied from."""

    def replace(self, table: str, day: date, source: str, batches: Iterator[pa.RecordBatch]) -> int:
        """Put the rows of `batches` in the place of the day's; returns how many."""


def table_name(use_case: UseCase) -> str:
    return f"{use_case.name}_predictions"


def publish(lakehouse: Lakehouse, use_case: UseCase, days: Sequence[date]) -> dict[date, int]:
    """Bring these days of the database to what the log's nightly rows say; returns the rows of days that were written.

    Raises PredictionsUnreachable if the database cannot be used; days before the failing one are published.
    """
    log, table = prediction_log.table(use_case), table_name(use_case)
    if not lakehouse.exists(log):
        return {}
    with lakehouse.lock(f"publish.{table}"):
        version, columns = lakehouse.version(log), [*prediction_log.event_columns(use_case), *COLUMNS]
        schema = pa.schema([lakehouse.schema(log, version).field(name) for name in columns])
        sources = _sources(lakehouse, log, version)
        with database(lakehouse.settings) as target:
            target.prepare(table, schema, use_case.event_id, use_case.entities)
            there = target.published(table)
            due = [day for day in days if there.get(day.isoformat(), "") != sources.get(day, "")]
            rows = (_rows(lakehouse, log, version, columns, day) for day in due)
            return {
                day: target.replace(table, day, sources.get(day, ""), batches)
                for day, batches in zip(due, rows, strict=True)
            }


def _sources(lakehouse: Lakehouse, log: str, version: int | None) -> dict[date, str]:
    """Day -> a hash of the files that hold it."""
    actions = pa.table(lakehouse.delta(log, version).get_add_actions(flatten=True))
    files: dict[date, list[str]] = {}
    for day, path in zip(actions[f"partition.{PARTITION}"].to_pylist(), actions["path"].to_pylist(), strict=True):
        files.setdefault(day, []).append(path)
    return {day: hashlib.sha256("\n".join(sorted(paths)).encode()).hexdigest() for day, paths in files.items()}


def _rows(
    lakehouse: Lakehouse, log: str, version: int | None, columns: Sequence[str], day: date
) -> Iterator[pa.RecordBatch]:
    nightly = (pc.field(PARTITION) == pa.scalar(day)) & (pc.field("origin") == NIGHTLY)
    dataset = lakehouse.delta(log, version).to_pyarrow_dataset()
    # Read no further ahead than the database writes.
    scan = dataset.scanner(
        columns=list(columns), filter=nightly, batch_size=BATCH_ROWS, batch_readahead=2, fragment_readahead=1
    )
    return (batch for batch in scan.to_batches() if batch.num_rows)


@contextmanager
def database(settings: Settings) -> Iterator[Database]:
    """The database of a home, open. Raises PredictionsUnreachable, which names no password."""
    url = settings.predictions_url
    if url is None:
        settings.serving.mkdir(parents=True, exist_ok=True)
        file = settings.serving / "predictions.sqlite"
        try:
            with closing(sqlite3.connect(file, timeout=60, isolation_level=None)) as connection:
                yield _SQLite(connection)
        except sqlite3.Error as error:
            raise PredictionsUnreachable(
                f"{file}: expected a database that can be written, found {error}; free it, make room or move it away"
            ) from error
        return
    import psycopg

    parts = urlsplit(url)
    if parts.scheme not in ("postgresql", "postgres"):
        raise PredictionsUnreachable(
            f"EVERGREEN_PREDICTIONS: expected postgresql://user@host/database, found {parts.scheme!r}; correct it, or "
            "unset it for the SQLite database of this home"
        )
    where = f"{parts.hostname}:{parts.port or 5432}{parts.path}"
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=10) as server:
            yield _PostgreSQL(server)
    except psycopg.Error as error:
        raise PredictionsUnreachable(
            f"EVERGREEN_PREDICTIONS ({where}): expected a PostgreSQL database that can be written, found "
            f"{str(error).strip()}; start it, grant what is missing, or unset it for the SQLite database of this home"
        ) from error


def _sql(schema: pa.Schema, types: Mapping[str, str]) -> str:
    """Column definitions; `types` by family of Arrow types."""

    def family(kind: pa.DataType) -> str:
        tests: dict[str, Callable[[pa.DataType], bool]] = {
            "boolean": pa.types.is_boolean, "integer": pa.types.is_integer, "float32": pa.types.is_float32,
            "float": pa.types.is_floating, "date": pa.types.is_date, "timestamp": pa.types.is_timestamp,
        }  # fmt: skip
        return next((name for name, test in tests.items() if test(kind)), "text")

    return ", ".join(f'"{field.name}" {types[family(field.type)]}' for field in schema)


class _SQLite:
    types: Mapping[str, str] = {
        "boolean": "integer", "integer": "integer", "float32": "real", "float": "real", "date": "text",
        "timestamp": "text", "text": "text",
    }  # fmt: skip

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        # Who reads does not wait for who writes.
        connection.execute("pragma journal_mode = wal")

    def prepare(self, table: str, schema: pa.Schema, key: str, indexed: Sequence[str]) -> None:
        _prepare(self._connection.execute, table, _sql(schema, self.types), key, indexed)

    def published(self, table: str) -> dict[str, str]:
        return dict(self._connection.execute(f'select day, source from "{table}_days"'))

    def replace(self, table: str, day: date, source: str, batches: Iterator[pa.RecordBatch]) -> int:
        rows, name = 0, day.isoformat()
        self._connection.execute("begin immediate")
        try:
            self._connection.execute(f'delete from "{table}" where {PARTITION} = ?', (name,))
            for batch in batches:
                marks = ", ".join("?" * batch.num_columns)
                columns = [_texts(column).to_pylist() for column in batch.columns]
                self._connection.executemany(f'insert into "{table}" values ({marks})', zip(*columns, strict=True))
                rows += batch.num_rows
            self._connection.execute(f'insert or replace into "{table}_days" values (?, ?, ?)', (name, source, rows))
            self._connection.execute("commit")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("rollback")
            raise
        return rows


def _texts(column: pa.Array) -> pa.Array:
    """Dates and times as SQLite's own functions read them."""
    if pa.types.is_timestamp(column.type):
        return pc.strftime(column.cast(pa.timestamp("us", "UTC")), "%Y-%m-%d %H:%M:%S+00:00")
    return column.cast(pa.string()) if pa.types.is_date(column.type) else column


class _PostgreSQL:
    types: Mapping[str, str] = {
        "boolean": "boolean", "integer": "bigint", "float32": "real", "float": "double precision", "date": "date",
        "timestamp": "timestamptz", "text": "text",
    }  # fmt: skip

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def prepare(self, table: str, schema: pa.Schema, key: str, indexed: Sequence[str]) -> None:
        with self._connection.transaction():
            # Two that create a table at once fail, even "if not exists".
            self._connection.execute("select pg_advisory_xact_lock(hashtext(%s))", (table,))
            _prepare(self._execute, table, _sql(schema, self.types), key, indexed)

    def _execute(self, statement: str) -> object:
        return self._connection.execute(statement.encode())

    def published(self, table: str) -> dict[str, str]:
        return dict(self._connection.execute(f'select day, source from "{table}_days"'.encode()).fetchall())

    def replace(self, table: str, day: date, source: str, batches: Iterator[pa.RecordBatch]) -> int:
        from pyarrow import csv

        rows, options = 0, csv.WriteOptions(include_header=False)
        with self._connection.transaction(), self._connection.cursor() as cursor:
            # One writer at a time; readers go on.
            cursor.execute(f'lock table "{table}" in share row exclusive mode'.encode())
            cursor.execute(f'delete from "{table}" where {PARTITION} = %s'.encode(), (day,))
            with cursor.copy(f'copy "{table}" from stdin with (format csv)'.encode()) as copy:
                for batch in batches:
                    buffer = io.BytesIO()
                    csv.write_csv(batch, buffer, options)
                    copy.write(buffer.getvalue())
                    rows += batch.num_rows
            upsert = (
                f'insert into "{table}_days" values (%s, %s, %s) on conflict (day) do update set '
                "source = excluded.source, rows = excluded.rows"
            )
            cursor.execute(upsert.encode(), (day.isoformat(), source, rows))
        return rows


def _prepare(execute: Callable[[str], object], table: str, columns: str, key: str, indexed: Sequence[str]) -> None:
    execute(f'create table if not exists "{table}" ({columns}, primary key ({PARTITION}, "{key}"))')
    for name in indexed:
        execute(f'create index if not exists "{table}_{name}" on "{table}" ("{name}", {PARTITION})')
    execute(f'create table if not exists "{table}_days" (day text primary key, source text, rows bigint)')
