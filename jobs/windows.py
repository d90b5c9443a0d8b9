"""Window features as values: what is counted, over which windows, how late it may be used.

Only declarations live here; `jobs.features.window_kernel` computes them, `jobs.features.window_tables` runs them on
tables. Facts are the events themselves, their labels, or rows of another table that are no targets.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from fractions import Fraction
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple, get_args

import pyarrow as pa

from jobs.conditions import Where, conditions, in_name, is_name, is_number
from jobs.declared_place import Place, place_of_caller
from jobs.errors import Invalid
from jobs.window_lengths import LONGEST, Last, Trend, Window, delay_name, expect_window, reach, window_name

Function = Literal[
    "count",
    "sum",
    "mean",
    "std",
    "min",
    "max",
    "distinct",
    "percentile",
    "rate",
    "last_age",
    "first_age",
    "streak",
    "streak_age",
]
"""What an aggregate may compute.

count: facts (with a value, if a column is named). sum, mean, min, max of a column. std: sample standard deviation,
null below two values. distinct: different values. percentile: the value below which a share of the values lies.
rate: labels whose boolean column is true, over events.
last_age / first_age: seconds since the event time of the latest / earliest fact in the window.
streak: facts whose boolean column is true and that happened after the latest one for which it is false: frauds known
without a legitimate payment known since. streak_age: seconds since the event time of the earliest of them.
"""

Interpolation = Literal["linear", "lower", "higher", "nearest"]
"""What a percentile is that falls between the values a < b, a share f of the way (f * (number of values - 1) is its
place among them, from 0): a + f * (b - a), a, b, or the nearer one, halfway the one at the even place."""

WHOLE_NUMBERS = frozenset({"count", "distinct", "streak"})
ZERO_WHEN_EMPTY = frozenset({"count", "distinct", "sum", "streak"})
BOOLEAN_COLUMN = frozenset({"rate", "streak", "streak_age"})
INT64 = pa.int64()
COLUMN_OPTIONAL = frozenset({"count", "last_age", "first_age"})

# Part of every fingerprint: raised when the kernel returns other values for the same declaration.
KERNEL_VERSION = 2
_RESERVED = ("known_at", "superseded_at", "decided_at", "is_target", "version", "loaded_in")
"""Columns that events have besides their own."""
_LATER = ("percentile", "interpolation")
"""Fields that came after tables had fingerprints: part of them only where they are declared."""
FACT_ID = "fact__id"
"""The column of the ids of facts that are no targets, where both are together."""


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
    windows: tuple[Window, ...] = (timedelta(days=1),)
    """`timedelta`, `Last` (a number of facts within a time) or `Trend` (a short window over a long one)."""
    delay: timedelta = timedelta(0)
    """`BEFORE` leaves the event itself out, and what happened at its moment."""
    of: Literal["events", "labels"] = "events"
    where: Where | None = None
    empty: float | None = None
    name: str | None = None
    description: str = ""
    """What is computed, without window and delay (`jobs.data_dictionary.window_features`); empty: told by the rest."""
    percentile: float | None = None
    """Share of the values that lies below a percentile, such as 0.9; at most four decimals."""
    interpolation: Interpolation = "linear"

    def __post_init__(self) -> None:
        self._expect_words()
        if self.column is None and self.function not in COLUMN_OPTIONAL:
            raise Invalid(f"{self.function} needs a column; name one: Aggregate({self.function!r}, column=...)")
        self._expect_times()
        conditions(self.where)
        if self.function == "rate" and (self.of != "labels" or self.where is not None):
            raise Invalid("rate divides labels by events: declare it with of='labels' and without `where`")
        if self.function in ("streak", "streak_age") and self.where is not None:
            raise Invalid(f"{self.function} takes true and false facts alike: declare it without `where`")
        if self.function in BOOLEAN_COLUMN and any(isinstance(window, Last) for window in self.windows):
            raise Invalid(f"{self.function} is of all facts in a time: declare it with a timedelta instead of Last")
        self._expect_values()

    def _expect_words(self) -> None:
        if not isinstance(self.function, str) or self.function not in get_args(Function):
            raise Invalid(f"unknown function {self.function!r}; expected one of {', '.join(get_args(Function))}")
        for what, given in (("column", self.column), ("name", self.name)):
            if given is not None and not is_name(given):
                raise Invalid(f"{self.function}: {what}: expected a name, found {given!r}")
        if not isinstance(self.of, str) or self.of not in ("events", "labels"):
            raise Invalid(f"{self.function}: of: expected 'events' or 'labels', found {self.of!r}")
        if not isinstance(self.description, str):
            raise Invalid(f"{self.function}: description: expected a text, found {self.description!r}")

    def _expect_times(self) -> None:
        if not isinstance(self.windows, tuple):
            raise Invalid(f"{self.function}: windows: expected a tuple of timedelta, Last or Trend, "
                          f"found {self.windows!r}; write (timedelta(days=1),)")  # fmt: skip
        if not self.windows:
            raise Invalid(f"{self.function}: expected positive windows, found none")
        for window in self.windows:
            if not isinstance(window, Last | Trend):
                expect_window(window, f"{self.function}: expected positive windows")
        if not isinstance(self.delay, timedelta) or not timedelta(0) <= self.delay <= LONGEST:
            raise Invalid(f"{self.function}: expected a timedelta with delay >= 0 and at most {LONGEST.days:,} days, "
                          f"found {self.delay!r}")  # fmt: skip

    def _expect_values(self) -> None:
        if self.empty is not None and not is_number(self.empty):
            raise Invalid(f"{self.function}: empty: expected a finite number or None, found {self.empty!r}")
        if self.function in WHOLE_NUMBERS and self.empty and not all(isinstance(w, Trend) for w in self.windows):
            raise Invalid(f"{self.function}: empty: expected none, as it is 0 in an empty window, found {self.empty!r}")
        if (self.function == "percentile") != (self.percentile is not None):
            raise Invalid(f"{self.function}: expected percentile= with the function 'percentile' and with no other, "
                          f"found {self.percentile!r}; write Aggregate('percentile', ..., percentile=0.9)")  # fmt: skip
        if self.percentile is not None and not _is_percentile(self.percentile):
            raise Invalid("percentile: expected a share above 0 and below 1 of at most four decimals, such as 0.9, "
                          f"found {self.percentile!r}")  # fmt: skip
        if not isinstance(self.interpolation, str) or self.interpolation not in get_args(Interpolation):
            expected = ", ".join(get_args(Interpolation))
            raise Invalid(f"percentile: interpolation: expected one of {expected}, found {self.interpolation!r}")

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the facts that it reads."""
        compared = [condition.column for condition in conditions(self.where)]
        return tuple(dict.fromkeys(name for name in (self.column, *compared) if name))

    @property
    def share(self) -> Fraction:
        """The share of the values below a percentile, as it was written."""
        return Fraction(str(self.percentile))

    @property
    def stem(self) -> str:
        """The feature's name without its window: given, or derived as tx_amount_mean, labels_count_is_fraud_true."""
        function = self.function if self.percentile is None else f"p{self.percentile * 100:.6g}".replace(".", "_")
        return self.name or "_".join(part for part in (self.column or self.of, function, in_name(self.where)) if part)


def _is_percentile(share: Any) -> bool:
    return is_number(share) and 0 < share < 1 and (Fraction(str(share)) * 10_000).denominator == 1


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
        for what, given in (("name", self.name), ("column", self.column)):
            if not is_name(given):
                raise Invalid(f"ratio {self.name!r}: {what}: expected a name, found {given!r}")
        if not isinstance(self.to, Aggregate):
            raise Invalid(f"ratio {self.name}: to: expected an Aggregate, found {self.to!r}")
        if len(self.to.windows) != 1:
            raise Invalid(f"ratio {self.name}: expected a level in one window, found {len(self.to.windows)}")


class FactMart(NamedTuple):
    """A table of versions of facts that are no targets."""

    table: str
    id: str
    """Column that identifies a fact."""
    event_timestamp: str
    """Column that says when it happened."""


class Feature(NamedTuple):
    """One output column: an aggregate in one window."""

    name: str
    aggregate: Aggregate
    window: Window

    @property
    def type(self) -> pa.DataType:
        return pa.int64() if self._of(WHOLE_NUMBERS) else pa.float64()

    @property
    def empty(self) -> float | None:
        given = self.aggregate.empty
        return 0 if given is None and self._of(ZERO_WHEN_EMPTY) else given

    @property
    def reach(self) -> timedelta:
        """How long before a target a fact may have happened and still count."""
        return reach(self.window) + self.aggregate.delay

    def _of(self, functions: frozenset[str]) -> bool:
        """Whether the value is that of such a function, and no quotient of two."""
        return self.aggregate.function in functions and not isinstance(self.window, Trend)


@dataclass(frozen=True)
class WindowFeatures:
    """All window features of one entity: one table, one row per event.

    `entity`, `id` and `event_timestamp` name columns of the events and of the labels. With `facts` the events are
    targets alone: what is counted are the rows of another source, which bears the entity under the same name.
    """

    name: str
    entity: str | tuple[str, ...]
    """Several columns are one entity together, such as a customer at a terminal."""
    id: str = ""
    event_timestamp: str = ""
    """Empty: those of the use case that declares it."""
    aggregates: tuple[Aggregate, ...] = ()
    description: str = ""
    ratios: tuple[Ratio, ...] = ()
    facts: str | None = None
    """Source whose rows are counted; None: the events themselves, and their labels."""
    declared_at: ClassVar[Place]
    """Where it was made; no part of the value."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "declared_at", place_of_caller(__file__))
        self._expect_types()
        self._expect_facts()
        names = [self.id, *self.keys, "event_timestamp", "created_timestamp", "event_date", *self.names]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise Invalid(f"{self.name}: columns declared twice: {', '.join(twice)}; give the aggregates a `name`")
        ratios = [*_RESERVED, self.id, *self.keys, self.event_timestamp, *(ratio.name for ratio in self.ratios)]
        if twice := sorted({ratio.name for ratio in self.ratios if ratios.count(ratio.name) > 1}):
            raise Invalid(f"{self.name}: ratios named like another column: {', '.join(twice)}; give them other names")
        if self.history > LONGEST:
            raise Invalid(f"{self.name}: expected windows, delays and ratios that look back {LONGEST.days:,} days at "
                          f"most together, found {self.history.days:,}")  # fmt: skip

    def _expect_types(self) -> None:
        for what in ("name", "id", "event_timestamp"):
            is_left_out = what != "name" and getattr(self, what) == ""
            if not is_left_out and not is_name(getattr(self, what)):
                raise Invalid(f"WindowFeatures {self.name!r}: {what}: expected a name, found {getattr(self, what)!r}")
        if not isinstance(self.entity, str | tuple) or not self.keys or not all(is_name(key) for key in self.keys):
            raise Invalid(f"{self.name}: entity: expected a column or a tuple of columns, found {self.entity!r}")
        for what, kind in (("aggregates", Aggregate), ("ratios", Ratio)):
            given = getattr(self, what)
            if not isinstance(given, tuple) or not all(isinstance(one, kind) for one in given):
                raise Invalid(f"{self.name}: {what}: expected a tuple of {kind.__name__}, found {given!r}")

    def _expect_facts(self) -> None:
        if self.facts is None:
            return
        if not is_name(self.facts):
            raise Invalid(f"{self.name}: facts: expected the name of a source, found {self.facts!r}")
        if self.reads_labels:
            raise Invalid(f"{self.name}: expected aggregates of the facts {self.facts}, found some of labels; declare "
                          "those in WindowFeatures without `facts`")  # fmt: skip
        hidden = {self.id, self.event_timestamp, *_RESERVED}
        if clashing := [name for name in self.fact_columns if name in hidden]:
            raise Invalid(f"{self.name}: expected columns of the facts {self.facts} named otherwise than those that "
                          f"say which target it is, found {clashing}; rename them in SQL")  # fmt: skip

    def of_events(self, id: str, event_timestamp: str) -> "WindowFeatures":
        """The same of events with this id and time, where it names none."""
        if self.id and self.event_timestamp:
            return self
        found = replace(self, id=self.id or id, event_timestamp=self.event_timestamp or event_timestamp)
        object.__setattr__(found, "declared_at", self.declared_at)
        return found

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns of the entity, one or several."""
        return (self.entity,) if isinstance(self.entity, str) else self.entity

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """Every output feature, in the order of the table."""
        return tuple(self._features())

    def _features(self) -> Iterator[Feature]:
        for aggregate in self.aggregates:
            for window in aggregate.windows:
                name = f"{aggregate.stem}_{window_name(window)}{delay_name(aggregate.delay)}"
                yield Feature(name, aggregate, window)

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
        """The level of a ratio, as the one feature of its entity: of a fact that is its own target."""
        id = self.id if self.facts is None else FACT_ID
        return WindowFeatures(self.name, self.entity, id, self.event_timestamp, (ratio.to,))

    @property
    def event_columns(self) -> tuple[str, ...]:
        """Value columns read from the events."""
        return self._columns("events") if self.facts is None else ()

    @property
    def fact_columns(self) -> tuple[str, ...]:
        """Value columns read from facts that are no targets."""
        return () if self.facts is None else self._columns("events")

    @property
    def label_columns(self) -> tuple[str, ...]:
        """Value columns read from the labels."""
        return self._columns("labels")

    @cached_property
    def reads_labels(self) -> bool:
        return any(aggregate.of == "labels" for aggregate in self.read)

    @property
    def read(self) -> tuple[Aggregate, ...]:
        """Every aggregate that reads facts: the declared ones, and the levels of ratios."""
        return (*(ratio.to for ratio in self.ratios), *self.aggregates)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of everything that changes a value; names of descriptions are left out."""
        declared = asdict(self) | {"kernel": KERNEL_VERSION, "description": ""}
        if self.facts is None:
            del declared["facts"]
        for aggregate in [*declared["aggregates"], *(ratio["to"] for ratio in declared["ratios"])]:
            aggregate["description"] = ""
            for name in _LATER if aggregate["percentile"] is None else ():
                del aggregate[name]
        return hashlib.sha256(json.dumps(declared, sort_keys=True, default=str).encode()).hexdigest()

    def schema(self, id_type: pa.DataType = INT64, *key_types: pa.DataType) -> pa.Schema:
        """The table's schema; event_date is its partition. Features are nullable float64, counts int64."""
        instant = pa.timestamp("us", "UTC")
        types = key_types or (INT64,) * len(self.keys)
        fixed = [pa.field(self.id, id_type), *map(pa.field, self.keys, types)]
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
    return max(map(reach, aggregate.windows)) + aggregate.delay + before
