"""The window kernel over frames of events and labels: on the workers of a cluster, or in threads of this process.

What is computed is declared in `jobs.windows`, how in `jobs.features.window_kernel`; no rule of either is repeated
here.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from jobs.errors import Invalid
from jobs.features import entity_buckets, fact_frames
from jobs.features.fact_frames import LABEL, Frame
from jobs.features.window_kernel import compute
from jobs.lakehouse.tables import Lakehouse
from jobs.windows import WindowFeatures

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType

# Large enough that a call's fixed cost does not show, small enough that its arrays stay in a core's cache.
ROWS_PER_BUCKET = 50_000
MOST_BUCKETS = 4096


def run(
    lakehouse: Lakehouse,
    features: WindowFeatures,
    events: Frame,
    labels: Frame | None = None,
    *,
    facts: Frame | None = None,
    buckets: int | None = None,
) -> "DataFrame | pa.RecordBatchReader":
    """The features of every target event, computed bucket by bucket; columns as `features.schema`.

    On a cluster its workers compute them; next to the embedded engine this process does, as the rows are read.

    events: id, entity, event timestamp, known_at, superseded_at, value columns, `decided_at` if any were decided at
    another moment, and which rows are targets: a boolean `is_target`, or `version` (targets are the first versions),
    or neither (every row is a target).
    labels: id, entity, event timestamp, known_at, superseded_at, value columns; of the same kind of frame as events.
    facts: of features that count others than the events (`fact_frames.of_mart`); of the same kind of frame, too.
    buckets: groups the entities are hashed into (default by the number of facts); one entity is in one bucket.
    """
    if features.reads_labels and labels is None:
        raise Invalid(f"{features.name} has aggregates of labels: pass the labels' table too")
    if features.facts is not None and facts is None:
        raise Invalid(f"{features.name} counts the facts {features.facts}: pass their table too")
    names = fact_frames.names(events)
    if "is_target" not in names:
        events = fact_frames.marked(events, "version = 1" if "version" in names else "true")
    rows = fact_frames.together(features, events, labels, facts)
    if isinstance(rows, pl.LazyFrame):
        return _in_process(features, rows.collect(), buckets)
    if not lakehouse.settings.spark_remote:
        return _in_process(features, pl.DataFrame(rows.toArrow()), buckets)
    return _on_workers(lakehouse, features, rows, buckets or buckets_of(rows.count()))


def _in_process(features: WindowFeatures, facts: pl.DataFrame, buckets: int | None) -> pa.RecordBatchReader:
    types = facts.select(features.id, *features.keys).head(0).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
    schema = features.schema(*(pa.string() if pa.types.is_large_string(kind) else kind for kind in types.types))
    kernel = kernel_of(features, schema)
    return entity_buckets.results(kernel, facts, features.keys, buckets or buckets_of(facts.height), schema)


def _on_workers(lakehouse: Lakehouse, features: WindowFeatures, facts: "DataFrame", buckets: int) -> "DataFrame":
    from pyspark.sql.connect.functions import expr
    from pyspark.sql.pandas.types import from_arrow_schema

    schema = schema_of(features, facts)
    keys = ", ".join(f"`{key}`" for key in features.keys)
    grouped = facts.withColumn("bucket", expr(f"pmod(hash({keys}), {buckets})")).groupBy("bucket")
    columns = from_arrow_schema(schema)
    return grouped.applyInArrow(lakehouse.kernel(kernel_of(features, schema)), columns).selectExpr(*plain(columns))


def plain(columns: "StructType") -> list[str]:
    """SQL of columns that a worker made, as delta-rs can read them in tables.

    Without the casts a string is "string collate UTF8_BINARY" in the Delta log of Spark 4.2.
    """
    return [f"cast(`{column.name}` as {column.dataType.simpleString()}) as `{column.name}`" for column in columns]


def kernel_of(features: WindowFeatures, schema: pa.Schema) -> Callable[[pa.Table], pa.Table]:
    """The kernel of facts as `fact_frames.together` has them; its rows have `schema`."""

    def kernel(facts: pa.Table) -> pa.Table:
        if features.facts is None and not features.reads_labels:
            return compute(features, facts).cast(schema)
        is_event = facts.column("is_target").is_valid()
        events, labels = facts.filter(is_event), facts.filter(pc.invert(is_event))
        if features.facts is not None:
            return compute(features, events, None, labels.drop_columns("is_target")).cast(schema)
        of_events = set(features.event_columns) - {features.id, *features.keys}
        labels = labels.drop_columns([name for name in labels.column_names if name in of_events])
        labels = labels.rename_columns([name.removeprefix(LABEL) for name in labels.column_names])
        return compute(features, events, labels).cast(schema)

    return kernel


def buckets_of(rows: int) -> int:
    """Groups that so many facts are hashed into."""
    return max(2, min(MOST_BUCKETS, -(-rows // ROWS_PER_BUCKET)))


def schema_of(features: WindowFeatures, frame: "DataFrame") -> pa.Schema:
    """The schema of the features of events of the engine, or of their features."""
    from pyspark.sql.pandas.types import to_arrow_schema

    types = to_arrow_schema(frame.select(features.id, *features.keys).schema, timezone="UTC")
    return features.schema(*types.types)
