"""The paths beside decisions in the words of OpenAPI: the models alone (Open Inference Protocol), health, counts."""

from __future__ import annotations

from typing import Any

from serving.description.answers import BODY_ERRORS, JSON, errors, well
from serving.description.columns import Schema
from serving.inference_protocol.inference import MOST_ROWS, metadata
from serving.live_models.live_model import LiveModel

OBJECT: Schema = {"type": "object"}
TEXT: Schema = {"type": "string"}
OPEN: list[Any] = [{}]
"""Of paths that need no key."""


def model_paths(model: LiveModel) -> dict[str, dict[str, Any]]:
    """The paths of one model, with and without its version."""
    parameter = {"name": "version", "in": "path", "required": True, "schema": TEXT, "example": model.version}
    found = {}
    for place, parameters in ((f"/v2/models/{model.use_case}", []), (_versioned(model), [parameter])):
        operations = {"": {"get": _about()}, "/ready": {"get": _ready()}, "/infer": {"post": _infer(model)}}
        for path, methods in operations.items():
            found[place + path] = {"parameters": parameters, **methods} if parameters else methods
    return found


def common_paths() -> dict[str, dict[str, Any]]:
    """What every server answers, whichever models are in service."""
    unready = {"503": well(OBJECT, "No model is in service.")}
    found = {
        "/v2": _get("The server", well(_object("name", "version", "extensions"), "Name, version and extensions.")),
        "/v2/health/live": _get("Whether it is there", well(_object("live"), "It is."), {}),
        "/v2/health/ready": _get("Whether it has a model", well(_object("ready"), "It has."), unready),
        "/healthz": _get("Whether it is there", well(_object("alive"), "It is."), {}),
        "/readyz": _get("Which models are in service", well(_object("ready", "models"), "Versions."), unready),
        "/v1": _get(
            "What can be asked about each use case", well(_object("use_cases"), "Columns, meanings, examples.")
        ),
        "/v1/traffic": _get("Counts since the server's start, as JSON", well(_object("requests"), "Counts.")),
        "/metrics": _get(
            "Counts for Prometheus", {"description": "Counts.", "content": {"text/plain": {"schema": TEXT}}}
        ),
    }
    return {path: {"get": operation} for path, operation in found.items()}


def _get(summary: str, answer: dict[str, Any], others: dict[str, Any] | None = None) -> dict[str, Any]:
    """An operation; one that tells its other answers needs no key."""
    responses = {"200": answer, **(errors() if others is None else others)}
    found: dict[str, Any] = {"summary": summary, "tags": ["server"], "responses": responses}
    return found if others is None else found | {"security": OPEN}


def _about() -> dict[str, Any]:
    about = _object("name", "versions", "platform", "inputs", "outputs")
    return _model("What the model takes and gives", well(about, "Inputs and outputs."))


def _ready() -> dict[str, Any]:
    return _model("Whether the model is in service", well(_object("name", "ready"), "It is."))


def _infer(model: LiveModel) -> dict[str, Any]:
    found = _model("Scores of rows of features", well(_object("model_name", "model_version", "outputs"), "Scores."))
    found["responses"] |= errors(*BODY_ERRORS, 404)
    tensors = [_tensor(**each) for each in metadata(model)["inputs"]]
    several = {"prefixItems": tensors, "minItems": len(tensors), "maxItems": len(tensors)}
    body = _object("inputs") | {"properties": {"inputs": {"type": "array", **several}}}
    found["requestBody"] = {"required": True, "content": {JSON: {"schema": body, "example": _row(model)}}}
    return found


def _tensor(name: str, datatype: str, shape: list[int]) -> Schema:
    """One input of a model. As many values as the shape says come one after another, or a list for each row."""
    value: Schema = {"type": ["number" if datatype == "FP32" else "string", "null"]}
    rows: Schema = {"type": "integer", "minimum": 1, "maximum": MOST_ROWS}
    sizes = {"type": "array", "prefixItems": [rows, {"const": shape[1]}], "minItems": 2, "maxItems": 2}
    values = {"type": "array", "items": {"anyOf": [value, {"type": "array", "items": value}]}}
    of = {"name": {"const": name}, "datatype": {"const": datatype}, "shape": sizes, "data": values}
    return _object(*of) | {"properties": of}


def _row(model: LiveModel) -> dict[str, Any]:
    """A request for one row, of which everything is missing but the first number."""
    given = []
    for each in metadata(model)["inputs"]:
        columns, is_number = each["shape"][1], each["datatype"] == "FP32"
        data = [1.5 if is_number else "", *([None if is_number else ""] * (columns - 1))]
        given.append({**each, "shape": [1, columns], "data": data})
    return {"inputs": given}


def _model(summary: str, answer: dict[str, Any]) -> dict[str, Any]:
    return {"summary": summary, "tags": ["models alone"], "responses": {"200": answer, **errors(404)}}


def _object(*required: str) -> Schema:
    return {"type": "object", "required": list(required)}


def _versioned(model: LiveModel) -> str:
    return f"/v2/models/{model.use_case}/versions/{{version}}"
