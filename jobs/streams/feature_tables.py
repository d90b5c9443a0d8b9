"""Window features of streamed events in Delta: a row for each event, in the order of stamps, each once.

What is stored is known by the stamp of the last row, in the commit that brought it. Columns are those of the window
tables of the nightly lineage (`jobs.features.window_tables`), so that both can be compared cell by cell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import pyarrow as pa

from jobs.lakehouse import arrow_writer, maintenance
from jobs.lakehouse.commit_state import keeping
from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.streams.features import Computed
from jobs.streams.landing import COMPACTED_AFTER
from jobs.times import MICROSECONDS_A_DAY
from jobs.use_case import UseCase
from jobs.windows import WindowFeatures

STAMP = "stamp"
"""The part of the state that says up to which stamp a table has all events."""


class FeatureTables:
    """The tables of one use case's window features, and what was computed since the last commit."""

    def __init__(self, lakehouse: Lakehouse, use_case: UseCase) -> None:
        self._lakehouse, self._use_case = lakehouse, use_case
        self._computed: list[Computed] = []
        self._appended: dict[str, int] = {}
        """Commits to each table."""
        self._stored = [self._last_of(windows) for windows in use_case.windows]

    @cached_property
    def _schemas(self) -> list[pa.Schema]:
        return schemas(self._lakehouse, self._use_case)

    @property
    def stored(self) -> int:
        """The stamp up to which every table has all events, in microseconds since 1970; -1: some table has none."""
        return min(self._stored)

    def add(self, computed: Computed) -> None:
        """Keep what was computed for the next commit."""
        self._computed.append(computed)

    @property
    def rows(self) -> int:
        """Events that the next commit appends."""
        return len(self._computed)

    def cut(self, stamp: int) -> Callable[[], None]:
        """What appends all that was computed up to a stamp: what is added from now on is not part of it."""
        computed, self._computed = self._computed, []
        return lambda: self._write(computed, stamp)

    def _write(self, computed: Sequence[Computed], stamp: int) -> None:
        for number, windows in enumerate(self._use_case.windows):
            if rows := [each for each in computed if each.stamp > self._stored[number]]:
                self._append(windows, table_of(number, self._schemas[number], rows), stamp)
                self._stored[number] = stamp

    def _append(self, windows: WindowFeatures, rows: pa.Table, stamp: int) -> None:
        name = self._use_case.stream_table(windows)
        with self._lakehouse.lock(name):
            state = keeping({STAMP: stamp, "fingerprint": windows.fingerprint})
            target = self._lakehouse.delta(name) if self._lakehouse.exists(name) else self._lakehouse.path(name)
            by = [] if self._lakehouse.exists(name) else [PARTITION]
            arrow_writer.save(target, rows.to_reader(), "append", None, by, state)
            self._appended[name] = self._appended.get(name, 0) + 1
            if self._appended[name] % COMPACTED_AFTER == 0:
                maintenance.compact(self._lakehouse, name)

    def _last_of(self, windows: WindowFeatures) -> int:
        state = self._lakehouse.state(self._use_case.stream_table(windows))
        return int(state[STAMP]) if state.get("fingerprint") == windows.fingerprint else -1


def schemas(lakehouse: Lakehouse, use_case: UseCase) -> list[pa.Schema]:
    """Of each of the window features the columns of its table, by the types that the mart of events has."""
    events = lakehouse.schema(use_case.events)
    return [
        windows.schema(*(events.field(name).type for name in (windows.id, *windows.keys)))
        for windows in use_case.windows
    ]


def table_of(number: int, schema: pa.Schema, rows: Sequence[Computed]) -> pa.Table:
    """What was computed of the window features `number`, as tables hold it."""
    entities = zip(*(each.entities[number] for each in rows), strict=True)
    values = zip(*(each.values[number] for each in rows), strict=True)
    columns = [
        [each.id for each in rows], *entities, [each.stamp for each in rows], [each.stamp for each in rows], *values,
        [each.happened // MICROSECONDS_A_DAY for each in rows],
    ]  # fmt: skip
    return pa.Table.from_arrays(
        [_array(list(column), field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )


def _array(values: list[object], kind: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(kind):
        return pa.array(values, pa.int64()).cast(kind)
    if pa.types.is_date(kind):
        return pa.array(values, pa.int32()).cast(kind)
    return pa.array(values, kind)
