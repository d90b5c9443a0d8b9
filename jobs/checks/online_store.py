"""Whether the online store gives what the feature tables hold, value by value: of windows some entities of the latest
day, of other views some entities as they are known last."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from jobs.checks.check import Check, Outcome
from jobs.feature_store.served_views import ServedView, beside_windows
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
NO_TIME = -(2**63)
"""What Feast writes of a timestamp that is missing."""
EQUALS_TABLES = Check(
    "equals_feature_tables",
    "Entities of the latest day, and of profiles, have the values online that the feature tables hold of them last.",
)


def equals_tables(lakehouse: Lakehouse, use_case: UseCase, as_of: datetime) -> Outcome:
    """EQUALS_TABLES of the store as it was brought to `as_of`."""
    store, latest = None, dict[str, _Latest]()
    for windows in use_case.windows:
        rows = _latest(lakehouse, use_case, windows, as_of)
        if rows is None:
            return EQUALS_TABLES.not_judged(f"{windows.name} holds later days than this moment")
        latest[windows.name] = _Latest(windows.keys, windows.names, "event_timestamp", rows)
    latest |= {view.name: _known_last(lakehouse, view, as_of) for view in beside_windows(lakehouse, use_case)}
    compared, differing = 0, dict[str, int]()
    for name, found_last in latest.items():
        if found_last.rows:
            store = store or open_store(lakehouse, use_case)
            served = found_last.served(as_of, store.get_feature_view(name).ttl)
            different = _different(store, name, served)
            compared, differing = compared + len(served.rows), differing | ({name: different} if different else {})
    if not compared:
        return EQUALS_TABLES.not_judged("the feature tables have no rows, or none that is served at this moment")
    found = ", ".join(f"{count} of {SAMPLED} entities of {name} differ" for name, count in differing.items())
    return EQUALS_TABLES.outcome(
        not differing, f"{compared} entities as in the feature tables", found or "just that", rows=compared,
        differing=sum(differing.values()),
    )  # fmt: skip


@dataclass(frozen=True)
class _Latest:
    """The last rows of some entities in the table of a view."""

    keys: Sequence[str]
    names: Sequence[str]
    """Of the features."""
    time: str
    """Column of the event time."""
    rows: Sequence[Mapping[str, Any]]

    def served(self, as_of: datetime, ttl: timedelta | None) -> _Latest:
        """Without those that are too old."""
        return replace(self, rows=[row for row in self.rows if not ttl or row[self.time] > as_of - ttl])


def _known_last(lakehouse: Lakehouse, view: ServedView, as_of: datetime) -> _Latest:
    """The last rows of some entities of which nothing came later than `as_of`."""
    keys, times = list(view.keys.values()), view.times
    columns = list(dict.fromkeys([*keys, *times, *view.columns]))
    rows = pl.DataFrame(lakehouse.to_arrow(view.table, columns=columns)).drop_nulls([*keys, *times])
    last = rows.unique().filter(pl.struct(times).rank("max").over(keys) == pl.len().over(keys))
    alone = last.filter(pl.len().over(keys) == 1, pl.max_horizontal(times) <= as_of)
    still = rows.group_by(keys).agg(pl.max_horizontal(times).max().alias("_newest")).filter(pl.col("_newest") <= as_of)
    return _Latest(keys, view.columns, view.event, _sampled(alone.join(still, on=keys, how="semi"), keys))


def _sampled(rows: pl.DataFrame, keys: Sequence[str]) -> list[dict[str, Any]]:
    return rows.sort(keys).gather_every(max(1, rows.height // SAMPLED)).head(SAMPLED).to_dicts()


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
    return _sampled(alone.filter(pl.len().over(windows.keys) == 1), windows.keys)


def _different(store: FeatureStore, name: str, latest: _Latest) -> int:
    """Number of rows of which a value differs, or that are not there."""
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    def typed(value: Any) -> Value:
        return Value(int64_val=value) if isinstance(value, int) else Value(string_val=value)

    def key(row: Mapping[str, Any]) -> EntityKey:
        return EntityKey(join_keys=latest.keys, entity_values=[typed(row[key]) for key in latest.keys])

    names, view = list(latest.names), store.get_feature_view(name)
    with quiet():
        # Not `get_online_features`: what it gives depends on the clock, by the view's ttl.
        # The names are a list of its own, to which the store for Redis appends.
        online = store._get_provider().online_store.online_read(
            store.config, view, [key(row) for row in latest.rows], list(names)
        )
    return sum(not _same(names, row, values) for row, (_, values) in zip(latest.rows, online, strict=True))


def _same(names: Sequence[str], row: Mapping[str, Any], values: Mapping[str, Any] | None) -> bool:
    return values is not None and all(_equal(row[name], _plain(values.get(name))) for name in names)


def _plain(value: Any) -> Any:
    kind = value.WhichOneof("val") if value is not None else None
    plain = getattr(value, kind) if kind and kind != "null_val" else None
    return None if kind == "unix_timestamp_val" and plain == NO_TIME else plain


def _equal(here: Any, there: Any) -> bool:
    missing = [value is None or (isinstance(value, float) and math.isnan(value)) for value in (here, there)]
    if any(missing) or isinstance(here, str):
        return all(missing) or here == there
    if isinstance(here, datetime):
        return math.isclose(here.timestamp(), there, abs_tol=1)  # whole seconds are kept
    return math.isclose(here, there, rel_tol=1e-9, abs_tol=1e-9)
