"""`LakehouseOfflineStore`: Feast's offline store over any Spark Connect engine, with exact point-in-time joins.

Use it from any Feast repo: `offline_store: {type: jobs.feature_store.offline_store.LakehouseOfflineStore}`. Only
Feast's interface is here; the rules are `point_in_time_kernel.py`, the meaning of a request `offline_request.py`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from feast import FeatureView, OnDemandFeatureView
from feast.data_source import DataSource
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob, RetrievalMetadata
from feast.infra.registry.base_registry import BaseRegistry
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from feast.utils import compute_non_entity_date_range
from pydantic import Field, PrivateAttr

from jobs import settings
from jobs.errors import EvergreenError, Invalid
from jobs.feature_store import exact_integers
from jobs.feature_store.entity_frames import ROW, EntityRows, entity_rows
from jobs.feature_store.offline_request import (
    CREATED,
    EVENT,
    Sources,
    ViewRequest,
    entities_between,
    feature_files,
    feature_frame,
    view_requests,
)
from jobs.feature_store.point_in_time import Exchange, point_in_time_join
from jobs.feature_store.point_in_time_kernel import JoinRules
from jobs.feature_store.retrieval_job import LakehouseRetrievalJob
from jobs.feature_store.source_rows import SourceRows
from jobs.lakehouse import tables
from jobs.lakehouse.tables import Lakehouse
from jobs.secret import Url

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


exact_integers.install()
# Feast warns of its SparkSource each time that one is read from the registry.
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
        raise Invalid(
            f"offline_store: expected type jobs.feature_store.offline_store.LakehouseOfflineStore, found {options.type}"
        )
    if options._lakehouse is None:
        configured: dict[str, Any] = {}
        if options.home:
            configured["home"] = (Path(config.repo_path or ".") / options.home).absolute()
        if options.spark_remote:
            configured["spark_remote"] = Url(options.spark_remote)
        if options.warehouse:
            configured["warehouse_url"] = options.warehouse
        options._lakehouse = tables.attach(replace(settings.load(), **configured))
    return options._lakehouse


def use_lakehouse(config: RepoConfig, lakehouse: Lakehouse) -> None:
    """Let stores of this configuration work in the engine session of `lakehouse`.

    Frames and temporary views of a `lakehouse` on a cluster (`SPARK_REMOTE`) are known to its own session only.
    """
    config.offline_store._lakehouse = lakehouse


def _sources(config: RepoConfig, house: Lakehouse) -> Sources:
    return Sources(house, config.offline_store.table_versions)


class NotWritable(EvergreenError, NotImplementedError):
    """Something was to be written through a plug-in that only reads."""


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
        sources = _sources(config, house)
        if entity_df is None:
            start, end = compute_non_entity_date_range(feature_views, kwargs.get("start_date"), kwargs.get("end_date"))
            entities = entities_between(sources, views, start, end)
        else:
            entities = entity_rows(house.spark, entity_df, _key_types(sources, views))
        _check(entities.frame.columns, views)
        known_only = filter_by_created_timestamp or config.offline_store.filter_by_created_timestamp
        exchange = Exchange(house.kernel, config.offline_store.buckets)

        def build() -> DataFrame:
            rows = entities
            for view in views:
                rows = _joined(sources, rows, view, known_only, exchange)
            return rows.frame

        columns = [name for name in entities.frame.columns if name not in (entities.time, ROW)]
        metadata = RetrievalMetadata(list(feature_refs), columns, *(entities.bounds or (None, None)))
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
        known_only = config.offline_store.filter_by_created_timestamp
        rows = SourceRows(
            _sources(config, house), data_source, join_key_columns, feature_name_columns, timestamp_field,
            created_timestamp_column, known_only,
        )  # fmt: skip
        exchange = Exchange(house.kernel, config.offline_store.buckets)
        return LakehouseRetrievalJob(house, lambda: rows.latest(start_date, end_date, exchange))

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
        known_only = config.offline_store.filter_by_created_timestamp
        rows = SourceRows(
            _sources(config, house), data_source, join_key_columns, feature_name_columns, timestamp_field,
            created_timestamp_column, known_only,
        )  # fmt: skip
        return LakehouseRetrievalJob(house, lambda: rows.all(start_date, end_date))

    @staticmethod
    def offline_write_batch(*args: Any, **kwargs: Any) -> None:
        """Raises: tables are written by the loads and jobs that know their versions and contracts."""
        raise NotWritable(
            "offline store: expected rows to be read, found rows to be written (a push with PushMode.OFFLINE or "
            "ONLINE_AND_OFFLINE, or a view with offline=True); push with PushMode.ONLINE, and write the table behind "
            "the source with your engine, or load files with `evergreen run`"
        )

    write_logged_features = offline_write_batch

    def validate_data_source(self, config: RepoConfig, data_source: DataSource) -> None:
        """Raises if the source cannot be read or lacks its timestamp column."""
        columns = [name for name, _ in self.get_table_column_names_and_types_from_data_source(config, data_source)]
        if data_source.timestamp_field and data_source.timestamp_field not in columns:
            raise Invalid(f"{data_source.name}: expected a column {data_source.timestamp_field}, found {columns}")

    def get_table_column_names_and_types_from_data_source(
        self, config: RepoConfig, data_source: DataSource
    ) -> Iterable[tuple[str, str]]:
        """Columns of a source and their Spark types, as Feast's type inference expects them."""
        frame = _sources(config, open_lakehouse(config)).frame(data_source)
        return [(field.name, field.dataType.simpleString()) for field in frame.schema.fields]


def _joined(
    sources: Sources, entities: EntityRows, view: ViewRequest, known_only: bool, exchange: Exchange
) -> EntityRows:
    rules = JoinRules(
        keys=list(view.keys),
        event_timestamp=entities.time,
        feature_timestamp=EVENT,
        created_timestamp=CREATED if view.created else None,
        ttl=view.ttl,
        columns=list(view.features),
        known_only=known_only,
    )
    features, files = feature_frame(sources, view, entities.bounds), feature_files(sources, view)
    joined = point_in_time_join(entities.frame, features, rules, exchange=exchange, bounds=entities.bounds, files=files)
    return replace(entities, frame=joined)


def _check(entity_columns: Sequence[str], views: Sequence[ViewRequest]) -> None:
    """Every join key is there; no output name comes twice."""
    names = [*entity_columns]
    for view in views:
        if missing := [key for key in view.keys if key not in entity_columns]:
            raise Invalid(
                f"feature view {view.name}: expected join keys {missing} in the entity rows, found {entity_columns}"
            )
        if twice := [name for name in view.features if name in names]:
            raise Invalid(
                f"feature view {view.name}: expected names of its own, found {twice} among the entity columns or in "
                "another view; rename the columns or ask with full_feature_names=True"
            )
        names += view.features


def _key_types(sources: Sources, views: Sequence[ViewRequest]) -> Mapping[str, str]:
    types: dict[str, str] = {}
    for view in views:
        kinds = dict(sources.frame(view.source).dtypes)
        types |= {key: kinds[column] for key, column in view.keys.items() if column in kinds}
    return types
