"""The one path that customers wait for, answered before any routing: one decision, plain JSON, nothing asked besides.

Every other request takes the routes, with the same answers.
"""

from __future__ import annotations

import asyncio
import time

import msgspec
from starlette.types import Message, Receive, Scope, Send

from serving.decisions.routes import LIMITS, PLACE, Services, decided
from serving.decisions.service import DecisionService
from serving.web.body import BodyLimits, too_large, too_slow
from serving.web.json_body import decoded
from serving.web.refusal import Refusal, bad

ROUTE = f"{PLACE}/decisions"
_CODED = b"content-encoding"


class HotPath:
    """Answers decisions of one event."""

    def __init__(self, services: Services, limits: BodyLimits) -> None:
        self._services, self._limits = services, limits

    def service(self, scope: Scope) -> DecisionService | None:
        """The service that a request asks for a decision; None: it takes the routes."""
        if scope["method"] != "POST" or scope["query_string"]:
            return None
        parts = scope["path"].split("/")
        if len(parts) != 4 or parts[1] != "v1" or parts[3] != "decisions":
            return None
        if any(name == _CODED for name, _ in scope["headers"]):
            return None
        return self._services.get(parts[2])

    async def answer(self, service: DecisionService, receive: Receive, send: Send) -> None:
        """Answer a request that `service` named."""
        began = time.perf_counter()
        headers = [(b"content-type", b"application/json")]
        found: object
        try:
            content = decoded(await self._body(receive), LIMITS)
            found = await decided(service, content, began)
            status = 200
        except Refusal as refusal:
            found, status = {"error": str(refusal)}, refusal.status
            if refusal.retry_after is not None:
                headers.append((b"retry-after", b"%.0f" % refusal.retry_after))
        body = msgspec.json.encode(found)
        headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _body(self, receive: Receive) -> bytes:
        message = await receive()
        if not message.get("more_body"):
            return self._within(message, message.get("body", b""))
        try:
            async with asyncio.timeout(self._limits.seconds):
                content: bytes = message.get("body", b"")
                while message.get("more_body"):
                    message = await receive()
                    content = self._within(message, content + message.get("body", b""))
                return content
        except TimeoutError:
            raise too_slow(self._limits) from None

    def _within(self, message: Message, content: bytes) -> bytes:
        if message["type"] == "http.disconnect":
            raise bad("body: expected all of it, found the connection closed")
        if len(content) > self._limits.bytes:
            raise too_large(self._limits)
        return content
