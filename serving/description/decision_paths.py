"""The paths of the decisions about one use case in the words of OpenAPI, with examples that can be sent as they are."""

from __future__ import annotations

from typing import Any

from jobs.data_dictionary.event_columns import column_meaning
from serving.decisions.routes import MOST_EVENTS
from serving.decisions.service import DecisionService
from serving.description import answers
from serving.description.answers import BODY_ERRORS, errors, well
from serving.description.columns import Schema, event_columns, label_columns, object_of
from serving.description.examples import Examples
from serving.description.fact_paths import fact_paths, fact_schemas
from serving.description.operations import body_of, flag, id_in_path, id_of_event, kept, operation, ref
from serving.description.overview import lookups
from serving.description.review_paths import review_paths, review_schemas

Paths = dict[str, dict[str, Any]]


def decision_paths(service: DecisionService, shown: Examples) -> Paths:
    """Path -> its methods, in the order in which the examples can be sent one after another."""
    place = f"/v1/{service.use_case.name}"
    return {
        f"{place}/decisions": {"post": _decide(service, shown)},
        f"{place}/entities/{{id}}": {"get": _entity(service, shown)},
        **review_paths(service, shown),
        f"{place}/labels": {"post": _report(service, shown)},
        f"{place}/labels/{{id}}": {"delete": _withdraw(service, shown, "labels", "A report was wrong")},
        f"{place}/events": {"post": _correct(service, shown)},
        f"{place}/events/{{id}}": {"delete": _withdraw(service, shown, "events", "An event turned out not to be")},
        **fact_paths(service, shown),
    }


def decision_schemas(service: DecisionService) -> dict[str, Schema]:
    """What the paths refer to, by name."""
    name, title = service.use_case.name, service.use_case.name.replace("_", " ")
    return {
        f"{name}.Event": object_of(event_columns(service), f"An event of {title}"),
        f"{name}.Label": object_of(label_columns(service), f"A report about an event of {title}"),
        f"{name}.Decision": answers.decision(service),
        f"{name}.Undecided": answers.undecided(service),
        f"{name}.Kept": answers.kept(service),
        **fact_schemas(service),
        **review_schemas(service),
    }


def _decide(service: DecisionService, shown: Examples) -> dict[str, Any]:
    event, decision, undecided = (ref(service, name) for name in ("Event", "Decision", "Undecided"))
    many = {"type": "array", "items": {"anyOf": [decision, undecided]}}
    body = {"oneOf": [event, {"type": "array", "items": event, "minItems": 1, "maxItems": MOST_EVENTS}]}
    one = shown.event
    found = operation(service, "Decide about an event, or a list of them", "decide")
    found["parameters"] = [
        flag("explain", "Add the features that move the score most, in words."),
        flag("features", "Add the value of every feature."),
    ]
    found["requestBody"] = body_of(body, {"one": {"value": one}, "list": {"value": [one]}})
    decided = well({"anyOf": [decision, many]}, "What is decided; it stands in the log.")
    found["responses"] = {"200": decided | _links(service), **errors(*BODY_ERRORS, 409)}
    found["description"] = (
        "The same event sent again gets the decision that was made, and counts once. An id that came with other "
        "content is refused (409)."
    )
    return found


def _report(service: DecisionService, shown: Examples) -> dict[str, Any]:
    found = operation(service, "Tell what became of an event", "report")
    found["requestBody"] = body_of(ref(service, "Label"), {"one": {"value": shown.label}})
    return found | {"responses": {"200": kept(service), **errors(*BODY_ERRORS, 404)}}


def _correct(service: DecisionService, shown: Examples) -> dict[str, Any]:
    found = operation(service, "Correct an event, or add one that is not decided here", "correct")
    found["requestBody"] = body_of(ref(service, "Event"), {"one": {"value": shown.event}})
    return found | {"responses": {"200": kept(service), **errors(*BODY_ERRORS)}}


def _withdraw(service: DecisionService, shown: Examples, of: str, summary: str) -> dict[str, Any]:
    found = operation(service, summary, f"withdraw_{of}")
    found["parameters"] = [id_of_event(service, shown)]
    return found | {"responses": {"200": kept(service), **errors(400, 404)}}


def _entity(service: DecisionService, shown: Examples) -> dict[str, Any]:
    names, example = lookups(service), shown.event
    meanings = " ".join(f"{name}: {column_meaning(service.use_case, name).sentence}" for name in names)
    found = operation(service, "What is known of an entity", "entity")
    found["parameters"] = [
        id_in_path({"type": "string"}, str(example[names[0]]), f"Of one of these. {meanings}"),
        {
            "name": "entity", "in": "query", "schema": {"enum": names}, "example": names[0],
            "description": "Which kind it is, where several kinds have the same id.",
        },
    ]  # fmt: skip
    known = {"type": "array", "items": {"$ref": "#/components/schemas/Entity"}, "minItems": 1}
    return found | {"responses": {"200": well(known, "What is known, for each kind."), **errors(400, 404)}}


def _links(service: DecisionService) -> dict[str, Any]:
    """What can be asked next about an event and its entity."""
    id, entity = service.decider.schema.id, lookups(service)[0]
    ids = {"id": f"$response.body#/{id}"}
    after = {"withdraw_events": ids, "withdraw_labels": ids, "entity": {"id": f"$request.body#/{entity}"}}
    operations = {name: f"{service.use_case.name}_{name}" for name in after}
    return {"links": {name: {"operationId": operations[name], "parameters": after[name]} for name in after}}
