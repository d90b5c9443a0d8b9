"""Lots that every worker draws alike: a number from 0 to 1 that a text decides."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Any


def lot(salt: str, of: Any) -> float:
    """A number from 0 to 1 (exclusive), evenly spread over values; 7 and "7" are two of them.

    Args:
        salt: of another one, the lots of the same values have nothing to do with these.
    """
    digest = blake2b(f"{type(of).__name__} {of}".encode(), digest_size=8, key=_key(salt)).digest()
    # The upper 53 bits, all that a double holds: 1.0 is never reached.
    return (int.from_bytes(digest, "big") >> 11) * 2.0**-53


@lru_cache(256)
def _key(salt: str) -> bytes:
    """Few salts draw all lots."""
    return blake2b(salt.encode(), digest_size=32).digest()
