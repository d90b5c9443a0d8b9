"""Window features as values: what is counted, over which windows, how late it may be used.

Only declarations live here; `jobs.features.window_kernel` computes them, `jobs.features.window_tables` runs them on
tables.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import cached_property
from typing import ClassVar, Literal, NamedTuple, get_args

import pyarrow as pa

from jobs.declared_place import Place, place_of_caller
from jobs.errors import Invalid

Function = Literal[
    "count", "sum", "mean", "std", "min", "max", "distinct", "rate", "last_age", "first_age", "streak", "streak_age"
]
"""What an aggregate may compute.

count: facts (with a value, if a column is named). sum, mean, min, max of a column. std: sample standard deviation,
null below two values. distinct: different values. rate: labels whose boolean column is true, over events.
last_age / first_age: seconds since the event time of the latest / earliest fact in the window.
streak: facts whose boolean column is true and that happened after the latest one for which it is false: frauds known
without a legitimate payment known since. streak_age: seconds since the event time of the earliest of them.
"""

Where = tuple[str, bool | int | str] | tuple[str, Literal["<=", ">"], float]
"""Facts whose column equals a value, or compares with a number; a null does neither."""

WHOLE_NUMBERS = frozenset({"count", "distinct", "streak"})
ZERO_WHEN_EMPTY = frozenset({"count", "distinct", "sum", "streak"})
BOOLEAN_COLUMN = frozenset({"rate", "streak", "streak_age"})
INT64 = pa.int64()
COLUMN_OPTIONAL = frozenset({"count", "last_age", "first_age"})

# Part of every fingerprint: raised when the kernel returns other values for the same declaration.
KERNEL_VERSION = 2


@dataclass(frozen=True)
class Aggregate:
    """One function over one column, in one or more windows.

    A fact (an event, or a label of an event) contributes to a target at time t if its event time lies in
    `(t - delay - window, t - delay]` and the fact was known, and not yet superseded, at t.

    `where` keeps only some facts. `empty` is the value of a window in which the function is undefined (default: 0 for
    count, distinct, sum and streak, null for the others).
    """

    function: Function
    column: str | None = None
    windows: tuple[timedelta, ...] = (timedelta(days=1),)
    delay: timedelta = timedelta(0)
    of: Literal["events", "labels"] = "events"
    where: Where | None = None
    empty: float | None = None
    name: str | None = None
    description: str = ""
    """What is computed, without window and delay (`jobs.data_dictionary.window_features`); empty: told by the rest."""

    def __post_init__(self) -> None:
        if self.function not in get_args(Function):
            raise Invalid(f"unknown function {self.function!r}; expected one of {', '.join(get_args(Function))}")
        if self.column is None and self.function not in COLUMN_OPTIONAL:
            raise Invalid(f"{self.function} needs a column; name one: Aggregate({self.function!r}, column=...)")
        if not self.windows or min(self.windows) <= timedelta(0) or self.delay < timedelta(0):
            raise Invalid(f"expected positive windows and delay >= 0, found {self.windows} and {self.delay}")
        if self.function == "rate" and (self.of != "labels" or self.where is not None):
            raise Invalid("rate divides labels by events: declare it with of='labels' and without `where`")
        if self.function in ("streak", "streak_age") and self.where is not None:
            raise Invalid(f"{self.function} takes true and false facts alike: declare it without `where`")
        if self.where is not None and len(self.where) == 3 and self.where[1] not in ("<=", ">"):
            raise Invalid(f"where: expected a comparison '<=' or '>', found {self.where[1]!r}")

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the facts that it reads."""
        return tuple(name for name in (self.column, self.where and self.where[0]) if name)

    @property
    def stem(self) -> str:
        """The feature's name without its window: given, or derived as tx_amount_mean, labels_count_is_fraud_true."""
        where = "_".join(str(part) for part in self.where or ()).lower()
        return self.name or "_".join(part for part in (self.column or self.of, self.function, where) if part)


@dataclass(frozen=True)
class Ratio:
    """A further column of the events: `column` over the entity's own level `to` at the event's own time.

    The level is what its feature was for that event when it happened, so it never changes afterwards, and aggregates of
    later targets may use the ratio like any value: how far payments lay above what was usual. Null where there is no
    level, or none above zero. A `delay` of `to` keeps the event itself out of its level. `to` may read earlier ratios.
    """

    name: str
    column: str
    to: Aggregate

    def __post_init__(self) -> None:
        if len(self.to.windows) != 1:
            raise Invalid(f"ratio {self.name}: expected a level in one window, found {len(self.to.windows)}")


class Feature(NamedTuple):
    """One output column: an aggregate in one window."""

    name: str
    aggregate: Aggregate
    window: timedelta

    @property
    def type(self) -> pa.DataType:
        return pa.int64() if self.aggregate.function in WHOLE_NUMBERS else pa.float64()

    @property
    def empty(self) -> float | None:
        given = self.aggregate.empty
        return 0 if given is None and self.aggregate.function in ZERO_WHEN_EMPTY else given


@dataclass(frozen=True)
class WindowFeatures:
    """All window features of one entity: one table, one row per event.

    `entity`, `id` and `event_timestamp` name columns of the events and of the labels.
    """

    name: str
    entity: str
    id: str
    event_timestamp: str
    aggregates: tuple[Aggregate, ...]
    description: str = ""
    ratios: tuple[Ratio, ...] = ()
    declared_at: ClassVar[Place]
    """Where it was made; no part of the value."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "declared_at", place_of_caller(__file__))
        names = [self.id, self.entity, "event_timestamp", "created_timestamp", "event_date", *self.names]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise Invalid(f"{self.name}: columns declared twice: {', '.join(twice)}; give the aggregates a `name`")

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """Every output feature, in the order of the table."""
        return tuple(self._features())

    def _features(self) -> Iterator[Feature]:
        for aggregate in self.aggregates:
            late = f"_delay_{duration(aggregate.delay)}" if aggregate.delay else ""
            for window in aggregate.windows:
                yield Feature(f"{aggregate.stem}_{duration(window)}{late}", aggregate, window)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(feature.name for feature in self.features)

    @property
    def history(self) -> timedelta:
        """How long before a target a fact may have happened and still count, through ratios too."""
        reach: dict[str, timedelta] = {}
        for ratio in self.ratios:
            reach[ratio.name] = _reach(ratio.to, reach)
        return max((_reach(aggregate, reach) for aggregate in self.aggregates), default=timedelta(0))

    def level(self, ratio: Ratio) -> "WindowFeatures":
        """The level of a ratio, as the one feature of its entity."""
        return WindowFeatures(self.name, self.entity, self.id, self.event_timestamp, (ratio.to,))

    @property
    def event_columns(self) -> tuple[str, ...]:
        """Value columns read from the events."""
        return self._columns("events")

    @property
    def label_columns(self) -> tuple[str, ...]:
        """Value columns read from the labels."""
        return self._columns("labels")

    @property
    def reads_labels(self) -> bool:
        return any(aggregate.of == "labels" for aggregate in self.read)

    @property
    def read(self) -> tuple[Aggregate, ...]:
        """Every aggregate that reads facts: the declared ones, and the levels of ratios."""
        return (*(ratio.to for ratio in self.ratios), *self.aggregates)

    @property
    def fingerprint(self) -> str:
        """A hash of everything that changes a value; names of descriptions are left out."""
        declared = asdict(self) | {"kernel": KERNEL_VERSION, "description": ""}
        for aggregate in [*declared["aggregates"], *(ratio["to"] for ratio in declared["ratios"])]:
            aggregate["description"] = ""
        return hashlib.sha256(json.dumps(declared, sort_keys=True, default=str).encode()).hexdigest()

    def schema(self, id_type: pa.DataType = INT64, entity_type: pa.DataType = INT64) -> pa.Schema:
        """The table's schema; event_date is its partition. Features are nullable float64, counts int64."""
        instant = pa.timestamp("us", "UTC")
        fixed = [pa.field(self.id, id_type), pa.field(self.entity, entity_type)]
        fixed += [pa.field("event_timestamp", instant), pa.field("created_timestamp", instant)]
        features = [pa.field(feature.name, feature.type) for feature in self.features]
        return pa.schema([*fixed, *features, pa.field("event_date", pa.date32())])

    def _columns(self, of: str) -> tuple[str, ...]:
        ratios = {ratio.name for ratio in self.ratios}
        named = [ratio.column for ratio in self.ratios] if of == "events" else []
        named += [name for aggregate in self.read if aggregate.of == of for name in aggregate.columns]
        return tuple(dict.fromkeys(name for name in named if name not in ratios))


def _reach(aggregate: Aggregate, ratios: Mapping[str, timedelta]) -> timedelta:
    before = max((ratios.get(name, timedelta(0)) for name in aggregate.columns), default=timedelta(0))
    return max(aggregate.windows) + aggregate.delay + before


def duration(length: timedelta) -> str:
    """A short exact name for a duration: 10m, 1h, 7d, 1500ms.

    >>> duration(timedelta(days=7)), duration(timedelta(minutes=90)), duration(timedelta(0))
    ('7d', '90m', '0s')
    """
    micros = length // timedelta(microseconds=1)
    units = (("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1000), ("us", 1))
    if micros == 0:
        return "0s"
    return next(f"{micros // size}{unit}" for unit, size in units if micros % size == 0)
