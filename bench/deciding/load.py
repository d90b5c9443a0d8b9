"""Load over HTTP/1.1 from this process: so many connections at once, or requests at moments that nothing puts off.

It reads as little of an answer as it may, so that most of the machine is left to the server.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import uvloop

Make = Callable[[], bytes]
"""Makes the next request."""
CONNECTIONS, SPIN_SECONDS, LONGEST_SECONDS = 32, 0.002, 30.0


@dataclass
class Load:
    """What became of some requests."""

    latencies: list[float] = field(default_factory=list)
    """Seconds of each that was answered well; under open load since the moment at which it was meant to be sent."""
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0
    answers: list[bytes] | None = None
    """Bodies, where they are kept."""

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def percentiles(self) -> dict[str, float]:
        """Milliseconds."""
        found = np.percentile(self.latencies, [50, 99, 99.9]) * 1e3
        return dict(zip(("p50", "p99", "p99.9"), np.round(found, 3).tolist(), strict=True))


def request(port: int, path: str, body: bytes) -> bytes:
    """A request with JSON."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self, done: Callable[[Connection, int, bytes], None]) -> None:
        self.began = 0.0
        self._done, self._came, self._asks = done, b"", False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def ask(self, content: bytes, began: float) -> None:
        self.began, self._asks = began, True
        self._transport.write(content)

    def data_received(self, data: bytes) -> None:
        self._came = data = self._came + data if self._came else data
        end = data.find(b"\r\n\r\n") + 4
        if end < 4:
            return
        head = data[:end].lower()
        at = head.index(b"content-length:") + 15
        if len(data) >= end + int(head[at : head.index(b"\r", at)]):
            self._came, self._asks = b"", False
            self._done(self, int(data[9:12]), data[end:])

    def connection_lost(self, error: Exception | None) -> None:
        if self._asks:
            self._asks = False
            self._done(self, 0, repr(error).encode())


class _Client:
    def __init__(self, make: Make, keep: bool) -> None:
        self.make, self.load, self.running = make, Load(answers=[] if keep else None), 0

    async def connect(self, port: int, count: int) -> list[Connection]:
        loop = asyncio.get_running_loop()
        return [
            (await loop.create_connection(lambda: Connection(self.done), "127.0.0.1", port))[1] for _ in range(count)
        ]

    def done(self, connection: Connection, status: int, body: bytes) -> None:
        self.running -= 1
        if status == 200:
            self.load.latencies.append(time.perf_counter() - connection.began)
            if self.load.answers is not None:
                self.load.answers.append(body)
        else:
            self.load.failures.append(f"{status}: {body[:300]!r}")
        if status:
            self.free(connection)

    def free(self, connection: Connection) -> None:
        raise NotImplementedError

    async def end(self) -> None:
        """Wait for the last answers."""
        until = time.perf_counter() + LONGEST_SECONDS
        while self.running and time.perf_counter() < until:
            await asyncio.sleep(0.001)
        self.load.failures += ["no answer"] * self.running


class _Closed(_Client):
    until = 0.0
    left = 0

    def free(self, connection: Connection) -> None:
        now = time.perf_counter()
        if now < self.until and self.left:
            self.running, self.left = self.running + 1, self.left - 1
            connection.ask(self.make(), now)


class _Open(_Client):
    def __init__(self, make: Make, keep: bool) -> None:
        super().__init__(make, keep)
        self.idle: deque[Connection] = deque()
        self.waiting: deque[float] = deque()

    def free(self, connection: Connection) -> None:
        if self.waiting:
            connection.ask(self.make(), self.waiting.popleft())
        else:
            self.idle.append(connection)

    def send(self, meant: float) -> None:
        self.running += 1
        if self.idle:
            self.idle.popleft().ask(self.make(), meant)
        else:
            self.waiting.append(meant)


def closed(
    port: int, make: Make, seconds: float = 1e9, *, connections: int = CONNECTIONS, requests: int = 2**62
) -> Load:
    """So many connections, each of which asks again as soon as it is answered, for so long or so many requests."""

    async def run() -> Load:
        client = _Closed(make, keep=True)
        all_of_them = await client.connect(port, connections)
        start = time.perf_counter()
        client.until, client.left = start + seconds, requests
        for each in all_of_them:
            client.free(each)
        while client.running and time.perf_counter() < client.until:
            await asyncio.sleep(0.01)
        client.load.seconds = time.perf_counter() - start
        await client.end()
        return client.load

    return _run(run)


def opened(port: int, make: Make, rate: float, seconds: float, connections: int = 128) -> Load:
    """Requests at random moments, so many a second on average; what takes the server long delays none of them."""

    async def run() -> Load:
        client = _Open(make, keep=False)
        client.idle.extend(await client.connect(port, connections))
        start = time.perf_counter()
        moments = start + np.cumsum(np.random.default_rng(0).exponential(1 / rate, int(rate * seconds)))
        for meant in moments.tolist():
            while (early := meant - time.perf_counter()) > 0:
                await asyncio.sleep(early - SPIN_SECONDS if early > 2 * SPIN_SECONDS else 0)
            client.send(meant)
        client.load.seconds = time.perf_counter() - start
        await client.end()
        return client.load

    return _run(run)


def _run(run: Callable[[], Any]) -> Load:
    gc.collect()
    gc.disable()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            found: Load = runner.run(run())
    finally:
        gc.enable()
    return found
