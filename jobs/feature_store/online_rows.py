"""Rows of features as online stores keep them: the entity's name there, bytes of values, and the times of the row.

How a store writes them is in `jobs.feature_store.online_store`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from feast import FeatureView
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

FeastRow = tuple[EntityKey, dict[str, Value], datetime, datetime | None]
"""A row as Feast hands it to a store."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST = -(2**62)
"""When a row was made that does not say so."""


class OnlineRow(NamedTuple):
    """The features of one entity."""

    entity: bytes
    """Its name, as the store makes it of keys."""
    event: int
    """Event time in microseconds since 1970."""
    created: int
    """When the row was made, in microseconds since 1970."""
    values: Sequence[bytes]
    """Feast's values, serialized, in the order of the batch's features."""

    @property
    def times(self) -> tuple[int, int]:
        """What decides which of two rows is newer."""
        return self.event, self.created


class Batch(NamedTuple):
    """Rows of one view."""

    view: FeatureView
    features: tuple[str, ...]
    rows: Sequence[OnlineRow]

    @property
    def newest(self) -> dict[bytes, OnlineRow]:
        """The newest row per entity; of rows with equal times the last one."""
        newest: dict[bytes, OnlineRow] = {}
        for row in self.rows:
            before = newest.get(row.entity)
            if before is None or row.times >= before.times:
                newest[row.entity] = row
        return newest


def batches_of(view: FeatureView, data: Iterable[FeastRow], name: Callable[[EntityKey], bytes]) -> list[Batch]:
    """Rows as Feast hands them over, by which features they have; a row without a created time is the earliest.

    name: what the store calls an entity.
    """
    rows: dict[tuple[str, ...], list[OnlineRow]] = {}
    for key, values, event, created in data:
        times = _microseconds(event), _microseconds(created) if created else EARLIEST
        row = OnlineRow(name(key), *times, [value.SerializeToString() for value in values.values()])
        rows.setdefault(tuple(values), []).append(row)
    return [Batch(view, features, alike) for features, alike in rows.items()]


def encoder(field: str) -> Callable[[Any], bytes]:
    """What serializes values in a field of Feast's `Value`, such as `double_val`; a null, or NaN, is empty."""
    message = Value()

    def encoded(value: Any) -> bytes:
        if value is None or value != value:
            return b""
        setattr(message, field, value)
        return bytes(message.SerializeToString())

    return encoded


def _microseconds(moment: datetime) -> int:
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return (aware - _EPOCH) // timedelta(microseconds=1)
