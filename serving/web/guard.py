"""What stands before every route: the key, the turn, the time, the count, and headers that keep browsers careful.

An error that nobody foresaw is answered with a sentence and kept in the log, never shown.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from ipaddress import ip_address
from typing import TypeVar
from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.telemetry import request_metrics, tracing
from serving.web import hot_paths
from serving.web.access import Access, scope_of
from serving.web.answers import error_answer
from serving.web.callers import CALLER, Asked, Caller, Denied
from serving.web.hot_paths import WRITE, Answer, Headers, HotPaths, Write

HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'self'; frame-ancestors 'none'"),
)
SECURE_HEADERS = (*HEADERS, (b"strict-transport-security", b"max-age=31536000"))
"""Let browsers that came by TLS come by nothing else."""
MOST_RUNNING = 512
"""Requests that one worker has begun and not yet answered; more are refused at once, so that none waits long."""
UNKNOWN_ROUTE = "none"
OWN_ERROR = "an error of this server; its log says more"
WAITING = ThreadPoolExecutor(4, thread_name_prefix="waiting")
"""Where a request waits for the issuer of its token, or for the ledger, while others are answered."""
Found = TypeVar("Found")
LOG = logging.getLogger("evergreen.serve")


class Guard:
    """An ASGI application around another."""

    def __init__(self, app: ASGIApp, access: Access, routes: list[Route], hot: HotPaths) -> None:
        self._app, self._access, self._routes, self._hot = app, access, routes, hot
        self._paths = {route.endpoint: route.path for route in routes}
        self.running = 0
        """Requests that are begun and not yet answered."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self.running += 1
        try:
            await self._answered(scope, receive, send)
        finally:
            self.running -= 1

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, answering = time.perf_counter(), _Answering(scope, send)
        hot, followed = self._hot.find(scope), tracing.begin(scope["headers"])
        try:
            denied = await self._denied(scope)
            if denied is None and hot is not None:
                await answering.whole(await hot_paths.answered(hot, scope, receive))
            else:
                await (denied or self._app)(scope, receive, answering.send)
        except Exception:
            LOG.exception("%s %s", scope["method"], scope["path"])
            if answering.status is None:
                await error_answer(OWN_ERROR, 500)(scope, receive, answering.send)
        finally:
            route = hot.route if hot is not None else self._route(scope)
            status = answering.status or 500
            request_metrics.count("http", route, str(status), time.perf_counter() - began)
            if followed is not None:
                method = scope["method"]
                told: tracing.Attributes = {"http.request.method": method, "http.route": route, tracing.STATUS: status}
                tracing.end(followed, f"{method} {route}", told)

    async def _denied(self, scope: Scope) -> Response | None:
        """The answer to a request of too many, or without the key that it needs; None: it may be answered."""
        if self.running > MOST_RUNNING and scope["path"] != "/healthz":
            message = f"expected at most {MOST_RUNNING} requests at once, found more; ask again, or start more workers"
            return error_answer(message, 503, {"retry-after": "1"})
        asked = _asked(scope)
        if self._access.waits(asked):
            found = await _meanwhile(self._access.admitted, asked)
        else:
            found = self._access.admitted(asked)
        if isinstance(found, Caller) and found.administers(asked.scope):
            found = await _meanwhile(self._access.kept, found, asked)
        if not isinstance(found, Denied):
            scope[CALLER] = found
            return None
        headers = {"www-authenticate": "Bearer"} if found.status == 401 else {}
        if found.retry_after is not None:
            headers["retry-after"] = str(math.ceil(found.retry_after))
        return error_answer(found.message, found.status, headers)

    def _route(self, scope: Scope) -> str:
        """The pattern of a path, so that counts are by route and not by whatever was asked for."""
        if "endpoint" in scope:  # left there by the route that answered
            return self._paths[scope["endpoint"]]
        matching = (route.path for route in self._routes if route.matches(scope)[0] != Match.NONE)
        return next(matching, UNKNOWN_ROUTE)


class _Answering:
    """Sends the answer to a request with the headers that every answer has."""

    __slots__ = ("_scope", "_send", "status")

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope, self._send = scope, send
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        """Send a part."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), *self._headers]
        await self._send(message)

    async def whole(self, answer: Answer) -> None:
        """Send all of it, by one call of the system where the server can."""
        self.status = answer.status
        headers = (*answer.headers, (b"content-length", b"%d" % len(answer.body)), *self._headers)
        write: Write | None = self._scope.get(WRITE)
        if write is None or not write(answer.status, _lines(headers), answer.body):
            await self._send({"type": "http.response.start", "status": answer.status, "headers": headers})
            await self._send({"type": "http.response.body", "body": answer.body})

    @property
    def _headers(self) -> Headers:
        return SECURE_HEADERS if self._scope.get("scheme") == "https" else HEADERS


def _lines(headers: Headers) -> bytes:
    return b"".join([b"%s: %s\r\n" % header for header in headers])


async def _meanwhile(function: Callable[..., Found], *arguments: object) -> Found:
    return await asyncio.get_running_loop().run_in_executor(WAITING, function, *arguments)


def _asked(scope: Scope) -> Asked:
    headers, method, path = dict(scope["headers"]), scope["method"], scope["path"]
    keys = _text(headers.get(b"authorization")), _text(headers.get(b"x-api-key"))
    address = scope["client"][0] if scope.get("client") else ""
    return Asked(scope_of(method, path), address, *keys, f"{method} {path}", _foreign(headers))


def _foreign(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a page of another host sends it: a browser says so, or the host's name may be anybody's.

    Whoever owns a name may let it lead to this machine, after which browsers take a page of theirs for one of ours.
    """
    origin, host = headers.get(b"origin"), headers.get(b"host", b"localhost")
    return not _is_own(host) or (origin is not None and origin.partition(b"://")[2] != host)


@lru_cache(maxsize=64)
def _is_own(host: bytes) -> bool:
    """Whether a host is an address, or the name of whatever machine one is on."""
    try:
        name = (urlsplit(b"//" + host).hostname or b"").decode("latin-1")
        return name == "localhost" or bool(ip_address(name))
    except ValueError:
        return False


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")
