"""Whether a server lives, and whether it is ready: for load balancers and orchestrators."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.decisions.services import DecisionServices
from serving.live_models.watch import LiveModels
from serving.telemetry.registry import response
from serving.telemetry.watch import Watch
from serving.web.answers import json_answer


def routes(models: LiveModels, decisions: DecisionServices, watch: Watch, several_workers: bool) -> list[Route]:
    """`/healthz`, `/readyz` and `/metrics`."""

    async def healthz(request: Request) -> Response:
        return json_answer({"alive": True})

    async def readyz(request: Request) -> Response:
        versions = {name: model.version for name, model in models.models.items()}
        found = {"ready": bool(versions), "models": versions, "refused": dict(models.refused)} | decisions.states()
        return json_answer(found, 200 if versions else 503)

    def counted() -> Response:
        watch.look_closely()
        return response(several_workers)

    async def counts(request: Request) -> Response:
        return await asyncio.to_thread(counted)  # a store may let it wait

    handlers = {"/healthz": healthz, "/readyz": readyz, "/metrics": counts}
    return [Route(path, handler, methods=["GET"]) for path, handler in handlers.items()]
