"""Integers that stay what they are beside a null, on their way through Feast's pandas and NumPy.

Both turn a column of integers with a null into doubles, which round integers of more than 53 bits. Columns in which
that would change a value are marked for pandas, and read without NumPy; all others stay as they were.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from jobs.errors import Invalid

EXACT_DOUBLES = 2**53
"""Integers below this size are exact in a double."""
EXACT_FLOATS = 2**24
Column: TypeAlias = Any
"""An Arrow array, chunked or not."""


def would_be_rounded(column: Column) -> bool:
    """Whether doubles would change an integer of the column, and pandas or NumPy would make it doubles."""
    if not pa.types.is_integer(column.type) or not column.null_count:
        return False
    ends = pc.min_max(column).as_py()
    return ends["min"] is not None and max(-ends["min"], ends["max"]) > EXACT_DOUBLES


def for_pandas(table: pa.Table) -> pa.Table:
    """`table`, marked so that `to_pandas()` makes its integers `Int64`, pandas' own integers with nulls, if need be."""
    rounded = [name for name in table.column_names if would_be_rounded(table[name])]
    if not rounded:
        return table
    kind = {"pandas_type": "int64", "numpy_type": "Int64", "metadata": None}
    columns = [{"name": name, "field_name": name, **kind} for name in rounded]
    marks = {"index_columns": [], "column_indexes": [], "columns": columns, "pandas_version": "2.0.0"}
    return table.replace_schema_metadata({**(table.schema.metadata or {}), b"pandas": json.dumps(marks).encode()})


def proto_values(table: Any, columns: Sequence[tuple[str, Any]], allow_missing: bool = False) -> dict[str, list[Any]]:
    """Feast's values of columns, (name, Feast's type) each, with integers as they are.

    Raises:
        ValueError: a column is missing, and may not be.
        Invalid: a double where an integer is declared, of a size at which it was rounded.
    """
    from feast.type_map import python_values_to_proto_values

    values: dict[str, list[Any]] = {}
    for name, kind in columns:
        if name in table.column_names:
            column = table.column(name)
            _refuse_rounded(name, column, kind)
            if (numbers := _numbers(column, kind)) is not None:
                values[name] = numbers
                continue
            plain = column.to_pylist() if would_be_rounded(column) else column.to_numpy(zero_copy_only=False)
            values[name] = python_values_to_proto_values(plain, kind)
        elif not allow_missing:
            raise ValueError(f"Column {name} not found in table")
    return values


def _numbers(column: Column, kind: Any) -> list[Any] | None:
    """Values of a column of integers or doubles that is declared as such, those of nulls and NaN empty; None of others.

    Feast's own function asks pandas about each, which takes as long again as making them: a night makes 200,000.
    """
    from feast import ValueType
    from feast.protos.feast.types.Value_pb2 import Value

    if pa.types.is_integer(column.type) and kind == ValueType.INT64:
        return [Value() if number is None else Value(int64_val=number) for number in column.to_pylist()]
    if column.type == pa.float64() and kind == ValueType.DOUBLE:
        return [
            Value() if number is None or math.isnan(number) else Value(double_val=number)
            for number in column.to_pylist()
        ]
    return None


def _refuse_rounded(name: str, column: Column, kind: Any) -> None:
    from feast import ValueType

    if kind not in (ValueType.INT32, ValueType.INT64) or not pa.types.is_floating(column.type):
        return
    largest = pc.max(pc.abs(pc.if_else(pc.is_nan(column), None, column))).as_py()
    if largest is not None and largest >= EXACT_DOUBLES:
        raise Invalid(
            f"{name}: expected exact integers, found {largest!r} of type {column.type}, which holds none of that size; "
            "give the column as Int64, as pandas makes doubles of integers beside a null"
        )


def install() -> None:
    """Let Feast write integers as they are: its own function (0.67) goes through NumPy, whatever store it writes to."""
    import feast.utils

    feast.utils._columns_to_proto_values = proto_values
