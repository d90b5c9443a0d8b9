"""What stands before every route: the key, the time, the count, and headers that keep browsers careful.

An error that nobody foresaw is answered with a sentence and kept in the log, never shown.
"""

from __future__ import annotations

import logging
import time

import msgspec
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.web.access import Access, scope_of
from serving.web.metrics import DURATION, REQUESTS

HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'self'; frame-ancestors 'none'"),
)
UNKNOWN_ROUTE = "none"
OWN_ERROR = "an error of this server; its log says more"
LOG = logging.getLogger("evergreen.serve")


class Guard:
    """An ASGI application around another."""

    def __init__(self, app: ASGIApp, access: Access, routes: list[Route]) -> None:
        self._app, self._access, self._routes = app, access, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        try:
            await self._answer(scope, receive, sending)
        finally:
            route = self._route(scope)
            REQUESTS.labels("http", route, str(status)).inc()
            DURATION.labels("http", route).observe(time.perf_counter() - began)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        authorization, key = (_text(headers.get(name)) for name in (b"authorization", b"x-api-key"))
        denied = self._access.denied(scope_of(scope["method"], scope["path"]), authorization, key)
        if denied is not None:
            await _send_error(send, denied.status, denied.message)
            return
        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception:
            LOG.exception("%s %s", scope["method"], scope["path"])
            if not begun:
                await _send_error(send, 500, OWN_ERROR)

    def _route(self, scope: Scope) -> str:
        """The pattern of a path, so that counts are by route and not by whatever was asked for."""
        matching = (route.path for route in self._routes if route.matches(scope)[0] != Match.NONE)
        return next(matching, UNKNOWN_ROUTE)


async def _send_error(send: Send, status: int, message: str) -> None:
    body = msgspec.json.encode({"error": message})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")
