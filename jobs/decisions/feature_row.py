"""The features of one event in one row: its own columns, window and profile features, what functions make of them.

Which model reads which of them is in `jobs.decisions.model_inputs`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from math import nan
from operator import itemgetter
from typing import Any

from jobs.decisions.event_schema import EventSchema, column_types, needed_columns
from jobs.decisions.log_contents import counted, of_facts
from jobs.errors import Invalid
from jobs.online.column_type import ColumnType
from jobs.online.plan import Plan
from jobs.times import MICROSECONDS_A_DAY
from jobs.use_case import RowFunction, UseCase, age_name
from jobs.windows import FACT_ID

Row = list[Any]
"""A value for each of `FeatureRow.names`; None is a null."""


@dataclass(frozen=True)
class _Step:
    """A function with the places of its inputs in a row."""

    function: RowFunction
    inputs: Callable[[Sequence[Any]], tuple[Any, ...]]


@dataclass(frozen=True)
class ProfileColumns:
    """A profile as its table has it."""

    source: str
    table: str
    key: str
    event: str
    """Column of the event time."""
    types: Mapping[str, ColumnType]
    """Columns that are features, or of which the age is one."""


@dataclass(frozen=True)
class FactColumns:
    """Facts that are no events (`WindowFeatures.facts`), as their table has them."""

    source: str
    table: str
    id: str
    event: str
    """Column of the event time."""
    keys: tuple[str, ...]
    """Columns that name the entities of window features that count them."""
    types: Mapping[str, ColumnType]
    """Of `FACT_ID`, the keys, and the columns that windows read."""
    schema: EventSchema
    """What a client sends of one."""


@dataclass(frozen=True, eq=False)
class FeatureRow:
    """How rows of a use case are made."""

    use_case: UseCase
    plans: tuple[Plan, ...]
    """Of each of the use case's window features."""
    names: tuple[str, ...]
    """Columns of the event, window features, those of profiles, and outputs of functions, in the order of a row; then
    ages."""
    events: Mapping[str, ColumnType]
    """Types of the event's columns."""
    labels: Mapping[str, ColumnType]
    """Types of the label, and of the label columns that windows read."""
    _columns: tuple[str, ...]
    _steps: tuple[_Step, ...]
    _moments: tuple[int, ...]
    """Places of the moments that are inputs, whose ages stand at the end of a row."""
    profiles: tuple[ProfileColumns, ...] = ()
    _aged: tuple[bool, ...] = ()
    """Which of the columns of profiles are moments."""
    facts: tuple[FactColumns, ...] = ()

    @classmethod
    def of(
        cls,
        use_case: UseCase,
        events: Any,
        labels: Mapping[str, ColumnType],
        profiles: tuple[ProfileColumns, ...] = (),
        facts: tuple[FactColumns, ...] = (),
    ) -> FeatureRow:
        """events: the Arrow schema of the table of events. labels: types of the label columns that windows read.
        profiles: of each of the use case's profiles. facts: of each of the sources that windows count.

        Raises Invalid if a function reads what there is not.
        """
        types = column_types(use_case, events)
        others = {each.source: each.types for each in facts}
        plans = tuple(Plan.of(each, others[each.facts] if each.facts else types, labels) for each in use_case.windows)
        columns = needed_columns(use_case)
        moments = {name for name, kind in use_case.kinds.items() if kind == "timestamp"}
        names = [*columns, *(name for windows in use_case.windows for name in windows.names)]
        names += [name for profile in use_case.profiles for name in use_case.profile_features(profile)]
        aged_columns = (each.kind for profile in use_case.profiles for each in use_case.profile_columns(profile))
        are_moments = tuple(kind == "timestamp" for kind in aged_columns)
        steps = []
        for function in use_case.request_features:
            steps.append(_step(function, names, moments))
            names += function.outputs
        aged = [name for name in dict.fromkeys(use_case.inputs) if name in moments]
        places = tuple(names.index(name) for name in aged)
        names += map(age_name, aged)
        own = (columns, tuple(steps), places, profiles, are_moments, facts)
        return cls(use_case, plans, tuple(names), types, labels, *own)

    def restored(self, values: Mapping[str, Any], happened: int, computed: Sequence[Any]) -> Row:
        """The row of an event whose features were computed before."""
        row: Row = [values.get(name) for name in self._columns]
        row[self._time] = happened
        return [*row, *computed]

    def unknown(self, values: Mapping[str, Any], happened: int) -> Row:
        """The row of an event of which nothing could be computed."""
        return self.restored(values, happened, [None] * (len(self.names) - self.first_computed))

    def row(
        self,
        values: Mapping[str, Any],
        happened: int,
        windows: Sequence[Sequence[Any]],
        profiles: Sequence[Any] = (),
    ) -> Row:
        """The row of an event with its columns, its event time, the values of each of the window features, and those of
        the columns of profiles."""
        row: Row = [values.get(name) for name in self._columns]
        row[self._time] = happened
        row += chain.from_iterable(windows)
        given = zip(profiles or repeat(None), self._aged, strict=False)
        row += [_age(value, happened) if is_moment else value for value, is_moment in given]
        for step in self._steps:
            made = step.function.function(*step.inputs(row))
            for name in step.function.outputs:
                value = made[name]
                row.append(None if value != value else value)
        for place in self._moments:
            row.append(_age(row[place], happened))
        return row

    def columns(self, of: str) -> list[str]:
        """What is held of facts of a kind (`events`, `labels` or `of_facts`), without the ids of other facts."""
        if of in ("events", "labels"):
            return list(self.events if of == "events" else self.labels)
        types = next(each.types for each in self.facts if of_facts(each.source) == of)
        return [name for name in types if name != FACT_ID]

    def counting(self, of: str) -> list[bool]:
        """Which of the window features count facts of a kind (`events`, `labels` or `of_facts`)."""
        return [_counts(plan, of) for plan in self.plans]

    def place(self, name: str) -> int:
        """The place of a feature in a row. Raises Invalid if it is none."""
        if name not in self.names:
            raise Invalid(f"feature {name}: expected a column of events, a window or request feature; declare it")
        return self.names.index(name)

    def typed_id(self, text: str) -> Any:
        """The id of an event, as its column has it, of the text in the id of a record."""
        return int(text) if self.events[self.use_case.event_id].kind == "int64" else text

    @property
    def texts(self) -> frozenset[str]:
        """Features of profiles that are texts."""
        return frozenset(name for each in self.profiles for name, type in each.types.items() if type.kind == "string")

    @property
    def ages_of_profiles(self) -> dict[str, str]:
        """Name of each age of a profile -> the moment that it is of."""
        columns = [each for profile in self.use_case.profiles for each in self.use_case.profile_columns(profile)]
        return {age_name(each.name): each.name for each in columns if each.kind == "timestamp"}

    @property
    def ages(self) -> dict[str, str]:
        """Name of each age -> the moment that it is of."""
        moments = [self.names[place] for place in self._moments]
        return {age_name(name): name for name in moments}

    @property
    def computed(self) -> list[str]:
        """Names of what is computed: all but the event's own columns."""
        return list(self.names[self.first_computed :])

    @property
    def first_computed(self) -> int:
        """Place of the first value that is computed."""
        return len(self._columns)

    @property
    def _time(self) -> int:
        return self._columns.index(self.use_case.event_timestamp)


def _counts(plan: Plan, of: str) -> bool:
    return of == counted(plan.features) or (of == "labels" and plan.features.reads_labels)


def _age(moment: int | None, happened: int) -> float | None:
    """Days from a moment to an event; None if it is missing or later."""
    return None if moment is None or moment > happened else (happened - moment) / MICROSECONDS_A_DAY


def _step(function: RowFunction, names: Sequence[str], moments: set[str]) -> _Step:
    if unknown := [name for name in function.inputs if name not in names]:
        raise Invalid(
            f"{function.name}: expected inputs among columns and features before it, found {unknown}; declare them"
        )
    places = [names.index(name) for name in function.inputs]
    are_times = [name in moments for name in function.inputs]
    take = itemgetter(*places) if len(places) > 1 else lambda row: (row[places[0]],)

    def inputs(row: Sequence[Any]) -> tuple[Any, ...]:
        """As arrays hold them: numbers are doubles, a null is NaN; times stay integers."""
        return tuple(
            value if is_time or isinstance(value, str) else nan if value is None else float(value)
            for value, is_time in zip(take(row), are_times, strict=True)
        )

    return _Step(function, inputs)
