"""The point-in-time join over an engine's tables: for each entity row, the feature row known and fresh at its time.

The rules are `point_in_time_kernel.join`; here is only how the rows of both sides meet, bucket by bucket. What a
feature view is belongs to the Feast plug-in (`offline_store.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from jobs.errors import Invalid
from jobs.feature_store.point_in_time_kernel import FeatureColumns, JoinRules, join, latest
from jobs.lakehouse.data_files import DataFiles

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, GroupedData
    from pyspark.sql.types import DataType, StructType

Kernel = Callable[..., pa.Table]

MOST_ROWS_OF_FILES = 2**24
"""Feature rows that one task may join: number, key and second of a row then fit into one integer."""
ROWS_PER_BATCH = 131_072


def _here(function: Kernel) -> Kernel:
    return function


@dataclass(frozen=True)
class Exchange:
    """How the rows of both sides meet in the engine."""

    kernel: Callable[[Any], Any] = _here
    """Makes a function able to run in the engine (`Lakehouse.kernel`)."""
    buckets: int = 16
    """Pieces that the work is cut into; each has to fit into the memory of a worker."""


def point_in_time_join(
    entity_df: DataFrame,
    feature_df: DataFrame,
    rules: JoinRules,
    *,
    exchange: Exchange,
    bounds: tuple[datetime, datetime] | None = None,
    files: DataFiles | None = None,
) -> DataFrame:
    """`join` over tables of an engine: the rows of both sides meet bucket by bucket of a hash of their keys.

    Where `files` holds the feature rows, the entity rows go to them instead: one task reads the files itself, column
    by column, and no feature row passes through the engine's exchange.

    Args:
        entity_df, feature_df: Spark Connect DataFrames; column names as in `rules`.
        bounds: earliest and latest `event_timestamp`, if the caller knows them; feature rows that can match nothing
            are not read. Looked up if None.
        files: the rows of `feature_df` as data files that the engine's workers can read (`Lakehouse.data_files`).

    Returns:
        The entity columns, then `columns`; the order of the rows is the engine's.

    Raises:
        ValueError: as `join`, before anything runs.
    """
    schema = _joined_schema(entity_df, feature_df, rules)
    if files is not None and bounds is not None:
        files = files.between(rules.feature_timestamp, _earliest(rules.ttl, bounds), bounds[1])
    if files is not None and files.num_rows <= MOST_ROWS_OF_FILES:
        return _joined_to_files(entity_df, files, rules, schema, exchange)
    useful = _useful(rules, bounds or bounds_of(entity_df, rules.event_timestamp))
    return _joined_in_buckets(entity_df, feature_df.where(useful), rules, schema, exchange)


def _joined_in_buckets(
    entity_df: DataFrame, feature_df: DataFrame, rules: JoinRules, schema: StructType, exchange: Exchange
) -> DataFrame:
    arrow = _arrow_schema(schema)

    def run(left: pa.Table, right: pa.Table) -> pa.Table:
        entities, features = (pa.Table.from_struct_array(side["row"]) for side in (left, right))
        return join(entities, features, rules).cast(arrow)

    features = feature_df.select(*[f"`{name}`" for name in rules.names])
    left, right = (_bucketed(frame, rules.keys, exchange.buckets) for frame in (entity_df, features))
    return left.cogroup(right).applyInArrow(exchange.kernel(run), schema)


def _joined_to_files(
    entity_df: DataFrame, files: DataFiles, rules: JoinRules, schema: StructType, exchange: Exchange
) -> DataFrame:
    entity_schema, joined_schema = (_arrow_schema(kind) for kind in (entity_df.schema, schema))

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        entities = pa.Table.from_batches([batch.cast(entity_schema) for batch in batches], entity_schema)
        yield from join(entities, files, rules).cast(joined_schema).to_batches(ROWS_PER_BATCH)

    return entity_df.coalesce(1).mapInArrow(exchange.kernel(run), schema)


def latest_rows(feature_df: DataFrame, wanted: FeatureColumns, exchange: Exchange) -> DataFrame:
    """`point_in_time_kernel.latest` over a table of an engine: one row per key without nulls."""
    from pyspark.sql.types import StructType

    names = [*wanted.keys, *wanted.columns, *wanted.times]
    frame = feature_df.select(*(f"`{name}`" for name in names))
    schema = StructType([frame.schema[name] for name in names])
    arrow = _arrow_schema(schema)

    def run(rows: pa.Table) -> pa.Table:
        return latest(pa.Table.from_struct_array(rows["row"]), wanted).cast(arrow)

    return _bucketed(frame, wanted.keys, exchange.buckets).applyInArrow(exchange.kernel(run), schema)


def _bucketed(frame: DataFrame, keys: Sequence[str], buckets: int) -> GroupedData:
    """Rows as one struct column `row`, grouped by a hash of the keys.

    As columns of their own, nulls would fail on Sail 0.7: its cogroup takes every column for never null.
    """
    from pyspark.sql.connect.functions import expr

    fields = ", ".join(f"'{name}', `{name}`" for name in frame.columns)
    parts = ", ".join(f"cast(row.`{key}` as {_bucketed_as(frame.schema[key].dataType)})" for key in keys)
    bucket = f"pmod(hash({parts}), {buckets})" if keys else "pmod(hash(1), 1)"
    return frame.selectExpr(f"named_struct({fields}) as row").groupBy(expr(bucket))


def _joined_schema(entity_df: DataFrame, feature_df: DataFrame, rules: JoinRules) -> StructType:
    from pyspark.sql.types import StructField, StructType

    entity, feature, keys, columns = entity_df.schema, feature_df.schema, rules.keys, rules.columns
    for side, schema, names in (
        ("entity", entity, [*keys, rules.event_timestamp]),
        ("feature", feature, [*keys, *rules.times, *columns]),
    ):
        if missing := [name for name in names if name not in schema.names]:
            raise Invalid(f"expected the {side} table to have {missing}, found {schema.names}")
    if clashing := [name for name in columns if name in entity.names]:
        raise Invalid(f"expected feature columns that the entity table has not, found {clashing}: rename them")
    for key in keys:
        left, right = entity[key].dataType, feature[key].dataType
        if _bucketed_as(left) != _bucketed_as(right):
            raise Invalid(
                f"key column {key}: expected one type on both sides, found {left.simpleString()} in the entity table "
                f"and {right.simpleString()} in the feature table; cast one of them"
            )
    added = [StructField(name, feature[name].dataType, True) for name in columns]
    return StructType([*(StructField(f.name, f.dataType, True) for f in entity.fields), *added])


def _arrow_schema(schema: StructType) -> pa.Schema:
    from pyspark.sql.pandas.types import to_arrow_schema

    return to_arrow_schema(schema, timezone="UTC")


def _bucketed_as(kind: DataType) -> str:
    """The type a key is hashed as: equal keys of different widths must meet in one bucket."""
    from pyspark.sql.types import IntegralType

    if isinstance(kind, IntegralType):
        return "bigint"
    return "string" if kind.typeName() in ("varchar", "char") else kind.simpleString()


def bounds_of(entity_df: DataFrame, event_timestamp: str) -> tuple[datetime, datetime] | None:
    """Earliest and latest entity time; None if there is none."""
    micros = f"unix_micros(cast(`{event_timestamp}` as timestamp))"
    low, high = entity_df.selectExpr(f"min({micros})", f"max({micros})").collect()[0]
    return None if low is None else (_moment(low), _moment(high))


def _moment(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


def _useful(rules: JoinRules, bounds: tuple[datetime, datetime] | None) -> str:
    """The SQL condition that every feature row fulfils which can match an entity row between `bounds`."""
    conditions = [f"`{key}` is not null" for key in rules.keys]
    if bounds is None:
        return " and ".join([*conditions, "false"])
    times = rules.times if rules.known_only else [rules.feature_timestamp]
    conditions += [f"`{name}` <= {literal(bounds[1])}" for name in times]
    if earliest := _earliest(rules.ttl, bounds):
        conditions.append(f"`{rules.feature_timestamp}` >= {literal(earliest)}")
    return " and ".join(conditions)


def _earliest(ttl: timedelta | None, bounds: tuple[datetime, datetime]) -> datetime | None:
    """The time before which a feature row can match no entity row between `bounds`; None if there is none."""
    return bounds[0] - ttl if ttl and bounds[0] - datetime.min.replace(tzinfo=UTC) > ttl else None


def literal(moment: datetime) -> str:
    """A moment as an SQL timestamp that no session time zone changes."""
    utc = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return f"timestamp'{utc.isoformat(' ', 'microseconds')}'"
