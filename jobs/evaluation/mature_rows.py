"""The latest rows of the training set whose labels are mature: what an exported or explained model is tried on."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import polars as pl
import pyarrow as pa

from jobs.evaluation.evaluation_rows import between
from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.use_case import UseCase


def latest(lakehouse: Lakehouse, use_case: UseCase, as_of: datetime, rows: int) -> pa.Table:
    """At most `rows` of them, the oldest first; none if the world is too young. Only the days needed are read."""
    end, table = as_of - use_case.label_maturity, use_case.training_set
    first = _first_day(lakehouse, table, end.date(), rows)
    if first is None:
        return lakehouse.schema(table).empty_table()
    start = datetime.combine(first, datetime.min.time(), end.tzinfo)
    version = lakehouse.version(table)
    assert version is not None
    mature = between(lakehouse, use_case, version, start, end)
    mature = mature.sort_by([(use_case.event_timestamp, "ascending"), (use_case.event_id, "ascending")])
    return mature.slice(max(0, mature.num_rows - rows))


def _first_day(lakehouse: Lakehouse, table: str, last: date, rows: int) -> date | None:
    """The day to read from: one more than enough, because the last one may be cut."""
    files: Any = pl.DataFrame(pa.table(lakehouse.snapshot(table).get_add_actions(flatten=True)))
    days = files.group_by(pl.col(f"partition.{PARTITION}").alias("day")).agg(pl.col("num_records").sum().alias("rows"))
    days = days.filter(pl.col("day") <= last).sort("day", descending=True)
    if days.is_empty():
        return None
    enough = days.with_columns(before=pl.col("rows").cum_sum().shift(2, fill_value=0)).filter(pl.col("before") < rows)
    first: date = enough["day"][-1]
    return first
