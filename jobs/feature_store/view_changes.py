"""Which features of a view may differ between two versions of its table: by key, the spans of moments.

It is for tables that are small beside the events, such as profiles: both versions are read.
"""

from __future__ import annotations

import polars as pl
import pyarrow as pa
from deltalake.exceptions import DeltaError

from jobs.feature_store.served_views import ServedView
from jobs.lakehouse.tables import Lakehouse, VersionGone

SINCE, UNTIL = "__since", "__until"
_ROW = "__row"


def changed(lakehouse: Lakehouse, view: ServedView, before: int, now: int) -> pl.DataFrame | None:
    """The keys (as the events name them) with SINCE and UNTIL: features of moments in [SINCE, UNTIL) may differ.

    UNTIL is null where a row is the answer to the end. None: a version cannot be read any more, so that any may differ.
    """
    try:
        then, since = _rows(lakehouse, view, before), _rows(lakehouse, view, now)
    except (VersionGone, DeltaError, pa.ArrowInvalid, OSError):
        return None  # that version is vacuumed away, or had other columns
    if set(then.schema.items()) != set(since.schema.items()):
        return None
    of_each = [_seen(view, _only_in(here, there), here) for here, there in ((since, then), (then, since))]
    return pl.concat(of_each).unique()


def _rows(lakehouse: Lakehouse, view: ServedView, version: int) -> pl.DataFrame:
    columns = list(dict.fromkeys([*view.keys.values(), *view.times, *view.columns]))
    rows = pl.DataFrame(lakehouse.to_arrow(view.table, version, columns))
    # Rows without a key or a time match nothing.
    return rows.drop_nulls([*view.keys.values(), *view.times]).unique(maintain_order=True)


def _only_in(rows: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    return rows.join(others, on=rows.columns, how="anti", nulls_equal=True)


def _seen(view: ServedView, rows: pl.DataFrame, among: pl.DataFrame) -> pl.DataFrame:
    """When each of some rows is the answer: from when it is known until a later one is, or it is too old."""
    keys, created = list(view.keys.values()), view.created or view.event
    known = pl.max_horizontal(view.event, created)
    rows = rows.select(*keys, event=pl.col(view.event), created=pl.col(created), since=known).with_row_index(_ROW)
    others = among.select(*keys, pl.col(view.event).alias("event_"), pl.col(created).alias("created_"), until=known)
    is_later = (pl.col("event_") > pl.col("event")) | (
        (pl.col("event_") == pl.col("event")) & (pl.col("created_") > pl.col("created"))
    )
    later = rows.join(others, on=keys, how="inner") if keys else rows.join(others, how="cross")
    ends = later.filter(is_later).group_by(_ROW).agg(pl.col("until").min())
    seen = rows.join(ends, on=_ROW, how="left")
    if view.ttl is not None:
        seen = seen.with_columns(
            until=pl.min_horizontal("until", pl.col("event") + view.ttl + pl.duration(microseconds=1))
        )
    seen = seen.filter(pl.col("until").is_null() | (pl.col("since") < pl.col("until")))
    named = [pl.col(column).alias(key) for key, column in view.keys.items()]
    return seen.select(*named, pl.col("since").alias(SINCE), pl.col("until").alias(UNTIL))
