"""The paths of those who review events of one use case in the words of OpenAPI; none where nothing is reviewed."""

from __future__ import annotations

from typing import Any

from jobs.decisions.live_reviews import LONGEST_NAME
from jobs.use_case import problem_of
from serving.decisions.review_routes import MOST_CASES, USUAL_CASES, WORDS
from serving.decisions.service import DecisionService
from serving.description.answers import BODY_ERRORS, MOMENT, NUMBER_OR_NONE, errors, well
from serving.description.columns import Schema, event_columns, schema_of
from serving.description.examples import Examples
from serving.description.operations import body_of, id_of_event, kept, operation, ref

REVIEWER: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": LONGEST_NAME,
    "pattern": r"^[A-Za-z0-9][A-Za-z0-9 @._-]*$",
}
Paths = dict[str, dict[str, Any]]
_WHO = "Who reviews. The person whom a token names counts, whatever stands here; without either, the name of the key."


def review_paths(service: DecisionService, shown: Examples) -> Paths:
    """Path -> its methods."""
    if problem_of(service.use_case).review is None:
        return {}
    place = f"/v1/{service.use_case.name}/reviews"
    return {place: {"get": _cases(service)}, f"{place}/{{id}}": {"post": _judge(service, shown)}}


def review_schemas(service: DecisionService) -> dict[str, Schema]:
    """What the paths refer to, by name."""
    if problem_of(service.use_case).review is None:
        return {}
    name = service.use_case.name
    return {f"{name}.Case": _case(service), f"{name}.Verdict": _verdict()}


def _cases(service: DecisionService) -> dict[str, Any]:
    found = operation(service, "Take cases that wait for a verdict", "take_cases")
    limits = {"type": "integer", "minimum": 1, "maximum": MOST_CASES, "default": USUAL_CASES}
    found["parameters"] = [
        {"name": "limit", "in": "query", "schema": limits, "example": 3, "description": "At most so many."},
        {"name": "reviewer", "in": "query", "schema": REVIEWER, "example": "ann", "description": _WHO},
    ]
    found["description"] = (
        "The largest expected loss first, within what is left of the day. Nobody else gets them until `yours_until`, "
        "or their verdict."
    )
    cases = {"type": "array", "items": ref(service, "Case"), "maxItems": MOST_CASES}
    return found | {"responses": {"200": well(cases, "Cases that are yours."), **errors(400)}}


def _judge(service: DecisionService, shown: Examples) -> dict[str, Any]:
    found = operation(service, "Tell the verdict about an event", "judge")
    found["parameters"] = [id_of_event(service, shown)]
    found["requestBody"] = body_of(ref(service, "Verdict"), {"one": {"value": {"verdict": "positive"}}})
    found["description"] = (
        "`positive` and `negative` are a report, which counts from now on; `unsure` closes the case. The same verdict "
        "again changes nothing, another one takes its place."
    )
    return found | {"responses": {"200": kept(service), **errors(*BODY_ERRORS, 404)}}


def _verdict() -> Schema:
    properties = {"verdict": {"enum": list(WORDS)}, "reviewer": {**REVIEWER, "description": _WHO}}
    return {"type": "object", "properties": properties, "required": ["verdict"], "additionalProperties": False}


def _case(service: DecisionService) -> Schema:
    """A case, as `serving.decisions.review_routes` shows it."""
    id = service.decider.schema.id
    text_or_none = {"type": ["string", "null"]}
    properties: dict[str, Schema] = {
        id: schema_of(next(column for column in event_columns(service) if column.name == id)),
        "event": {"type": "object", "description": "Its columns."},
        "score": NUMBER_OR_NONE,
        "expected_loss": {"type": "number", "description": "Score x amount; the order of cases."},
        "reasons": {"type": "array", "items": {"$ref": "#/components/schemas/Reason"}},
        "fallback": {**text_or_none, "description": "What decided in place of the model; null: the model."},
        "model_version": text_or_none,
        "arm": {**text_or_none, "description": "In a rollout: its number, and who was to answer."},
        "decided_at": MOMENT,
        "yours_until": {**MOMENT, "description": "Until then nobody else gets it."},
    }
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
