"""The columns of requests for programs and for people: what JSON holds, within which bounds, and what it means."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import inf
from typing import Any

import msgspec

from jobs.data_dictionary.event_columns import column_meaning, source_column
from jobs.decisions.event_schema import EventSchema
from jobs.decisions.feature_row import FactColumns
from jobs.decisions.given_values import LONGEST_IDENTIFIER, LONGEST_TEXT, Form, form_of
from jobs.decisions.label_schema import REPORTED_AT
from jobs.ingest.identifier_text import BLANKS, NULL_WORDS
from jobs.use_case import Column
from serving.decisions.service import DecisionService

SMALLEST, LARGEST = -(2**63), 2**63 - 1
"""Bounds of integers that declare no closer ones."""
Schema = dict[str, Any]
"""Of JSON, version 2020-12, as OpenAPI 3.1 has it."""


class DescribedColumn(msgspec.Struct, omit_defaults=True):
    """One column of a request."""

    name: str
    form: Form
    meaning: str
    required: bool = False
    minimum: float | None = None
    maximum: float | None = None
    length: int | None = None
    """Of a vector: how many numbers."""

    @classmethod
    def of(cls, column: Column, form: Form, meaning: str, required: bool) -> DescribedColumn:
        return cls(column.name, form, meaning, required, column.minimum, column.maximum, column.length)


def event_columns(service: DecisionService) -> list[DescribedColumn]:
    """What an event has, the required columns first."""
    schema, use_case = service.decider.schema, service.use_case
    return _asked(schema, lambda column: column_meaning(use_case, column.name).sentence, _largest(service, None))


def fact_columns(service: DecisionService, facts: FactColumns) -> list[DescribedColumn]:
    """What a fact has that is no event, the required columns first."""
    source = service.use_case.source(facts.source)
    return _asked(facts.schema, lambda column: source_column(source, column).sentence, _largest(service, source.name))


def _asked(schema: EventSchema, says: Callable[[Column], str], largest: Mapping[str, float]) -> list[DescribedColumn]:
    """says: what a column means. largest: numbers that columns may have, either side of 0."""
    found = [
        DescribedColumn.of(asked.column, asked.form, says(asked.column), asked.is_required)
        for asked in schema.asked.values()
    ]
    for column in found:
        if column.name == schema.time:
            column.meaning += " Without it: now."
        if column.form in ("integer", "number") and (bound := largest.get(column.name, inf)) < inf:
            column.minimum = max(-bound, -bound if column.minimum is None else column.minimum)
            column.maximum = min(bound, bound if column.maximum is None else column.maximum)
    return sorted(found, key=lambda column: (column.name != schema.id, not column.required))


def _largest(service: DecisionService, source: str | None) -> dict[str, float]:
    """The largest number, either side of 0, of which windows make exact sums; inf: there is no such bound.

    source: of the facts that they count; None: of events.
    """
    found: dict[str, float] = {}
    for plan in service.decider.rows.plans:
        for name, _, largest in plan.given["events"] if plan.features.facts == source else ():
            found[name] = min(found.get(name, inf), largest)
    return found


def label_columns(service: DecisionService) -> list[DescribedColumn]:
    """What a report about an event has."""
    id, kinds = service.decider.schema.asked[service.decider.schema.id], service.decider.rows.labels
    meaning = column_meaning(service.use_case, id.column.name).sentence
    found = [DescribedColumn.of(id.column, id.form, meaning, True)]
    for name, (column, _) in service.labels.asked.items():
        about = column_meaning(service.use_case, name).sentence
        found.append(DescribedColumn.of(column, form_of(column, kinds[name].kind), about, True))
    return [*found, DescribedColumn(REPORTED_AT, "time", "When the report was made, for the record.")]


def schema_of(column: DescribedColumn) -> Schema:
    """What JSON may hold in a column; one that is not required may be null."""
    found = {**_FORMS[column.form], "description": column.meaning}
    if column.form in ("integer", "number"):
        bounds = {"minimum": column.minimum, "maximum": column.maximum}
        found |= {name: bound for name, bound in bounds.items() if bound is not None}
    if column.form == "vector" and column.length is not None:
        found |= {"minItems": column.length, "maxItems": column.length}
    if not column.required:
        types = found["type"]
        found["type"] = [*(types if isinstance(types, list) else [types]), "null"]
    return found


def object_of(columns: list[DescribedColumn], title: str) -> Schema:
    """An object of columns by name, and of no others."""
    return {
        "type": "object", "title": title, "properties": {column.name: schema_of(column) for column in columns},
        "required": [column.name for column in columns if column.required], "additionalProperties": False,
    }  # fmt: skip


def _in_any_case(word: str) -> str:
    return "".join(f"[{each}{each.upper()}]" if each.isalpha() else re.escape(each) for each in word)


def _identifier() -> Schema:
    """A text that names one thing (`jobs.ingest.identifier_text`), in patterns that JavaScript and Python share."""
    blanks = "".join(f"\\u{ord(each):04x}" for each in BLANKS)
    words = [_in_any_case(word) for word in sorted({*NULL_WORDS, "true", "false"} - {""})]
    rounded = r"-?[0-9](\.[0-9]+)?[eE]\+[0-9]+|-?[1-9][0-9]{15,}\.0+"
    structured = r'\[\]|\[("|\[|\{|true|false|null).*\]|\{(".*)?\}'
    nothing = f"^[{blanks}]*({'|'.join(words)}|{rounded}|{structured})[{blanks}]*$"
    nothing += f"|[^{blanks}][\\s\\S]*\\u0000[\\s\\S]*[^{blanks}]"
    named = {"pattern": f"[^{blanks}]", "not": {"pattern": nothing}}
    return {"type": "string", "minLength": 1, "maxLength": LONGEST_IDENTIFIER, **named}


_TEXT: Schema = {"type": "string", "maxLength": LONGEST_TEXT, "pattern": r"^[^\u0000]*$"}
_FORMS: dict[Form, Schema] = {
    "number": {"type": "number"},
    "integer": {"type": "integer", "minimum": SMALLEST, "maximum": LARGEST},
    "boolean": {"type": "boolean"},
    "text": _TEXT,
    "identifier": _identifier(),
    "category": {**_TEXT, "type": ["string", "integer"]},
    "time": {"type": "string", "format": "date-time"},
    "vector": {"type": "array", "items": {"type": "number"}},
}
