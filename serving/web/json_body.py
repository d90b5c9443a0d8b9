"""The JSON of a request's body, read within bounds: how deep, how many items, and each name once.

Bounds are held before anything is made of the text, by counting what stands outside of its strings. What is no JSON
(NaN, Infinity, lone surrogates, other bytes than UTF-8) the decoder refuses.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from serving.web.refusal import Refusal, bad

_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


@dataclass(frozen=True)
class JsonLimits:
    """Bounds of one body."""

    depth: int = 32
    """Objects and lists within each other."""
    items: int = 10_000
    """Members of objects and values of lists, all together; an empty one counts as one."""


LIMITS = JsonLimits()


def decoded(body: bytes, limits: JsonLimits = LIMITS) -> Any:
    """What the JSON of a body says.

    Raises:
        Refusal: it is no JSON (400), or deeper or of more items than allowed, or an object names a member twice.
    """
    bare = _without_strings(body, limits)
    _require_bounds(bare, limits)
    try:
        content = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise bad(f"body: expected JSON, found: {error}; a missing value is null") from None
    if _fewer_members(content, bare.count(b":")):
        raise bad(f"body: expected each name once in an object, found {_twice(body)} twice; send one of them")
    return content


def _without_strings(body: bytes, limits: JsonLimits) -> bytes:
    """What stands outside of strings, if the text is JSON. Raises Refusal if there are too many strings."""
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    if len(body) > limits.items and (strings := body.count(b'"') // 2) > 2 * limits.items + 1:
        raise _too_many(limits, strings // 2)
    return b"".join(body.split(b'"')[::2])


def _require_bounds(bare: bytes, limits: JsonLimits) -> None:
    """Raise Refusal if a text without its strings is beyond bounds."""
    opened = bare.count(b"[") + bare.count(b"{")
    if opened > limits.depth and _deeper(bare, limits.depth):
        raise bad(f"body: expected at most {limits.depth} brackets within each other, each closed, found more")
    if len(bare) > limits.items and (items := bare.count(b",") + opened) > limits.items:
        raise _too_many(limits, items)


def _too_many(limits: JsonLimits, found: int) -> Refusal:
    return bad(f"body: expected at most {limits.items:,} items, found {found:,} or more; send them in parts")


def _deeper(bare: bytes, depth: int) -> bool:
    """Whether brackets are left when the innermost ones were taken away so many times."""
    left = bare.translate(_BRACKETS, _NO_BRACKETS)
    for _ in range(depth):
        before, left = len(left), left.replace(b"[]", b"")
        if len(left) in (0, before):
            break
    return bool(left)


def _fewer_members(content: object, expected: int) -> bool:
    """Whether all objects have fewer members than there were colons: of equal names, the decoder keeps the last one."""
    level = [content]
    while level and expected > 0:
        inside: list[object] = []
        for each in level:
            if type(each) is dict:
                expected -= len(each)
                inside.extend(each.values())
            elif type(each) is list:
                inside.extend(each)
        level = inside
    return expected > 0


def _twice(body: bytes) -> str:
    """The first name that an object has twice."""
    found: list[str] = []

    def names(members: Iterable[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for name, _ in members:
            if name in seen:
                found.append(name)
            seen.add(name)

    json.loads(body, object_pairs_hook=names, parse_int=float)
    return repr(found[0][:60])
