"""Examples of requests that can be sent as they are: an event like the latest of the tables, and reports about it."""

from __future__ import annotations

import zlib
from typing import Any

import msgspec

from jobs.decisions.base_facts import Facts
from serving.decisions.answers import moment
from serving.decisions.service import DecisionService
from serving.description.columns import DescribedColumn, event_columns, label_columns

FIRST_ID = 900_000_000_000_000
"""Ids of examples that are integers are larger, and below what JavaScript holds exactly."""
LONGEST = 60
"""Texts of tables that are longer are no examples."""
Example = dict[str, Any]


def event(service: DecisionService) -> Example:
    """An event of an entity that the tables know; its id follows from the rest, so that it can be sent repeatedly."""
    schema, facts = service.decider.schema, service.decider.states.base.events
    found = {}
    for column in event_columns(service):
        value = _latest(facts, column)
        if column.name not in (schema.id, schema.time) and (value is not None or column.required):
            found[column.name] = made_up(column) if value is None else value
    number = zlib.crc32(msgspec.json.encode(found))
    is_text = schema.asked[schema.id].form == "text"
    return {schema.id: f"example-{number}" if is_text else FIRST_ID + number, **found}


def label(service: DecisionService) -> Example:
    """A report about that event."""
    id = service.decider.schema.id
    facts, values = service.decider.states.base.labels, {id: event(service)[id]}
    for column in label_columns(service):
        if column.required and column.name != id:
            value = _latest(facts, column)
            values[column.name] = made_up(column) if value is None else value
    return values


def made_up(column: DescribedColumn) -> Any:
    """Some value that a column may have."""
    if column.form == "vector":
        return [0.5] * (column.length or 0)
    if column.form in ("number", "integer"):
        low, high = column.minimum, column.maximum
        inside = (low is None or low <= 1) and (high is None or high >= 1)
        return 1 if inside else low if low is not None else high
    return {"boolean": True, "time": "2026-05-01T14:02:00Z"}.get(column.form, "text")


def _latest(facts: Facts, column: DescribedColumn) -> Any:
    """What the row has that became known last; None if there is none, or it is no good example."""
    if column.name not in facts.columns or not len(facts.known):
        return None
    value = facts.value(column.name, len(facts.known) - 1)
    if column.form == "time":
        return None if value is None else moment(value)
    return None if isinstance(value, str) and len(value) > LONGEST else value
