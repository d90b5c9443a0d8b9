"""How many requests a second each caller may make: a bucket of tokens for each, in memory that has a bound.

A bucket is kept as the moment at which it will be full again. One that is full says nothing and can be forgotten, so
that many callers cost no more than `MOST_CALLERS` of them. Every worker counts for itself: it grants its share.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache

MOST_CALLERS = 10_000
"""Buckets of one worker; beyond, the one that was asked for longest ago is forgotten, which refills it."""
BURST_SECONDS = 2.0
"""A bucket holds as many tokens as are granted in this time, and one at least."""
ROUNDING = 1e-6
"""Seconds that clocks and sums may be off."""
IPV6_NETWORK = 64
"""Bits of an IPv6 address that say whose it is: the rest a client chooses as it likes."""


class RateLimits:
    """The buckets of one worker; may be asked from several threads."""

    def __init__(
        self, default: float | None = None, workers: int = 1, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Limits of requests a second.

        Args:
            default: of callers without a limit of their own; None: they have none.
            workers: how many share each limit.
        """
        self._default, self._workers, self._clock = default, workers, clock
        self._full_at: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, caller: str, own: float | None = None) -> float:
        """Take a token of a caller: 0, or the seconds until there will be one.

        Args:
            own: requests a second of this caller, over all workers; None: the default.
        """
        rate = own if own is not None else self._default
        if rate is None:
            return 0.0
        share = rate / self._workers
        room = max(BURST_SECONDS, 1 / share)
        with self._lock:
            now = self._clock()
            full_at = max(self._full_at.pop(caller, now), now) + 1 / share
            late = full_at - now - room
            late = late if late > ROUNDING else 0.0
            self._full_at[caller] = full_at - 1 / share if late else full_at
            if len(self._full_at) > MOST_CALLERS:
                self._full_at.popitem(last=False)
        return late

    @property
    def kept(self) -> int:
        """How many buckets are in memory."""
        return len(self._full_at)


@lru_cache(MOST_CALLERS)
def caller_at(address: str) -> str:
    """The caller that an address stands for: an IPv4 address, a network of IPv6, or the text if it is neither."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return f"address {address[:60]}"
    if found.version == 6 and found.ipv4_mapped:
        return f"address {found.ipv4_mapped}"
    if found.version == 6:
        return f"address {ipaddress.ip_network((found, IPV6_NETWORK), strict=False)}"
    return f"address {found}"
