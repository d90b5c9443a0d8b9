"""Training sets of the deliveries as Delta tables, without an engine, and what is trained on them."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl
import pyarrow as pa
from deltalake import write_deltalake
from worlds.deliveries import DAY, DAYS, FIRST, INPUTS, orders

from jobs.lakehouse.commit_state import keeping
from jobs.lakehouse.tables import Lakehouse
from jobs.settings import Settings
from jobs.use_case import UseCase

AS_OF = FIRST + DAYS * DAY
FEATURES = ("hours_mean_7d",)


def table(use_case: UseCase) -> pa.Table:
    """Orders that had arrived, with what was known of their depot when they left."""
    rows = orders().rename(str.lower).filter(pl.col("arrived_at") <= AS_OF).sort("left_at")
    mean = pl.col("hours").shift(20).rolling_mean(50, min_samples=1).over("depot").alias(FEATURES[0])
    names = ["order_id", "left_at", "depot", *INPUTS, use_case.label]
    return (
        rows.with_columns(mean, event_date=pl.col("left_at").dt.date())
        .select(*names, *FEATURES, "event_date")
        .to_arrow()
    )


def put(settings: Settings, use_case: UseCase, rows: pa.Table, as_of: datetime = AS_OF) -> Lakehouse:
    """The rows as the training set of a home."""
    lakehouse = Lakehouse(settings)
    state = {
        "as_of": as_of.isoformat(), "versions": {use_case.events: 0}, "features": list(FEATURES),
        "declarations": "a test", "feature_service": use_case.feature_service,
    }  # fmt: skip
    where = lakehouse.path(use_case.training_set)
    write_deltalake(
        where, rows, mode="overwrite", schema_mode="overwrite", partition_by=["event_date"],
        commit_properties=keeping(state),
    )  # fmt: skip
    return lakehouse


def put_marts(settings: Settings, use_case: UseCase) -> Lakehouse:
    """Events, and labels with the moments from which on they were known, as the marts of a home."""
    lakehouse, rows = Lakehouse(settings), orders().rename(str.lower)
    day = pl.col("left_at").dt.date().alias("event_date")
    events = rows.select("order_id", "left_at", day)
    labels = rows.select("order_id", use_case.label, pl.col("arrived_at").alias("known_at"), day)
    labels = labels.with_columns(superseded_at=pl.lit(None, pl.Datetime("us", "UTC")))
    for table, held in ((use_case.events, events), (use_case.labels, labels)):
        write_deltalake(lakehouse.path(table), held.to_arrow(), mode="overwrite", partition_by=["event_date"])
    return lakehouse


def since(rows: pa.Table, back: timedelta) -> pa.Array:
    """Which rows left within this time before the end."""
    left = pl.Series(rows["left_at"].to_pylist())
    return pa.array((left > AS_OF - back).to_numpy())
