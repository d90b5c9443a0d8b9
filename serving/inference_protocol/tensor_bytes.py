"""Tensors as bytes, the same in binary HTTP bodies and in `raw_input_contents` of gRPC.

Numbers are little-endian and row by row; a text is its length in bytes, uint32 little-endian, and then its bytes (the
Open Inference Protocol's binary tensor data extension).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from serving.web.refusal import bad

_LENGTH = struct.Struct("<I")
Values = np.ndarray[Any, Any]


def decode(datatype: str, shape: tuple[int, ...], content: bytes | memoryview, name: str) -> Values:
    """The values of a tensor, of `shape`: float32 of FP32, texts of BYTES.

    Raises:
        Refusal: the bytes are more or fewer than the shape says, or a text is no UTF-8.
    """
    if datatype == "FP32":
        if len(content) != (expected := 4 * prod(shape)):
            raise bad(f"input {name}: expected {expected} bytes for shape {list(shape)}, found {len(content)}")
        return np.frombuffer(content, dtype="<f4").reshape(shape)
    texts = list(_texts(content, name))
    if len(texts) != prod(shape):
        raise bad(f"input {name}: expected {prod(shape)} texts for shape {list(shape)}, found {len(texts)}")
    return np.array([text(value, name) for value in texts], dtype=object).reshape(shape)


def encode(values: Values) -> bytes:
    """Numbers as bytes, little-endian, row by row."""
    return np.ascontiguousarray(values, dtype="<f4").tobytes()


def text(value: bytes, name: str) -> str:
    """A text of UTF-8. Raises Refusal if it is none."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise bad(f"input {name}: expected texts in UTF-8, found {value[:20]!r}; encode them") from None


def _texts(content: bytes | memoryview, name: str) -> Iterator[bytes]:
    position = 0
    while position < len(content):
        if position + 4 > len(content):
            raise bad(f"input {name}: expected the length of a text in 4 bytes, found {len(content) - position}")
        (length,) = _LENGTH.unpack_from(content, position)
        position += 4
        if length > len(content) - position:
            raise bad(f"input {name}: expected a text of {length} bytes, found {len(content) - position}")
        yield bytes(content[position : position + length])
        position += length
