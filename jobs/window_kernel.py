"""Window features from Arrow tables to an Arrow table, exact in event time and in knowledge time.

Everything rests on one idea: a fact contributes to a target at time t iff enter <= t < leave, where
`enter = max(event_time + delay, known_at)` and `leave = min(event_time + delay + window, superseded_at)`. Late rows,
corrections and label delays are then no special cases. Needs numpy and pyarrow only, so that it runs in an engine, a
unit test and a request alike; reading and writing tables does not belong here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.exact_sum import Floats, Ints, Limbs, limbs_of, rounded, sample_deviation, squares_of
from jobs.window_ranges import covered, extreme
from jobs.windows import Feature, WindowFeatures

FOREVER = np.iinfo(np.int64).max


def compute(features: WindowFeatures, events: pa.Table, labels: pa.Table | None = None) -> pa.Table:
    """One row per target event, with the schema of `features`; in no particular order.

    events: id, entity, event timestamp, known_at, superseded_at (nullable), value columns, `is_target` (boolean).
    labels: entity, event timestamp (of the event), known_at, superseded_at, value columns.
    A target whose entity is null gets the features of empty windows. A target always knows its own row, even where
    that row reached our world late; no other target does before `known_at`.
    """
    if features.reads_labels and labels is None:
        raise ValueError(f"{features.name} has aggregates of labels, but no labels were given")
    world = _World(features, events, labels)
    columns = [_column(world, feature) for feature in features.features]
    return _table(features, world, columns)


def _column(world: "_World", feature: Feature) -> pa.Array:
    if feature.aggregate.function in ("count", "sum", "mean", "std", "rate"):
        values = _sums(world, feature)
    else:
        values = _ranges(world, feature)
    return values


def _sums(world: "_World", feature: Feature) -> pa.Array:
    aggregate, window = feature.aggregate, feature.window
    facts = world.facts(feature)
    inside = facts.inside(window)
    if aggregate.function == "count":
        return pa.array(inside.count)
    if aggregate.function == "rate":
        events = world.all_events(aggregate.delay).inside(window)
        return _defined(inside.count / np.maximum(events.count, 1), events.count == 0, feature)
    column = str(aggregate.column)
    total = inside.total(column)
    if aggregate.function == "std":
        spread = sample_deviation(inside.count, total, inside.total(column, squared=True))
        return _defined(spread, inside.count < 2, feature)
    sums = rounded(total, len(inside.count))
    if aggregate.function == "sum":
        return _defined(sums, inside.count == 0, feature)
    return _defined(sums / np.maximum(inside.count, 1), inside.count == 0, feature)


def _ranges(world: "_World", feature: Feature) -> pa.Array:
    function, column = feature.aggregate.function, feature.aggregate.column
    facts = world.facts(feature)
    low, high, chosen = facts.ranges(feature.window)
    size = len(world.times)
    if function == "distinct":
        return pa.array(covered(low, high, facts.codes(str(column))[chosen], size))
    if function in ("min", "max"):
        best, found = extreme(low, high, facts.values(str(column))[chosen], size, largest=function == "max")
        return _defined(best, ~found, feature)
    best, found = extreme(low, high, facts.happened[chosen], size, largest=function == "last_age")
    return _defined((world.times - best) / 1e6, ~found, feature)


def _defined(values: Floats, empty: np.ndarray, feature: Feature) -> pa.Array:
    if not empty.any():
        return pa.array(values)
    if feature.empty is None:
        return pa.array(values, mask=empty)
    return pa.array(np.where(empty, float(feature.empty), values))


def _table(features: WindowFeatures, world: "_World", columns: list[pa.Array]) -> pa.Table:
    instant = pa.timestamp("us", "UTC")
    day = pa.array((world.times // 86_400_000_000).astype(np.int32)).cast(pa.date32())
    stamps = [pa.array(values).cast(instant) for values in (world.times, world.created)]
    id, entity = world.keys
    return pa.Table.from_arrays([id, entity, *stamps, *columns, day], schema=features.schema(id.type, entity.type))


class _World:
    """All facts of one kernel call, on one integer clock, sorted by entity and event time."""

    def __init__(self, features: WindowFeatures, events: pa.Table, labels: pa.Table | None) -> None:
        tables = [events] if labels is None else [events, labels]
        codes, size = _key_codes([table.column(features.entity) for table in tables])
        times = [_micros(table, features.event_timestamp) for table in tables]
        wanted = events.column("is_target").to_numpy()
        clock = _Clock.of(times, wanted, size)
        self._sources = [
            _Source(table, code, happened, clock, size - 1)
            for table, code, happened in zip(tables, codes, times, strict=True)
        ]
        source = self._sources[0]
        wanted = source.sort(wanted)
        every = bool(wanted.all())
        chosen = np.flatnonzero(wanted)
        rows = source.order if every else chosen if source.order is None else source.order[chosen]
        self.keys = [_taken(events.column(name), rows) for name in (features.id, features.entity)]
        clock.targets, self.times = (
            (source.points, source.happened) if every else (source.points[chosen], source.happened[chosen])
        )
        self.created = self.times
        if source.known is not source.happened:
            late = wanted & (source.known > source.happened)
            source.own, source.own_position = np.flatnonzero(late), (np.cumsum(wanted) - 1)[late]
            self.created = np.maximum(source.known, source.happened)[chosen]
        self._facts: dict[Any, _Facts] = {}

    def facts(self, feature: Feature) -> "_Facts":
        aggregate = feature.aggregate
        source = self._sources[0 if aggregate.of == "events" else 1]
        where = (aggregate.column, True) if aggregate.function == "rate" else aggregate.where
        column = aggregate.column if aggregate.function != "rate" and source.has_nulls(aggregate.column) else None
        return self._select(source, aggregate.delay, where, column)

    def all_events(self, delay: timedelta) -> "_Facts":
        return self._select(self._sources[0], delay, None, None)

    def _select(self, source: "_Source", delay: timedelta, where: Any, column: str | None) -> "_Facts":
        key = (id(source), delay, where, column)
        if key not in self._facts:
            self._facts[key] = _Facts(source, source.rows(where, column), delay)
        return self._facts[key]


@dataclass
class _Clock:
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
    def of(cls, times: list[Ints], wanted: np.ndarray, keys: int) -> "_Clock":
        targets = times[0] if wanted.all() else times[0][wanted]
        if len(targets) == 0:
            return cls(1, 0, 2, np.zeros(0, np.int64))
        unit = next(unit for unit in (1_000_000, 1000, 1) if unit == 1 or _whole(targets, unit))
        origin = min(int(some.min()) for some in times if len(some)) // unit * unit
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


class _Source:
    """A table of facts sorted by entity and event time, each array read and sorted once."""

    def __init__(self, table: pa.Table, keys: Ints, happened: Ints, clock: _Clock, null_key: int) -> None:
        self.table, self.clock, self.null_key = table, clock, null_key
        points = clock.at(keys, happened)
        self.order = _sorted(points)
        self.points, self.keys = self.sort(points), self.sort(keys)
        self.ends = self.keys * clock.span + (clock.span - 1)
        known = _micros(table, "known_at")
        punctual = np.array_equal(known, happened)
        self.happened = self.sort(happened)
        self.known = self.happened if punctual else self.sort(known)
        gone = table.column("superseded_at")
        self.superseded = None if gone.null_count == len(gone) else self.sort(_integers(gone))
        self.own = self.own_position = np.zeros(0, np.int64)
        self._read: dict[Any, Any] = {}

    def sort(self, array: Any) -> Any:
        return array if self.order is None else array[self.order]

    def values(self, column: str) -> Floats:
        return self._once((column, "values"), lambda: self.sort(_floats(self.table, column)))

    def limbs(self, column: str, squared: bool) -> Limbs:
        split = squares_of if squared else limbs_of
        return self._once((column, squared), lambda: split(self.values(column)))

    def codes(self, column: str) -> Ints:
        return self._once((column, "codes"), lambda: self.sort(_codes(self.table.column(column))))

    def has_nulls(self, column: str | None) -> bool:
        return column is not None and self.table.column(column).null_count > 0

    def rows(self, where: Any, column: str | None) -> Ints | None:
        """Positions of the facts that may contribute; None if all do."""
        kept = self.keys != self.null_key
        if column is not None:
            kept &= self.sort(self.table.column(column).is_valid().to_numpy())
        if where is not None:
            kept &= self.sort(pc.equal(self.table.column(where[0]), where[1]).fill_null(False).to_numpy())
        return None if kept.all() else np.flatnonzero(kept)

    def _once(self, name: Any, make: Any) -> Any:
        if name not in self._read:
            self._read[name] = make()
        return self._read[name]


class _Facts:
    """The facts of one kind that are used with one delay."""

    def __init__(self, source: _Source, rows: Ints | None, delay: timedelta) -> None:
        self.source, self.rows, self.clock = source, rows, source.clock
        self.delay = delay // timedelta(microseconds=1)
        self.keys, self.happened = self.pick(source.keys), self.pick(source.happened)
        self.known = self.happened if source.known is source.happened else self.pick(source.known)
        usable = self.happened + self.delay
        self.late = self.known is not self.happened and bool((self.known > usable).any())
        self.enter = np.maximum(usable, self.known) if self.late else usable
        self.own, self.own_position = self._own()
        self._inside: dict[timedelta, _Inside] = {}
        self._prefixes: dict[Any, Ints] = {}
        self._entered: _Passage | None = None

    def points(self, window: timedelta | None) -> Ints:
        """When each fact enters (window: None) or leaves, as points of the clock."""
        shift = self.delay + (0 if window is None else window // timedelta(microseconds=1))
        changed = self.late or (window is not None and self.source.superseded is not None)
        if changed or not self.clock.shifts(shift):
            return self.clock.at(self.keys, self.enter if window is None else self.leave(window))
        points = self.pick(self.source.points)
        if shift == 0:
            return points
        points = points + shift // self.clock.unit
        return np.minimum(points, self.pick(self.source.ends), out=points)

    def pick(self, array: np.ndarray) -> Any:
        return array if self.rows is None else array[self.rows]

    def values(self, column: str) -> Floats:
        return self.pick(self.source.values(column))

    def codes(self, column: str) -> Ints:
        return self.pick(self.source.codes(column))

    def limbs(self, column: str, squared: bool) -> Iterator[tuple[int, Ints]]:
        for exponent, limb in self.source.limbs(column, squared).items():
            yield exponent, self.pick(limb)

    def leave(self, window: timedelta) -> Ints:
        """When each fact leaves the window; never before it entered (it then contributes to nothing)."""
        leave = self.happened + (self.delay + window // timedelta(microseconds=1))
        if self.source.superseded is not None:
            np.minimum(leave, self.pick(self.source.superseded), out=leave)
        return np.maximum(leave, self.enter, out=leave)

    def inside(self, window: timedelta) -> "_Inside":
        if window not in self._inside:
            if self._entered is None:
                self._entered = _Passage(self.clock, self.points(None))
            self._inside[window] = _Inside(self, self._entered, _Passage(self.clock, self.points(window)))
        return self._inside[window]

    def ranges(self, window: timedelta) -> tuple[Ints, Ints, Ints]:
        """Non-empty half-open ranges of target positions, and the fact that covers each."""
        low = np.searchsorted(self.clock.targets, self.points(None), "left")
        high = np.searchsorted(self.clock.targets, self.points(window), "left")
        chosen = np.flatnonzero(high > low)
        facts = np.concatenate([chosen, self.own])
        return (
            np.concatenate([low[chosen], self.own_position]),
            np.concatenate([high[chosen], self.own_position + 1]),
            facts,
        )

    def prefix(self, name: Any, limb: Ints, order: Ints | None) -> Ints:
        key = (name, None if order is None else id(order))
        if key not in self._prefixes:
            running = np.zeros(len(limb) + 1, np.int64)
            np.cumsum(limb if order is None else limb[order], out=running[1:])
            self._prefixes[key] = running
        return self._prefixes[key]

    def _own(self) -> tuple[Ints, Ints]:
        """Late targets among these facts: each still knows itself, unless the window ends before it."""
        if self.delay or len(self.source.own) == 0:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        if self.rows is None:
            return self.source.own, self.source.own_position
        place = np.searchsorted(self.rows, self.source.own)
        found = self.rows[np.minimum(place, len(self.rows) - 1)] == self.source.own if len(self.rows) else place < 0
        return place[found], self.source.own_position[found]


class _Passage:
    """How many facts passed a point (entered or left) by the time of each target, and in which order."""

    def __init__(self, clock: _Clock, points: Ints) -> None:
        self.order = _sorted(points)
        self.passed = _rank(points if self.order is None else points[self.order], clock.targets)


class _Inside:
    """What is inside one window at each target: everything that entered, less everything that left."""

    def __init__(self, facts: _Facts, entered: _Passage, left: _Passage) -> None:
        self.facts, self.entered, self.left = facts, entered, left
        self.count: Ints = entered.passed - left.passed
        self.count[facts.own_position] += 1

    def total(self, column: str, squared: bool = False) -> Limbs:
        sums = {}
        for exponent, limb in self.facts.limbs(column, squared):
            name = (column, squared, exponent)
            came = self.facts.prefix(name, limb, self.entered.order)[self.entered.passed]
            came -= self.facts.prefix(name, limb, self.left.order)[self.left.passed]
            came[self.facts.own_position] += limb[self.facts.own]
            sums[exponent] = came
        return sums


def _rank(points: Ints, targets: Ints) -> Ints:
    """For each target the number of points at or before it; both sorted."""
    if len(points) == len(targets) and np.array_equal(points, targets):
        ends = np.append(np.flatnonzero(points[1:] != points[:-1]) + 1, len(points))
        return np.repeat(ends, np.diff(ends, prepend=0))
    return np.searchsorted(points, targets, "right")


def _sorted(points: Ints) -> Ints | None:
    """The order that sorts, or None if sorted already."""
    if len(points) < 2 or bool((points[1:] >= points[:-1]).all()):
        return None
    rows = len(points)
    if int(points.min()) >= 0 and int(points.max()) < (2**63 - rows) // rows:
        # Position packed below the value: numpy sorts plain integers five times as fast as it argsorts.
        return np.sort(points * rows + np.arange(rows)) % rows
    return np.argsort(points)


def _key_codes(columns: list[pa.ChunkedArray]) -> tuple[list[Ints], int]:
    """One small integer per different key over all columns; null gets the last, number `size - 1`."""
    if all(pa.types.is_integer(column.type) for column in columns):
        bounds = [pc.min_max(column).as_py() for column in columns]
        low = min((bound["min"] for bound in bounds if bound["min"] is not None), default=0)
        high = max((bound["max"] for bound in bounds if bound["max"] is not None), default=0)
        if high - low < 2**24 and abs(low) < 2**62:
            codes = [_filled(pc.subtract(column.cast(pa.int64()), low), high - low + 1) for column in columns]
            return codes, high - low + 2
    columns = [column.cast(columns[0].type) for column in columns]
    different = pa.chunked_array([chunk for column in columns for chunk in column.chunks], columns[0].type).unique()
    different = different.drop_null()
    found = [pc.index_in(column, value_set=different).cast(pa.int64()) for column in columns]
    return [_filled(codes, len(different)) for codes in found], len(different) + 1


def _codes(column: pa.ChunkedArray) -> Ints:
    return pc.index_in(column, value_set=column.unique()).cast(pa.int64()).to_numpy()


def _whole(times: Ints, unit: int) -> bool:
    return not (times[:1000] % unit).any() and not (times % unit).any()


def _micros(table: pa.Table, name: str) -> Ints:
    column = table.column(name)
    if column.null_count:
        raise ValueError(f"column {name}: expected a time in every row, found {column.null_count} nulls")
    return _integers(column)


def _integers(column: pa.ChunkedArray) -> Ints:
    zone = column.type.tz if pa.types.is_timestamp(column.type) else None
    return _filled(column.cast(pa.timestamp("us", zone)).cast(pa.int64()), FOREVER)


def _floats(table: pa.Table, name: str) -> Floats:
    return _filled(table.column(name).cast(pa.float64()), 0.0)


def _filled(column: pa.ChunkedArray, value: float) -> Any:
    return (column.fill_null(value) if column.null_count else column).to_numpy()


def _taken(column: pa.ChunkedArray, rows: Ints | None) -> pa.ChunkedArray | pa.Array:
    if rows is None:
        return column
    if pa.types.is_integer(column.type) and not column.null_count:
        return pa.array(column.to_numpy()[rows])
    return column.take(pa.array(rows))
