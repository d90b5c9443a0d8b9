"""The Open Inference Protocol (version 2) over gRPC: the same models and answers as over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import grpc
import numpy as np

from jobs.models.runtime import OUTPUT
from serving.inference_protocol.grpc_messages import METHODS, SERVICE, message
from serving.inference_protocol.http_routes import EXTENSIONS, SERVER
from serving.inference_protocol.inference import (
    Tensor,
    Values,
    checked_declaration,
    chosen_outputs,
    declared_shape,
    infer,
    metadata,
    model_named,
)
from serving.inference_protocol.tensor_bytes import decode, encode, text
from serving.live_models.live_model import DATATYPES, LiveModel
from serving.live_models.watch import LiveModels
from serving.web.refusal import Refusal, bad

STATUS = {404: grpc.StatusCode.NOT_FOUND, 503: grpc.StatusCode.UNAVAILABLE}
"""Status of HTTP -> of gRPC; INVALID_ARGUMENT for any other."""
Method = Callable[[Any], Any]


def handler(models: LiveModels) -> grpc.GenericRpcHandler:
    """The handler of all methods of the service, for a gRPC server."""
    methods = _methods(models)
    return grpc.method_handlers_generic_handler(
        SERVICE,
        {
            name: grpc.unary_unary_rpc_method_handler(
                _told(methods[name]),
                request_deserializer=message(f"{name}Request").FromString,
                response_serializer=message(f"{name}Response").SerializeToString,
            )
            for name in METHODS
        },
    )


def _methods(models: LiveModels) -> dict[str, Method]:
    def response(method: str, **fields: Any) -> Any:
        return message(f"{method}Response")(**fields)

    def model_ready(request: Any) -> Any:
        model_named(models, request.name, request.version)
        return response("ModelReady", ready=True)

    def server_metadata(request: Any) -> Any:
        about = {"name": SERVER, "version": version("evergreen-ml"), "extensions": list(EXTENSIONS)}
        return response("ServerMetadata", **about)

    def model_infer(request: Any) -> Any:
        return infer_message(model_named(models, request.model_name, request.model_version), request)

    return {
        "ServerLive": lambda request: response("ServerLive", live=True),
        "ServerReady": lambda request: response("ServerReady", ready=bool(models.models)),
        "ModelReady": model_ready,
        "ServerMetadata": server_metadata,
        "ModelMetadata": lambda request: response(
            "ModelMetadata", **metadata(model_named(models, request.name, request.version))
        ),
        "ModelInfer": model_infer,
    }


def _told(method: Method) -> Callable[[Any, grpc.ServicerContext], Any]:
    """The method, with refusals as gRPC tells them: a status, and the sentence."""

    def told(request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return method(request)
        except Refusal as refusal:
            context.abort(STATUS.get(refusal.status, grpc.StatusCode.INVALID_ARGUMENT), str(refusal))

    return told


def infer_message(model: LiveModel, request: Any) -> Any:
    """The answer, a `ModelInferResponse`, of a model to a `ModelInferRequest`. Raises Refusal as over HTTP."""
    chosen_outputs([output.name for output in request.outputs])
    raw = list(request.raw_input_contents)
    if raw and len(raw) != len(request.inputs):
        raise bad(f"raw_input_contents: expected {len(request.inputs)}, one for each input, found {len(raw)}")
    tensors = [_tensor(model, given, raw[n] if raw else None) for n, given in enumerate(request.inputs)]
    scores = infer(model, tensors)
    described = {"name": OUTPUT, "datatype": DATATYPES[OUTPUT], "shape": list(scores.shape)}
    return message("ModelInferResponse")(
        model_name=model.use_case, model_version=model.version, id=request.id,
        outputs=[described], raw_output_contents=[encode(scores)],
    )  # fmt: skip


def _tensor(model: LiveModel, given: Any, raw: bytes | None) -> Tensor:
    shape = declared_shape([int(n) for n in given.shape], given.name)
    checked_declaration(model, given.name, given.datatype, shape)
    values = _contents(given, shape) if raw is None else decode(given.datatype, shape, raw, given.name)
    return Tensor(given.name, given.datatype, shape, values)


def _contents(given: Any, shape: tuple[int, ...]) -> Values:
    """Values of a tensor that came as a list of its type."""
    numbers = given.datatype == "FP32"
    listed = given.contents.fp32_contents if numbers else given.contents.bytes_contents
    if len(listed) != shape[0] * shape[1]:
        raise bad(
            f"input {given.name}: expected {shape[0] * shape[1]} values for shape {list(shape)}, found {len(listed)}"
        )
    if numbers:
        return np.array(listed, dtype=np.float32).reshape(shape)
    return np.array([text(value, given.name) for value in listed], dtype=object).reshape(shape)
