"""Payments of which the third and later ones of a customer within an hour are fraud, reported a day later."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pyarrow as pa
from worlds.marts import EVENT_SCHEMA, LABEL_SCHEMA

from jobs.lakehouse.tables import Lakehouse
from jobs.use_case import UseCase, problem_of
from jobs.use_cases.fraud import FRAUD

START, DAY = datetime(2026, 3, 1, tzinfo=UTC), timedelta(days=1)
DAYS = 40
END = START + DAYS * DAY
BURSTS: UseCase = replace(
    FRAUD,
    label_maturity=2 * DAY,
    problem=replace(problem_of(FRAUD), validation_window=7 * DAY),
)


def write(lakehouse: Lakehouse, telling: bool = True, days: int = DAYS, label: pl.Expr | None = None) -> None:
    """The marts of events and labels; unless `telling`, fraud is drawn by lot.

    Args:
        label: of every event, for use cases of other tasks.
    """
    generator = np.random.default_rng(0)
    alone, bursts = 6000, 160
    starts = generator.integers(0, days * 86_400, bursts)
    seconds = np.concatenate(
        [generator.integers(0, days * 86_400, alone), (starts[:, None] + [0, 300, 600, 900]).ravel()]
    )
    customers = np.concatenate([generator.integers(0, 400, alone), np.repeat(generator.integers(0, 400, bursts), 4)])
    third = np.concatenate([np.zeros(alone, bool), np.tile([False, False, True, True], bursts)])
    fraud = third if telling else generator.permutation(third)
    times = pl.Series(seconds.astype(np.int64)) * 1_000_000 + int(START.timestamp()) * 1_000_000
    events = pl.DataFrame(
        {
            "transaction_id": np.arange(len(seconds)),
            "tx_datetime": times.cast(pl.Datetime("us", "UTC")),
            "customer_id": customers,
            "terminal_id": generator.integers(0, 50, len(seconds)),
            "tx_amount": generator.lognormal(3, 1, len(seconds)),
        }
    ).with_columns(
        known_at="tx_datetime", version=pl.lit(1, pl.Int64), superseded_at=pl.lit(None, pl.Datetime("us", "UTC")),
        loaded_in=pl.lit(0, pl.Int64), event_date=pl.col("tx_datetime").dt.date(),
    )  # fmt: skip
    reported = events.filter(pl.Series(fraud)) if label is None else events
    labels = reported.with_columns(
        is_fraud=pl.lit(True) if label is None else label, known_at=pl.col("tx_datetime") + DAY
    )
    for table, mart, schema in ((FRAUD.events, events, EVENT_SCHEMA), (FRAUD.labels, labels, LABEL_SCHEMA)):
        own = mart.with_columns(first_event_date="event_date").select(schema.names).to_arrow()
        rows = own.cast(_typed(schema, own.schema))
        lakehouse.write(table, rows, mode="overwrite", schema=rows.schema, partition_by=["event_date"])


def _typed(schema: pa.Schema, own: pa.Schema) -> pa.Schema:
    """The schema of a mart, with the label's own type."""
    fields = [own.field(field.name) if field.name == FRAUD.label else field for field in schema]
    return pa.schema(fields)
