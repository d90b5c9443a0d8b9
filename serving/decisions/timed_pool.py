"""Threads for work that nobody waits for longer than a moment, and of which little may wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from jobs.errors import EvergreenError

T = TypeVar("T")


class Busy(EvergreenError):
    """So much work waits already that more is not taken."""


class TimedPool:
    """Work that nobody waits for any more is dropped, unless it has begun: then it goes on to its end."""

    def __init__(self, name: str, threads: int, most: int) -> None:
        """most: so much work waits or is done at once."""
        self._pool, self._most, self._now = ThreadPoolExecutor(threads, thread_name_prefix=name), most, 0

    @property
    def depth(self) -> int:
        """How much work waits or is done now."""
        return self._now

    async def result(self, work: Callable[[], T], seconds: float) -> T:
        """What some work gives. Raises Busy, TimeoutError, or what the work raises."""
        if self._now >= self._most:
            raise Busy(f"expected at most {self._most} pieces of work at once, found more; ask again later")
        self._now += 1
        try:
            found = asyncio.get_running_loop().run_in_executor(self._pool, work)
            return await asyncio.wait_for(found, seconds)
        finally:
            self._now -= 1

    def stop(self) -> None:
        """End once all work is done."""
        self._pool.shutdown()
