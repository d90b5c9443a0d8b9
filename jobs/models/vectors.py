"""Vectors as features: the JSON text of a list of floats becomes as many numbers, each named by column and place.

The feature `embedding[3]` is the number at place 3 of the column `embedding`, so that names alone say what is one
vector, in a graph and a manifest too. It travels to clusters: numpy and pyarrow are all it needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.arrays import Float32s
from jobs.errors import Invalid

WORDS = "[words]"
"""What the name of a feature that is a text read word by word ends with (`jobs.models.texts`)."""
_ELEMENT = re.compile(r"(.+)\[(\d+)\]")


def element_names(column: str, length: int) -> list[str]:
    """Names of the features that a vector of `length` numbers becomes."""
    return [f"{column}[{place}]" for place in range(length)]


def column_of(feature: str) -> str:
    """The column that a feature is read from: its own, the vector that it is an element of, or the text that it is."""
    element = _ELEMENT.fullmatch(feature)
    return element[1] if element else feature.removesuffix(WORDS)


def place_of(element: str) -> int:
    """The place of an element in its vector."""
    return int(element[element.rindex("[") + 1 : -1])


def columns_of(features: Iterable[str]) -> tuple[str, ...]:
    """The columns of features, each once, in their order."""
    return tuple(dict.fromkeys(map(column_of, features)))


def lengths_of(features: Iterable[str]) -> dict[str, int]:
    """Column of each vector among the features -> its length, which the last place tells."""
    found: dict[str, int] = {}
    for element in filter(None, map(_ELEMENT.fullmatch, features)):
        found[element[1]] = max(found.get(element[1], 0), int(element[2]) + 1)
    return found


def with_elements(names: Iterable[str], among: Sequence[str]) -> list[str]:
    """`names`, where that of a vector stands for its elements `among` some features."""
    return [one for name in names for one in ([f for f in among if column_of(f) == name] or [name])]


def vectors(name: str, column: pa.Array | pa.ChunkedArray, length: int) -> Float32s:
    """The vectors of a column of texts, float32 [n, length]; NaN in all places of one that is null or empty.

    Raises:
        ValueError: the column holds no texts, a list is of another length, or an element of it is no number, infinite
            or beyond float32.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    try:
        texts = pc.utf8_trim(array.cast(pa.string()), "[] ")
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise Invalid(
            f"column {name!r}: expected lists of floats as JSON, found {array.type}; write them so"
        ) from error
    known = np.flatnonzero(pc.fill_null(pc.not_equal(texts, ""), False).to_numpy(zero_copy_only=False))
    elements = pc.split_pattern(texts.take(pa.array(known)), ",")
    sizes = pc.list_value_length(elements).to_numpy()
    if (wrong := np.flatnonzero(sizes != length)).size:
        raise Invalid(
            f"column {name!r}: expected lists of {length} floats, found one of {sizes[wrong[0]]} in row "
            f"{known[wrong[0]]}; correct or null it, or declare that length and train again"
        )
    numbers = _numbers(name, pc.utf8_trim_whitespace(pc.list_flatten(elements)))
    if (wrong := np.flatnonzero(~np.isfinite(numbers))).size:
        raise Invalid(
            f"column {name!r}: expected lists of finite floats, found {numbers[wrong[0]]} at place "
            f"{wrong[0] % length} in row {known[wrong[0] // length]}; correct or null the list"
        )
    rows = np.full((len(array), length), np.nan, dtype=np.float32)
    rows[known] = numbers.reshape(-1, length)
    return rows


def _numbers(name: str, texts: pa.Array) -> Float32s:
    try:
        numbers = texts.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid as error:
        raise Invalid(f"column {name!r}: expected lists of floats as JSON, found {error}; mend or null them") from error
    with np.errstate(over="ignore"):
        single: Float32s = numbers.astype(np.float32)
    return single
