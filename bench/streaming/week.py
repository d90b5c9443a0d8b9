"""A week of payments through Kafka, late by up to an hour, twice and in another order, with reports and corrections:
cells unlike those of the batch kernel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from jobs.streams import starting, verify
from jobs.use_cases.fraud import FRAUD
from streaming.homes import home, reported
from streaming.topics import PAYMENTS, REPORTS, broker, opened, read_all, send, texts

DAY, HOUR = 86_400_000_000, 3_600_000_000
PAST, LENGTH = 60, 7


def measured(frame: pl.DataFrame, folder: Path, rounds: int) -> dict[str, Any]:
    chance = np.random.default_rng(0)
    start = (int(frame["tx_datetime"].min()) // DAY + PAST) * DAY  # type: ignore[arg-type]
    past = frame.filter(pl.col("tx_datetime") < start)
    coming = frame.filter(pl.col("tx_datetime").is_between(start, start + LENGTH * DAY, closed="left"))
    world = home(folder / "home", past, start)
    with broker(folder / "kafka") as address:
        payments, reports = _payments(chance, coming), _reports(chance, frame, start)
        send(address, PAYMENTS, texts(payments), payments["known"])
        send(address, REPORTS, reports["text"], reports["known"])
        one = opened(world.lakehouse, address)
        starting.start_features(one)
        read_all(one, len(payments) + len(reports))
        one.close()
    world.night()
    found = verify.verify(world.lakehouse, FRAUD, verify.days_of(world.lakehouse, FRAUD))
    return {
        "messages": len(payments) + len(reports), "repeated": one.counts.repeated, "events": found.events,
        "cells": found.cells, "different": found.different, "not_in_marts": found.not_in_marts,
    }  # fmt: skip


def _payments(chance: np.random.Generator, coming: pl.DataFrame) -> pl.DataFrame:
    """Each with when it comes; some twice, some corrected an hour or more later."""
    first = coming.with_columns(known=pl.col("tx_datetime") + chance.integers(0, HOUR, len(coming)))
    again = first.sample(fraction=0.05, seed=1)
    corrected = first.sample(fraction=0.02, seed=2).with_columns(pl.col("tx_amount") + 1, pl.col("known") + HOUR)
    return pl.concat([first, again, corrected]).sort("known")


def _reports(chance: np.random.Generator, frame: pl.DataFrame, start: int) -> pl.DataFrame:
    """The reports that are made in that week, each with when it comes."""
    made = reported(frame).filter(pl.col("fraud_reported_at").is_between(start, start + LENGTH * DAY, closed="left"))
    known = pl.Series(chance.integers(0, HOUR, len(made))) + made["fraud_reported_at"]
    at = pl.from_epoch("fraud_reported_at", "us").dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ").alias("fraud_reported_at")
    row = made.with_columns(at)
    text = row.select(pl.struct("transaction_id", "tx_fraud", "fraud_reported_at").struct.json_encode()).to_series()
    return pl.DataFrame({"text": text, "known": known}).sort("known")
