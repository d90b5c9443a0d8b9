"""Paths that customers wait for, answered before any routing: each names what it answers by the parts of the path.

Every other request takes the routes, with the same answers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec
from starlette.types import Receive, Scope

from serving.web.refusal import Refusal

WRITE = "evergreen.write"
"""Where our protocol leaves in the ASGI scope what writes an answer at once: `Write`."""
Write = Callable[[int, bytes, bytes], bool]
"""Writes status, lines of headers and body; False: the client does not take it now, and parts have to wait for it."""
JSON = (b"content-type", b"application/json")
Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]


class Answer(NamedTuple):
    """An answer of HTTP, all of it."""

    body: bytes
    headers: Headers = (JSON,)
    status: int = 200


class HotPath(NamedTuple):
    """What answers a request."""

    route: str
    """Pattern of the path, by which requests are counted."""
    handler: Callable[[Any, Scope, Receive], Awaitable[Answer]]
    asked: Any
    """What the path names, for the handler."""


Find = Callable[[Sequence[str]], HotPath | None]
"""What answers a path, by its parts between slashes; None: it takes the routes."""


class HotPaths:
    """All of them."""

    def __init__(self, *finds: Find) -> None:
        self._finds = finds

    def find(self, scope: Scope) -> HotPath | None:
        """What answers a request; None: it takes the routes, as any does that asks for something besides."""
        if scope["method"] != "POST" or scope["query_string"]:
            return None
        parts = scope["path"].split("/")
        for find in self._finds:
            if (hot := find(parts)) is not None:
                return hot
        return None


async def answered(hot: HotPath, scope: Scope, receive: Receive) -> Answer:
    """The answer to a request, be it a refusal."""
    try:
        return await hot.handler(hot.asked, scope, receive)
    except Refusal as refusal:
        again = refusal.retry_after
        headers: Headers = (JSON,) if again is None else (JSON, (b"retry-after", b"%.0f" % again))
        return Answer(msgspec.json.encode({"error": str(refusal)}), headers, refusal.status)
