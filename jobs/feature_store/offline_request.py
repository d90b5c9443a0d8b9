"""What a Feast request means in terms of tables: sources and feature views as engine DataFrames.

The join itself is `point_in_time.py`; Feast's interface to it is `offline_store.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from jobs.errors import Invalid
from jobs.feature_store.entity_frames import EntityRows
from jobs.feature_store.point_in_time import literal
from jobs.lakehouse.data_files import DataFiles
from jobs.lakehouse.tables import Lakehouse

if TYPE_CHECKING:
    from feast import FeatureView
    from feast.data_source import DataSource
    from pyspark.sql import DataFrame

# Names of our own, which no feature may bear.
EVENT, CREATED = "__evergreen_event", "__evergreen_created"


@dataclass(frozen=True)
class ViewRequest:
    """One feature view of a request, with names as they are in its source and as they come out."""

    name: str
    source: DataSource
    keys: Mapping[str, str]
    """Join key as the entity frame calls it -> column of the source."""
    features: Mapping[str, str]
    """Output name -> column of the source."""
    timestamp: str
    created: str | None
    ttl: timedelta | None


def view_requests(
    feature_views: Sequence[FeatureView],
    feature_refs: Sequence[str],
    full_feature_names: bool,
    on_demand: Sequence[Any],
) -> list[ViewRequest]:
    """The feature views behind `feature_refs`, in their order.

    Raises ValueError for a view that is computed by a transformation of its own or reads no SparkSource.
    """
    from feast.utils import _get_requested_feature_views_to_features_dict

    requested, _ = _get_requested_feature_views_to_features_dict(
        list(feature_refs), list(feature_views), list(on_demand)
    )
    return [_view_request(view, features, full_feature_names) for view, features in requested.items()]


def _view_request(view: FeatureView, features: Sequence[str], full_feature_names: bool) -> ViewRequest:
    source = view.batch_source
    if source is None or getattr(view, "feature_transformation", None) is not None:
        raise Invalid(
            f"feature view {view.name}: expected a stored table behind it, found "
            f"{'no batch source' if source is None else 'a transformation'}; materialise it into a table first"
        )
    stored = {mapped: column for column, mapped in source.field_mapping.items()}
    projection: Any = view.projection
    name = projection.name_to_use()
    aliases = projection.join_key_map
    return ViewRequest(
        name=name,
        source=source,
        keys={
            aliases.get(e.name, e.name): stored.get(e.name, e.name) for e in view.entity_columns if not _dummy(e.name)
        },
        features={f"{name}__{f}" if full_feature_names else f: stored.get(f, f) for f in dict.fromkeys(features)},
        timestamp=stored.get(source.timestamp_field, source.timestamp_field),
        created=stored.get(source.created_timestamp_column, source.created_timestamp_column) or None,
        ttl=view.ttl or None,
    )


def _dummy(entity: str) -> bool:
    from feast.feature_view import DUMMY_ENTITY_ID

    return entity == DUMMY_ENTITY_ID


@dataclass(frozen=True)
class Sources:
    """Reads the tables, queries and files of Feast's data sources."""

    house: Lakehouse
    versions: Mapping[str, int]
    """Delta versions to read of tables of the warehouse; others are read as they are."""

    def frame(self, source: DataSource) -> DataFrame:
        """The table, query or files behind a SparkSource.

        A table `schema.name` of the warehouse is found without being registered in the engine's catalog.
        """
        from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource

        if not isinstance(source, SparkSource):
            raise Invalid(
                f"data source {source.name}: expected a SparkSource (table, query, or path with a table format), "
                f"found {type(source).__name__}"
            )
        spark = self.house.spark
        if source.table:
            in_warehouse = source.table.count(".") == 1 and self.house.exists(source.table)
            return (
                self.house.read(source.table, self.versions.get(source.table))
                if in_warehouse
                else spark.table(source.table)
            )
        if source.query:
            return spark.sql(source.query)
        if source.table_format:
            reader = spark.read.format(source.table_format.format_type.value)
            return reader.options(**source.table_format.properties).load(source.path)
        return spark.read.format(source.file_format).load(source.path)


def feature_frame(sources: Sources, view: ViewRequest, within: tuple[datetime, datetime] | None) -> DataFrame:
    """The view's rows under the names that come out, with their times as EVENT and CREATED.

    Of a source that names its date partition column only the partitions are read which `within` (earliest and latest
    entity time) can need.
    """
    frame = sources.frame(view.source)
    times = [view.timestamp, *filter(None, [view.created])]
    _expect(frame, view, [*view.keys.values(), *times, *view.features.values()])
    expect_times(frame, view.source, times)
    if within and view.source.date_partition_column:
        frame = frame.where(_partitions(frame, view, within))
    columns = [f"`{column}` as `{key}`" for key, column in view.keys.items()]
    columns.append(f"cast(`{view.timestamp}` as timestamp) as `{EVENT}`")
    if view.created:
        columns.append(f"cast(`{view.created}` as timestamp) as `{CREATED}`")
    return frame.selectExpr(*columns, *(f"`{column}` as `{name}`" for name, column in view.features.items()))


def feature_files(sources: Sources, view: ViewRequest) -> DataFiles | None:
    """The view's rows as data files, with the names of `feature_frame`; None where an engine has to read them.

    Of a source that names its date partition column an engine reads only some partitions, so none are returned.
    """
    table, house = getattr(view.source, "table", None), sources.house
    if not table or table.count(".") != 1 or view.source.date_partition_column or not house.exists(table):
        return None
    files = house.data_files(table, sources.versions.get(table))
    columns = {**view.keys, EVENT: view.timestamp, **({CREATED: view.created} if view.created else {}), **view.features}
    files = files and files.renamed(columns)
    times = [name for name in (EVENT, CREATED) if name in columns]
    return files if files and all(pa.types.is_timestamp(files.schema.field(name).type) for name in times) else None


def _expect(frame: DataFrame, view: ViewRequest, columns: Sequence[str]) -> None:
    if missing := [column for column in columns if column not in frame.columns]:
        raise Invalid(
            f"feature view {view.name}: expected its source {view.source.name} to have {missing}, found "
            f"{frame.columns}; declare the feature as the source names it, or map it with field_mapping"
        )


def expect_times(frame: DataFrame, source: DataSource, columns: Sequence[str]) -> None:
    """Raises Invalid if columns that say when something happened are numbers: their unit and their zero are unknown."""
    kinds = dict(frame.dtypes)
    for column in columns:
        if not kinds[column].startswith(("timestamp", "date", "string")):
            raise Invalid(
                f"data source {source.name}: expected {column} to hold times, found {kinds[column]}; store timestamps, "
                "or read it by a query that makes them of it"
            )


def _partitions(frame: DataFrame, view: ViewRequest, within: tuple[datetime, datetime]) -> str:
    column = view.source.date_partition_column
    kind = "date" if dict(frame.dtypes)[column] == "date" else ""
    form = getattr(view.source, "date_partition_column_format", None) or "%Y-%m-%d"
    form = "%Y-%m-%d" if kind else form
    conditions = [f"`{column}` <= {kind}'{within[1].astimezone(UTC).strftime(form)}'"]
    if view.ttl and within[0] - datetime.min.replace(tzinfo=UTC) > view.ttl:
        first = (within[0] - view.ttl).astimezone(UTC)
        conditions.append(f"`{column}` >= {kind}'{first.strftime(form)}'")
    return " and ".join(conditions)


def entities_between(sources: Sources, views: Sequence[ViewRequest], start: datetime, end: datetime) -> EntityRows:
    """Without an entity frame: every key that any view has an event of in [start, end], asked about at `end`."""
    frames = [
        feature_frame(sources, view, (start, end))
        .where(f"`{EVENT}` between {literal(start)} and {literal(end)}")
        .select(*(f"`{key}`" for key in view.keys))
        .distinct()
        for view in views
    ]
    frame = frames[0]
    for other in frames[1:]:
        frame = frame.unionByName(other, allowMissingColumns=True).distinct()
    frame = frame.selectExpr("*", f"{literal(end)} as event_timestamp")
    return EntityRows(frame, "event_timestamp", (end, end))
