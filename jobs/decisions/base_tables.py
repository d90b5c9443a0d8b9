"""The tables that the decision service starts from: pinned versions of events and labels, read without an engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.decisions.base_facts import BaseFacts
from jobs.decisions.event_schema import kind_of, needed_columns
from jobs.decisions.feature_row import FeatureRow
from jobs.errors import Invalid
from jobs.lakehouse.tables import Lakehouse
from jobs.online.column_type import ColumnType
from jobs.online.entity_facts import GRACE
from jobs.use_case import UseCase

_MICROSECOND = timedelta(microseconds=1)
_INSTANT = pa.timestamp("us", "UTC")


def current_versions(lakehouse: Lakehouse, use_case: UseCase) -> dict[str, int]:
    """Latest versions of the tables of events and labels. Raises Invalid if there are none."""
    found = lakehouse.versions([use_case.events, use_case.labels])
    if missing := [table for table, version in found.items() if version is None]:
        raise Invalid(f"{use_case.name}: expected the tables {missing}, found none; run `evergreen run`")
    return {table: version for table, version in found.items() if version is not None}


def feature_row(lakehouse: Lakehouse, use_case: UseCase, versions: Mapping[str, int]) -> FeatureRow:
    """How rows of features are made, by the types that tables have."""
    events = lakehouse.schema(use_case.events, versions[use_case.events])
    labels = lakehouse.schema(use_case.labels, versions[use_case.labels])
    read = dict.fromkeys([use_case.label, *(name for windows in use_case.windows for name in windows.label_columns)])
    if missing := [name for name in read if name not in labels.names]:
        raise Invalid(f"{use_case.labels}: expected the columns {missing}, found none; run `evergreen run`")
    return FeatureRow.of(use_case, events, {name: ColumnType(kind_of(name, labels.field(name).type)) for name in read})


@dataclass(frozen=True)
class Tables:
    """Events and labels as `BaseFacts.of` takes them."""

    events: pa.Table
    labels: pa.Table
    absorbed: frozenset[Any]
    """Ids of the events that were decided here before."""

    def facts(self, rows: FeatureRow, moment: int) -> BaseFacts:
        """The same as arrays by entity."""
        return replace(BaseFacts.of(rows, moment, self.events, self.labels), absorbed=self.absorbed)


def tables(
    lakehouse: Lakehouse, rows: FeatureRow, versions: Mapping[str, int], moment: int, decided: Mapping[Any, int]
) -> Tables:
    """What tables know that a decision from a moment (microseconds since 1970) on can reach.

    Args:
        decided: stamps of the events that were decided before, by id: where tables have such an event, it is known
            from its stamp on, whatever they say, and was decided then.
    """
    use_case = rows.use_case
    since = reached(use_case, moment)
    events = _read(lakehouse, use_case, use_case.events, versions, since, needed_columns(use_case))
    keys = [key for windows in use_case.windows for key in windows.keys]
    labels = _read(lakehouse, use_case, use_case.labels, versions, since, (use_case.event_id, *keys, *rows.labels))
    events, absorbed = _decided(use_case, events, decided)
    return Tables(events, labels, absorbed)


def reached(use_case: UseCase, moment: int) -> int:
    """The earliest moment that decisions from a moment on reach back to, in microseconds since 1970."""
    return moment - max(windows.history for windows in use_case.windows) // _MICROSECOND - GRACE


def _read(
    lakehouse: Lakehouse, use_case: UseCase, table: str, versions: Mapping[str, int], since: int, columns: Any
) -> pa.Table:
    first = datetime.fromtimestamp(since // 1_000_000, UTC)
    schema = lakehouse.schema(table, versions[table])
    wanted = dict.fromkeys([*columns, use_case.event_timestamp, "known_at", "superseded_at"])
    extra = [name for name in ("version", "decided_at") if name in schema.names]
    # A corrected event may lie in the partition of its first version.
    filters: list[Any] = [(use_case.event_timestamp, ">=", first)]
    rows = lakehouse.to_arrow(table, versions[table], [*wanted, *extra], filters)
    return rows.set_column(
        rows.column_names.index(use_case.event_timestamp),
        use_case.event_timestamp,
        rows.column(use_case.event_timestamp).cast(_INSTANT),
    )


def _decided(use_case: UseCase, events: pa.Table, decided: Mapping[Any, int]) -> tuple[pa.Table, frozenset[Any]]:
    """The events with `is_target` and `decided_at`, those of the log with their stamps; and the ids of these."""
    is_first = (
        pc.equal(events.column("version"), 1) if "version" in events.column_names else pa.repeat(True, len(events))
    )
    events = events.append_column("is_target", is_first)
    if "decided_at" not in events.column_names:
        events = events.append_column("decided_at", pa.nulls(len(events), _INSTANT))
    ids = pa.array(list(decided), events.schema.field(use_case.event_id).type)
    place = pc.index_in(events.column(use_case.event_id), value_set=ids)
    place = pc.if_else(is_first, place, None)
    mine = np.flatnonzero(place.is_valid().to_numpy())
    if not len(mine):
        return events, frozenset()
    stamps = pa.array(np.fromiter(decided.values(), np.int64, len(decided))).cast(_INSTANT)
    own = stamps.take(place.combine_chunks())
    for name in ("known_at", "decided_at"):
        column = pc.coalesce(own, events.column(name).cast(_INSTANT))
        events = events.set_column(events.column_names.index(name), name, column)
    return events, frozenset(events.column(use_case.event_id).take(pa.array(mine)).to_pylist())
