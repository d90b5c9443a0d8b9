"""A home whose payments of the past are in tables, as a nightly run leaves them."""

from __future__ import annotations

from pathlib import Path
from random import Random

import polars as pl
from worlds.streamed_world import World

from jobs.ingest.readers import KNOWN_AT
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD_REPORTS, TRANSACTIONS

INSTANT = pl.Datetime("us", "UTC")
REPORTED = 7 * 86_400_000_000
"""Microseconds after which the truth about a payment is known."""


def home(folder: Path, past: pl.DataFrame, until: int) -> World:
    """A world whose tables have the payments of the past, and reports about them up to a moment."""
    world = World(Settings(home=folder), Random(0))
    payments = past.drop("is_fraud").with_columns(pl.col("tx_datetime").cast(INSTANT))
    world.put_raw(TRANSACTIONS, payments.with_columns(pl.col("tx_datetime").alias(KNOWN_AT)))
    reports = reported(past).filter(pl.col("fraud_reported_at") <= until)
    reports = reports.with_columns(pl.col("fraud_reported_at").cast(INSTANT))
    world.put_raw(FRAUD_REPORTS, reports.with_columns(pl.col("fraud_reported_at").alias(KNOWN_AT)))
    world.night()
    return world


def reported(frame: pl.DataFrame) -> pl.DataFrame:
    """A report about each payment, when its truth is known; times as integers."""
    return frame.select(
        "transaction_id", tx_fraud=pl.col("is_fraud"), fraud_reported_at=pl.col("tx_datetime") + REPORTED
    )
