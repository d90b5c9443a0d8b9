"""From an Arrow table to what models take. The caller chooses rows and columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.types as types

from jobs.arrays import Float32s
from jobs.errors import Invalid
from jobs.models import texts
from jobs.models.features import FeatureRows, rows_of
from jobs.models.protocol import Examples
from jobs.models.vectors import column_of, lengths_of, place_of, vectors
from jobs.tasks.binary import BINARY
from jobs.tasks.task import Task


def examples_of(
    table: pa.Table, names: Sequence[str], label: str, weight: str | None = None, task: Task = BINARY
) -> Examples:
    """The rows of `table` as examples: `names` are the features, in that order.

    Args:
        label: a column of the task's labels, without nulls.
        weight: a numeric column, positive, without nulls.
        task: its classes, if it has any, are those of the column unless it knows some.

    Raises:
        ValueError: as `features_of`, or if labels or weights are missing or of another type.
    """
    weights = None if weight is None else _float32(table, weight)
    column = _column(table, label)
    task = task if task.classes else task.of_labels(column)
    return Examples(features_of(table, names), task.encoded(column, label), weights, tuple(names), task)


def features_of(table: pa.Table, names: Sequence[str]) -> FeatureRows:
    """Features `names` of `table` as rows; null becomes NaN, true 1, and a column of texts a category.

    A feature that is called a text is read word by word (`jobs.models.texts`). Booleans, integers, floats and decimals
    are numbers; integers beyond 2**24 lose digits, as float32 does. A text without a character is missing. Elements of
    a vector are read from its column (`jobs.models.vectors`).

    Raises:
        ValueError: if a column is missing, of another type, or holds an infinity or a value beyond float32, or a list
        of another length.
    """
    # Column by column into one array: the table exists once more, and no more than that.
    return rows_of(_columns(table, names), table.num_rows, len(names))


def is_category(kind: pa.DataType) -> bool:
    """Whether a column of this type is a category as a feature."""
    value = kind.value_type if types.is_dictionary(kind) else kind
    return bool(types.is_string(value) or types.is_large_string(value) or types.is_string_view(value))


def is_number(kind: pa.DataType) -> bool:
    """Whether a column of this type is a number as a feature."""
    numbers = (types.is_boolean, types.is_integer, types.is_floating, types.is_decimal)
    return any(is_kind(kind) for is_kind in numbers)


def _columns(table: pa.Table, names: Sequence[str]) -> Iterator[Float32s | pa.ChunkedArray]:
    lengths, read = lengths_of(names), ("", np.empty((0, 0), np.float32))
    for name in names:
        if (column := column_of(name)) not in lengths:
            yield _feature(table, name)
            continue
        if read[0] != column:
            read = (column, vectors(column, _column(table, column), lengths[column]))
        yield read[1][:, place_of(name)]


def _feature(table: pa.Table, name: str) -> Float32s | pa.ChunkedArray:
    if texts.is_text(name):
        return texts.read(_column(table, column_of(name)))
    column = _column(table, name)
    return column if is_category(column.type) else _float32(table, name)


def _column(table: pa.Table, name: str) -> pa.ChunkedArray:
    if table.column_names.count(name) != 1:
        raise Invalid(f"table: expected one column {name!r}, found {table.column_names}; select or join it first")
    return table.column(name)


def _float32(table: pa.Table, name: str) -> Float32s:
    column = _column(table, name)
    kind = column.type
    if not is_number(kind):
        raise Invalid(
            f"column {name!r}: expected booleans, integers, floats, decimals or texts, found {kind}; "
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
