"""The body of a request, read within bounds: of its size as it arrives, of its size decompressed, and of time.

A length that the client declares is believed only when it is too large. Decompression stops at the bound, so that a
small body cannot become a large one in memory.
"""

from __future__ import annotations

import asyncio
import zlib
from dataclasses import dataclass

from starlette.types import Receive, Scope

from serving.web.refusal import Refusal, bad

MEGABYTE = 2**20
WHOLE = "evergreen.whole"
"""Where our protocol leaves in the ASGI scope that all of the body has come, so that nobody needs to watch the time."""
_WINDOWS = {"gzip": 31, "deflate": 15}
"""Content encoding -> `wbits` of zlib: 16 more than the largest window asks for gzip's header."""


@dataclass(frozen=True)
class BodyLimits:
    """Bounds of one request's body."""

    bytes: int = 8 * MEGABYTE
    """As it arrives, and decompressed."""
    seconds: float = 10.0
    """From the first byte to the last."""


async def read_body(scope: Scope, receive: Receive, limits: BodyLimits) -> bytes:
    """The body of a request, decompressed.

    Raises:
        Refusal: it is too large (413), too slow (408), of an unknown encoding (415), or damaged (400).
    """
    headers = dict(scope["headers"])
    encoding = headers.get(b"content-encoding", b"identity").decode("latin-1").strip().lower()
    if encoding != "identity" and encoding not in _WINDOWS:
        raise Refusal(415, f"content-encoding: expected gzip, deflate or none, found {encoding[:20]!r}")
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > limits.bytes:
        raise too_large(limits)
    content = await (_received(receive, limits) if scope.get(WHOLE) else _in_time(receive, limits))
    return content if encoding == "identity" else decompressed(content, encoding, limits)


async def _in_time(receive: Receive, limits: BodyLimits) -> bytes:
    try:
        async with asyncio.timeout(limits.seconds):
            return await _received(receive, limits)
    except TimeoutError:
        raise Refusal(408, f"body: expected all of it within {limits.seconds:g} seconds; send it faster") from None


async def _received(receive: Receive, limits: BodyLimits) -> bytes:
    content = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise bad("body: expected all of it, found the connection closed")
        part: bytes = message.get("body", b"")
        if len(content) + len(part) > limits.bytes:
            raise too_large(limits)
        content += part
        if not message.get("more_body"):
            return bytes(content)


def decompressed(content: bytes, encoding: str, limits: BodyLimits) -> bytes:
    """The content of a compressed body. Raises Refusal if it is damaged, cut short, or too large."""
    reader = zlib.decompressobj(_WINDOWS[encoding])
    try:
        found = reader.decompress(content, limits.bytes + 1)
    except zlib.error:
        raise bad(f"body: expected {encoding}, found other bytes") from None
    if len(found) > limits.bytes:
        raise too_large(limits)
    if not reader.eof or reader.unused_data:
        raise bad(f"body: expected one whole {encoding} stream, found it cut short or with more behind it")
    return found


def too_large(limits: BodyLimits) -> Refusal:
    """The refusal of a body of too many bytes."""
    return Refusal(413, f"body: expected at most {limits.bytes:,} bytes, decompressed; send it in parts")
