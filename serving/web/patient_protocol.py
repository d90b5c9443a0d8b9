"""HTTP of uvicorn with a bound of time on the head of a request, which it has none of, and answers written at once.

A client that sends a byte now and then would keep a connection, and its memory, for ever. The body has bounds of its
own (`serving.web.body`), and so has silence between two requests.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from serving.web.body import WHOLE
from serving.web.hot_paths import WRITE

HEAD_SECONDS = 10.0
"""From the connection, or the first byte of a further request, to the end of its head."""


class PatientProtocol(HttpToolsProtocol):
    """One connection, which is closed when the head of a request takes too long."""

    _waiting: asyncio.TimerHandle | None = None
    _in_head = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._done()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head and self._waiting is None:  # most heads come at once, and need no timer
            self._wait()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._done()
        super().on_headers_complete()
        self.scope[WRITE] = partial(_write, self.cycle)  # type: ignore[literal-required]

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


def _write(cycle: RequestResponseCycle, status: int, headers: bytes, body: bytes) -> bool:
    """Write an answer as `RequestResponseCycle.send` writes its parts (see `serving.web.hot_paths.Write`)."""
    if cycle.flow.write_paused:
        return False
    if cycle.disconnected:
        return True
    cycle.response_started = cycle.response_complete = True
    usual = b"".join([b"%s: %s\r\n" % header for header in cycle.default_headers])
    end = b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n"
    cycle.transport.write(b"".join((STATUS_LINE[status], usual, headers, end, body)))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
    return True
