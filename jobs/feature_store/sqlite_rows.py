"""Tables of Feast's SQLite store, made so that rows of an entity are side by side, and guarded writes of rows.

A second table per feature view holds the times of each entity's row. Feast reads its columns as it reads its own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from feast.infra.online_stores.sqlite import _quote_id

from jobs.feature_store.online_rows import EARLIEST, OnlineRow

_KEYS_PER_QUERY = 500
_FEATURES_PER_ROW = 500
"""Features that one statement writes, far below what SQLite takes in one."""
_COLUMNS = "entity_key, feature_name, value, event_ts, created_ts"


def create(connection: sqlite3.Connection, name: str) -> None:
    """Let the tables of a view be there; one that Feast made, or an earlier version, is made anew with its rows."""
    made = connection.execute("select sql from sqlite_master where type = 'table' and name = ?", (name,)).fetchone()
    if made is None:
        _create(connection, name)
    elif "without rowid" not in made[0]:
        connection.execute("begin immediate")
        with connection:
            before = f"{name}__before"
            connection.execute(f"alter table {_quote_id(name)} rename to {_quote_id(before)}")
            _create(connection, name)
            rows = f"select {_COLUMNS} from {_quote_id(before)}"
            connection.execute(f"insert into {_quote_id(name)} ({_COLUMNS}) {rows}")
            connection.execute(f"drop table {_quote_id(before)}")


def drop(connection: sqlite3.Connection, name: str) -> None:
    """Remove the tables of a view."""
    for table in (_quote_id(name), _guard(name)):
        connection.execute(f"drop table if exists {table}")


def apply(
    connection: sqlite3.Connection, name: str, features: Sequence[str], newest: Mapping[bytes, OnlineRow]
) -> None:
    """Write the rows of one view, by entity, that are not older than those that are there."""
    stored = _stored_times(connection, name, list(newest))
    # Sorted, as the table is: neighbours are on one page.
    applied = [
        (entity, row) for entity, row in sorted(newest.items()) if entity not in stored or row.times >= stored[entity]
    ]
    for start in range(0, len(features), _FEATURES_PER_ROW):
        end = start + _FEATURES_PER_ROW
        connection.executemany(
            _statement(name, features[start:end]),
            ((entity, _seconds(row.event), _seconds(row.created), *row.values[start:end]) for entity, row in applied),
        )
    times = ((entity, *row.times) for entity, row in applied)
    connection.executemany(f"insert or replace into {_guard(name)} values (?, ?, ?)", times)


def _create(connection: sqlite3.Connection, name: str) -> None:
    columns = "entity_key blob, feature_name text, value blob, value_text text, vector_value blob"
    times, key = "event_ts timestamp, created_ts timestamp", "primary key (entity_key, feature_name)"
    connection.execute(f"create table if not exists {_quote_id(name)} ({columns}, {times}, {key}) without rowid")
    connection.execute(
        f"create table if not exists {_guard(name)} "
        "(entity_key blob primary key, event_us integer, created_us integer) without rowid"
    )


def _statement(name: str, features: Sequence[str]) -> str:
    """What writes all features of an entity; each value costs a third of what it does in a statement of its own."""
    values = ", ".join(f"(?1, {_text(feature)}, ?{place}, ?2, ?3)" for place, feature in enumerate(features, 4))
    return (
        f"insert into {_quote_id(name)} ({_COLUMNS}) values {values} on conflict (entity_key, feature_name) do update "
        "set value = excluded.value, value_text = null, event_ts = excluded.event_ts, created_ts = excluded.created_ts"
    )


def _text(feature: str) -> str:
    return "'" + feature.replace("'", "''") + "'"


def _seconds(moment: int) -> int | None:
    """A time as Feast's own adapter stores it, seconds of the naive time in UTC as if it were local; None: unknown."""
    if moment == EARLIEST:
        return None
    return int(datetime.fromtimestamp(moment // 1_000_000, UTC).replace(tzinfo=None).timestamp())


def _guard(name: str) -> str:
    return str(_quote_id(f"{name}__written"))


def _stored_times(connection: sqlite3.Connection, name: str, entities: list[bytes]) -> dict[bytes, tuple[int, int]]:
    stored: dict[bytes, tuple[int, int]] = {}
    for start in range(0, len(entities), _KEYS_PER_QUERY):
        some = entities[start : start + _KEYS_PER_QUERY]
        marks = ",".join("?" * len(some))
        rows = connection.execute(f"select * from {_guard(name)} where entity_key in ({marks})", some)
        stored |= {entity: (event, created) for entity, event, created in rows}
    return stored
