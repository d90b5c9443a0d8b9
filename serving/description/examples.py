"""Examples of requests that can be sent as they are: an event, a report about it, and other facts."""

from __future__ import annotations

import zlib
from typing import Any, NamedTuple

import msgspec

from jobs.decisions.event_schema import EventSchema
from jobs.decisions.log_contents import of_facts
from jobs.decisions.table_facts import Facts
from serving.decisions.answers import moment
from serving.decisions.service import DecisionService
from serving.description.columns import DescribedColumn, event_columns, fact_columns, label_columns

FIRST_ID = 900_000_000_000_000
"""Ids of examples that are integers are larger, and below what JavaScript holds exactly."""
LONGEST = 60
"""Texts of tables that are longer are no examples."""
Example = dict[str, Any]


class Examples(NamedTuple):
    """One event, a report about it, and a fact of each source of other facts, as a client sends them."""

    event: Example
    label: Example
    facts: dict[str, Example]


def examples(service: DecisionService, like_tables: bool) -> Examples:
    """
    Args:
        like_tables: with the values of the latest event and label of the tables, for who may see those; else made up.
            The event's id follows from the rest, so that it can be sent repeatedly.
    """
    schema, base = service.decider.schema, service.decider.states.base
    event = _example(schema, event_columns(service), base.events if like_tables else None)
    columns = [column for column in label_columns(service) if column.required and column.name != schema.id]
    label = {schema.id: event[schema.id], **_values(columns, base.labels if like_tables else None)}
    facts = {
        each.source: _example(
            each.schema, fact_columns(service, each), base.kind(of_facts(each.source)) if like_tables else None
        )
        for each in service.decider.rows.facts
    }
    return Examples(event, label, facts)


def _example(schema: EventSchema, described: list[DescribedColumn], facts: Facts | None) -> Example:
    columns = [column for column in described if column.name not in (schema.id, schema.time)]
    found = _values(columns, facts)
    number = zlib.crc32(msgspec.json.encode(found))
    return {
        schema.id: f"example-{number}" if schema.asked[schema.id].form == "identifier" else FIRST_ID + number,
        **found,
    }


def _values(columns: list[DescribedColumn], facts: Facts | None) -> Example:
    found = {}
    for column in columns:
        value = None if facts is None else _latest(facts, column)
        if value is not None or column.required:
            found[column.name] = made_up(column) if value is None else value
    return found


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
    if column.name not in facts.columns or not len(facts):
        return None
    value = facts.value(column.name, len(facts) - 1)
    if column.form == "time":
        return None if value is None else moment(value)
    return None if isinstance(value, str) and len(value) > LONGEST else value
