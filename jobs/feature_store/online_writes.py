"""Rows of features into the online store as they are computed, without a batch that reads them from tables.

The store keeps the newest row of each entity, whichever way it comes (`jobs.feature_store.online_store`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from jobs.feature_store.store import open_store, quiet
from jobs.lakehouse.tables import Lakehouse
from jobs.use_case import UseCase

if TYPE_CHECKING:
    from feast import FeatureStore


class OnlineWriter:
    """The online store of one use case, opened once. Not safe for several threads."""

    def __init__(self, lakehouse: Lakehouse, use_case: UseCase) -> None:
        """The window tables must exist: the types of their ids are those of the entities."""
        self._store: FeatureStore = open_store(lakehouse, use_case)
        self._views = {windows.name: self._store.get_feature_view(windows.name) for windows in use_case.windows}

    def write(self, view: str, rows: pa.Table) -> None:
        """Apply rows of a table of window features, of each entity the newest."""
        from feast.utils import _convert_arrow_to_proto

        feature_view = self._views[view]
        keys = {column.name: column.dtype.to_value_type() for column in feature_view.entity_columns}
        with quiet():
            converted = _convert_arrow_to_proto(rows, feature_view, keys)
            self._store._get_provider().online_write_batch(self._store.config, feature_view, converted, None)
