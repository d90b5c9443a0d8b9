"""Entities and times of window features as integers, so that one sorted array serves all of them.

See `jobs.features.facts` for which facts count, and for how long.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.arrays import Ints
from jobs.errors import Invalid

FOREVER = np.iinfo(np.int64).max
DECIDED_AT = "decided_at"
"""Column of events that were decided when they came in: the moment of that, which no clock of a client can move."""
_DENSE = 2**24
"""Most numbers that keys are given though some stand for no key."""


@dataclass
class Clock:
    """One integer per (key, time), ordered by both, so that a single sorted array serves all keys.

    Times count from the first event in the coarsest unit in which every target is a whole number; others are rounded
    up, which changes no comparison with a target. Where key x time would not fit into 63 bits, time is the rank among
    the targets' times instead: just as exact, one binary search slower.
    """

    unit: int
    origin: int
    span: int
    ranks: Ints | None
    targets: Ints = field(default_factory=lambda: np.zeros(0, np.int64))

    @classmethod
    def of(cls, times: list[Ints], targets: Ints, keys: int) -> "Clock":
        """times: of all facts, table by table. targets: the moments that they are compared with."""
        if len(targets) == 0:
            return cls(1, 0, 2, np.zeros(0, np.int64))
        unit = next(unit for unit in (1_000_000, 1000, 1) if unit == 1 or _whole(targets, unit))
        origin = min(int(some.min()) for some in (*times, targets) if len(some)) // unit * unit
        span = (int(targets.max()) - origin) // unit + 2
        if keys * span < 2**62:
            return cls(unit, origin, span, None)
        ranks = np.unique(targets)
        return cls(1, 0, len(ranks) + 1, ranks)

    def at(self, keys: Ints, times: Ints) -> Ints:
        """The point of each (key, time); times after the last target all become the key's last point."""
        if self.ranks is not None:
            return keys * self.span + np.searchsorted(self.ranks, times, "left")
        ticks = np.minimum(times, self.origin + (self.span - 1) * self.unit)
        ticks -= self.origin - self.unit + 1
        if self.unit > 1:
            ticks //= self.unit
        np.maximum(ticks, 0, out=ticks)
        ticks += keys * self.span
        return ticks

    def shifts(self, micros: int) -> bool:
        """Whether a duration can be added to points as it is."""
        return self.ranks is None and micros % self.unit == 0


def rank(points: Ints, targets: Ints) -> Ints:
    """For each target the number of points at or before it; both sorted."""
    if len(points) == len(targets) and np.array_equal(points, targets):
        ends = np.append(np.flatnonzero(points[1:] != points[:-1]) + 1, len(points))
        return np.repeat(ends, np.diff(ends, prepend=0))
    return np.searchsorted(points, targets, "right")


def order_of(points: Ints) -> Ints | None:
    """The order that sorts, or None if sorted already."""
    if len(points) < 2 or bool((points[1:] >= points[:-1]).all()):
        return None
    rows = len(points)
    if int(points.min()) >= 0 and int(points.max()) < (2**63 - rows) // rows:
        # Position packed below the value: numpy sorts plain integers five times as fast as it argsorts.
        return np.sort(points * rows + np.arange(rows)) % rows
    return np.argsort(points)


def key_codes(columns: list[pa.ChunkedArray]) -> tuple[list[Ints], int]:
    """One small integer per different key over all columns; null gets the last, number `size - 1`."""
    if all(pa.types.is_integer(column.type) for column in columns):
        bounds = [pc.min_max(column).as_py() for column in columns]
        low = min((bound["min"] for bound in bounds if bound["min"] is not None), default=0)
        high = max((bound["max"] for bound in bounds if bound["max"] is not None), default=0)
        if high - low < _DENSE and abs(low) < 2**62:
            codes = [filled(pc.subtract(column.cast(pa.int64()), low), high - low + 1) for column in columns]
            return codes, high - low + 2
    columns = [column.cast(columns[0].type) for column in columns]
    different = pa.chunked_array([chunk for column in columns for chunk in column.chunks], columns[0].type).unique()
    different = different.drop_null()
    numbers = [pc.index_in(column, value_set=different).cast(pa.int64()) for column in columns]
    return [filled(codes, len(different)) for codes in numbers], len(different) + 1


def entity_codes(tables: list[pa.Table], keys: Sequence[str]) -> tuple[list[Ints], int]:
    """`key_codes` of entities of one or several columns; an entity with a null among them gets the last number."""
    codes, size = key_codes([table.column(keys[0]) for table in tables])
    for key in keys[1:]:
        more, other = key_codes([table.column(key) for table in tables])
        is_null = [(mine == size - 1) | (its == other - 1) for mine, its in zip(codes, more, strict=True)]
        codes = [mine * other + its for mine, its in zip(codes, more, strict=True)]
        size *= other
        if size > _DENSE:
            # Few of the pairs that there might be are there; numbers without gaps leave bits for times.
            different, numbers = np.unique(np.concatenate(codes), return_inverse=True)
            ends = np.cumsum([len(part) for part in codes])
            codes, size = np.split(numbers.astype(np.int64), ends[:-1]), len(different)
        size += 1
        codes = [np.where(null, size - 1, part) for null, part in zip(is_null, codes, strict=True)]
    return codes, size


def _whole(times: Ints, unit: int) -> bool:
    return not (times[:1000] % unit).any() and not (times % unit).any()


def moments(events: pa.Table, happened: Ints) -> Ints:
    """When each event was decided: its `decided_at`, or its event time where there is none."""
    if DECIDED_AT not in events.column_names or events.column(DECIDED_AT).null_count == len(events):
        return happened
    decided = integers(events.column(DECIDED_AT))
    return np.where(decided == FOREVER, happened, decided)


def micros(table: pa.Table, name: str) -> Ints:
    """Microseconds since 1970 of a time column; raises ValueError on nulls."""
    column = table.column(name)
    if column.null_count:
        raise Invalid(f"column {name}: expected a time in every row, found {column.null_count} nulls")
    return integers(column)


def integers(column: pa.ChunkedArray) -> Ints:
    """Microseconds since 1970; null is for ever."""
    zone = column.type.tz if pa.types.is_timestamp(column.type) else None
    numbers: Ints = filled(column.cast(pa.timestamp("us", zone)).cast(pa.int64()), FOREVER)
    return numbers


def filled(column: pa.ChunkedArray, value: float) -> Any:
    return (column.fill_null(value) if column.null_count else column).to_numpy()
