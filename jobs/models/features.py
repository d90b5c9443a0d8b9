"""Rows of features of which some are categories: numbers as they are, categories as codes of texts.

Where all features are numbers, rows are a plain float32 array; what a model makes of a category is in
`jobs.models.vocabulary`. It travels to clusters: numpy and pyarrow are all it needs.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jobs.arrays import Float32s, Ints
from jobs.errors import Invalid

_HASH_BITS = 24
"""float32 holds integers up to 2**24 exactly."""


@dataclass(frozen=True, eq=False)
class Features:
    """Rows, float32 [n, f], of which some columns are categories; NaN is missing in either kind."""

    values: Float32s
    """Of a category, the position of its text in `texts`."""
    texts: Mapping[int, pa.StringArray]
    """Column of a category -> its distinct texts, none of them null or empty; some may not occur."""

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: Any) -> FeatureRows:
        """Rows by a mask, positions or a slice; with a second index, columns by positions: an array like NumPy's."""
        if not isinstance(index, tuple):
            return Features(self.values[index], self.texts)
        rows, columns = index
        places = np.arange(self.values.shape[1])[columns].tolist()
        chosen = {new: self.texts[old] for new, old in enumerate(places) if old in self.texts}
        return _rows(self.values[rows][:, places], chosen)

    def text(self, column: int) -> pa.StringArray:
        """The category `column` of every row, null where it is missing."""
        codes = self.values[:, column]
        missing = np.isnan(codes)
        return self.texts[column].take(pa.array(np.where(missing, 0, codes).astype(np.int64), mask=missing))

    def known_texts(self, column: int) -> NDArray[Any]:
        """The same as Python's texts, empty where it is missing; each text is one object, however many rows have it."""
        codes, texts = self.values[:, column], self.texts[column]
        present, places = np.unique(_positions(codes, len(texts)), return_inverse=True)
        has_missing = len(present) and present[-1] == len(texts)
        own = texts.take(pa.array(present[:-1] if has_missing else present)).to_pylist()
        distinct = np.array([*own, ""], dtype=object)
        objects: NDArray[Any] = distinct[places]
        return objects


FeatureRows = Float32s | Features
"""Rows of features: an array where all are numbers."""


def values_of(rows: FeatureRows) -> Float32s:
    """Numbers and codes, float32 [n, f]."""
    return rows.values if isinstance(rows, Features) else rows


def texts_of(rows: FeatureRows) -> Mapping[int, pa.StringArray]:
    """Column of each category -> its texts; none where all features are numbers."""
    return rows.texts if isinstance(rows, Features) else {}


def value_shown(rows: FeatureRows, row: int, column: int) -> float | str:
    """One value: a number, NaN where it is missing, or the text of a category, empty where it is missing."""
    value = float(values_of(rows)[row, column])
    if column not in texts_of(rows):
        return value
    return "" if np.isnan(value) else str(texts_of(rows)[column][int(value)])


def numbers_of(rows: FeatureRows, what: str) -> Float32s:
    """Rows for `what`, which knows numbers only. Raises ValueError if there are categories."""
    if isinstance(rows, Features):
        raise Invalid(f"{what}: expected numbers only, found categories at the positions {sorted(rows.texts)}")
    return rows


def number_columns(rows: FeatureRows, names: Sequence[str]) -> tuple[Float32s, tuple[str, ...]]:
    """The columns that are numbers, and their names."""
    if not isinstance(rows, Features):
        return rows, tuple(names)
    places = [place for place in range(len(names)) if place not in rows.texts]
    return rows.values[:, places], tuple(names[place] for place in places)


def rows_of(columns: Iterable[Float32s | pa.Array | pa.ChunkedArray], count: int, width: int) -> FeatureRows:
    """`count` rows from `width` columns: numbers as float32 [n], categories as Arrow texts, where empty is missing."""
    values: Float32s = np.empty((count, width), dtype=np.float32)
    texts: dict[int, pa.StringArray] = {}
    for place, column in enumerate(columns):
        if isinstance(column, np.ndarray):
            values[:, place] = column
        else:
            values[:, place], texts[place] = _coded(column)
    return _rows(values, texts)


def concatenated(parts: Sequence[FeatureRows]) -> FeatureRows:
    """The rows of all parts, which have the same categories."""
    columns = {place for part in parts for place in texts_of(part)}
    if any(texts_of(part).keys() != columns for part in parts):
        raise Invalid("features: expected parts with the same categories, found others; read them alike")
    if not columns:
        return np.concatenate([values_of(part) for part in parts])
    values, texts = np.concatenate([values_of(part) for part in parts]), {}
    for place in sorted(columns):
        own = [part.text(place) for part in parts if isinstance(part, Features)]
        values[:, place], texts[place] = _coded(pa.concat_arrays(own))
    return Features(values, texts)


def hashed(rows: FeatureRows) -> Float32s:
    """Every category as a number that its text alone decides, for what compares rows of any two readings.

    One of 2**24 numbers: two texts of a thousand share theirs with a chance of a thirtieth.
    """
    if not isinstance(rows, Features):
        return rows
    values = rows.values.copy()
    for place, texts in rows.texts.items():
        # A missing value's position is past the last text.
        numbers = np.array([*(text_hash(text) for text in texts.to_pylist()), np.nan], np.float32)
        values[:, place] = numbers[_positions(rows.values[:, place], len(texts))]
    return values


def text_hash(text: str) -> int:
    """The number of a text in `hashed`."""
    return zlib.crc32(text.encode()) >> (32 - _HASH_BITS)


def _rows(values: Float32s, texts: Mapping[int, pa.StringArray]) -> FeatureRows:
    return Features(values, texts) if texts else values


def _coded(column: pa.Array | pa.ChunkedArray) -> tuple[Float32s, pa.StringArray]:
    """Codes, NaN where a text is missing, and the texts."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    array = array.cast(pa.string())
    array = pc.if_else(pc.equal(array, ""), pa.scalar(None, pa.string()), array)
    encoded = array.dictionary_encode()
    if len(encoded.dictionary) > 1 << _HASH_BITS:
        raise Invalid(
            f"category: expected at most {1 << _HASH_BITS} values, found {len(encoded.dictionary)}; "
            "leave the column out, or make it coarser"
        )
    codes = encoded.indices.cast(pa.float32()).to_numpy(zero_copy_only=False)
    return codes, encoded.dictionary


def _positions(codes: Float32s, missing: int) -> Ints:
    """Codes as integers, `missing` where there is none."""
    return np.where(np.isnan(codes), missing, codes).astype(np.int64)
