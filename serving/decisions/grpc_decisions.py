"""Decisions over gRPC: the same events, as JSON, and the same answers as over HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import grpc
import msgspec

from serving.decisions.routes import LIMITS, Services, decided
from serving.proto_files import ProtoFile
from serving.telemetry import request_metrics, tracing
from serving.web.json_body import decoded
from serving.web.refusal import Refusal, bad

FILE = ProtoFile(
    "evergreen_decisions.proto", "evergreen", "DecisionService",
    {
        "DecideRequest": ((1, "use_case", "string"), (2, "event", "string"), (3, "explain", "bool")),
        "DecideResponse": (
            (1, "decision", "string"), (2, "score", "double"), (3, "model_version", "string"),
            (4, "decided_at", "string"), (5, "fallback", "string"), (6, "answer", "string"),
        ),
    },
    ("Decide",),
).add()  # fmt: skip
"""`event` and `answer` are the JSON of the HTTP request and answer: ids beyond 2^53 stay what they are."""
ROUTE = f"/{FILE.full_service}/Decide"
_STATUS = {
    404: grpc.StatusCode.NOT_FOUND, 409: grpc.StatusCode.ALREADY_EXISTS, 503: grpc.StatusCode.UNAVAILABLE,
}  # fmt: skip


def handler(services: Services) -> grpc.GenericRpcHandler:
    """The handler of the service, for a gRPC server; decisions are made in the event loop that runs."""
    loop = asyncio.get_running_loop()

    def decide(request: Any, context: grpc.ServicerContext) -> Any:
        began, status = time.perf_counter(), "500"
        followed = tracing.begin(context.invocation_metadata())
        try:
            answer = asyncio.run_coroutine_threadsafe(_answer(services, request, began), loop).result()
            status = "200"
            return _response(answer)
        except Refusal as refusal:
            status = str(refusal.status)
            context.abort(_STATUS.get(refusal.status, grpc.StatusCode.INVALID_ARGUMENT), str(refusal))
        finally:
            request_metrics.count("grpc", ROUTE, status, time.perf_counter() - began)
            if followed is not None:
                tracing.end(followed, ROUTE, {"rpc.system": "grpc", tracing.STATUS: int(status)})

    method = grpc.unary_unary_rpc_method_handler(
        decide,
        request_deserializer=FILE.message("DecideRequest").FromString,
        response_serializer=FILE.message("DecideResponse").SerializeToString,
    )
    return grpc.method_handlers_generic_handler(FILE.full_service, {"Decide": method})


async def _answer(services: Services, request: Any, began: float) -> Mapping[str, Any]:
    service = services.get(request.use_case)
    if service is None:
        raise Refusal(404, f"use case {request.use_case[:80]!r}: expected one of {sorted(services)}")
    event = decoded(request.event.encode(), LIMITS)
    if isinstance(event, list):
        raise bad("event: expected one event as an object, found a list; call once for each")
    asked = ("explain",) if request.explain else ()
    answer: Mapping[str, Any] = await decided(service, event, began, asked)
    return answer


def _response(answer: Mapping[str, Any]) -> Any:
    told = {name: answer.get(name) for name in ("decision", "score", "model_version", "decided_at", "fallback")}
    return FILE.message("DecideResponse")(
        answer=msgspec.json.encode(answer).decode(),
        **{name: value for name, value in told.items() if value is not None},
    )
