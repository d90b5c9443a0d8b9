"""What all operations about one use case have in common, in the words of OpenAPI."""

from __future__ import annotations

from typing import Any

from serving.decisions.service import DecisionService
from serving.description.answers import JSON, well
from serving.description.columns import Schema, event_columns, schema_of
from serving.description.examples import Examples


def operation(service: DecisionService, summary: str, id: str) -> dict[str, Any]:
    """An operation without parameters and answers."""
    name = service.use_case.name
    return {"summary": summary, "operationId": f"{name}_{id}", "tags": [name]}


def ref(service: DecisionService, name: str) -> Schema:
    """What a schema of the use case is."""
    return {"$ref": f"#/components/schemas/{service.use_case.name}.{name}"}


def kept(service: DecisionService) -> dict[str, Any]:
    """The answer to whoever told something."""
    return well(ref(service, "Kept"), "It stands in the log, and counts from now on.")


def body_of(schema: Schema, examples: dict[str, Any]) -> dict[str, Any]:
    """The body of a request."""
    return {"required": True, "content": {JSON: {"schema": schema, "examples": examples}}}


def flag(name: str, text: str) -> dict[str, Any]:
    """Something that a query may ask for besides."""
    schema = {"type": "boolean", "default": False}
    return {"name": name, "in": "query", "schema": schema, "example": True, "description": text}


def id_of_event(service: DecisionService, shown: Examples) -> dict[str, Any]:
    """The id of an event as a place in a path."""
    id = service.decider.schema.id
    column = next(column for column in event_columns(service) if column.name == id)
    return id_in_path(schema_of(column), shown.event[id], "Of the event.")


def id_in_path(schema: Schema, example: Any, text: str) -> dict[str, Any]:
    """A place in a path, of which servers take less than of JSON: no length is promised."""
    if schema["type"] == "string":
        schema = {name: value for name, value in schema.items() if name != "maxLength"} | {"minLength": 1}
    return {"name": "id", "in": "path", "required": True, "schema": schema, "example": example, "description": text}
