"""Columns and sources of a proposed use case, and what its files need to be said of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.proposals.column_words import speaks_of
from jobs.proposals.roles import MOST_CATEGORIES, Roles
from jobs.proposals.table_profile import ColumnProfile, TableProfile
from jobs.proposals.time_plan import USUAL_AGE, TimePlan
from jobs.proposals.value_kinds import WHOLE
from jobs.proposals.words import IDENTIFIER
from jobs.use_case import Column, Kind, Source

KNOWN_AT = "label_known_at"


@dataclass(frozen=True, eq=False)
class Declared:
    """Columns as tables have them."""

    columns: Mapping[str, Column]
    """Column in the file -> its declaration; without those that no column can be declared for."""
    names: Mapping[str, str]
    """Column in the file -> its name in tables."""
    key: str
    made_key: Column | None
    label: str
    inputs: tuple[str, ...]


def declare(table: TableProfile, found: Roles, names: dict[str, str], made_key: str) -> Declared:
    """The declarations of a table's columns."""
    label = found.label.column.name if found.label else None
    columns = {c.name: _column(c, found, names[c.name], table.is_part) for c in table.columns if c.kind is not None}
    made = None
    if found.key is None:
        whole = [columns[found.time.name], *(columns[n] for n in columns if n not in (found.time.name, label))]
        reported = found.reported.name if found.reported else None
        unsure = {names[name] for name in (*found.left_out, *([reported] if reported else []))}
        parts = tuple(c.name for c in whole if c.name not in unsure)
        made = Column(made_key, "string", made_of=parts, description="Identifies the row: its time, and what it holds.")
    inputs = tuple(names[c.name] for c in found.inputs)
    key = made_key if found.key is None else names[found.key.name]
    return Declared(columns, names, key, made, names[label] if label else "label", inputs)


def _column(column: ColumnProfile, found: Roles, name: str, in_part: bool) -> Column:
    needed = [found.key, found.time, found.label and found.label.column, found.reported]
    nullable = column not in needed and (column.present < column.rows or in_part)
    in_file = None if column.name == name.upper() else column.name
    return Column(name, _kind(column, found), nullable=nullable, in_file=in_file)


def _kind(column: ColumnProfile, found: Roles) -> Kind:
    """The kind that a column is declared of."""
    assert column.kind is not None
    if found.label is not None and column is found.label.column:
        task = found.label.task
        return "boolean" if task == "binary" else "category" if task == "multiclass" else "number"
    if column is found.key or column in found.entities:
        return "identifier"
    if column.guess.note == WHOLE:
        return "number"
    is_code = column.kind == "integer" and speaks_of(column.name, IDENTIFIER)
    if is_code or (column.kind == "string" and column.distinct <= MOST_CATEGORIES):
        return "category"
    return column.kind  # type: ignore[return-value]


def sources(declared: Declared, found: Roles, plan: TimePlan, name: str) -> tuple[Source, Source]:
    """The events, and their labels, which the events' files carry."""
    of_label = [c.name for c in (found.label and found.label.column, found.reported) if c]
    columns = [column for name, column in declared.columns.items() if name not in of_label]
    key = declared.made_key or next(c for c in columns if c.name == declared.key)
    first = [key, declared.columns[found.time.name]]
    time = declared.names[found.time.name]
    events = Source(
        name=name, description="The events, as their file has them.", key=(key.name,), event_time=time,
        plausible_age=plan.plausible_age if plan.plausible_age > USUAL_AGE else Source.plausible_age,
        columns=(*first, *(c for c in columns if c not in first)),
    )  # fmt: skip
    return events, _labels(declared, found, plan, events, key)


def _labels(declared: Declared, found: Roles, plan: TimePlan, events: Source, key: Column) -> Source:
    reported = declared.columns[found.reported.name] if found.reported else Column(KNOWN_AT, "timestamp")
    parts = tuple(c for c in events.columns if c.name in key.made_of)
    label = declared.columns[found.label.column.name] if found.label else Column("label", "boolean")
    name, about = "labels" if events.name != "labels" else "labels_of_events", f"{events.name}.{key.name}"
    if found.label is None:
        return Source(
            name=name, description="Labels, when there are any: their files say when each was known.", key=(key.name,),
            event_time=reported.name, known_at=reported.name, references={key.name: about}, required=False,
            columns=(key, *parts, label, reported),
        )  # fmt: skip
    return Source(
        name=name, description="Labels, as the file of the events has them.", key=(key.name,),
        event_time=reported.name, known_at=reported.name, references={key.name: about}, carried_by=events.name,
        carried_delay=plan.delay if found.reported is None else None, columns=(key, *parts, label, reported),
        plausible_age=events.plausible_age,
    )  # fmt: skip


def columns_file(table: TableProfile, found: Roles, declared: Declared, events: str, labels: str) -> Mapping[str, Any]:
    """What a columns file says of the table: how values are written that a load would not understand by itself."""
    of_label = [c for c in (found.label and found.label.column, found.reported) if c]
    said: dict[str, dict[str, Any]] = {events: {}, labels: {}}
    for column in table.columns:
        if column.kind is None or not (written := _written(column, found)):
            continue
        said[labels if column in of_label else events][declared.names[column.name]] = written
    if table.encoding:
        said[events]["file"] = {"encoding": table.encoding}
    return {name: columns for name, columns in said.items() if columns}


def _written(column: ColumnProfile, found: Roles) -> dict[str, Any]:
    written = dict(column.guess.written)
    if column is found.key or column in found.entities:
        written = {"null": written["null"]} if "null" in written else {}
    if found.label is not None and column is found.label.column and found.label.true:
        written |= {"true": list(found.label.true), "false": list(found.label.false)}
    return written
