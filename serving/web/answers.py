"""Answers of HTTP as JSON; an error is `{"error": ...}`, whoever refuses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from serving.web.refusal import Refusal

Handler = Callable[[Request], Awaitable[Response]]


def json_answer(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer whose body is `content` as JSON."""
    return Response(msgspec.json.encode(content), status, headers, media_type="application/json")


def error_answer(message: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """An answer that says why there is no other."""
    return json_answer({"error": message}, status, headers)


def with_refusals(handler: Handler) -> Handler:
    """The handler, with refusals as HTTP tells them: a status, `{"error": ...}`, and when to ask again."""

    async def answered(request: Request) -> Response:
        try:
            return await handler(request)
        except Refusal as refusal:
            headers = {} if refusal.retry_after is None else {"retry-after": f"{refusal.retry_after:.0f}"}
            return error_answer(str(refusal), refusal.status, headers)

    return answered
