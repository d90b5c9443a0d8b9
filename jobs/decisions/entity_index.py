"""Where the rows of each entity are in a table, for entities of one or several columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.arrays import Ints
from jobs.features.clock import filled

Keys: TypeAlias = tuple[Any, ...]
"""What names an entity: a value for each of its columns."""
NO_ROWS: Ints = np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class EntityIndex:
    """Rows by entity; rows with a null among their keys are of no entity."""

    _values: tuple[dict[Any, int] | NDArray[Any], ...]
    """Of each column its different values: integers sorted, texts with their numbers."""
    _sizes: tuple[int, ...]
    _codes: Ints
    """Of each entity that there is, ascending."""
    _starts: NDArray[np.int32]
    _order: NDArray[np.int32]

    @classmethod
    def of(cls, columns: Sequence[pa.ChunkedArray]) -> EntityIndex:
        numbered = [_numbered(column) for column in columns]
        sizes = tuple(len(values) for values, _ in numbered)
        codes = np.zeros(len(columns[0]), np.int64)
        there = np.ones(len(codes), bool)
        for (_, numbers), size in zip(numbered, sizes, strict=True):
            there &= numbers >= 0
            codes = codes * size + numbers
        rows = np.flatnonzero(there)
        order = rows[np.argsort(codes[rows], kind="stable")]
        different, starts = np.unique(codes[order], return_index=True)
        starts = np.append(starts, len(order))
        values = tuple(values for values, _ in numbered)
        return cls(values, sizes, different, starts.astype(np.int32), order.astype(np.int32))

    def rows(self, key: Keys) -> Ints:
        """The rows of an entity, in the order of the table."""
        code = 0
        for value, values, size in zip(key, self._values, self._sizes, strict=True):
            number = _number_of(value, values)
            if number is None:
                return NO_ROWS
            code = code * size + number
        place = int(self._codes.searchsorted(code))
        if place == len(self._codes) or self._codes[place] != code:
            return NO_ROWS
        rows: Ints = self._order[self._starts[place] : self._starts[place + 1]].astype(np.int64)
        return rows

    def last_rows(self, most: int) -> Ints:
        """The last rows of entities, one of each, of at most so many entities, the latest first."""
        last: Ints = np.sort(self._order[self._starts[1:] - 1])[::-1][:most].astype(np.int64)
        return last

    def __len__(self) -> int:
        return len(self._codes)


def _numbered(column: pa.ChunkedArray) -> tuple[dict[Any, int] | NDArray[Any], Ints]:
    """The different values, and the number of each row's; of a null -1."""
    if pa.types.is_integer(column.type):
        present = column.drop_null().to_numpy()
        different, numbers = np.unique(present, return_inverse=True)
        if not column.null_count:
            return different, numbers
        every = np.full(len(column), -1)
        every[column.is_valid().to_numpy()] = numbers
        return different, every
    texts, numbers = numbered_texts(column)
    return {text: number for number, text in enumerate(texts)}, numbers


def numbered_texts(column: pa.ChunkedArray) -> tuple[list[str], Ints]:
    """The different texts of a column, and the number of each row's; of a null -1."""
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    return encoded.dictionary.to_pylist(), filled(pa.chunked_array([encoded.indices.cast(pa.int64())]), -1)


def _number_of(value: Any, values: dict[Any, int] | NDArray[Any]) -> int | None:
    if isinstance(values, dict):
        return values.get(value)
    place = int(values.searchsorted(value))
    return place if place < len(values) and values[place] == value else None
