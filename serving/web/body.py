"""The body of a request, read within bounds: of its size as it arrives, of its size decompressed, and of time.

A length that the client declares is believed only when it is too large. Decompression stops at the bound, so that a
small body cannot become a large one in memory.
"""

from __future__ import annotations

import asyncio
import zlib
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request

from serving.web.refusal import Refusal, bad

MEGABYTE = 2**20
_WINDOWS = {"gzip": 31, "deflate": 15}
"""Content encoding -> `wbits` of zlib: 16 more than the largest window asks for gzip's header."""


@dataclass(frozen=True)
class BodyLimits:
    """Bounds of one request's body."""

    bytes: int = 8 * MEGABYTE
    """As it arrives, and decompressed."""
    seconds: float = 10.0
    """From the first byte to the last."""


async def read_body(request: Request, limits: BodyLimits) -> bytes:
    """The body, decompressed.

    Raises:
        Refusal: it is too large (413), too slow (408), of an unknown encoding (415), or damaged (400).
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity" and encoding not in _WINDOWS:
        raise Refusal(415, f"content-encoding: expected gzip, deflate or none, found {encoding[:20]!r}")
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limits.bytes:
        raise too_large(limits)
    try:
        async with asyncio.timeout(limits.seconds):
            content = await _received(request, limits)
    except TimeoutError:
        raise too_slow(limits) from None
    except ClientDisconnect:
        raise bad("body: expected all of it, found the connection closed") from None
    return content if encoding == "identity" else decompressed(content, encoding, limits)


async def _received(request: Request, limits: BodyLimits) -> bytes:
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > limits.bytes:
            raise too_large(limits)
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


def too_slow(limits: BodyLimits) -> Refusal:
    """The refusal of a body that takes too long."""
    return Refusal(408, f"body: expected all of it within {limits.seconds:g} seconds; send it faster")
