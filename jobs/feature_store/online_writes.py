"""Rows of features into the online store as they are computed, without a batch that reads them from tables.

The store keeps the newest row of each entity, whichever way it comes (`jobs.feature_store.online_store`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from jobs.feature_store.store import open_store, quiet
from jobs.lakehouse.tables import Lakehouse
from jobs.use_case import UseCase
from jobs.windows import WindowFeatures

if TYPE_CHECKING:
    from feast import FeatureStore, FeatureView
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey

    from jobs.feature_store.online_rows import Batch

_KEPT_NAMES = 100_000
"""Entities of a view whose names in the store are not made anew."""


class Row(NamedTuple):
    """Window features of one entity at a moment."""

    entity: tuple[Any, ...]
    moment: int
    """When they became known, in microseconds since 1970."""
    values: Sequence[Any]
    """In the order of their declaration."""


class OnlineWriter:
    """The online store of one use case, opened once. Not safe for several threads."""

    def __init__(self, lakehouse: Lakehouse, use_case: UseCase) -> None:
        """The window tables must exist: the types of their ids are those of the entities."""
        self._store: FeatureStore = open_store(lakehouse, use_case)
        self._online: Any = self._store._get_provider().online_store
        self._encoders = {windows.name: self._encoder(windows) for windows in use_case.windows}

    def write(self, rows: Mapping[str, Iterable[Row]]) -> None:
        """Apply rows of window features, by view, of each entity the newest: all at once."""
        with quiet():
            batches = [self._encoders[name].batch(of_view) for name, of_view in rows.items()]
            self._online.write_views(self._store.config, batches)

    def _encoder(self, windows: WindowFeatures) -> Encoder:
        name = partial(self._online.entity_name, self._store.config)
        return Encoder(self._store.get_feature_view(windows.name), windows, name)


class Encoder:
    """Makes of rows of one view what stores keep."""

    def __init__(self, view: FeatureView, windows: WindowFeatures, name: Callable[[EntityKey], bytes]) -> None:
        """name: what the store calls an entity."""
        from feast.type_map import VALUE_TYPE_TO_PROTO_VALUE_MAP

        from jobs.feature_store.online_rows import encoder

        columns = [*view.features, *view.entity_columns]
        fields = {column.name: VALUE_TYPE_TO_PROTO_VALUE_MAP[column.dtype.to_value_type()] for column in columns}
        self._view, self._features, self._name = view, tuple(windows.names), name
        self._keys, self._key_fields = list(windows.keys), [fields[key] for key in windows.keys]
        self._encoders = [encoder(fields[feature]) for feature in windows.names]
        self._named: Callable[[tuple[Any, ...]], bytes] = lru_cache(_KEPT_NAMES)(self._name_of)

    def batch(self, rows: Iterable[Row]) -> Batch:
        from jobs.feature_store.online_rows import Batch, OnlineRow

        return Batch(
            self._view,
            self._features,
            [
                OnlineRow(
                    self._named(entity),
                    moment,
                    moment,
                    [encoded(value) for encoded, value in zip(self._encoders, values, strict=True)],
                )
                for entity, moment, values in rows
            ],
        )

    def _name_of(self, entity: tuple[Any, ...]) -> bytes:
        from feast.protos.feast.types.EntityKey_pb2 import EntityKey
        from feast.protos.feast.types.Value_pb2 import Value

        values = [Value(**{field: value}) for field, value in zip(self._key_fields, entity, strict=True)]
        return self._name(EntityKey(join_keys=self._keys, entity_values=values))


def rows_of(table: pa.Table, windows: WindowFeatures) -> Iterator[Row]:
    """The rows of a table of window features."""
    moments = table.column("event_timestamp").cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_pylist()
    entities, values = (
        zip(*(table.column(name).to_pylist() for name in names), strict=True) for names in (windows.keys, windows.names)
    )
    return map(Row, entities, moments, values)
