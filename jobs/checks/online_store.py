"""Whether the online store gives what the feature tables hold: some entities of the latest day, value by value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from jobs.checks.check import Check, Outcome
from jobs.feature_store.store import open_store, quiet
from jobs.ingest.raw_table import rows_per_day
from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.times import midnight
from jobs.use_case import UseCase
from jobs.windows import WindowFeatures

if TYPE_CHECKING:
    from feast import FeatureStore

SAMPLED = 20
"""Entities of each table."""
EQUALS_TABLES = Check(
    "equals_feature_tables",
    "Entities of the latest day have the values online that the feature tables hold of their latest event.",
)


def equals_tables(lakehouse: Lakehouse, use_case: UseCase, as_of: datetime) -> Outcome:
    """EQUALS_TABLES of the store as it was brought to `as_of`."""
    compared, store = 0, None
    differing: dict[str, int] = {}
    for windows in use_case.windows:
        rows = _latest(lakehouse, use_case, windows, as_of)
        if rows is None:
            return EQUALS_TABLES.not_judged(f"{windows.name} holds later days than this moment")
        if rows:
            store = store or open_store(lakehouse, use_case)
            ttl = store.get_feature_view(windows.name).ttl
            rows = [row for row in rows if not ttl or row["event_timestamp"] > as_of - ttl]  # older ones are not served
            different = _different(store, windows, rows)
            compared, differing = compared + len(rows), differing | ({windows.name: different} if different else {})
    if not compared:
        return EQUALS_TABLES.not_judged("the feature tables have no rows, or none that is served at this moment")
    found = ", ".join(f"{count} of {SAMPLED} entities of {name} differ" for name, count in differing.items())
    return EQUALS_TABLES.outcome(
        not differing, f"{compared} entities as in the feature tables", found or "just that", rows=compared,
        differing=sum(differing.values()),
    )  # fmt: skip


def _latest(
    lakehouse: Lakehouse, use_case: UseCase, windows: WindowFeatures, as_of: datetime
) -> list[dict[str, Any]] | None:
    """The latest row of some entities of the newest day; None if that is later than `as_of`."""
    table = use_case.window_table(windows)
    day = max((day for day, rows in rows_per_day(lakehouse, table).items() if rows), default=None)
    if day is None:
        return []
    # An event of an earlier day may have been decided on this one.
    latest = [[(PARTITION, "=", day)], [("event_timestamp", ">=", midnight(day))]]
    rows = pl.DataFrame(lakehouse.to_arrow(table, filters=latest))
    if (rows["created_timestamp"] > as_of).any():
        return None
    # Of two events at the same moment either may be there.
    newest = (pl.col("event_timestamp") == pl.col("event_timestamp").max()).over(windows.keys)
    alone = rows.drop_nulls(windows.keys).filter(newest)
    alone = alone.filter(pl.len().over(windows.keys) == 1).sort(windows.keys)
    return alone.gather_every(max(1, alone.height // SAMPLED)).head(SAMPLED).to_dicts()


def _different(store: FeatureStore, windows: WindowFeatures, rows: Sequence[Mapping[str, Any]]) -> int:
    """Number of rows of which a value differs, or that are not there."""
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    def typed(value: Any) -> Value:
        return Value(int64_val=value) if isinstance(value, int) else Value(string_val=value)

    def key(row: Mapping[str, Any]) -> EntityKey:
        return EntityKey(join_keys=windows.keys, entity_values=[typed(row[name]) for name in windows.keys])

    names, view = list(windows.names), store.get_feature_view(windows.name)
    with quiet():
        # Not `get_online_features`: what it gives depends on the clock, by the view's ttl.
        # The names are a list of its own, to which the store for Redis appends.
        online = store._get_provider().online_store.online_read(
            store.config, view, [key(row) for row in rows], list(names)
        )
    return sum(not _same(names, row, values) for row, (_, values) in zip(rows, online, strict=True))


def _same(names: Sequence[str], row: Mapping[str, Any], values: Mapping[str, Any] | None) -> bool:
    return values is not None and all(_equal(row[name], _plain(values.get(name))) for name in names)


def _plain(value: Any) -> Any:
    kind = value.WhichOneof("val") if value is not None else None
    return getattr(value, kind) if kind and kind != "null_val" else None


def _equal(here: Any, there: Any) -> bool:
    missing = [value is None or (isinstance(value, float) and math.isnan(value)) for value in (here, there)]
    return all(missing) if any(missing) else math.isclose(here, there, rel_tol=1e-9, abs_tol=1e-9)
