"""Window features of one entity compiled for single events: which facts are kept how, and how each value is found.

Facts themselves are `jobs.online.entity_facts`' business. Nothing here depends on an entity.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf
from typing import Any, NamedTuple, TypeAlias

from jobs.errors import Invalid
from jobs.online import functions
from jobs.online.column_type import ColumnType
from jobs.online.evaluation import Evaluation, Range, Run
from jobs.online.fact_lines import FactLines, Layout
from jobs.online.scanning import prepared
from jobs.online.scanning.program import Source
from jobs.online.scanning.scan import Scan
from jobs.online.selections import Comparison, Selection, selection
from jobs.online.series import Contents
from jobs.window_lengths import Trend, Window
from jobs.windows import FACT_ID, Aggregate, Feature, Ratio, WindowFeatures

_CODES = {"float64": "d", "int64": "q", "bool": "q", "string": ""}
_SUMMED = ("sum", "mean", "std")
_OF_TIMES = ("count", "last_age", "first_age")
WHOLE = 2.0**53
"""Integers up to it are doubles."""
_FAR = 2**61
"""Microseconds from 1970, in 73,000 years: sums of times fit into 64 bits."""
SUM, SQUARE = 1e290, 1e140
"""Sums of numbers, and products of sums of squares of numbers, are far from overflow up to these."""
_ANY: dict[str, Any] = {"float64": 0.0, "int64": 0, "bool": False, "string": ""}


Given: TypeAlias = tuple[str, ColumnType, float]
"""A column that comes with a fact, and its largest magnitude."""


class Event(NamedTuple):
    """An event, a label of one, or another fact: id, event time in microseconds since 1970, and the columns read."""

    id: Any
    happened: int
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """What an entity keeps, and what is computed of it when an event is decided."""

    features: WindowFeatures
    events: dict[str, ColumnType]
    """The columns of events that are kept, ratios last; of the facts of another source, where these count instead."""
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
    before: Run
    """Values that an event itself is no part of: what has a delay. Levels of ratios stand behind the features."""
    levels: tuple[Run | None, ...]
    """Of each ratio the level that the event is part of; None: it is in `before`."""
    after: Run

    @classmethod
    def of(
        cls,
        features: WindowFeatures,
        events: Mapping[str, ColumnType],
        labels: Mapping[str, ColumnType] | None = None,
    ) -> "Plan":
        """events, labels: types of the columns that the features read, and of the event's id.

        Features that count the facts of another source read these as events, whose id is `FACT_ID`.
        Raises Invalid for a column without a type, or of a type that its function cannot use.
        """
        return _Compiler(features, events, labels or {}).plan()

    @cached_property
    def counted(self) -> WindowFeatures:
        """The same of what is counted, as if each fact were a target too."""
        return _counted(self.features)

    @cached_property
    def nobody(self) -> Event:
        """Any id and columns that a line can hold."""
        return Event(_ANY[self.id.kind], 0, {name: _ANY[type.kind] for name, type in self.events.items()})

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
    def dense(self) -> "Plan":
        """The same of entities whose facts have no nulls in the columns that come with them."""
        given = ({name: type._replace(nullable=False) for name, type, _ in self.given[of]} for of in self.given)
        events, labels = given
        return Plan.of(self.features, {**events, self.counted.id: self.id}, labels)

    @cached_property
    def scan(self) -> Scan | None:
        """What finds the features of entities with few facts; None: of these no pass over numbers alone does."""
        source = Source(
            self.counted, {"events": self.events, "labels": self.labels},
            {"events": self.event_layout, "labels": self.label_layout}, self.selections, self.contents, self.takers,
            self.bounds["events"],
        )  # fmt: skip
        try:
            return Scan(source)
        except Invalid:
            return None

    def is_scanned(self) -> bool:
        """Whether entities with few facts are, in this process."""
        return self.scan is not None and prepared.kernel() is not None

    @cached_property
    def width(self) -> int:
        """Number of features."""
        return len(self.features.names)

    @cached_property
    def given(self) -> dict[str, list[Given]]:
        """By kind of fact the columns that come with one, each with its largest magnitude."""
        made = {ratio.name for ratio in self.features.ratios}
        return {
            of: [(name, type, self.bounds[of].get(name, inf)) for name, type in types.items() if name not in made]
            for of, types in (("events", self.events), ("labels", self.labels))
        }

    def checked(self, of: str, fact: Event) -> dict[str, Any]:
        """The columns of an event or a label as they are held. Raises Invalid for values that cannot be held."""
        return held_columns((self.counted.id, self.id), self.given[of], fact)

    @cached_property
    def levels_read_labels(self) -> bool:
        return any(ratio.to.of == "labels" for ratio in self.features.ratios)


def held_columns(id: tuple[str, ColumnType], columns: Iterable[Given], fact: Event) -> dict[str, Any]:
    """The columns of an event or a label as they are held. Raises Invalid for an id, a time or a value that cannot be.

    id: its name and type.
    """
    id[1].checked(id[0], fact.id)
    if not -_FAR < fact.happened < _FAR:
        raise Invalid(f"event {fact.id!r}: expected a time in microseconds since 1970, found {fact.happened!r}")
    values = {}
    for name, type, largest in columns:
        value = values[name] = type.checked(name, fact.values.get(name))
        if largest < inf and value is not None and abs(value) > largest:
            raise Invalid(f"column {name}: expected a number up to {largest:g}, found {value!r}; send a smaller one")
    return values


class _Compiler:
    def __init__(
        self, features: WindowFeatures, events: Mapping[str, ColumnType], labels: Mapping[str, ColumnType]
    ) -> None:
        self.features, counted = features, _counted(features)
        self.types = {
            "events": {name: _typed(events, name) for name in counted.event_columns},
            "labels": {name: _typed(labels, name) for name in features.label_columns},
        }
        self.bounds: dict[str, dict[str, float]] = {"events": {}, "labels": {}}
        self.types["events"] |= {ratio.name: ColumnType("float64") for ratio in features.ratios}
        self.id = _typed(events, counted.id)
        self.selections: dict[Selection, int] = {}
        self.contents: list[Contents] = []
        self.before, self.after = Evaluation(), Evaluation()

    def plan(self) -> Plan:
        for place, feature in enumerate(self.features.features):
            evaluation = self.before if feature.aggregate.delay else self.after
            evaluation.add(place, self.expression(evaluation, feature))
        levels = tuple(
            self.level(len(self.features.features) + number, ratio) for number, ratio in enumerate(self.features.ratios)
        )
        of_labels = tuple(at for chosen, at in self.selections.items() if chosen.of == "labels")
        return Plan(
            self.features, self.types["events"], self.types["labels"], self.id, self.bounds, tuple(self.selections),
            tuple(self.contents), tuple(map(self.comparisons, self.selections)),
            self.takers(), of_labels, self.before.function(), levels, self.after.function(),
        )  # fmt: skip

    def level(self, place: int, ratio: Ratio) -> Run | None:
        self._expect_number(ratio.column, self.types["events"][ratio.column].kind)
        evaluation = self.before if ratio.to.delay else Evaluation()
        evaluation.add(place, self.expression(evaluation, Feature("", ratio.to, ratio.to.windows[0])))
        return None if ratio.to.delay else evaluation.function()

    def expression(self, evaluation: Evaluation, feature: Feature) -> str:
        aggregate, window = feature.aggregate, feature.window
        empty = "None" if feature.empty is None else evaluation.named(float(feature.empty))
        if isinstance(window, Trend):
            whole = replace(aggregate, empty=None)
            short, long = (
                self.expression(evaluation, Feature("", whole, part)) for part in (window.short, window.long)
            )
            return functions.trend(evaluation, short, long, empty)
        if aggregate.function in ("rate", "streak", "streak_age"):
            return self._of_booleans(evaluation, aggregate, window, empty)
        at = self.select(selection(aggregate, self.types[aggregate.of]))
        self.keep(at, aggregate)
        return _of_values(evaluation, evaluation.range(at, aggregate.delay, window), feature, empty)

    def _of_booleans(self, evaluation: Evaluation, aggregate: Aggregate, window: Window, empty: str) -> str:
        types = self.types[aggregate.of]
        of = evaluation.range(self.select(selection(aggregate, types)), aggregate.delay, window)
        other = Selection("events") if aggregate.function == "rate" else selection(aggregate, types, False)
        against = evaluation.range(self.select(other), aggregate.delay, window)
        if aggregate.function == "rate":
            return functions.rate(of, against, empty)
        return functions.streak(evaluation, of, against, empty, is_age=aggregate.function == "streak_age")

    def keep(self, at: int, aggregate: Aggregate) -> None:
        """What a series must hold for a function of a column; of others it holds times."""
        function, column, contents = aggregate.function, str(aggregate.column), self.contents[at]
        if function in _OF_TIMES:
            return
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


def _counted(features: WindowFeatures) -> WindowFeatures:
    return features if features.facts is None else replace(features, facts=None, id=FACT_ID)


def _of_values(to: Evaluation, of: Range, feature: Feature, empty: str) -> str:
    """The expression of a function of the facts of a window."""
    aggregate, column = feature.aggregate, str(feature.aggregate.column)
    match aggregate.function:
        case "count":
            return functions.count(of)
        case "last_age" | "first_age" as function:
            return functions.age(to, of, empty, last=function == "last_age")
        case "sum":
            return functions.total(to, of, column, empty)
        case "mean":
            return functions.mean(to, of, column, empty)
        case "std":
            return functions.deviation(to, of, column, empty)
        case "distinct":
            return functions.distinct(to, of, column, (aggregate.delay, feature.window))
        case "percentile":
            return functions.percentile(to, of, aggregate, empty)
        case function:
            return functions.extreme(to, of, column, empty, "max" if function == "max" else "min")


def _typed(types: Mapping[str, ColumnType], name: str) -> ColumnType:
    if name not in types:
        raise Invalid(f"column {name}: expected its type, found none; pass it with the others")
    return types[name]
