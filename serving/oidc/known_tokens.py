"""Tokens whose signature was verified a moment ago, so that a caller's next request need not wait for that again."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from serving.web.callers import Caller

MOST_TOKENS = 10_000
KNOWN_SECONDS = 60.0
"""After this time a token is verified again: its key may be withdrawn."""


class KnownTokens:
    """Callers by their tokens, which are kept as hashes; may be asked from several threads."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._kept: OrderedDict[bytes, tuple[float, Caller]] = OrderedDict()

    def get(self, token: str) -> Caller | None:
        """Who sends a token that was kept and still holds."""
        found = self._kept.get(_digest(token))
        return found[1] if found and 0 <= found[0] - self._clock() <= KNOWN_SECONDS else None

    def keep(self, token: str, caller: Caller, end: float) -> None:
        """Know a token until its end, in seconds since 1970, or for `KNOWN_SECONDS` if that is sooner."""
        with self._lock:
            self._kept.pop(digest := _digest(token), None)
            self._kept[digest] = (min(end, self._clock() + KNOWN_SECONDS), caller)
            if len(self._kept) > MOST_TOKENS:
                self._kept.popitem(last=False)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
