"""What tables of streamed features say of themselves: of which declarations they are, and which events they have.

They are written by `jobs.streams.feature_tables`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import pyarrow.compute as pc

from jobs.lakehouse import replacement
from jobs.lakehouse.tables import Lakehouse
from jobs.times import microseconds
from jobs.use_case import UseCase

STAMP = "stamp"
"""The part of the state that says up to which stamp a table has all events."""
FINGERPRINT = "fingerprint"
"""The part that says of which declaration it is."""


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
    return min(int(lakehouse.state(table)[STAMP]) for table in tables(lakehouse, use_case))


def beside(table: str) -> str:
    """The table that is to take the place of another, once it is whole."""
    return f"{table}_rebuilt"


def remove_beside(lakehouse: Lakehouse, use_case: UseCase) -> None:
    """Remove what is, or was, to take the place of tables."""
    for name in map(beside, map(use_case.stream_table, use_case.windows)):
        with lakehouse.lock(name):
            replacement.remove(lakehouse, name)
