"""Whether what is written is what was meant: columns before a write, and the rows that a commit counts after it.

What is done about a difference: see `jobs.lakehouse.tables`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import pyarrow as pa

from jobs.errors import EvergreenError
from jobs.lakehouse import table_log

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from pyspark.sql.connect.dataframe import DataFrame

WritableRows: TypeAlias = Union["DataFrame", pa.Table, pa.RecordBatchReader]
"""Rows to be written: of an engine, in memory, or batch by batch."""


class WriteMismatch(EvergreenError, RuntimeError):
    """What arrived in a table is not what was meant to be written."""


def check_schema(table: str, rows: WritableRows, declared: pa.Schema, existing: DeltaTable | None) -> None:
    """Compare the columns of rows to be written, and of the table if it exists, with those that are declared.

    Raises:
        WriteMismatch: names or types differ.
    """
    expected = _types(declared)
    compared = [(_types(_schema(rows)), "to be written")]
    if existing is not None:
        compared.append((_types(table_log.schema(existing)), f"in the table at version {existing.version()}"))
    for actual, where in compared:
        if actual != expected:
            changed = "; ".join(
                f"{column}: expected {expected.get(column)}, found {actual.get(column)}"
                for column in sorted(expected.keys() | actual.keys())
                if expected.get(column) != actual.get(column)
            )
            raise WriteMismatch(f"{table}: columns {where} differ from what was meant: {changed}")


def rows_of_commit(delta: DeltaTable) -> int:
    """Rows that the last commit of a table brought, by its own count; -1 if it has none."""
    metrics: Mapping[str, Any] = delta.history(1)[0].get("operationMetrics") or {}
    return int(metrics.get("numOutputRows", metrics.get("num_added_rows", -1)))


def _schema(rows: WritableRows) -> pa.Schema:
    if isinstance(rows, (pa.Table, pa.RecordBatchReader)):
        return rows.schema
    from pyspark.sql.pandas.types import to_arrow_schema

    return to_arrow_schema(rows.schema, timezone="UTC")


def _types(schema: pa.Schema) -> dict[str, str]:
    """Column types as Delta knows them: no nullability, no metadata, timestamps in microseconds."""
    return {f.name: "timestamp[us, UTC]" if pa.types.is_timestamp(f.type) else _canonical(f.type) for f in schema}


def _canonical(kind: pa.DataType) -> str:
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "string"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"list<{_canonical(kind.value_type)}>"
    return str(kind)
