"""Requests that wait at the same turn of an event loop are worked on together: what is done once is done once for all.

Nothing waits for others to come: what has come when the loop turns is taken, be it one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

MOST_TOGETHER = 16
"""Requests of one turn; those behind them wait for the next one, so that answers leave in between."""
Item = TypeVar("Item")
Result = TypeVar("Result")


class Together(Generic[Item, Result]):
    """What waits in one event loop, and the function that works on it."""

    def __init__(self, work: Callable[[Sequence[Item]], Sequence[Result | Exception]]) -> None:
        """work: gives a result, or why there is none, for each of some items in their order; runs in the loop."""
        self._work = work
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()

    def ask(self, item: Item) -> asyncio.Future[Result]:
        """The result of an item, once the loop has turned."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._turn, loop)
        self._waiting.append((item, future))
        return future

    @property
    def depth(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_TOGETHER))]
        if self._waiting:
            loop.call_soon(self._turn, loop)
        for (_, future), result in zip(taken, self._results([item for item, _ in taken]), strict=True):
            if future.done():  # whoever asked went away
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

    def _results(self, items: Sequence[Item]) -> Sequence[Result | Exception]:
        try:
            return self._work(items)
        except Exception as error:
            return [error] * len(items)
