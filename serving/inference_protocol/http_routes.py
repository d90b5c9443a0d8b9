"""The Open Inference Protocol (version 2) over HTTP, for the models in service: the model alone, without features."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope

from serving.inference_protocol import http_messages
from serving.inference_protocol.http_messages import HEADER_LENGTH
from serving.inference_protocol.inference import infer, metadata, model_named
from serving.live_models.live_model import LiveModel
from serving.live_models.watch import LiveModels
from serving.web.answers import json_answer, with_refusals
from serving.web.body import BodyLimits, read_body
from serving.web.hot_paths import Answer, Find, HotPath

SERVER = "evergreen"
PLACE, INFER = "/v2/models/{name}", "/infer"
EXTENSIONS = ("binary_tensor_data",)


def routes(models: LiveModels, limits: BodyLimits) -> list[Route]:
    """All routes of the protocol below `/v2`."""

    def asked(request: Request) -> LiveModel:
        return model_named(models, request.path_params["name"], request.path_params.get("version", ""))

    async def live(request: Request) -> Response:
        return json_answer({"live": True})

    async def ready(request: Request) -> Response:
        return json_answer({"ready": bool(models.models)}, 200 if models.models else 503)

    async def server(request: Request) -> Response:
        return json_answer({"name": SERVER, "version": version("evergreen-ml"), "extensions": list(EXTENSIONS)})

    async def model_ready(request: Request) -> Response:
        model = asked(request)
        return json_answer({"name": model.use_case, "ready": True})

    async def model_metadata(request: Request) -> Response:
        return json_answer(metadata(asked(request)))

    async def model_infer(request: Request) -> Response:
        answer = await scores(asked(request), request.scope, request.receive, limits)
        return Response(answer.body, headers={name.decode(): value.decode() for name, value in answer.headers})

    of_server = {"/v2": server, "/v2/health/live": live, "/v2/health/ready": ready}
    of_model = {"": model_metadata, "/ready": model_ready}
    found = [Route(path, with_refusals(handler), methods=["GET"]) for path, handler in of_server.items()]
    for place in (PLACE, f"{PLACE}/versions/{{version}}"):
        found += [Route(place + path, with_refusals(handler), methods=["GET"]) for path, handler in of_model.items()]
        found.append(Route(place + INFER, with_refusals(model_infer), methods=["POST"]))
    return found


def hot(models: LiveModels, limits: BodyLimits) -> Find:
    """What finds the model whose scores a path asks for, whatever version is in service."""

    async def answer(model: LiveModel, scope: Scope, receive: Receive) -> Answer:
        return await scores(model, scope, receive, limits)

    def find(parts: Sequence[str]) -> HotPath | None:
        if len(parts) != 5 or parts[1] != "v2" or parts[2] != "models" or parts[4] != "infer":
            return None
        model = models.get(parts[3])
        return None if model is None else HotPath(PLACE + INFER, answer, model)

    return find


async def scores(model: LiveModel, scope: Scope, receive: Receive, limits: BodyLimits) -> Answer:
    """The scores that a request asks a model for. Raises Refusal if it is not as the protocol says."""
    body = await read_body(scope, receive, limits)
    length = dict(scope["headers"]).get(HEADER_LENGTH)
    request = http_messages.read(body, None if length is None else length.decode("latin-1"), model)
    return http_messages.answer(model, request, infer(model, request.tensors))
