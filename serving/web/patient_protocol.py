"""HTTP of uvicorn with a bound of time on the head of a request, which it has none of.

A client that sends a byte now and then would keep a connection, and its memory, for ever. The body has bounds of its
own (`serving.web.body`), and so has silence between two requests.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.web.body import WHOLE

HEAD_SECONDS = 10.0
"""From the connection, or the first byte of a further request, to the end of its head."""


class PatientProtocol(HttpToolsProtocol):
    """One connection, which is closed when the head of a request takes too long."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._done()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._waiting is None:
            self._wait()

    def on_headers_complete(self) -> None:
        self._done()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self.scope[WHOLE] = True  # type: ignore[literal-required]

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(HEAD_SECONDS, self._close)

    def _done(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _close(self) -> None:
        self._waiting = None
        if self.transport is not None and not self.transport.is_closing():
            self.transport.close()
