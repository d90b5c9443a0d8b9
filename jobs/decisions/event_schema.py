"""The columns of an event as a client of the decision service sends them: their kinds, and what values have to be.

They are those of the use case's event source, by name, and columns of the events that SQL adds and no function makes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from jobs.decisions.given_values import Form, Reader, form_of, reader
from jobs.decisions.log_contents import EventCame, VersionCame
from jobs.errors import Invalid
from jobs.features.clock import DECIDED_AT
from jobs.online.column_type import ColumnType, Kind
from jobs.use_case import Column, RowFunction, Source, UseCase


class Given(NamedTuple):
    """One event as a client sent it, checked."""

    id: Any
    happened: int | None
    """Event time in microseconds since 1970; None: when it is decided."""
    values: dict[str, Any]
    """All other columns of the request, in the order of the schema; None where there is no value."""


@dataclass(frozen=True)
class EventColumn:
    """One column of a request."""

    column: Column
    form: Form
    read: Reader
    is_required: bool

    @classmethod
    def of(cls, column: Column, kind: Kind | None, *, is_required: bool, is_key: bool = False) -> EventColumn:
        """kind: what the table of events holds there; None: it lacks the column."""
        form, read = form_of(column, kind, is_key=is_key), reader(column, kind, is_key=is_key)
        return cls(column, form, read, is_required)


@dataclass(frozen=True)
class EventSchema:
    """What a request holds, and what is made of it by functions."""

    id: str
    time: str
    asked: Mapping[str, EventColumn]
    functions: tuple[RowFunction, ...]

    @classmethod
    def of(cls, use_case: UseCase, events: pa.Schema) -> EventSchema:
        """events: the schema of the use case's table of events, which says of what type ids are."""
        asked = {each.column.name: each for each in _asked(use_case, events)}
        return cls(use_case.event_id, use_case.event_timestamp, asked, use_case.computed_online)

    def read(self, given: object) -> Given:
        """An event as a client sent it.

        Raises Invalid with the column, what was expected and what was found.
        """
        if not isinstance(given, dict):
            raise Invalid(
                f"event: expected an object of columns by name, found {_kind(given)}; send one for each event"
            )
        if unknown := given.keys() - self.asked.keys():
            raise Invalid(f"column {_shown(min(unknown))}: expected one of {', '.join(self.asked)}; leave it out")
        values: dict[str, Any] = {}
        for name, asked in self.asked.items():
            value = given.get(name)
            if value is not None:
                values[name] = asked.read(value)
            elif asked.is_required:
                raise Invalid(f"column {name}: expected a value, found none; send it")
            else:
                values[name] = None
        return Given(values.pop(self.id), values.pop(self.time), values)

    def typed_id(self, text: str) -> Any:
        """The id of an event as a path has it. Raises Invalid if it cannot be one."""
        read = self.asked[self.id].read
        try:
            return read(int(text))
        except (ValueError, Invalid):
            return read(text)

    def columns(self, came: EventCame | VersionCame) -> dict[str, Any]:
        """All columns of an event that came, or of a version of one: tables have those that functions make already."""
        is_of_tables = isinstance(came, VersionCame) and came.known is not None
        return dict(came.values) if is_of_tables else self.complete(came.values)

    def complete(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The columns of a request, and those that functions make of them. Raises Invalid if a function fails."""
        row = dict(values)
        for made in self.functions:
            try:
                row.update(made.function(*(row.get(name) for name in made.inputs)))
            except (ArithmeticError, TypeError, ValueError) as error:
                raise Invalid(
                    f"{made.name}: expected columns {list(made.inputs)} to be computed with: {error}"
                ) from None
        return row


def event_source(use_case: UseCase) -> Source:
    """The source whose rows are the events. Raises Invalid if none has their id as its key and their time."""
    if use_case.event_source is not None:
        return use_case.event_source
    raise Invalid(
        f"{use_case.name}: expected a source with the key {use_case.event_id} and the event time "
        f"{use_case.event_timestamp}, found none; declare it, so that events can be decided as they come"
    )


def needed_columns(use_case: UseCase) -> tuple[str, ...]:
    """Columns of the events that features are made of, or are features themselves."""
    made = {ratio.name for windows in use_case.windows for ratio in windows.ratios}
    made |= {name for windows in use_case.windows for name in windows.names}
    made |= {name for function in use_case.request_features for name in function.outputs}
    made |= {name for profile in use_case.profiles for name in use_case.profile_features(profile)}
    read = [name for windows in use_case.windows for name in (*windows.keys, *windows.event_columns)]
    read += [name for function in use_case.request_features for name in function.inputs]
    named = (use_case.event_id, use_case.event_timestamp, *use_case.entities, *read, *use_case.inputs)
    return tuple(dict.fromkeys(name for name in named if name not in made))


def column_types(use_case: UseCase, events: pa.Schema) -> dict[str, ColumnType]:
    """Types of the needed columns as the table of events has them. Raises Invalid for one that it lacks."""
    if missing := [name for name in needed_columns(use_case) if name not in events.names]:
        raise Invalid(f"{use_case.events}: expected the columns {missing}, found none; run `evergreen run`")
    return {name: ColumnType(kind_of(name, events.field(name).type)) for name in needed_columns(use_case)}


def kind_of(name: str, type: pa.DataType) -> Kind:
    """What a column of tables holds for the decision service. Raises Invalid for a type that it cannot hold."""
    if pa.types.is_boolean(type):
        return "bool"
    if pa.types.is_integer(type) or pa.types.is_temporal(type):
        return "int64"
    if pa.types.is_floating(type) or pa.types.is_decimal(type):
        return "float64"
    if pa.types.is_string(type) or pa.types.is_large_string(type) or type == pa.string_view():
        return "string"
    raise Invalid(f"column {name}: expected a number, boolean, text or time, found {type}; cast it in SQL")


def _asked(use_case: UseCase, events: pa.Schema) -> Iterator[EventColumn]:
    source, needed = event_source(use_case), set(needed_columns(use_case))
    made = {name for function in use_case.computed_online for name in function.outputs}
    read = {name for function in use_case.computed_online for name in function.inputs} | needed
    # When an event is decided, the log says.
    for column in (column for column in source.columns if column.name != DECIDED_AT):
        kind = kind_of(column.name, events.field(column.name).type) if column.name in events.names else None
        given = column.name in read and not (column.nullable or column.optional)
        is_required = given and column.name != use_case.event_timestamp
        yield EventColumn.of(column, kind, is_required=is_required, is_key=column.name == use_case.event_id)
    declared = {column.name: column for column in use_case.computed}
    for name in needed_columns(use_case):
        if name not in made and all(name != column.name for column in source.columns):
            kind = kind_of(name, events.field(name).type)
            column = declared.get(name) or Column(name, KINDS[kind], nullable=True)
            yield EventColumn.of(column, kind, is_required=not column.nullable)


KINDS: dict[Kind, Any] = {"bool": "boolean", "int64": "integer", "float64": "number", "string": "string"}
"""What a column holds -> the kind that declares it, where none was declared."""


def _kind(value: object) -> str:
    return "a list" if isinstance(value, list) else "null" if value is None else f"a {type(value).__name__}"


def _shown(name: object) -> str:
    text = repr(name)
    return text if len(text) <= 80 else f"{text[:80]}..."
