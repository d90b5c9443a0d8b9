"""Rows of features into the online store as they are computed, without a batch that reads them from tables.

The store keeps the newest row of each entity, whichever way it comes (`jobs.feature_store.online_store`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from jobs.feature_store.exact_integers import proto_values
from jobs.feature_store.store import open_store, quiet
from jobs.lakehouse.tables import Lakehouse
from jobs.use_case import UseCase

if TYPE_CHECKING:
    from feast import FeatureStore, FeatureView

    from jobs.feature_store.online_store import OnlineRow


class OnlineWriter:
    """The online store of one use case, opened once. Not safe for several threads."""

    def __init__(self, lakehouse: Lakehouse, use_case: UseCase) -> None:
        """The window tables must exist: the types of their ids are those of the entities."""
        self._store: FeatureStore = open_store(lakehouse, use_case)
        self._views = {windows.name: self._store.get_feature_view(windows.name) for windows in use_case.windows}

    def write(self, rows: Mapping[str, pa.Table]) -> None:
        """Apply rows of tables of window features, by view, of each entity the newest: all at once."""
        with quiet():
            batches = [(self._views[name], online_rows(self._views[name], table)) for name, table in rows.items()]
            store: Any = self._store._get_provider().online_store
            store.write_views(self._store.config, batches)


def online_rows(view: FeatureView, table: pa.Table) -> list[OnlineRow]:
    """A table as stores take it: what Feast's own conversion makes of it, which asks pandas about each time."""
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey

    columns = [(column.name, column.dtype.to_value_type()) for column in (*view.features, *view.entity_columns)]
    values = proto_values(table, columns)
    keys, names = [column.name for column in view.entity_columns], [feature.name for feature in view.features]
    entities = [
        EntityKey(join_keys=keys, entity_values=each) for each in zip(*(values[key] for key in keys), strict=True)
    ]
    features = [dict(zip(names, row, strict=True)) for row in zip(*(values[name] for name in names), strict=True)]
    source: Any = view.batch_source
    times = [table.column(name).to_pylist() for name in (source.timestamp_field, source.created_timestamp_column)]
    return list(zip(entities, features, *times, strict=True))
