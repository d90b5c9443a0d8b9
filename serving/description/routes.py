"""What a server says about itself: its OpenAPI document, its use cases for forms, and its counts as JSON."""

from __future__ import annotations

import time
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from jobs.use_case import UseCase
from serving.decisions.services import DecisionServices
from serving.description.document import document
from serving.description.overview import overview
from serving.description.totals import totals
from serving.live_models.watch import LiveModels
from serving.telemetry.registry import registry
from serving.web.answers import json_answer
from serving.web.callers import CALLER


def routes(
    use_cases: Sequence[UseCase], models: LiveModels, decisions: DecisionServices, several_workers: bool
) -> list[Route]:
    """`/openapi.json`, `/v1` and `/v1/traffic`."""

    async def openapi(request: Request) -> Response:
        return json_answer(document(models.models, decisions.open_services, _sees_entities(request)))

    async def asked(request: Request) -> Response:
        services, unopened = decisions.open_services, decisions.unopened
        sees = _sees_entities(request)
        found = [overview(u, models.get(u.name), services.get(u.name), unopened.get(u.name), sees) for u in use_cases]
        return json_answer({"use_cases": found})

    async def traffic(request: Request) -> Response:
        versions = {name: model.version for name, model in models.models.items()}
        counts = totals(registry(several_workers))
        return json_answer({"at": time.monotonic(), "models": versions, "refused": dict(models.refused), **counts})

    handlers = {"/openapi.json": openapi, "/v1": asked, "/v1/traffic": traffic}
    return [Route(path, handler, methods=["GET"]) for path, handler in handlers.items()]


def _sees_entities(request: Request) -> bool:
    """Whether who asks may be shown values of the tables."""
    caller = request.scope.get(CALLER)
    return caller is not None and caller.opens("entities")
