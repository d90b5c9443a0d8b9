"""Window features from Arrow tables to an Arrow table, exact in event time and in knowledge time.

Everything rests on one idea: a fact contributes to a target decided at t iff enter <= t < leave, where
`enter = max(event_time + delay, known_at)` and `leave = min(event_time + delay + window, superseded_at)`. Late rows,
corrections and label delays are then no special cases. Needs numpy and pyarrow only, so that it runs in an engine, a
unit test and a request alike; reading and writing tables does not belong here.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.arrays import Floats, Ints
from jobs.errors import Invalid
from jobs.features.clock import Clock, entity_codes, filled, micros, moments
from jobs.features.exact_sum import rounded, sample_deviation
from jobs.features.facts import HAPPENED, Facts, FactTable, Inside
from jobs.features.last_facts import LastFacts
from jobs.features.own_labels import known_after_events
from jobs.features.ranges import covered, extreme
from jobs.features.targets import Targets
from jobs.window_lengths import Last, Trend
from jobs.windows import BOOLEAN_COLUMN, FACT_ID, Aggregate, Feature, WindowFeatures

# Differences of running sums; all others are answered by ranges.
SUMS = frozenset({"count", "sum", "mean", "std", "rate"})
STREAKS = frozenset({"streak", "streak_age"})


def compute(
    features: WindowFeatures, events: pa.Table, labels: pa.Table | None = None, facts: pa.Table | None = None
) -> pa.Table:
    """One row per target event, with the schema of `features`; in no particular order.

    events: id, entity, event timestamp, known_at, superseded_at (nullable), value columns, `is_target` (boolean);
    `decided_at` (nullable), if any of them were decided at another moment than their event time.
    labels: entity, event timestamp (of the event), known_at, superseded_at, value columns; the event's id, if its time
    as a target may be another.
    facts: of `WindowFeatures.facts`, which count in the place of the events: `FACT_ID`, entity, the time of each under
    the name of the events' time, known_at, superseded_at, value columns.
    A label counts for no target at the time of its own event (`jobs.features.own_labels`). A target whose entity is
    null gets the features of empty windows. A target always knows its own row, even where that row reached our world
    late; no other target does before `known_at`. With a delay no target counts itself, however late it was decided.
    """
    if features.facts is not None:
        if facts is None:
            raise Invalid(f"{features.name} counts the facts {features.facts}, but none were given")
        each = facts.append_column("is_target", pa.array(np.ones(len(facts), bool)))
        return _of_world(features, _World(features, events, None, with_ratios(features, each, None)))
    if features.reads_labels and labels is None:
        raise Invalid(f"{features.name} has aggregates of labels, but no labels were given")
    labels = labels if labels is None else known_after_events(features, events, labels)
    return of_complete(features, with_ratios(features, events, labels), labels)


def of_complete(features: WindowFeatures, events: pa.Table, labels: pa.Table | None) -> pa.Table:
    """The same of events that `with_ratios` made complete, and of labels that are known after their events."""
    return _of_world(features, _World(features, events, labels))


def _of_world(features: WindowFeatures, world: "_World") -> pa.Table:
    columns = [_column(world, feature) for feature in features.features]
    return _table(features, world, columns)


def with_ratios(features: WindowFeatures, events: pa.Table, labels: pa.Table | None) -> pa.Table:
    """The events with a column per ratio: every version of an event gets the level it would have had as a target."""
    position = events.column_names.index("is_target")
    for ratio in features.ratios:
        everyone = events.set_column(position, "is_target", pa.array(np.ones(len(events), bool)))
        level = features.level(ratio)
        world = _World(level, everyone, labels if level.reads_labels else None)
        levels = filled(pa.chunked_array([_column(world, level.features[0])]).cast(pa.float64()), np.nan)
        values = filled(events.column(ratio.column).cast(pa.float64()), np.nan)
        rows = world.targets.rows
        values = values if rows is None else values[rows]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ratios = values / levels
        ratios[~((levels > 0) & np.isfinite(ratios))] = np.nan
        in_place = ratios
        if rows is not None:
            in_place = np.empty_like(ratios)
            in_place[rows] = ratios
        events = events.append_column(ratio.name, pa.array(in_place, from_pandas=True))
    return events


def _column(world: "_World", feature: Feature) -> pa.Array:
    if isinstance(feature.window, Trend):
        return _trend(world, feature, feature.window)
    function = feature.aggregate.function
    if function in SUMS:
        return _sums(world, feature)
    if function == "percentile":
        return _percentile(world, feature)
    if isinstance(feature.window, Last):
        return _of_last(world, feature, feature.window)
    return (_streaks if function in STREAKS else _ranges)(world, feature, feature.window)


def _trend(world: "_World", feature: Feature, window: Trend) -> pa.Array:
    aggregate = replace(feature.aggregate, empty=None)
    parts = [_column(world, Feature("", aggregate, length)) for length in (window.short, window.long)]
    short, long = (filled(pa.chunked_array([part]).cast(pa.float64()), np.nan) for part in parts)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        values = short / long
    undefined = ~np.isfinite(values)
    return _defined(np.where(undefined, 0.0, values), undefined, feature)


def _sums(world: "_World", feature: Feature) -> pa.Array:
    aggregate = feature.aggregate
    inside = world.inside(feature)
    if aggregate.function == "count":
        return pa.array(inside.count)
    if aggregate.function == "rate":
        assert isinstance(feature.window, timedelta)
        events = world.all_events(aggregate.delay).inside(feature.window)
        return _defined(inside.count / np.maximum(events.count, 1), events.count == 0, feature)
    column = str(aggregate.column)
    total = inside.total(column)
    if aggregate.function == "std":
        spread = sample_deviation(inside.count, total, inside.total(column, squared=True))
        return _defined(spread, inside.count < 2, feature)
    sums = rounded(total, len(inside.count))
    if aggregate.function == "sum":
        return _defined(sums, inside.count == 0, feature)
    return _defined(np.divide(sums, np.maximum(inside.count, 1), out=sums), inside.count == 0, feature)


def _percentile(world: "_World", feature: Feature) -> pa.Array:
    facts, column = world.facts(feature), str(feature.aggregate.column)
    if not np.isfinite(facts.values(column)).all():
        raise Invalid(f"column {column}: expected finite numbers, found NaN or infinity")
    inside = world.inside(feature)
    if isinstance(inside, LastFacts):
        ascending = inside.ascending(column)
        at = lambda place: np.take_along_axis(ascending, place[None], axis=0)[0]  # noqa: E731
    else:
        assert isinstance(feature.window, timedelta)
        ranks, values = facts.ranks(feature.window, column)
        values = values if len(values) else np.zeros(1)
        at = lambda place: values[np.minimum(ranks.select(place), len(values) - 1)]  # noqa: E731
    return _defined(_interpolated(feature.aggregate, inside.count, at), inside.count == 0, feature)


def _interpolated(aggregate: Aggregate, count: Ints, at: Callable[[Ints], Floats]) -> Floats:
    """The percentile of so many values; at: the value at a place of each target's, in ascending order from 0."""
    last, share = np.maximum(count - 1, 0), aggregate.share
    low, rest = np.divmod(last * share.numerator, share.denominator)
    if aggregate.interpolation == "linear":
        below, above = at(low), at(np.minimum(low + 1, last))
        with np.errstate(invalid="ignore"):
            values: Floats = below + rest / share.denominator * (above - below)
        return np.where(count > 0, values, 0.0)
    half = np.sign(2 * rest - share.denominator)
    nearest = low + np.where(half == 0, low & 1, half > 0)
    return at({"lower": low, "higher": low + (rest > 0), "nearest": nearest}[aggregate.interpolation])


def _of_last(world: "_World", feature: Feature, window: Last) -> pa.Array:
    facts, (function, column) = world.facts(feature), (feature.aggregate.function, feature.aggregate.column)
    held = LastFacts(facts, window)
    if function == "distinct":
        return pa.array(held.distinct(str(column)))
    if function in ("last_age", "first_age"):
        values = (world.times - held.extreme(facts.happened, largest=function == "last_age")) / 1e6
    else:
        values = held.extreme(facts.values(str(column)), largest=function == "max")
    return _defined(values, held.count == 0, feature)


def _ranges(world: "_World", feature: Feature, window: timedelta) -> pa.Array:
    function, column = feature.aggregate.function, feature.aggregate.column
    facts = world.facts(feature)
    low, high, chosen = facts.ranges(window)
    size = len(world.times)
    if function == "distinct":
        return pa.array(covered(low, high, facts.codes(str(column))[chosen], size))
    if function in ("min", "max"):
        best, has_value = extreme(low, high, facts.values(str(column))[chosen], size, largest=function == "max")
        return _defined(best, ~has_value, feature)
    best, has_value = extreme(low, high, facts.happened[chosen], size, largest=function == "last_age")
    return _defined((world.times - best) / 1e6, ~has_value, feature)


def _streaks(world: "_World", feature: Feature, window: timedelta) -> pa.Array:
    """The true facts above the latest false one, counted by event time among those inside."""
    size = len(world.times)
    breaks = world.facts(feature, False)
    low, high, chosen = breaks.ranges(window)
    broken, has_break = extreme(low, high, breaks.happened[chosen], size, largest=True)
    facts = world.facts(feature, True)
    ranks, moments = facts.ranks(window, HAPPENED)
    before = ranks.below(np.where(has_break, np.searchsorted(moments, broken, "right"), 0))
    count = facts.inside(window).count - before
    if feature.aggregate.function == "streak":
        return pa.array(count)
    if not len(moments):
        return _defined(np.zeros(size), count == 0, feature)
    first = moments[np.minimum(ranks.select(before), len(moments) - 1)]
    return _defined((world.times - first) / 1e6, count == 0, feature)


def _defined(values: Floats, empty: NDArray[np.bool_], feature: Feature) -> pa.Array:
    if not empty.any():
        return pa.array(values)
    if feature.empty is None:
        return pa.array(values, mask=empty)
    return pa.array(np.where(empty, float(feature.empty), values))


def _table(features: WindowFeatures, world: "_World", columns: list[pa.Array]) -> pa.Table:
    instant = pa.timestamp("us", "UTC")
    happened = world.targets.happened
    day = pa.array((happened // 86_400_000_000).astype(np.int32)).cast(pa.date32())
    stamps = [pa.array(values).cast(instant) for values in (world.times, world.targets.created)]
    schema = features.schema(*(key.type for key in world.keys))
    return pa.Table.from_arrays([*world.keys, *stamps, *columns, day], schema=schema)


class _World:
    """All facts of one kernel call, on one integer clock, sorted by entity and event time."""

    def __init__(
        self, features: WindowFeatures, events: pa.Table, labels: pa.Table | None, facts: pa.Table | None = None
    ) -> None:
        """facts: what counts in the place of the events, which are targets alone then."""
        others = labels if facts is None else facts
        tables = [events] if others is None else [events, others]
        codes, size = entity_codes(tables, features.keys)
        times = [micros(table, features.event_timestamp) for table in tables]
        is_target = events.column("is_target").to_numpy()
        at = moments(events, times[0])
        clock = Clock.of(times, at if is_target.all() else at[is_target], size)
        ids = (features.id, features.id if facts is None else FACT_ID)
        self._sources = [
            FactTable(table, id, code, happened, clock, size - 1)
            for table, id, code, happened in zip(tables, ids, codes, times, strict=False)
        ]
        self._events = self._sources[0 if facts is None else 1]
        self.targets = Targets(self._sources[0], at, is_target, decided=at is not times[0])
        clock.targets, self.times = self.targets.points, self.targets.times
        self.keys = [_taken(events.column(name), self.targets.rows) for name in (features.id, *features.keys)]
        self._facts: dict[Any, Facts] = {}

    def facts(self, feature: Feature, value: bool = True) -> Facts:
        """The facts of a feature; of a function of a boolean column those where it is `value`."""
        aggregate = feature.aggregate
        source = self._events if aggregate.of == "events" else self._sources[1]
        boolean = aggregate.function in BOOLEAN_COLUMN
        where = (aggregate.column, value) if boolean else aggregate.where
        column = aggregate.column if not boolean and source.has_nulls(aggregate.column) else None
        return self._select(source, aggregate.delay, where, column)

    def inside(self, feature: Feature) -> Inside | LastFacts:
        """The facts of a feature that are inside its window, for each target."""
        assert not isinstance(feature.window, Trend)
        facts = self.facts(feature)
        return LastFacts(facts, feature.window) if isinstance(feature.window, Last) else facts.inside(feature.window)

    def all_events(self, delay: timedelta) -> Facts:
        return self._select(self._events, delay, None, None)

    def _select(self, source: FactTable, delay: timedelta, where: Any, column: str | None) -> Facts:
        key = (id(source), delay, where, column)
        if key not in self._facts:
            self._facts[key] = Facts(source, source.rows(where, column), delay)
        return self._facts[key]


def _taken(column: pa.ChunkedArray, rows: Ints | None) -> pa.ChunkedArray | pa.Array:
    if rows is None:
        return column
    if pa.types.is_integer(column.type) and not column.null_count:
        return pa.array(column.to_numpy()[rows])
    return column.take(pa.array(rows))
