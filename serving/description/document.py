"""The OpenAPI document of a server: made of what is declared and in service at the moment it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from serving.decisions.service import DecisionService
from serving.description import answers
from serving.description.decision_paths import decision_paths, decision_schemas
from serving.description.examples import examples
from serving.description.other_paths import common_paths, model_paths
from serving.live_models.live_model import LiveModel

OPENAPI = "3.1.0"
ABOUT = """Decisions about events while they happen, by the champion and features of the last second.

A key or a token goes into `Authorization: Bearer KEY` or `X-API-Key: KEY`. A server that only its own machine reaches
and that has no keys asks for none. An error is `{"error": "..."}`: what was expected, what was found, what to do."""


def document(
    models: Mapping[str, LiveModel], services: Mapping[str, DecisionService], like_tables: bool
) -> dict[str, Any]:
    """The document, as OpenAPI 3.1 has it.

    Args:
        models: the models in service, by use case.
        services: what decides, by use case.
        like_tables: as `examples` takes it.
    """
    paths: dict[str, Any] = {}
    schemas = answers.schemas()
    for service in services.values():
        paths |= decision_paths(service, examples(service, like_tables))
        schemas |= decision_schemas(service)
    for model in models.values():
        paths |= model_paths(model)
    return {
        "openapi": OPENAPI,
        "info": {"title": "Evergreen", "version": version("evergreen-ml"), "description": ABOUT},
        "servers": [{"url": "/"}],
        "paths": paths | common_paths(),
        "components": {
            "schemas": schemas, "responses": answers.error_components(), "securitySchemes": _SECURITY,
        },
        "security": [{name: []} for name in _SECURITY],
    }  # fmt: skip


_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A key of this server, or a token of its issuer."},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "A key of this server."},
}
