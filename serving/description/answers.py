"""Answers in the words of OpenAPI: what each path gives when all is well, and the errors that all of them share."""

from __future__ import annotations

from typing import Any

from serving.decisions.service import DecisionService
from serving.description.columns import Schema, event_columns, schema_of

JSON = "application/json"
MOMENT: Schema = {"type": "string", "format": "date-time"}
NUMBER_OR_NONE: Schema = {"type": ["number", "null"]}
ERROR: Schema = {
    "type": "object", "required": ["error"], "additionalProperties": False,
    "properties": {"error": {"type": "string", "description": "What was expected, what was found, and what to do."}},
}  # fmt: skip
_RETRY = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds after which to ask again."}}
ERRORS: dict[int, tuple[str, str]] = {
    400: ("BadRequest", "The request is not as it has to be; nothing was kept of it."),
    401: ("NoKey", "No key or token, or not one of this server."),
    403: ("NotAllowed", "The key or token does not open this."),
    404: ("Unknown", "There is nothing by this name."),
    405: ("Method", "The path has other methods."),
    408: ("Slow", "The body took too long."),
    409: ("Conflict", "The event's id came before with other content."),
    413: ("Large", "The body is too large, as it came or decompressed."),
    415: ("Encoding", "The body is compressed in a way that is not known here."),
    429: ("Late", "More requests a second than the caller may send."),
    503: ("Unavailable", "No answer is to be had now; the error says why."),
}
"""Status -> name of the answer in the document, and what it means."""
_WITH_RETRY = (429, 503)
BODY_ERRORS = (400, 408, 413, 415)
COMMON = (401, 403, 429, 503)
Answers = dict[str, Any]


def errors(*statuses: int) -> Answers:
    """References to the answers of these statuses, and of those that any path may have."""
    return {str(status): {"$ref": f"#/components/responses/{ERRORS[status][0]}"} for status in (*statuses, *COMMON)}


def error_components() -> dict[str, Any]:
    """The answers that `errors` refers to, by name."""
    found = {}
    for status, (name, text) in ERRORS.items():
        found[name] = well({"$ref": "#/components/schemas/Error"}, text)
        if status in _WITH_RETRY:
            found[name]["headers"] = _RETRY
    return found


def well(schema: Schema, text: str) -> dict[str, Any]:
    """An answer of JSON."""
    return {"description": text, "content": {JSON: {"schema": schema}}}


def decision(service: DecisionService) -> Schema:
    """What is decided about one event: as `serving.decisions.answers` makes it."""
    id = service.decider.schema.id
    properties: dict[str, Schema] = {
        id: _id(service),
        "decision": {"enum": ["approve", "review", "block", None], "description": "Of a yes-or-no question."},
        "score": {**NUMBER_OR_NONE, "description": "What the model says; null where a fallback decided."},
        "model_version": {"type": ["string", "null"]},
        "decided_at": {**MOMENT, "description": "Its place in the order of all events of this service."},
        "freshness": {"$ref": "#/components/schemas/Freshness"},
        "fallback": {"type": ["string", "null"], "description": "What decided in place of the model; null: the model."},
        "reason": {"type": "string", "description": "Why there was a fallback."},
        "arm": {"type": "string", "description": "In a rollout: its number, and who was to answer."},
        "prediction": {"type": "string", "description": "The likeliest class."},
        "probabilities": {"type": "object", "additionalProperties": {"type": "number"}},
        "lower": {"type": "number"},
        "upper": {"type": "number", "description": "With lower: the interval around a predicted number."},
        "reasons": {
            "type": "array",
            "items": {"$ref": "#/components/schemas/Reason"},
            "description": "`?explain=true`",
        },
        "features": {"type": "object", "properties": _features(service), "description": "`?features=true`"},
    }
    required = [id, "decision", "score", "model_version", "decided_at", "freshness", "fallback"]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def undecided(service: DecisionService) -> Schema:
    """What there is of one event of a list that could not be decided."""
    id = service.decider.schema.id
    properties = {id: _id(service), "error": {"type": "string"}, "status": {"type": "integer"}}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def kept(service: DecisionService) -> Schema:
    """What follows from a report, a correction, or from taking one back."""
    id = service.decider.schema.id
    properties = {id: _id(service), "known_at": {**MOMENT, "description": "From when on it counts."}}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def schemas() -> dict[str, Schema]:
    """Schemas that all use cases share, by name."""
    freshness = {"seconds": {"type": "number"}, "tables_as_of": MOMENT}
    reason = {
        "feature": {"type": "string"}, "value": {}, "text": {"type": "string", "description": "For people."},
        "effect": {"type": "number", "description": "The score less the score without the feature."},
    }  # fmt: skip
    texts: dict[str, Schema] = {name: {"type": "string"} for name in ("entity", "meaning")}
    facts: Schema = {"type": "array", "items": {"type": "object"}}
    features: Schema = {"type": "object", "properties": {"meaning": {"type": "string"}, "value": {}}}
    texts["of"] = {"type": "string", "description": "What is counted of it: events, or the facts of another source."}
    entity = texts | {
        "id": {"type": ["string", "integer"]}, "facts": {"type": "object"}, "latest_events": facts,
        "latest_labels": facts, "last_decided_at": {"anyOf": [MOMENT, {"type": "null"}]},
        "features": {"type": "object", "additionalProperties": features},
    }  # fmt: skip
    objects: dict[str, dict[str, Schema]] = {"Freshness": freshness, "Reason": reason, "Entity": entity}
    found = {name: {"type": "object", "properties": of, "required": list(of)} for name, of in objects.items()}
    return {"Error": ERROR, **found}


def _id(service: DecisionService) -> Schema:
    return schema_of(next(column for column in event_columns(service) if column.name == service.decider.schema.id))


def _features(service: DecisionService) -> dict[str, Schema]:
    return {name: {"description": service.meanings[name]} for name in service.decider.rows.computed}
