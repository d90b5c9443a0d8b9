"""What Feast hands out for a retrieval: a result that the engine computes when it is asked for, in any of its forms.

Which rows it has: see `jobs.feature_store.offline_store`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
from feast import OnDemandFeatureView
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.saved_dataset import SavedDatasetStorage

from jobs.errors import Invalid
from jobs.feature_store.entity_frames import ROW
from jobs.feature_store.exact_integers import for_pandas
from jobs.feature_store.on_demand import with_on_demand
from jobs.lakehouse.session_catalog import register_table
from jobs.lakehouse.tables import Lakehouse

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame


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
        return for_pandas(table.sort_by(ROW).drop_columns([ROW]) if ROW in table.column_names else table)

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
            raise Invalid(f"saved dataset: expected a path or a table schema.name, found {options.table!r}")
        path = self._house.path(options.table)
        writer.format("delta").save(path)
        register_table(self._house.spark, path, options.table)
