"""Whether a server lives, and whether it is ready: for load balancers and orchestrators."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.live_models.watch import LiveModels
from serving.web import metrics


def routes(models: LiveModels, several_workers: bool) -> list[Route]:
    """`/healthz`, `/readyz` and `/metrics`."""

    async def healthz(request: Request) -> Response:
        return _json({"alive": True}, 200)

    async def readyz(request: Request) -> Response:
        versions = {name: model.version for name, model in models.models.items()}
        found = {"ready": bool(versions), "models": versions, "refused": dict(models.refused)}
        return _json(found, 200 if versions else 503)

    async def counts(request: Request) -> Response:
        for name, model in models.models.items():
            metrics.MODEL.labels(name).set(int(model.version))
            metrics.REFUSED.labels(name).set(name in models.refused)
        return metrics.response(several_workers)

    handlers = {"/healthz": healthz, "/readyz": readyz, "/metrics": counts}
    return [Route(path, handler, methods=["GET"]) for path, handler in handlers.items()]


def _json(content: object, status: int) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")
