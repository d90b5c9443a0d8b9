"""JSON of a body: what is valid and within bounds is read as it is, all else is refused, at a bounded cost."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.web.json_body import JsonLimits, decoded
from serving.web.refusal import Refusal

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('\\":[]{},')),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.sampled_from('ab\\":{,')), inner),
)  # fmt: skip
SMALL = JsonLimits(depth=3, items=10)
MEGABYTES = 8_000_000


@given(JSON, st.booleans(), st.sampled_from([None, 2]))
def test_what_is_written_is_read(content: Any, ascii_only: bool, indent: int | None) -> None:
    assert decoded(json.dumps(content, ensure_ascii=ascii_only, indent=indent).encode()) == content


@given(JSON, JSON, JSON, st.text(st.sampled_from('a\\":é')))
def test_a_name_comes_once_wherever_it_is(one: Any, other: Any, around: Any, name: str) -> None:
    written = json.dumps(name)
    twice = f"{{{written}: {json.dumps(one)}, {json.dumps(name, ensure_ascii=False)}: {json.dumps(other)}}}"
    with pytest.raises(Refusal, match="expected each name once in an object"):
        decoded(f'[{json.dumps(around)}, {{"more": [{twice}]}}]'.encode())


def depth(content: Any) -> int:
    inside = content.values() if isinstance(content, dict) else content if isinstance(content, list) else None
    return 0 if inside is None else 1 + max(map(depth, inside), default=0)


def items(content: Any) -> int:
    inside = content.values() if isinstance(content, dict) else content if isinstance(content, list) else None
    return 0 if inside is None else max(len(inside), 1) + sum(map(items, inside))


@given(JSON)
def test_bounds_are_held_whatever_strings_hold(content: Any) -> None:
    body = json.dumps(content).encode()
    if depth(content) <= SMALL.depth and items(content) <= SMALL.items:
        assert decoded(body, SMALL) == content
    else:
        with pytest.raises(Refusal, match="body: expected at most"):
            decoded(body, SMALL)


@pytest.mark.parametrize(("levels", "status"), [(32, None), (33, 400)])
def test_the_deepest_that_is_read(levels: int, status: int | None) -> None:
    body = b'{"a":' * (levels - 1) + b"[]" + b"}" * (levels - 1)
    if status is None:
        assert depth(decoded(body)) == levels
    else:
        with pytest.raises(Refusal, match="at most 32 brackets within each other"):
            decoded(body)


def test_as_many_items_as_allowed_are_read() -> None:
    assert len(decoded(json.dumps(list(range(9_999))).encode())) == 9_999
    for body in (json.dumps(list(range(10_001))), json.dumps(["x"] * 10_001), "[" + "[]," * 5_001 + "1]"):
        with pytest.raises(Refusal, match="at most 10,000 items, found 10,00"):
            decoded(body.encode())


@pytest.mark.parametrize("body", [
    b"", b"{", b"]", b"[1,]", b'{"a" 1}', b"[NaN]", b"[Infinity]", b"-Infinity", b"[1e999]", b'"\xff"',
    b'"\xed\xa0\x80"',     b'"\\ud800"', b'"\\udc00 \\ud800"', b'"\x00"', b'"\\"',
    b"\xef\xbb\xbf1", b"[1] [2]", b"'a'", b"\xff\xfe1\x00",
    '{"a":1}'.encode("utf-16"), b'{"a":1,,}', b"1" * 5_000, b'{"a":{"b":1}',
])  # fmt: skip
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal, match="body: expected JSON, found") as refused:
        decoded(body)
    assert refused.value.status == 400


@given(st.binary(max_size=60) | st.text('[]{},:"\\u1NaN ').map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        content = decoded(body, SMALL)
    except Refusal:
        return
    assert content == json.loads(body)


@pytest.mark.parametrize(
    "piece", [b"[", b"[[]", b'{"a":', b'"', b'\\"', b'"\\', b'"a",', b",", b":", b"1", b"[1],", b"\\"]
)
def test_no_large_body_takes_long(piece: bytes) -> None:
    body = b"[" + piece * (MEGABYTES // len(piece))
    began = time.process_time()
    with pytest.raises(Refusal):
        decoded(body)
    assert time.process_time() - began < 2
