"""The commits of a stream: new rows and how far the topic is read, in one commit of the raw table.

Rows that break the contract go to quarantine before it, each named by its place in the topic, so that a death in
between stores none twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from deltalake import Field
from deltalake.schema import PrimitiveType

from jobs.ingest import contracts, quarantine, references
from jobs.ingest.day_digests import EVENT_DATE
from jobs.ingest.parsing import table_schema
from jobs.ingest.raw_commit import LOADED_IN
from jobs.ingest.readers import FILE
from jobs.lakehouse import arrow_writer, maintenance
from jobs.lakehouse.commit_state import keeping
from jobs.lakehouse.envelope import DELETED, DELETIONS, ENVELOPE, POSITION
from jobs.lakehouse.tables import Lakehouse
from jobs.messages import place
from jobs.messages.position import Position
from jobs.streams.intake import KIND, Taken
from jobs.use_case import Source, UseCase

COMPACTED_AFTER = 200
"""Commits of rows, each a small file in every day that its events are of."""
_TYPES = {pa.string(): "string", pa.int64(): "long", pa.bool_(): "boolean"}
"""Delta's names of types."""


@dataclass
class Landing:
    """What a stream took of one source since the last commit."""

    lakehouse: Lakehouse
    use_case: UseCase
    source: Source
    taken: list[Taken] = field(default_factory=list)
    _appended: int = 0
    """Commits of rows."""
    _position: Position | None = None
    """The place that was committed last."""

    @property
    def table(self) -> str:
        return self.use_case.raw_table(self.source)

    @property
    def rows(self) -> int:
        """Rows that the next commit appends."""
        return sum(taken.new.height for taken in self.taken)

    def commit(self, identifiers: Mapping[str, str], position: Position, stamp: int) -> int:
        """Append what was taken, with the place from which the topic is to be read on; returns how many rows.

        stamp: the last that the stream gave, in microseconds since 1970.
        """
        return self.cut(identifiers, position, stamp)()

    def cut(self, identifiers: Mapping[str, str], position: Position, stamp: int) -> Callable[[], int]:
        """What `commit` does, for later: what is taken from now on is not part of it."""
        if not self.taken and position == self._position:
            return lambda: 0
        taken, self.taken, self._position = self.taken, [], position
        return lambda: self._write(taken, identifiers, position, stamp)

    def _write(self, taken: Sequence[Taken], identifiers: Mapping[str, str], position: Position, stamp: int) -> int:
        with self.lakehouse.lock(self.table):
            self._quarantine(taken)
            new = [each.new for each in taken if not each.new.is_empty()]
            state = self.lakehouse.state(self.table)
            told = {**position.told(), "stamp": stamp}
            if not new:
                self._keep(identifiers, state, told)
                return 0
            return self._append(pl.concat(new), identifiers, state, told)

    def _append(
        self, rows: pl.DataFrame, identifiers: Mapping[str, str], state: Mapping[str, Any], told: dict[str, Any]
    ) -> int:
        schema = self._schema(identifiers, bool(rows[DELETED].any()))
        loaded_in = int(state.get(LOADED_IN, 0)) + 1
        kept = rows.filter(~pl.col(DELETED)).drop(EVENT_DATE, KIND, DELETED, *ENVELOPE.names)
        contracts.prove(self.source, kept, identifiers)
        rows = rows.with_columns(pl.lit(loaded_in, pl.Int64).alias(LOADED_IN)).select(schema.names)
        self._ready(schema, state)
        state = {"as_of": datetime.now(UTC).isoformat(), **state, LOADED_IN: loaded_in, POSITION: told}
        batches = rows.to_arrow().cast(schema).to_reader()
        arrow_writer.save(self.lakehouse.delta(self.table), batches, "append", None, (), keeping(state))
        self._appended += 1
        if self._appended % COMPACTED_AFTER == 0:
            maintenance.compact(self.lakehouse, self.table)
        return rows.height

    def _keep(self, identifiers: Mapping[str, str], state: Mapping[str, Any], told: dict[str, Any]) -> None:
        """Remember the place alone, as no row came."""
        if state.get(POSITION, {}) | {"stamp": 0} == told | {"stamp": 0}:
            return
        self._ready(self._schema(identifiers), state)
        empty = self.lakehouse.schema(self.table).empty_table().to_reader()
        state = {LOADED_IN: 0, **state, POSITION: told}
        arrow_writer.save(self.lakehouse.delta(self.table), empty, "append", None, (), keeping(state))

    def _schema(self, identifiers: Mapping[str, str], with_deletions: bool = False) -> pa.Schema:
        there = self.lakehouse.schema(self.table).names if self.lakehouse.exists(self.table) else []
        of_deletions = [DELETIONS] if with_deletions or DELETED in there else []
        return pa.unify_schemas([table_schema(self.source, identifiers), ENVELOPE, *of_deletions])

    def _ready(self, schema: pa.Schema, state: Mapping[str, Any]) -> None:
        """Let the table be there, with the columns of the envelope and of deletions that the schema has."""
        if not self.lakehouse.exists(self.table):
            by, new = [EVENT_DATE] if self.source.daily else [], keeping({LOADED_IN: 0})
            empty = schema.empty_table().to_reader()
            arrow_writer.save(self.lakehouse.path(self.table), empty, "append", None, by, new)
            return
        there = self.lakehouse.schema(self.table).names
        added = [each for each in (*ENVELOPE, *DELETIONS) if each.name in schema.names and each.name not in there]
        if added:
            fields = [Field(each.name, PrimitiveType(_TYPES[each.type])) for each in added]
            self.lakehouse.delta(self.table).alter.add_columns(fields, commit_properties=keeping(state))

    def _quarantine(self, taken: Sequence[Taken]) -> None:
        waits = [part for each in taken for part in _by_deletion(each.waiting)]
        waiting = [references.as_canonical(self.source, rows) for rows in waits if not rows.is_empty()]
        bad = [rows for rows in (*(each.bad for each in taken), *waiting) if not rows.is_empty()]
        places = [_with_places(rows) for rows in bad]
        if places:
            entries = [quarantine.entries(rows, files, datetime.now(UTC)) for rows, files in places]
            quarantine.append(self.lakehouse, self.table, pl.concat(entries))


def _by_deletion(waiting: pl.DataFrame) -> list[pl.DataFrame]:
    """Rows that wait, which quarantine keeps as it ever did, and deletions that wait, which it is told of."""
    if DELETED not in waiting.columns:
        return [waiting]
    return [waiting.filter(~pl.col(DELETED)).drop(DELETED), waiting.filter(DELETED)]


def _with_places(rows: pl.DataFrame) -> tuple[pl.DataFrame, list[Path]]:
    """Rows with the place of each message as the file that it is of."""
    named = rows.select(place.TEXT).to_series()
    return rows.with_columns(pl.int_range(rows.height, dtype=pl.UInt32).alias(FILE)), [Path(name) for name in named]
