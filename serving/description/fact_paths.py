"""The paths by which clients tell of facts that are no events, in the words of OpenAPI; none where none are counted."""

from __future__ import annotations

from typing import Any

from jobs.decisions.feature_row import FactColumns
from serving.decisions.routes import MOST_EVENTS
from serving.decisions.service import DecisionService
from serving.description.answers import BODY_ERRORS, MOMENT, errors, well
from serving.description.columns import Schema, fact_columns, object_of, schema_of
from serving.description.examples import Examples
from serving.description.operations import body_of, id_in_path, operation, ref

Paths = dict[str, dict[str, Any]]


def fact_paths(service: DecisionService, shown: Examples) -> Paths:
    """Path -> its methods."""
    found: Paths = {}
    for facts in service.decider.rows.facts:
        place = f"/v1/{service.use_case.name}/facts/{facts.source}"
        found[place] = {"post": _tell(service, shown, facts)}
        found[f"{place}/{{id}}"] = {"delete": _withdraw(service, shown, facts)}
    return found


def fact_schemas(service: DecisionService) -> dict[str, Schema]:
    """What the paths refer to, by name."""
    name, found = service.use_case.name, {}
    for facts in service.decider.rows.facts:
        found[f"{name}.{_named(facts)}"] = object_of(fact_columns(service, facts), f"A row of {_words(facts)}")
    return found


def _tell(service: DecisionService, shown: Examples, facts: FactColumns) -> dict[str, Any]:
    one, example = ref(service, _named(facts)), shown.facts[facts.source]
    body = {"oneOf": [one, {"type": "array", "items": one, "minItems": 1, "maxItems": MOST_EVENTS}]}
    found = operation(service, f"Tell of {_words(facts)}, or correct what was told", f"tell_{facts.source}")
    found["requestBody"] = body_of(body, {"one": {"value": example}, "list": {"value": [example]}})
    found["description"] = (
        "It counts in the features of decisions from now on, and is no event itself. The same again counts once; other "
        "content of a known id replaces it. Of a list that holds one that cannot be read nothing is kept."
    )
    kept = _kept(service, facts)
    known = {"anyOf": [kept, {"type": "array", "items": kept}]}
    return found | {"responses": {"200": well(known, "It stands in the log."), **errors(*BODY_ERRORS, 404)}}


def _withdraw(service: DecisionService, shown: Examples, facts: FactColumns) -> dict[str, Any]:
    found = operation(service, f"A row of {_words(facts)} turned out not to be", f"withdraw_{facts.source}")
    found["parameters"] = [id_in_path(_id(service, facts), shown.facts[facts.source][facts.id], "Of the row.")]
    return found | {"responses": {"200": well(_kept(service, facts), "It stands in the log."), **errors(400, 404)}}


def _kept(service: DecisionService, facts: FactColumns) -> Schema:
    of = {facts.id: _id(service, facts), "known_at": MOMENT}
    return {"type": "object", "properties": of, "required": list(of)}


def _id(service: DecisionService, facts: FactColumns) -> Schema:
    return schema_of(next(column for column in fact_columns(service, facts) if column.name == facts.id))


def _words(facts: FactColumns) -> str:
    return facts.source.replace("_", " ")


def _named(facts: FactColumns) -> str:
    return f"Fact.{facts.source}"
