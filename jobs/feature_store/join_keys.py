"""Keys of a point-in-time join as small integers that both sides share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.arrays import Ints
from jobs.errors import Invalid

_DENSE = 2**22
"""Span of integer keys up to which a table of all of them is small."""


def codes(entities: pa.Table, features: pa.Table, keys: Sequence[str]) -> tuple[Ints, Ints]:
    """Equal small integers for equal keys on both sides, -1 where a key is null or only on the feature side.

    Each column is numbered by itself, so composite keys are compared part by part and never as joined text.
    """
    left = np.zeros(entities.num_rows, np.int64)
    right = np.zeros(features.num_rows, np.int64)
    for number, name in enumerate(keys):
        a, b = _one_type(entities[name], features[name], name)
        if len(keys) == 1 and (codes := _small_integers(a, b)):
            return codes
        distinct = pc.unique(a).drop_null()
        left_part, right_part = _numbers(a, distinct), _numbers(b, distinct)
        if not number:
            left, right = left_part, right_part
            continue
        missing_left, missing_right = (left < 0) | (left_part < 0), (right < 0) | (right_part < 0)
        pairs = left * (len(distinct) + 1) + left_part
        pairs[missing_left] = -1
        pair_values = np.unique(pairs)
        left = np.searchsorted(pair_values, pairs)
        right_pairs = right * (len(distinct) + 1) + right_part
        right = np.minimum(np.searchsorted(pair_values, right_pairs), max(len(pair_values) - 1, 0))
        missing_right |= pair_values[right] != right_pairs if len(pair_values) else True
        left[missing_left], right[missing_right] = -1, -1
    return left, right


def _small_integers(a: pa.ChunkedArray, b: pa.ChunkedArray) -> tuple[Ints, Ints] | None:
    """`codes` of one column of integers that lie close together, by a table instead of a hash; None for others."""
    if not pa.types.is_signed_integer(a.type) or a.null_count == len(a):
        return None
    low, high = pc.min_max(a).as_py().values()
    if high - low >= _DENSE:
        return None
    present = np.zeros(high - low + 1, bool)
    present[pc.fill_null(a, low).to_numpy() - low] = True
    # The last place is that of all keys which no entity row has.
    numbers = np.append(np.where(present, np.cumsum(present) - 1, -1), -1).astype(np.int32)
    return _looked_up(a, low, high, numbers), _looked_up(b, low, high, numbers)


def _looked_up(values: pa.ChunkedArray, low: int, high: int, numbers: Any) -> Ints:
    keys = pc.fill_null(values, low).to_numpy()
    inside = (keys >= low) & (keys <= high)
    if values.null_count:
        inside &= pc.is_valid(values).to_numpy()
    at = keys - low if inside.all() else np.where(inside, keys, high + 1) - low
    codes: Ints = numbers[at]
    return codes


def _numbers(values: pa.ChunkedArray, distinct: pa.Array) -> Ints:
    places = pc.fill_null(pc.index_in(values, value_set=distinct), -1)
    numbers: Ints = places.to_numpy().astype(np.int64)
    return numbers


def _one_type(a: pa.ChunkedArray, b: pa.ChunkedArray, name: str) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    if pa.types.is_floating(a.type) or pa.types.is_floating(b.type):
        raise Invalid(f"key column {name}: expected an exact type, found {a.type}; cast it to an integer or text")
    if a.type == b.type:
        return a, b
    for kind, wide in _WIDER:
        if kind(a.type) and kind(b.type):
            return a.cast(wide), b.cast(wide)
    if pa.types.is_null(a.type):
        return a.cast(b.type), b
    raise Invalid(
        f"key column {name}: expected one type on both sides, found {a.type} in the entity table and {b.type} in the "
        "feature table; cast one of them"
    )


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


_WIDER: list[tuple[Callable[[pa.DataType], bool], pa.DataType]] = [
    (pa.types.is_integer, pa.int64()),
    (_is_text, pa.large_string()),
]
