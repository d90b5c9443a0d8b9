"""The Open Inference Protocol (version 2) over HTTP, for the models in service: the model alone, without features."""

from __future__ import annotations

from importlib.metadata import version

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.inference_protocol import http_messages
from serving.inference_protocol.http_messages import HEADER_LENGTH
from serving.inference_protocol.inference import infer, metadata, model_named
from serving.live_models.live_model import LiveModel
from serving.live_models.watch import LiveModels
from serving.web.answers import json_answer, with_refusals
from serving.web.body import BodyLimits, read_body

SERVER = "evergreen"
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
        model = asked(request)
        body = await read_body(request, limits)
        read = http_messages.read(body, request.headers.get(HEADER_LENGTH), model)
        answer = http_messages.answer(model, read, infer(model, read.tensors))
        return Response(answer.body, headers=dict(answer.headers))

    of_server = {"/v2": server, "/v2/health/live": live, "/v2/health/ready": ready}
    of_model = {"": model_metadata, "/ready": model_ready}
    found = [Route(path, with_refusals(handler), methods=["GET"]) for path, handler in of_server.items()]
    for place in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        found += [Route(place + path, with_refusals(handler), methods=["GET"]) for path, handler in of_model.items()]
        found.append(Route(place + "/infer", with_refusals(model_infer), methods=["POST"]))
    return found
