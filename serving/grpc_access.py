"""What stands before every call of gRPC: who calls is known before anything of a message is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote

import grpc
from google.protobuf.message import DecodeError

from serving.inference_protocol import grpc_messages
from serving.web.access import Access
from serving.web.api_keys import Scope
from serving.web.callers import Asked, Caller, Denied
from serving.web.guard import LOG, OWN_ERROR

_OPEN = ("/grpc.health.v1.Health/", f"/{grpc_messages.SERVICE}/ServerLive", f"/{grpc_messages.SERVICE}/ServerReady")
_READ = (
    "/grpc.reflection.", f"/{grpc_messages.SERVICE}/ServerMetadata", f"/{grpc_messages.SERVICE}/ModelMetadata",
    f"/{grpc_messages.SERVICE}/ModelReady",
)  # fmt: skip
_STATUS = {
    401: grpc.StatusCode.UNAUTHENTICATED, 403: grpc.StatusCode.PERMISSION_DENIED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
}  # fmt: skip
_KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
PUSHBACK = "grpc-retry-pushback-ms"
"""Metadata by which gRPC tells clients that retry how long to wait."""


class GrpcAccess(grpc.ServerInterceptor):
    """Refuses calls as `serving.web.guard` refuses requests of HTTP."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def intercept_service(self, continuation: Callable[[Any], Any], call: grpc.HandlerCallDetails) -> Any:
        handler, scope = continuation(call), _scope(call.method)
        if handler is None or scope is None:
            return handler
        kind = next(kind for kind in _KINDS if getattr(handler, kind))
        asked = self._asked(getattr(handler, kind), _reader(handler), scope, call.method)
        return getattr(grpc, f"{kind}_rpc_method_handler")(asked, None, handler.response_serializer)

    def _asked(
        self, method: Callable[..., Any], read: Callable[[Any], Any], scope: Scope, name: str
    ) -> Callable[..., Any]:
        def asked(request: Any, context: grpc.ServicerContext) -> Any:
            headers = {name: value for name, value in context.invocation_metadata() if isinstance(value, str)}
            keys = headers.get("authorization"), headers.get("x-api-key")
            call = Asked(scope, _address(context.peer()), *keys, name)
            found = self._access.admitted(call)
            if isinstance(found, Caller) and found.administers(scope):
                found = self._access.kept(found, call)
            if isinstance(found, Denied):
                _refuse(context, found)
            return _answered(lambda: method(read(request), context), context)

        return asked


def _answered(answer: Callable[[], Any], context: grpc.ServicerContext) -> Any:
    """What a call is answered; an error that nobody foresaw is kept in the log and not shown."""
    try:
        return answer()
    except DecodeError:
        context.abort(
            grpc.StatusCode.INVALID_ARGUMENT, "message: expected one as reflection describes it, found other bytes"
        )
    except Exception:
        if context.code() is None:  # otherwise it is the end of a call that was refused
            LOG.exception("gRPC")
            context.abort(grpc.StatusCode.INTERNAL, OWN_ERROR)
        raise


def _reader(handler: grpc.RpcMethodHandler) -> Callable[[Any], Any]:
    """Makes messages of the bytes of a request, or of each of its stream."""
    read = handler.request_deserializer

    def each(requests: Iterable[bytes]) -> Iterable[Any]:
        return map(read, requests)

    return each if handler.request_streaming else read


def _refuse(context: grpc.ServicerContext, denied: Denied) -> None:
    """End a call; does not return."""
    if denied.retry_after is not None:
        context.set_trailing_metadata(((PUSHBACK, str(round(denied.retry_after * 1_000) + 1)),))
    context.abort(_STATUS.get(denied.status, grpc.StatusCode.UNAVAILABLE), denied.message)


def _address(peer: str) -> str:
    """The address in gRPC's text for a client: `ipv4:127.0.0.1:5000`, `ipv6:%5B::1%5D:5000`."""
    kind, _, rest = unquote(peer).partition(":")
    return rest.rpartition(":")[0].strip("[]") if kind in ("ipv4", "ipv6") else kind


def _scope(method: str) -> Scope | None:
    if method.startswith(_OPEN):
        return None
    return "read" if method.startswith(_READ) else "decide"
