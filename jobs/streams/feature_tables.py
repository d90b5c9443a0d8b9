"""Window features of streamed events in Delta: a row for each event, in the order of stamps, each once.

What is stored is known by the stamp of the last row, in the commit that brought it. Columns are those of the window
tables of the nightly lineage (`jobs.features.window_tables`), so that both can be compared cell by cell. Tables of
other declarations stay as they are: what is computed is kept beside them, until all of it can take their place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import pyarrow as pa

from jobs.lakehouse import arrow_writer, maintenance, replacement
from jobs.lakehouse.commit_state import keeping
from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.streams import stored_features
from jobs.streams.features import Computed
from jobs.streams.landing import COMPACTED_AFTER
from jobs.streams.stored_features import FINGERPRINT, STAMP
from jobs.times import MICROSECONDS_A_DAY
from jobs.use_case import UseCase
from jobs.windows import WindowFeatures


class FeatureTables:
    """The tables of one use case's window features, and what was computed since the last commit."""

    def __init__(self, lakehouse: Lakehouse, use_case: UseCase) -> None:
        self._lakehouse, self._use_case = lakehouse, use_case
        self._computed: list[Computed] = []
        self._appended: dict[str, int] = {}
        """Commits to each table."""
        self.are_beside = stored_features.are_of_others(lakehouse, use_case)
        """Whether what is computed is kept beside the tables."""
        self._before = stored_features.first_stamp(lakehouse, use_case) - 1 if self.are_beside else -1
        self._stored = [self._last_of(self._name(windows), windows) for windows in use_case.windows]

    @cached_property
    def _schemas(self) -> list[pa.Schema]:
        return schemas(self._lakehouse, self._use_case)

    @property
    def stored(self) -> int:
        """The stamp up to which every table has all events, in microseconds since 1970; -1: some table has none.

        Of tables beside others it is at least the one before the first event that the others have.
        """
        return max(min(self._stored), self._before)

    def stored_or(self, stamp: int) -> int:
        """`stored`, or where some table has none a stamp behind which features are to begin."""
        return self.stored if self.stored >= 0 else stamp

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

    def switch(self) -> None:
        """Let what is beside take the place of the tables, each in one commit; all are there until all did."""
        for windows in self._use_case.windows:
            table = self._use_case.stream_table(windows)
            with self._lakehouse.lock(table):
                replacement.put_in_place(self._lakehouse, table, self._name(windows), [PARTITION])
        stored_features.remove_beside(self._lakehouse, self._use_case)
        self.are_beside = False

    def _name(self, windows: WindowFeatures) -> str:
        """The table that takes what is computed."""
        table = self._use_case.stream_table(windows)
        return stored_features.beside(table) if self.are_beside else table

    def _append(self, windows: WindowFeatures, rows: pa.Table, stamp: int) -> None:
        name = self._name(windows)
        with self._lakehouse.lock(name):
            state = keeping({STAMP: stamp, FINGERPRINT: windows.fingerprint})
            target = self._lakehouse.delta(name) if self._lakehouse.exists(name) else self._lakehouse.path(name)
            by = [] if self._lakehouse.exists(name) else [PARTITION]
            arrow_writer.save(target, rows.to_reader(), "append", None, by, state)
            self._appended[name] = self._appended.get(name, 0) + 1
            if self._appended[name] % COMPACTED_AFTER == 0:
                maintenance.compact(self._lakehouse, name)

    def _last_of(self, name: str, windows: WindowFeatures) -> int:
        state = self._lakehouse.state(name)
        if state and state.get(FINGERPRINT) != windows.fingerprint:
            replacement.remove(self._lakehouse, name)  # it is beside, of declarations that came to nothing
            return -1
        return stored_features.stored_stamp(self._lakehouse, name)


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
