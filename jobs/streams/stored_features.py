"""What tables of streamed features say of themselves: of which declarations they are, and which events they have.

They are written by `jobs.streams.feature_tables`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import polars as pl
import pyarrow.compute as pc

from jobs.lakehouse import replacement
from jobs.lakehouse.file_statistics import ROUNDED
from jobs.lakehouse.tables import Lakehouse
from jobs.times import microseconds, moment_of
from jobs.use_case import UseCase

STAMP = "stamp"
"""The part of the state that says up to which stamp a table has all events."""
FINGERPRINT = "fingerprint"
"""The part that says of which declaration it is."""
MOMENT = "event_timestamp"
"""The column of an event's stamp."""


def declared(use_case: UseCase) -> list[str | None]:
    """What `fingerprints` are where all tables are as they are declared now."""
    return [windows.fingerprint for windows in use_case.windows]


def tables(lakehouse: Lakehouse, use_case: UseCase) -> list[str]:
    """Those of a use case that there are."""
    return [name for name in map(use_case.stream_table, use_case.windows) if lakehouse.exists(name)]


def fingerprints(lakehouse: Lakehouse, tables: Iterable[str]) -> list[str | None]:
    """Of which declaration each of some tables is, streamed or of the night; None: it is not there, or has no rows."""
    return [lakehouse.state(table).get(FINGERPRINT) for table in tables]


def are_of_others(lakehouse: Lakehouse, use_case: UseCase) -> bool:
    """Whether there are streamed features, but not as all declarations are now: one changed, or came."""
    there = fingerprints(lakehouse, map(use_case.stream_table, use_case.windows))
    return any(there) and there != declared(use_case)


def first_stamp(lakehouse: Lakehouse, use_case: UseCase) -> int:
    """The stamp of the first event that tables have, in microseconds since 1970; some table must be there."""
    moments: list[datetime] = [
        pc.min(lakehouse.to_arrow(table, columns=["created_timestamp"])["created_timestamp"]).as_py()
        for table in tables(lakehouse, use_case)
    ]
    return min(map(microseconds, moments))


def last_stamp(lakehouse: Lakehouse, use_case: UseCase) -> int:
    """The stamp up to which every table has all events, and raw tables had all rows before; some must be there."""
    return min(stored_stamp(lakehouse, table) for table in tables(lakehouse, use_case))


def stored_stamp(lakehouse: Lakehouse, table: str) -> int:
    """The stamp up to which one table has all events; -1: it has none. Spark adds rows without saying so."""
    state = lakehouse.state(table)
    if STAMP not in state:
        return -1
    later = rows_after(lakehouse, table, int(state[STAMP]), [MOMENT])
    return int(state[STAMP]) if later.is_empty() else int(later[MOMENT].cast(pl.Int64).max())  # type: ignore[arg-type]


def rows_after(lakehouse: Lakehouse, table: str, stamp: int, columns: list[str] | None = None) -> pl.DataFrame:
    """The rows of events behind a stamp, in microseconds since 1970; columns: with MOMENT, or all."""
    after = moment_of(stamp)
    # By the log's statistics, which are rounded, files are left out.
    rows = pl.DataFrame(lakehouse.to_arrow(table, None, columns, [(MOMENT, ">", after - ROUNDED)]))
    return rows.filter(pl.col(MOMENT) > after)


def beside(table: str) -> str:
    """The table that is to take the place of another, once it is whole."""
    return f"{table}_rebuilt"


def remove_beside(lakehouse: Lakehouse, use_case: UseCase) -> None:
    """Remove what is, or was, to take the place of tables."""
    for name in map(beside, map(use_case.stream_table, use_case.windows)):
        with lakehouse.lock(name):
            replacement.remove(lakehouse, name)
