"""Window features of one entity compiled for single events: which facts are kept how, and how each value is found.

Facts themselves are `jobs.online.entity_facts`' business. Nothing here depends on an entity.
"""

from bisect import bisect_right
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from math import inf
from typing import Any, NamedTuple

from jobs.errors import Invalid
from jobs.online import functions
from jobs.online.column_type import ColumnType
from jobs.online.fact_lines import FactLines, Layout
from jobs.online.functions import Compute, Value
from jobs.online.selections import Comparison, Selection, selection
from jobs.online.series import Contents, Series
from jobs.window_lengths import Last, Trend, Window, reach
from jobs.windows import WHOLE_NUMBERS, Aggregate, Feature, Ratio, WindowFeatures

_CODES = {"float64": "d", "int64": "q", "bool": "b", "string": ""}
_SUMMED = ("sum", "mean", "std")
WHOLE = 2.0**53
"""Integers up to it are doubles."""
_FAR = 2**61
"""Microseconds from 1970, in 73,000 years: sums of times fit into 64 bits."""
SUM, SQUARE = 1e290, 1e140
"""Sums of numbers, and products of sums of squares of numbers, are far from overflow up to these."""


class Event(NamedTuple):
    """An event or a label of one: its id, its event time in microseconds since 1970, and the columns that are read."""

    id: Any
    happened: int
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """What an entity keeps, and what is computed of it when an event is decided."""

    features: WindowFeatures
    events: dict[str, ColumnType]
    """The columns of events that are kept, ratios last."""
    labels: dict[str, ColumnType]
    id: ColumnType
    bounds: dict[str, dict[str, float]]
    """By kind of fact the largest magnitude of each column that is added up."""
    selections: tuple[Selection, ...]
    contents: tuple[Contents, ...]
    comparisons: tuple[tuple[Comparison, ...], ...]
    """The conditions of each selection."""
    takers: tuple[tuple[int, ...], ...]
    """Selections of events by how many ratios of an event have to be known before they can take it."""
    label_takers: tuple[int, ...]
    before: "Evaluation"
    """Values that an event itself is no part of: what has a delay. Levels of ratios stand behind the features."""
    levels: tuple["Evaluation | None", ...]
    """Of each ratio the level that the event is part of; None: it is in `before`."""
    after: "Evaluation"

    @classmethod
    def of(
        cls,
        features: WindowFeatures,
        events: Mapping[str, ColumnType],
        labels: Mapping[str, ColumnType] | None = None,
    ) -> "Plan":
        """events, labels: types of the columns that the features read, and of the event's id.

        Raises Invalid for a column without a type, or of a type that its function cannot use.
        """
        return _Compiler(features, events, labels or {}).plan()

    @cached_property
    def event_layout(self) -> Layout:
        return Layout(self.id, self.events)

    @cached_property
    def label_layout(self) -> Layout:
        return Layout(self.id, self.labels)

    @cached_property
    def no_labels(self) -> FactLines:
        """What all entities share that read no labels; nothing is ever added to it."""
        return FactLines(self.label_layout)

    @cached_property
    def width(self) -> int:
        """Number of features."""
        return len(self.features.names)

    @cached_property
    def given(self) -> dict[str, list[tuple[str, ColumnType, float]]]:
        """By kind of fact the columns that come with one, each with its largest magnitude."""
        made = {ratio.name for ratio in self.features.ratios}
        return {
            of: [(name, type, self.bounds[of].get(name, inf)) for name, type in types.items() if name not in made]
            for of, types in (("events", self.events), ("labels", self.labels))
        }

    def checked(self, of: str, fact: Event) -> dict[str, Any]:
        """The columns of an event or a label as they are held. Raises Invalid for values that cannot be held."""
        self.id.checked(self.features.id, fact.id)
        if not -_FAR < fact.happened < _FAR:
            raise Invalid(f"event {fact.id!r}: expected a time in microseconds since 1970, found {fact.happened!r}")
        values = {}
        for name, type, largest in self.given[of]:
            value = values[name] = type.checked(name, fact.values.get(name))
            if largest < inf and value is not None and abs(value) > largest:
                raise Invalid(
                    f"column {name}: expected a number up to {largest:g}, found {value!r}; send a smaller one"
                )
        return values

    @cached_property
    def levels_read_labels(self) -> bool:
        return any(ratio.to.of == "labels" for ratio in self.features.ratios)


class Evaluation:
    """Values of some features at one moment. Ranges are found once for all features that share them."""

    def __init__(self) -> None:
        self._steps: list[tuple[int, Compute]] = []
        self._ranges: dict[tuple[int, timedelta, timedelta, int], int] = {}
        self._groups: dict[tuple[int, int], list[tuple[int, int, int]]] = {}

    def range(self, at: int, delay: timedelta, window: Window) -> int:
        """The number of a range of a selection's facts."""
        last = window.facts if isinstance(window, Last) else 0
        key = (at, delay, reach(window), last)
        if key not in self._ranges:
            number = self._ranges[key] = len(self._ranges)
            group = self._groups.setdefault((at, _micros(delay)), [])
            group.append((number, _micros(delay + reach(window)), last))
        return self._ranges[key]

    def add(self, place: int, compute: Compute) -> None:
        """The value at a place of the output."""
        self._steps.append((place, compute))

    def run(self, series: Sequence[Series], moment: int, values: list[Value]) -> None:
        """Fill in the values of a target that is decided at a moment, at or after everything that is known."""
        ranges: Any = [None] * len(self._ranges)
        for (at, delay), windows in self._groups.items():
            facts = series[at]
            high = bisect_right(facts.times, moment - delay)
            for number, back, last in windows:
                low = bisect_right(facts.times, moment - back, 0, high)
                ranges[number] = (facts, max(low, high - last) if last else low, high)
        for place, compute in self._steps:
            values[place] = compute(ranges, moment)


class _Compiler:
    def __init__(
        self, features: WindowFeatures, events: Mapping[str, ColumnType], labels: Mapping[str, ColumnType]
    ) -> None:
        self.features = features
        self.types = {
            "events": {name: _typed(events, name) for name in features.event_columns},
            "labels": {name: _typed(labels, name) for name in features.label_columns},
        }
        self.bounds: dict[str, dict[str, float]] = {"events": {}, "labels": {}}
        self.types["events"] |= {ratio.name: ColumnType("float64") for ratio in features.ratios}
        self.id = _typed(events, features.id)
        self.selections: dict[Selection, int] = {}
        self.contents: list[Contents] = []
        self.before, self.after = Evaluation(), Evaluation()

    def plan(self) -> Plan:
        for place, feature in enumerate(self.features.features):
            evaluation = self.before if feature.aggregate.delay else self.after
            evaluation.add(place, self.compute(evaluation, feature))
        levels = tuple(
            self.level(len(self.features.features) + number, ratio) for number, ratio in enumerate(self.features.ratios)
        )
        of_labels = tuple(at for chosen, at in self.selections.items() if chosen.of == "labels")
        return Plan(
            self.features, self.types["events"], self.types["labels"], self.id, self.bounds, tuple(self.selections),
            tuple(self.contents), tuple(map(self.comparisons, self.selections)),
            self.takers(), of_labels, self.before, levels, self.after,
        )  # fmt: skip

    def level(self, place: int, ratio: Ratio) -> Evaluation | None:
        self._expect_number(ratio.column, self.types["events"][ratio.column].kind)
        evaluation = self.before if ratio.to.delay else Evaluation()
        evaluation.add(place, self.compute(evaluation, Feature("", ratio.to, ratio.to.windows[0])))
        return None if ratio.to.delay else evaluation

    def compute(self, evaluation: Evaluation, feature: Feature) -> Compute:
        aggregate, window = feature.aggregate, feature.window
        if isinstance(window, Trend):
            whole = replace(aggregate, empty=None)
            short, long = (self.compute(evaluation, Feature("", whole, part)) for part in (window.short, window.long))
            return functions.or_else(functions.trend(short, long), feature.empty)
        if aggregate.function in ("rate", "streak", "streak_age"):
            return functions.or_else(self._of_booleans(evaluation, aggregate, window), feature.empty)
        at = self.select(selection(aggregate, self.types[aggregate.of]))
        number = evaluation.range(at, aggregate.delay, window)
        compute = self._of_values(at, number, aggregate, (aggregate.delay, window))
        return compute if aggregate.function in WHOLE_NUMBERS else functions.or_else(compute, feature.empty)

    def _of_booleans(self, evaluation: Evaluation, aggregate: Aggregate, window: Window) -> Compute:
        types = self.types[aggregate.of]
        at = evaluation.range(self.select(selection(aggregate, types)), aggregate.delay, window)
        other = Selection("events") if aggregate.function == "rate" else selection(aggregate, types, False)
        against = evaluation.range(self.select(other), aggregate.delay, window)
        if aggregate.function == "rate":
            return functions.rate(at, against)
        return functions.streak(at, against, is_age=aggregate.function == "streak_age")

    def _of_values(self, at: int, number: int, aggregate: Aggregate, window: Hashable) -> Compute:
        function, column = aggregate.function, str(aggregate.column)
        if function == "count":
            return functions.count(number)
        if function in ("last_age", "first_age"):
            return functions.age(number, last=function == "last_age")
        self.keep(at, aggregate)
        if function in _SUMMED:
            summed: dict[str, Callable[[int, str], Compute]] = {
                "sum": functions.total, "mean": functions.mean, "std": functions.deviation,
            }  # fmt: skip
            return summed[function](number, column)
        if function == "distinct":
            return functions.distinct(number, column, window)
        if function == "percentile":
            return functions.percentile(number, aggregate)
        return functions.extreme(number, column, max if function == "max" else min)

    def keep(self, at: int, aggregate: Aggregate) -> None:
        """What a series must hold for a function of a column."""
        function, column, contents = aggregate.function, str(aggregate.column), self.contents[at]
        kind = self.types[aggregate.of][column].kind
        if function != "distinct":
            self._expect_number(column, kind)
            self._bound(aggregate.of, column, SQUARE if function == "std" else WHOLE if kind == "int64" else SUM)
        if function in _SUMMED:
            contents.sums.add(column)
        else:
            contents.values[column] = _CODES[kind]
        if function == "std":
            contents.squares.add(column)
        if function in ("min", "max"):
            contents.extremes.add((column, max if function == "max" else min))

    def _bound(self, of: str, column: str, largest: float) -> None:
        bounds = self.bounds[of]
        bounds[column] = min(bounds.get(column, largest), largest)

    def _expect_number(self, column: str, kind: str) -> None:
        if kind not in ("float64", "int64"):
            raise Invalid(f"column {column}: expected numbers, found {kind}; declare another function or column")

    def select(self, chosen: Selection) -> int:
        if chosen not in self.selections:
            self.selections[chosen] = len(self.contents)
            self.contents.append(Contents())
        return self.selections[chosen]

    def comparisons(self, chosen: Selection) -> tuple[Comparison, ...]:
        types = self.types[chosen.of]
        made = tuple(Comparison(condition, types[condition.column]) for condition in chosen.where)
        for one in made:
            if one.is_of_doubles:
                self._bound(chosen.of, one.column, WHOLE)
        return made

    def takers(self) -> tuple[tuple[int, ...], ...]:
        waiting: list[list[int]] = [[] for _ in range(len(self.features.ratios) + 1)]
        for chosen, at in self.selections.items():
            if chosen.of == "events":
                read = chosen.columns | self.contents[at].values.keys() | self.contents[at].sums
                known = [number for number, ratio in enumerate(self.features.ratios, 1) if ratio.name in read]
                waiting[max(known, default=0)].append(at)
        return tuple(map(tuple, waiting))


def _typed(types: Mapping[str, ColumnType], name: str) -> ColumnType:
    if name not in types:
        raise Invalid(f"column {name}: expected its type, found none; pass it with the others")
    return types[name]


def _micros(length: timedelta) -> int:
    return length // timedelta(microseconds=1)
