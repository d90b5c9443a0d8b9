"""From an Arrow table to what models take. The caller chooses rows and columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as types

from jobs.arrays import Float32s
from jobs.errors import Invalid
from jobs.models.protocol import Examples


def examples_of(table: pa.Table, names: Sequence[str], label: str, weight: str | None = None) -> Examples:
    """The rows of `table` as examples: `names` are the features, in that order.

    Args:
        label: a boolean column, or an integer one of zeros and ones, without nulls.
        weight: a numeric column, positive, without nulls.

    Raises:
        ValueError: as `features_of`, or if labels or weights are missing or of another type.
    """
    weights = None if weight is None else _float32(table, weight)
    return Examples(features_of(table, names), _labels(table, label), weights, tuple(names))


def features_of(table: pa.Table, names: Sequence[str]) -> Float32s:
    """Columns `names` of `table` as float32 [n, f]; null becomes NaN, true 1.

    Booleans, integers, floats and decimals are read; integers beyond 2**24 lose digits, as float32 does.

    Raises:
        ValueError: if a column is missing, of another type, or holds an infinity or a value beyond float32.
    """
    # Column by column into one array: the table exists once more, and no more than that.
    features = np.empty((table.num_rows, len(names)), dtype=np.float32)
    for position, name in enumerate(names):
        features[:, position] = _float32(table, name)
    return features


def _column(table: pa.Table, name: str) -> pa.ChunkedArray:
    if table.column_names.count(name) != 1:
        raise Invalid(f"table: expected one column {name!r}, found {table.column_names}; select or join it first")
    return table.column(name)


def _float32(table: pa.Table, name: str) -> Float32s:
    column = _column(table, name)
    kind = column.type
    if not (types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)):
        raise Invalid(
            f"column {name!r}: expected booleans, integers, floats or decimals, found {kind}; "
            "encode it as numbers in a feature definition, or leave it out"
        )
    if types.is_float16(kind):
        column = column.cast(pa.float32())
    if not types.is_float32(column.type):
        column = column.cast(pa.float64(), safe=False)
    values = column.to_numpy()
    with np.errstate(over="ignore"):
        narrow: Float32s = values.astype(np.float32)
    if np.isinf(narrow).any():
        wrong = values[np.isinf(narrow)][0]
        raise Invalid(f"column {name!r}: expected values that float32 holds, found {wrong}; correct or null them")
    return narrow


def _labels(table: pa.Table, name: str) -> npt.NDArray[np.bool_]:
    column = _column(table, name)
    if column.null_count:
        raise Invalid(f"column {name!r}: expected known labels, found {column.null_count} nulls; leave those out")
    if not (types.is_boolean(column.type) or types.is_integer(column.type)):
        raise Invalid(f"column {name!r}: expected booleans or 0 and 1, found {column.type}; convert it")
    values = column.to_numpy()
    if not np.isin(values, (0, 1)).all():
        raise Invalid(f"column {name!r}: expected 0 and 1, found {sorted(set(values.tolist()))[:5]}; convert it")
    labels: npt.NDArray[np.bool_] = values.astype(np.bool_)
    return labels
