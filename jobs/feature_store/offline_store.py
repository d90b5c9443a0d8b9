"""`LakehouseOfflineStore`: Feast's offline store over any Spark Connect engine, with exact point-in-time joins.

Use it from any Feast repo: `offline_store: {type: jobs.feature_store.offline_store.LakehouseOfflineStore}`. Only
Feast's interface is here; the rules are `point_in_time_kernel.py`, the meaning of a request `offline_request.py`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
from feast import FeatureView, OnDemandFeatureView
from feast.data_source import DataSource
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob, RetrievalMetadata
from feast.infra.registry.base_registry import BaseRegistry
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from feast.saved_dataset import SavedDatasetStorage
from feast.utils import compute_non_entity_date_range
from pydantic import Field, PrivateAttr

from jobs import settings
from jobs.feature_store.offline_request import (
    CREATED,
    EVENT,
    ROW,
    Sources,
    ViewRequest,
    entities_between,
    entity_frame,
    feature_files,
    feature_frame,
    view_requests,
)
from jobs.feature_store.on_demand import with_on_demand
from jobs.feature_store.point_in_time import latest_rows, literal, point_in_time_join
from jobs.lakehouse import tables
from jobs.lakehouse.session_catalog import register_table
from jobs.lakehouse.tables import Lakehouse

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame


# Said of Feast's SparkSource each time one is read from the registry; it is no news.
warnings.filterwarnings("ignore", message="The spark data source API", category=RuntimeWarning)


class LakehouseOfflineStoreConfig(FeastConfigBaseModel):
    """Options of the `offline_store` section of a feature_store.yaml."""

    type: Literal["jobs.feature_store.offline_store.LakehouseOfflineStore"] = (
        "jobs.feature_store.offline_store.LakehouseOfflineStore"
    )
    spark_remote: str | None = None
    """Spark Connect URL; None: the environment's SPARK_REMOTE, or the embedded engine of `home`."""
    home: str | None = None
    """EVERGREEN_HOME to work in; None: the environment's. A relative path is below the feature repo."""
    warehouse: str | None = None
    """Where tables named `schema.name` live; None: that of `home`."""
    filter_by_created_timestamp: bool = True
    """Use only what was known at each moment, not only what had happened."""
    table_versions: dict[str, int] = Field(default_factory=dict)
    """Delta versions to read of tables `schema.name`; others are read as they are."""
    buckets: int = 16
    """Pieces a join is cut into; each has to fit into the memory of a worker."""
    _lakehouse: Lakehouse | None = PrivateAttr(default=None)


def open_lakehouse(config: RepoConfig) -> Lakehouse:
    """The lakehouse that a Feast repo's configuration names."""
    options = config.offline_store
    if not isinstance(options, LakehouseOfflineStoreConfig):
        raise ValueError(
            f"offline_store: expected type jobs.feature_store.offline_store.LakehouseOfflineStore, found {options.type}"
        )
    if options._lakehouse is None:
        given: dict[str, Any] = {}
        if options.home:
            given["home"] = (Path(config.repo_path or ".") / options.home).absolute()
        if options.spark_remote:
            given["spark_remote"] = options.spark_remote
        if options.warehouse:
            given["warehouse_url"] = options.warehouse
        options._lakehouse = tables.attach(replace(settings.load(), **given))
    return options._lakehouse


def use_lakehouse(config: RepoConfig, lakehouse: Lakehouse) -> None:
    """Let stores of this configuration work in the engine session of `lakehouse`.

    Frames and temporary views of a `lakehouse` on a cluster (`SPARK_REMOTE`) are known to its own session only.
    """
    config.offline_store._lakehouse = lakehouse


def _reader(config: RepoConfig, house: Lakehouse) -> Sources:
    return Sources(house, config.offline_store.table_versions)


class LakehouseRetrievalJob(RetrievalJob):
    """A result that the engine computes when it is asked for."""

    def __init__(
        self,
        house: Lakehouse,
        build: Callable[[], DataFrame],
        full_feature_names: bool = False,
        on_demand: Sequence[OnDemandFeatureView] = (),
        metadata: RetrievalMetadata | None = None,
    ) -> None:
        self._house, self._build = house, build
        self._full_feature_names, self._on_demand, self._metadata = full_feature_names, list(on_demand), metadata

    @property
    def full_feature_names(self) -> bool:
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        return self._on_demand

    @property
    def metadata(self) -> RetrievalMetadata | None:
        return self._metadata

    def to_spark_df(self) -> DataFrame:
        """The result as a DataFrame of the engine, on-demand features included; nothing passes through the client."""
        frame: DataFrame = self._build()
        if ROW in frame.columns:
            frame = frame.drop(ROW)
        if not self._on_demand:
            return frame
        requested = self._metadata.features if self._metadata else []
        return with_on_demand(frame, self._on_demand, requested, self._full_feature_names)

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        table = self._build().toArrow()
        return table.sort_by(ROW).drop_columns([ROW]) if ROW in table.column_names else table

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        frame: pd.DataFrame = self._to_arrow_internal(timeout).to_pandas()
        return frame

    def persist(
        self, storage: SavedDatasetStorage, allow_overwrite: bool | None = False, timeout: int | None = None
    ) -> None:
        """Write the result to a `SavedDatasetSparkStorage`: a path, or a Delta table `schema.name` of the warehouse."""
        options = storage.spark_options  # type: ignore[attr-defined]
        mode = "overwrite" if allow_overwrite else "error"
        writer = self.to_spark_df().write.mode(mode)
        if options.path:
            form = options.table_format.format_type.value if options.table_format else options.file_format or "parquet"
            writer.format(form).save(options.path)
            return
        if not options.table or options.table.count(".") != 1:
            raise ValueError(f"saved dataset: expected a path or a table schema.name, found {options.table!r}")
        path = self._house.path(options.table)
        writer.format("delta").save(path)
        register_table(self._house.spark, path, options.table)


class LakehouseOfflineStore(OfflineStore):
    """Point-in-time retrieval through an engine; see docs/data/point-in-time.md for the rules."""

    supports_filter_by_created_timestamp = True

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: Any,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
        **kwargs: Any,
    ) -> RetrievalJob:
        """Features of each entity row as they could be seen at its time.

        Args:
            entity_df: pandas DataFrame, Arrow table, engine DataFrame, SQL query, table name, or None with
                `start_date` and `end_date`: then every key with an event between them, asked about at the end.
                Rows given by the client come back in their order.

        Raises:
            ValueError: a missing join key, a feature named like a column of the entity rows, an unusable source.
        """
        house = open_lakehouse(config)
        on_demand = OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry)
        views = view_requests(feature_views, feature_refs, full_feature_names, on_demand)
        reader = _reader(config, house)
        if entity_df is None:
            start, end = compute_non_entity_date_range(feature_views, kwargs.get("start_date"), kwargs.get("end_date"))
            entities, time = entities_between(reader, views, start, end)
            within: tuple[datetime, datetime] | None = (end, end)
        else:
            entities, time, within = entity_frame(house.spark, entity_df, _key_types(reader, views))
        _check(entities, views)
        known_only = filter_by_created_timestamp or config.offline_store.filter_by_created_timestamp

        def build() -> DataFrame:
            frame = entities
            for view in views:
                frame = _joined(reader, frame, view, time, within, known_only, config.offline_store.buckets)
            return frame

        columns = [name for name in entities.columns if name not in (time, ROW)]
        metadata = RetrievalMetadata(list(feature_refs), columns, *(within or (None, None)))
        return LakehouseRetrievalJob(house, build, full_feature_names, on_demand, metadata)

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> RetrievalJob:
        """The latest row per key of what became known in [start_date, end_date].

        With a created column a row becomes known at max(event, created): late rows and corrections of older events are
        in the window in which they arrived, so that an incremental materialisation misses none. Null keys are left out.
        """
        house = open_lakehouse(config)
        columns = _columns(data_source, [*join_key_columns, *feature_name_columns])
        known_only = config.offline_store.filter_by_created_timestamp

        def build() -> DataFrame:
            rows = _known_between(
                _reader(config, house).frame(data_source), timestamp_field,
                created_timestamp_column if known_only else None, start_date, end_date,
            )  # fmt: skip
            times = _columns(
                data_source, [timestamp_field, *([created_timestamp_column] if created_timestamp_column else [])]
            )
            frame = rows.selectExpr(*(f"`{column}` as `{name}`" for column, name in {**columns, **times}.items()))
            latest = latest_rows(
                frame,
                keys=[columns[key] for key in join_key_columns],
                feature_timestamp=times[timestamp_field],
                created_timestamp=times[created_timestamp_column] if created_timestamp_column else None,
                columns=[columns[name] for name in feature_name_columns],
                buckets=config.offline_store.buckets,
                kernel=house.kernel,
            )
            if join_key_columns:
                return latest
            return latest.selectExpr("*", f"'{DUMMY_ENTITY_VAL}' as `{DUMMY_ENTITY_ID}`")

        return LakehouseRetrievalJob(house, build)

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """All rows with an event time in [start_date, end_date], as far as they were known at its end.

        No `feature_name_columns`: all columns of the source. Rows with a null key belong to no entity and are left out.
        """
        house = open_lakehouse(config)
        created = created_timestamp_column if config.offline_store.filter_by_created_timestamp else None

        def build() -> DataFrame:
            frame = _reader(config, house).frame(data_source)
            conditions = [f"`{key}` is not null" for key in join_key_columns]
            conditions += [f"`{timestamp_field}` >= {literal(start_date)}"] if start_date else []
            for name in (timestamp_field, created) if end_date else ():
                conditions += [f"`{name}` <= {literal(end_date)}"] if name and end_date else []
            frame = frame.where(" and ".join(conditions)) if conditions else frame
            if not feature_name_columns:
                return frame
            times = [timestamp_field, *([created_timestamp_column] if created_timestamp_column else [])]
            columns = _columns(data_source, [*join_key_columns, *feature_name_columns, *times])
            return frame.selectExpr(*(f"`{column}` as `{name}`" for column, name in columns.items()))

        return LakehouseRetrievalJob(house, build)

    def validate_data_source(self, config: RepoConfig, data_source: DataSource) -> None:
        """Raises if the source cannot be read or lacks its timestamp column."""
        found = [name for name, _ in self.get_table_column_names_and_types_from_data_source(config, data_source)]
        if data_source.timestamp_field and data_source.timestamp_field not in found:
            raise ValueError(f"{data_source.name}: expected a column {data_source.timestamp_field}, found {found}")

    def get_table_column_names_and_types_from_data_source(
        self, config: RepoConfig, data_source: DataSource
    ) -> Iterable[tuple[str, str]]:
        """Columns of a source and their Spark types, as Feast's type inference expects them."""
        frame = _reader(config, open_lakehouse(config)).frame(data_source)
        return [(field.name, field.dataType.simpleString()) for field in frame.schema.fields]


def _joined(
    reader: Sources,
    frame: DataFrame,
    view: ViewRequest,
    time: str,
    within: tuple[datetime, datetime] | None,
    known_only: bool,
    buckets: int,
) -> DataFrame:
    features = feature_frame(reader, view, within)
    return point_in_time_join(
        frame, features, keys=list(view.keys), event_timestamp=time, feature_timestamp=EVENT,
        created_timestamp=CREATED if view.created else None, ttl=view.ttl, columns=list(view.features),
        known_only=known_only, bounds=within, buckets=buckets, kernel=reader.house.kernel,
        files=feature_files(reader, view),
    )  # fmt: skip


def _check(entities: DataFrame, views: Sequence[ViewRequest]) -> None:
    """Every join key is there; no output name comes twice."""
    found = entities.columns
    names: list[str] = [*found]
    for view in views:
        if missing := [key for key in view.keys if key not in found]:
            raise ValueError(
                f"feature view {view.name}: expected join keys {missing} in the entity rows, found {found}"
            )
        if twice := [name for name in view.features if name in names]:
            raise ValueError(
                f"feature view {view.name}: expected names of its own, found {twice} among the entity columns or in "
                "another view; rename the columns or ask with full_feature_names=True"
            )
        names += view.features


def _key_types(reader: Sources, views: Sequence[ViewRequest]) -> Mapping[str, str]:
    types: dict[str, str] = {}
    for view in views:
        kinds = dict(reader.frame(view.source).dtypes)
        types |= {key: kinds[column] for key, column in view.keys.items() if column in kinds}
    return types


def _columns(source: DataSource, names: Sequence[str]) -> dict[str, str]:
    """Column of the source -> name that Feast expects."""
    return {name: source.field_mapping.get(name, name) for name in names}


def _known_between(frame: DataFrame, event: str, created: str | None, start: datetime, end: datetime) -> DataFrame:
    if not created:
        return frame.where(f"`{event}` between {literal(start)} and {literal(end)}")
    upper = f"`{event}` <= {literal(end)} and `{created}` <= {literal(end)}"
    return frame.where(f"{upper} and (`{event}` >= {literal(start)} or `{created}` >= {literal(start)})")
