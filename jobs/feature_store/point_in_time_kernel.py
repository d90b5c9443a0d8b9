"""The rules of the point-in-time join as a pure function of Arrow tables.

It runs in a test, in an engine's workers and anywhere else: nothing but numpy, polars and pyarrow is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.arrays import Bools, Ints
from jobs.errors import Invalid
from jobs.feature_store.join_keys import codes
from jobs.feature_store.join_parts import FAR_BACK, AskedRows, KnownRows, part_of, parts_for, winners

_MICROSECONDS = pa.timestamp("us")
_CELLS_AT_ONCE = 2**24
"""Feature values that are read at once, about 128 MB; of more rows than this one column at a time."""
# The last day that a Python datetime can hold.
_END = 253_402_300_799_999_999


@dataclass(frozen=True, kw_only=True)
class FeatureColumns:
    """The columns of a feature table that a join reads."""

    keys: Sequence[str]
    feature_timestamp: str
    created_timestamp: str | None = None
    """When a row became known; None: with its event."""
    columns: Sequence[str]
    """The features."""

    @property
    def times(self) -> list[str]:
        return [self.feature_timestamp, *([self.created_timestamp] if self.created_timestamp else [])]

    @property
    def names(self) -> list[str]:
        """All columns, each once."""
        return list(dict.fromkeys([*self.keys, *self.times, *self.columns]))


@dataclass(frozen=True, kw_only=True)
class JoinRules(FeatureColumns):
    """Which feature row an entity row could have seen.

    For an entity row at time t a feature row of the same keys qualifies if `feature_timestamp <= t`,
    `t - feature_timestamp <= ttl` (`None` or zero: no limit) and, where `created_timestamp` names a column,
    `created_timestamp <= t`. The latest event wins, then the latest created, then the greatest tuple of the values in
    `columns` (null < number < NaN), so that the answer never hangs on the order of the rows. Rows with a null key or
    time match nothing; a feature row whose created time is null was never known. Without keys every row is of one
    entity. Times without a zone are UTC; times finer than a microsecond are cut to it.
    """

    event_timestamp: str
    """The time of an entity row."""
    ttl: timedelta | None = None
    known_only: bool = True
    """False drops the condition on `created_timestamp`, which then only decides between equal events."""

    @property
    def limit(self) -> int | None:
        """Greatest age of a feature row in microseconds."""
        # 2**60 microseconds are 36,000 years: longer limits would only overflow.
        return min(self.ttl // timedelta(microseconds=1), 2**60) if self.ttl else None


def join(entities: pa.Table, features: pa.Table, rules: JoinRules) -> pa.Table:
    """The entity rows, in their order and number, with `columns` of the feature row that each one could have seen.

    Args:
        entities: n rows with `keys`, `event_timestamp` and anything else.
        features: m rows with the feature columns of `rules`.

    Returns:
        n rows: the columns of `entities`, then `columns` with the types they have in `features`.

    Raises:
        ValueError: a column is missing, of an unusable type, or named like one of the entity table.
    """
    _check(entities, [*rules.keys, rules.event_timestamp], "entity")
    _check(features, rules.names, "feature")
    clashing = [name for name in rules.columns if name in entities.column_names]
    if clashing:
        raise Invalid(f"expected feature columns that the entity table has not, found {clashing}: rename them")
    winner = _winners(entities, features, rules)
    values = _taken(features, rules.columns, pa.array(winner, mask=winner < 0))
    for name, column in zip(rules.columns, values, strict=True):
        entities = entities.append_column(features.schema.field(name).with_nullable(True), column)
    return entities


def latest(features: pa.Table, wanted: FeatureColumns) -> pa.Table:
    """One row per key that has no null in it: what `join` would find at the end of time, with both times.

    Returns:
        `keys`, `columns`, `feature_timestamp` and, if given, `created_timestamp`; the keys in no particular order.
    """
    complete = features
    for name in [*wanted.keys, *wanted.times]:
        complete = complete.filter(pc.is_valid(complete[name])) if complete[name].null_count else complete
    number = min(complete.num_rows, 1)
    entities = complete.select(wanted.keys)
    if wanted.keys:
        entities = entities.group_by(list(wanted.keys)).aggregate([])
        number = entities.num_rows
    time = "the end of time"
    end = pa.array(np.full(number, _END), pa.int64()).cast(_MICROSECONDS)
    entities = entities.append_column(time, end) if wanted.keys else pa.table({time: end})
    rules = JoinRules(
        keys=wanted.keys,
        feature_timestamp=wanted.feature_timestamp,
        created_timestamp=wanted.created_timestamp,
        columns=[*wanted.columns, *wanted.times],
        event_timestamp=time,
    )
    return join(entities, complete, rules).drop_columns([time])


def _winners(entities: pa.Table, features: pa.Table, rules: JoinRules) -> Ints:
    """The row number in `features` for each entity row, -1 for none."""
    times, has_time = _microseconds(entities, rules.event_timestamp)
    if not features.num_rows or not has_time.any():
        return np.full(entities.num_rows, -1, np.int64)
    valid_times = times[has_time]
    event, created, usable = _feature_times(features, rules, (int(valid_times.min()), int(valid_times.max())))
    entity_code, feature_code = codes(entities, features, rules.keys)
    number = parts_for(len(event))
    return winners(
        KnownRows(feature_code, event, created, part_of(feature_code, usable, number), rules.known_only, rules.limit),
        AskedRows(entity_code, times, part_of(entity_code, has_time, number)),
        number,
        lambda rows: _taken(features, rules.columns, pa.array(rows)),
    )


def _taken(features: pa.Table, columns: Sequence[str], rows: pa.Array) -> list[pa.ChunkedArray]:
    """Values of some rows, a few columns at a time: features that lie in files are read as they are taken."""
    size = max(1, _CELLS_AT_ONCE // max(1, features.num_rows))
    values = []
    for first in range(0, len(columns), size):
        part = features.select(list(columns[first : first + size]))
        values += [column.take(rows) for column in part.columns]
    return values


def _feature_times(features: pa.Table, rules: JoinRules, bounds: tuple[int, int]) -> tuple[Ints, Ints, Bools]:
    """Event and created time of the feature rows, and which of them an entity row between `bounds` may see."""
    event, usable = _microseconds(features, rules.feature_timestamp)
    first, last = bounds
    usable &= event <= last
    if rules.limit is not None:
        usable &= event >= first - rules.limit
    if not rules.created_timestamp:
        return event, event, usable
    created, created_known = _microseconds(features, rules.created_timestamp)
    if rules.known_only:
        usable &= created_known & (created <= last)
    elif not created_known.all():
        created = np.where(created_known, created, FAR_BACK)
    return event, created, usable


def _microseconds(table: pa.Table, name: str) -> tuple[Ints, Bools]:
    """Times in UTC microseconds and where they are not null."""
    column = table[name]
    if pa.types.is_date(column.type):
        column = column.cast(_MICROSECONDS)
    if not pa.types.is_timestamp(column.type):
        raise Invalid(f"column {name}: expected timestamps, found {column.type}; convert it before the join")
    # A cast between zones keeps the instant and one without a zone is read as UTC: the integers are what is compared.
    column = column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64())
    is_valid = np.ones(len(column), bool) if not column.null_count else pc.is_valid(column).to_numpy().astype(bool)
    values: Ints = (pc.fill_null(column, 0) if column.null_count else column).to_numpy()
    return values, is_valid


def _check(table: pa.Table, names: Sequence[str], side: str) -> None:
    missing = [name for name in names if name not in table.column_names]
    if missing:
        raise Invalid(f"expected the {side} table to have {missing}, found {table.column_names}")
