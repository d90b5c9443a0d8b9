"""The rows that a Feast request asks about, from whatever form they are given in: exact keys and real moments.

Views and their sources: see `jobs.feature_store.offline_request`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from jobs.errors import Invalid
from jobs.feature_store.exact_integers import EXACT_DOUBLES, EXACT_FLOATS
from jobs.feature_store.point_in_time import bounds_of

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame
    from pyspark.sql.connect.session import SparkSession

ROW = "__evergreen_row"
"""Number of a row that came from the client; no feature may bear the name."""
INTEGERS = ("tinyint", "smallint", "int", "bigint")
TEXTS = ("string", "varchar", "char")
_NUMBER = r"(?!\d{8}$)[+-]?\d+(\.\d*)?([eE][+-]?\d+)?"
"""A number in text that is no date such as 20260301."""
_MICROSECONDS = pa.timestamp("us", "UTC")


@dataclass(frozen=True)
class EntityRows:
    """The rows that a request asks about."""

    frame: DataFrame
    time: str
    """The column with the moment that each row asks about."""
    bounds: tuple[datetime, datetime] | None
    """Earliest and latest of these moments; None: there is none."""


def entity_rows(spark: SparkSession, entity_df: Any, key_types: Mapping[str, str]) -> EntityRows:
    """Entity rows from pandas, Arrow, SQL, a table name or a DataFrame, in the engine.

    Rows that come from the client also get their number as ROW, by which the answer is put back into their order.
    `key_types` (Spark type names) are those of the join keys in the feature tables.

    Raises:
        Invalid: a key that its type does not hold exactly, or of another kind than in the feature tables; a time that
            is a number.
    """
    if isinstance(entity_df, str):
        is_name = re.fullmatch(r"[\w.`]+", entity_df.strip())
        entity_df = spark.table(entity_df.strip()) if is_name else spark.sql(entity_df)
    if hasattr(entity_df, "toArrow"):
        kinds = dict(entity_df.dtypes)
        time = _time_column({name: kind.startswith("timestamp") for name, kind in kinds.items()})
        if not kinds[time].startswith(("timestamp", "date")):
            raise _no_time(time, kinds[time])
        _check_keys(kinds, key_types)
        return EntityRows(entity_df, time, bounds_of(entity_df, time))
    table = entity_df if isinstance(entity_df, pa.Table) else _from_pandas(entity_df)
    rows = _uploaded(spark, _exact(table, key_types))
    _check_keys(dict(rows.frame.dtypes), key_types)
    return rows


def _uploaded(spark: SparkSession, table: pa.Table) -> EntityRows:
    from pyspark.sql.pandas.types import from_arrow_schema

    time = _time_column({f.name: pa.types.is_timestamp(f.type) for f in table.schema})
    if not pa.types.is_timestamp(table.schema.field(time).type):
        raise _no_time(time, str(table.schema.field(time).type))
    table = table.append_column(ROW, pa.array(range(table.num_rows), pa.int64()))
    frame = spark.createDataFrame(table if table.num_rows else [], from_arrow_schema(table.schema))
    ends = pc.min_max(table[time].cast(_MICROSECONDS)).as_py()
    return EntityRows(frame, time, None if ends["min"] is None else (ends["min"], ends["max"]))


def _from_pandas(frame: pd.DataFrame) -> pa.Table:
    import pandas as pd

    time = "event_timestamp"
    if time in frame and not pd.api.types.is_datetime64_any_dtype(frame[time]):
        # Mixed zones and text come as objects; every moment is one in UTC.
        frame = frame.assign(event_timestamp=_moments(frame[time]))
    return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)


def _moments(values: pd.Series[Any]) -> pd.Series[Any]:
    import pandas as pd

    numbers = [v for v in values.dropna() if not hasattr(v, "year") and re.fullmatch(_NUMBER, str(v))]
    if numbers or pd.api.types.is_numeric_dtype(values):
        raise _no_time("event_timestamp", f"{numbers[0]!r} of type {values.dtype}" if numbers else str(values.dtype))
    try:
        return pd.to_datetime(values, utc=True, format="ISO8601")
    except (ValueError, TypeError) as error:
        raise _no_time("event_timestamp", str(error).splitlines()[0]) from error


def _no_time(column: str, found: str) -> Invalid:
    return Invalid(
        f"entity rows: expected {column} to hold times, found {found}; convert it, for example with "
        "pd.to_datetime(..., unit='s', utc=True) if it counts seconds since 1970"
    )


def _exact(table: pa.Table, key_types: Mapping[str, str]) -> pa.Table:
    """With times in microseconds of UTC, and keys in the type of the feature tables if that changes none of them."""
    for at, field in enumerate(table.schema):
        column, kind = table[field.name], key_types.get(field.name)
        if pa.types.is_timestamp(field.type):
            utc = column.cast(pa.timestamp("us", field.type.tz), safe=False)
            column = utc.cast(pa.timestamp("us")).cast(_MICROSECONDS)
        elif pa.types.is_date(field.type) and field.name == "event_timestamp":
            column = column.cast(pa.timestamp("us")).cast(_MICROSECONDS)
        elif kind and pa.types.is_null(field.type):
            column = column.cast(pa.string() if kind == "string" else pa.int64())
        elif kind and kind.startswith("decimal") and _is_number(field.type):
            column = _as_decimals(field.name, column, kind)
        elif (kind in INTEGERS and _is_number(field.type)) or pa.types.is_unsigned_integer(field.type):
            column = _as_integers(field.name, column)
        table = table.set_column(at, field.name, column)
    return table


def _is_number(kind: pa.DataType) -> bool:
    checks: tuple[Callable[[pa.DataType], bool], ...] = (
        pa.types.is_floating, pa.types.is_integer, pa.types.is_decimal,
    )  # fmt: skip
    return any(check(kind) for check in checks)


def _as_integers(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whole numbers as integers of 64 bits. Raises Invalid if one is none, or was rounded when it became a double."""
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
        largest = pc.max(pc.abs(column)).as_py()
        if largest is not None and largest >= (EXACT_DOUBLES if pa.types.is_float64(column.type) else EXACT_FLOATS):
            raise Invalid(
                f"entity rows: expected exact integers in {name}, found {largest!r} of type {column.type}, which holds "
                "none of that size; give the column as Int64, as pandas makes doubles of integers beside a null"
            )
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise Invalid(
            f"entity rows: expected integers of 64 bits in {name}, found values of type {column.type} that are none "
            f"({error}); convert the column"
        ) from error


def _as_decimals(name: str, column: pa.ChunkedArray, kind: str) -> pa.ChunkedArray:
    precision, scale = map(int, kind.removeprefix("decimal(").removesuffix(")").split(","))
    whole = _as_integers(name, column) if pa.types.is_floating(column.type) else column
    try:
        return whole.cast(pa.decimal128(precision, scale))
    except pa.ArrowInvalid as error:
        raise Invalid(f"entity rows: expected {kind} in {name}, found {column.type} ({error}); convert it") from error


def _check_keys(kinds: Mapping[str, str], key_types: Mapping[str, str]) -> None:
    """Keys are compared as they are. Raises Invalid where they can never be equal."""
    for name, kind in key_types.items():
        found = kinds.get(name, kind)
        if found != kind and not any({found, kind} <= set(family) for family in (INTEGERS, TEXTS)):
            raise Invalid(
                f"entity rows: expected join key {name} of type {kind} as in the feature tables, found {found}; "
                "convert the column"
            )


def _time_column(is_time: Mapping[str, bool]) -> str:
    from feast.errors import EntityTimestampInferenceException

    if "event_timestamp" in is_time:
        return "event_timestamp"
    candidates = [name for name, time in is_time.items() if time]
    if len(candidates) != 1:
        raise EntityTimestampInferenceException("event_timestamp")
    return candidates[0]
