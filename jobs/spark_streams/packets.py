"""Facts in the order of their stamps as a Delta table that a cluster streams from: a row is a packet.

A packet holds facts of one bucket of entities of one of the window features, as bytes: whatever columns a use case has,
the table has the same, and no engine takes a number for another. What becomes of them is
`jobs.spark_streams.packet_kernel`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable

from jobs.decisions.base_tables import Tables
from jobs.decisions.entity_states import Change
from jobs.decisions.log_contents import EventCame, FactGone, counted, subject
from jobs.features import fact_frames
from jobs.features.fact_frames import LABEL
from jobs.lakehouse import arrow_writer
from jobs.lakehouse.commit_state import keeping
from jobs.lakehouse.tables import Lakehouse
from jobs.spark_streams.packet_kernel import GONE, packed
from jobs.use_case import UseCase
from jobs.windows import FACT_ID, WindowFeatures

WINDOWS, BUCKET, STAMP, FACTS = "windows", "bucket", "stamp", "facts"
SCHEMA = pa.schema(
    [pa.field(WINDOWS, pa.string()), pa.field(BUCKET, pa.int32()), pa.field(STAMP, pa.int64()),
     pa.field(FACTS, pa.binary())]
)  # fmt: skip
"""Name of the window features, bucket of entities, stamp of the last fact, and the facts."""
MOST_FACTS = 200_000
"""In one packet."""
Row = dict[str, Any]


class Facts:
    """What came for one of the window features since the last packets."""

    def __init__(self, windows: WindowFeatures, number: int, schema: pl.Schema) -> None:
        """number: of the window features among those of the use case. schema: of facts of tables."""
        self.windows, self._number, self._schema = windows, number, schema
        # What declarations say of columns is made of their conditions, each time it is asked for.
        self._reads_labels, self._label_columns = windows.reads_labels, windows.label_columns
        self._columns = windows.event_columns if windows.facts is None else windows.fact_columns
        self._counted = counted(windows)
        self._came: list[Row] = []

    def add(self, change: Change, is_target: bool) -> None:
        """Take a fact; is_target: its features are wanted, if it is an event that came."""
        fact, of = change.fact, subject(change.fact)
        asks = is_target and isinstance(fact, EventCame)
        if not (asks or of == self._counted or (of == "labels" and self._reads_labels)):
            return
        own = change.asks.get(self._number, change.keys[self._number])
        target = asks if of == "events" else None
        is_gone = isinstance(fact, FactGone)
        ended = {key for number, key in change.before if number == self._number} - {own}
        # The end of what an entity had comes before what is known instead, maybe in the same bucket.
        for key in [*ended, own] if is_gone else ended:
            self._came.append(self._fact(change, key, target) | {GONE: True})
        if not is_gone:
            self._came.append(self._fact(change, own, target) | self._values(change) | {GONE: False})

    def take(self) -> pl.DataFrame:
        """What came, which is then gone from here."""
        came, self._came = self._came, []
        return _frame(came, self._schema)

    def _fact(self, change: Change, key: tuple[Any, ...], target: bool | None) -> Row:
        windows, is_event = self.windows, isinstance(change.fact, EventCame)
        id = windows.id if subject(change.fact) in ("events", "labels") else FACT_ID
        return {
            id: change.fact.id, **dict(zip(windows.keys, key, strict=True)),
            windows.event_timestamp: change.event.happened, "known_at": change.stamp, "is_target": target,
            "decided_at": change.stamp if is_event else None,
        }  # fmt: skip

    def _values(self, change: Change) -> Row:
        if subject(change.fact) == self._counted:
            held = change.event.values if change.held is None else change.held
            return {name: held.get(name) for name in self._columns}
        return {LABEL + name: change.event.values.get(name) for name in self._label_columns}


class Packets:
    """The table of packets of one use case; what it holds can be made again."""

    def __init__(self, lakehouse: Lakehouse, use_case: UseCase, buckets: int) -> None:
        self._lakehouse, self._buckets = lakehouse, buckets
        self.table = f"{use_case.stream_schema}.fact_packets"

    @property
    def path(self) -> str:
        """Where the table is."""
        return self._lakehouse.path(self.table)

    def begin(self, facts: Sequence[tuple[WindowFeatures, pl.DataFrame]]) -> int:
        """Let facts of tables take the place of all packets; returns the version that has them."""
        if not self._lakehouse.exists(self.table):
            self._save(self.path, SCHEMA.empty_table(), {})
        self._lakehouse.delta(self.table).delete(commit_properties=keeping({}))
        self._save(self._lakehouse.delta(self.table), self._rows(facts, 0), {})
        return self._lakehouse.delta(self.table).version()

    def append(self, facts: Sequence[tuple[WindowFeatures, pl.DataFrame]], stamp: int) -> None:
        """Append facts that came, in one commit; stamp: that of the last of them."""
        if rows := self._rows(facts, stamp):
            self._save(self._lakehouse.delta(self.table), rows, {STAMP: stamp})

    def _rows(self, facts: Sequence[tuple[WindowFeatures, pl.DataFrame]], stamp: int) -> pa.Table:
        rows = [
            {WINDOWS: windows.name, BUCKET: bucket, STAMP: stamp, FACTS: packed(part)}
            for windows, frame in facts
            for bucket, part in self._parts(windows, frame)
        ]
        return pa.Table.from_pylist(rows, SCHEMA)

    def _save(self, table: DeltaTable | str, rows: pa.Table, state: dict[str, int]) -> None:
        arrow_writer.save(table, rows.to_reader(), "append", None, [WINDOWS], keeping(state))

    def _parts(self, windows: WindowFeatures, facts: pl.DataFrame) -> Iterator[tuple[int, pl.DataFrame]]:
        bucket = (pl.struct(windows.keys).hash() % self._buckets).cast(pl.Int32)
        for [number], part in facts.with_columns(bucket.alias(BUCKET)).partition_by(BUCKET, as_dict=True).items():
            for rows in part.drop(BUCKET).iter_slices(MOST_FACTS):
                yield number, rows


def history(windows: WindowFeatures, tables: Tables) -> pl.DataFrame:
    """What tables know, as facts; none of their events is a target."""
    rows = pl.DataFrame(tables.events).lazy().with_columns(is_target=pl.lit(False))
    if windows.facts is None:
        frame = fact_frames.together(windows, rows, pl.DataFrame(tables.labels).lazy())
    else:
        facts = pl.DataFrame(tables.others[windows.facts]).lazy()
        frame = fact_frames.together(windows, rows.clear(), None, fact_frames.held_facts(windows, facts))
    assert isinstance(frame, pl.LazyFrame)
    exact = frame.with_columns(pl.selectors.decimal().cast(pl.Float64), pl.lit(False).alias(GONE))
    return exact.sort("known_at", "superseded_at", nulls_last=True).collect()


def _frame(rows: list[Row], schema: pl.Schema) -> pl.DataFrame:
    """Rows with times as integers, by a schema."""
    plain = {name: pl.Int64 if kind.is_temporal() else kind for name, kind in schema.items()}
    columns = {name: pl.Series(name, [row.get(name) for row in rows], kind) for name, kind in plain.items()}
    return pl.DataFrame(columns).cast(schema)
