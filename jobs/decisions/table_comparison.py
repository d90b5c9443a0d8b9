"""How the features of decisions differ from what tables say was known then, by now.

What differs is no fault by itself: reports and events reach the lakehouse at other times than the log. That the batch
kernel makes the same of the same facts is judged in `jobs.decisions.consistency`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from jobs.decisions import base_tables, log_contents, opened
from jobs.decisions.consistency import bits, recomputed
from jobs.decisions.feature_row import FeatureRow
from jobs.decisions.log_before import LogBefore
from jobs.decisions.log_contents import Base, Decided
from jobs.lakehouse.tables import Lakehouse
from jobs.online.log_records import Log
from jobs.use_case import UseCase


@dataclass(frozen=True, eq=False)
class AgainstTables:
    """Decisions of the log about events that tables have by now, beside what tables make of them."""

    served: pa.Table
    """Id, time and entities of each event, and its features as they were decided from."""
    offline: pa.Table
    """The same of the tables."""
    differing: Mapping[str, int] = field(default_factory=dict)
    """Feature -> cells that are not the same to the last bit, of features that have any."""
    in_no_table: int = 0
    """Decisions about events that no table has yet."""
    features: tuple[str, ...] = ()

    @property
    def decisions(self) -> int:
        rows: int = self.served.num_rows
        return rows

    @property
    def cells(self) -> int:
        return self.decisions * len(self.features)

    @property
    def different(self) -> int:
        return sum(self.differing.values())


def compare(lakehouse: Lakehouse, use_case: UseCase) -> AgainstTables | None:
    """Recompute the decisions that the log holds, with what tables say was known and when; None: none was ever served.

    Decisions about events that tables knew already are left out: what stands of those is in the tables. So are those of
    other declarations than there are now.

    Raises StoreDown (an OSError) if the store of the log does not answer.
    """
    if not opened.was_served(lakehouse.settings, use_case):
        return None
    versions = base_tables.current_versions(lakehouse, use_case)
    rows = base_tables.feature_row(lakehouse, use_case, versions)
    with opened.log_of(lakehouse.settings, use_case) as log:
        stamps, decided = _read(rows, log)
    if not decided:
        return AgainstTables(pa.table({}), pa.table({}))
    tables = base_tables.tables(lakehouse, rows, versions, min(stamps.values()), LogBefore(stamps))
    batch = recomputed(rows, tables)
    ids = [id for id in decided if id in tables.absorbed.events and id in batch]
    served = {id: dict(zip(rows.computed, decided[id].features, strict=False)) for id in ids}
    differing = {
        name: sum(bits(served[id].get(name)) != bits(batch[id].get(name)) for id in ids) for name in rows.computed
    }
    events = _events(use_case, tables.events, ids)
    return AgainstTables(
        _with_features(events, rows, [served[id] for id in ids]),
        _with_features(events, rows, [batch[id] for id in ids]),
        {name: count for name, count in differing.items() if count},
        sum(id not in tables.absorbed.events for id in decided),
        tuple(rows.computed),
    )


def _read(rows: FeatureRow, log: Log) -> tuple[dict[Any, int], dict[Any, Decided]]:
    """Stamps of the events in the log, and their decisions by the declarations of now."""
    stamps, decided, mine = {}, {}, opened.fingerprint(rows)
    declared = mine
    for record in log.records():
        kind, _, text = record.id.partition("/")
        if kind == log_contents.EVENT:
            stamps[rows.typed_id(text)] = record.stamp
        elif kind == log_contents.BASE:
            declared = log_contents.decode_as(record.content, Base).declarations
        elif kind == log_contents.DECISION:
            found = log_contents.decode_as(record.content, Decided)
            if found.features and not found.was_known and declared == mine:
                decided[rows.typed_id(text)] = found
    return stamps, decided


def _events(use_case: UseCase, events: pa.Table, ids: Sequence[Any]) -> pa.Table:
    """Id, time and entities of events, in the order of their ids."""
    names = [use_case.event_id, use_case.event_timestamp, *use_case.entities]
    targets = events.filter(pa.array(events.column("decided_at").is_valid().to_numpy())).select(names)
    place = {id: row for row, id in enumerate(targets.column(use_case.event_id).to_pylist())}
    return targets.take(pa.array([place[id] for id in ids], pa.int64()))


def _with_features(events: pa.Table, rows: FeatureRow, values: Sequence[Mapping[str, Any]]) -> pa.Table:
    for name in rows.computed:
        events = events.append_column(name, _column([each.get(name) for each in values]))
    return events


def _column(values: Sequence[Any]) -> pa.Array:
    """Numbers as models get them, in single precision; or texts."""
    if any(isinstance(value, str) for value in values):
        return pa.array(values, pa.string())
    numbers = [None if value is None else float(value) for value in values]
    return pa.array(numbers, pa.float64()).cast(pa.float32(), safe=False)
