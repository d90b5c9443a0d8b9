"""The nightly update of window tables after 1,000 payments that came late, over that after 1,000 that came in time.

Late ones are of the 60 days before. Those of a topic are known since they came, so that no earlier payment counts them;
those of a file are known since they happened, so that windows of 60 days have to count them afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from common import ratios, spread
from deltalake import write_deltalake

from jobs.features import window_tables
from jobs.lakehouse import engine, engine_process
from jobs.lakehouse.envelope import TOPIC
from jobs.lakehouse.tables import Lakehouse
from jobs.use_cases.fraud import FRAUD
from streaming.homes import INSTANT, home
from streaming.topics import PAYMENTS

DAY = 86_400_000_000
DAYS, SPREAD, COMING = 130, 60, 1_000
"""Days of payments that are there, days that late ones are of, and how many come each night."""


def measured(frame: pl.DataFrame, folder: Path, rounds: int) -> dict[str, Any]:
    """Processor seconds of this process and of the engine, of all three window tables together."""
    chance = np.random.default_rng(0)
    last = int(frame["tx_datetime"].max()) // DAY  # type: ignore[arg-type]
    past = frame.filter(pl.col("tx_datetime") >= (last - DAYS) * DAY)
    nights = Nights(home(folder, past, (last + 1) * DAY).lakehouse, past, last + 1, chance)
    nights.seconds(nights.in_time)
    kinds = {"in_time": nights.in_time, "late_over_a_topic": nights.of_a_topic, "late_in_a_file": nights.of_a_file}
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    try:
        for _ in range(rounds + 1):
            for name, coming in kinds.items():
                seconds[name].append(nights.seconds(coming))
    finally:
        engine.stop(nights.lakehouse.settings)
    counted = {name: found[1:] for name, found in seconds.items()}
    return {"payments": len(past), "days": DAYS, "new": COMING} | {
        "cpu_seconds": {name: spread(found, 2) for name, found in counted.items()},
        "over_in_time": {name: ratios(counted, name, "in_time") for name in kinds if name != "in_time"},
    }


class Nights:
    """Nights of a home, one after another, each with payments that come."""

    def __init__(self, lakehouse: Lakehouse, past: pl.DataFrame, day: int, chance: np.random.Generator) -> None:
        self.lakehouse, self._past, self._day, self._chance = lakehouse, past, day, chance
        self._next = int(past["transaction_id"].max()) + 1  # type: ignore[arg-type]

    def seconds(self, coming: Callable[[], None]) -> float:
        """What the night after such a day costs."""
        coming()
        before = self._spent()
        for windows in FRAUD.windows:
            window_tables.update(
                self.lakehouse, windows, FRAUD.events, FRAUD.labels, FRAUD.window_table(windows),
                datetime.fromtimestamp(self._day * 86_400, UTC), arrivals=FRAUD.raw_events,
            )  # fmt: skip
        return self._spent() - before

    def in_time(self) -> None:
        times = self._day * DAY + self._chance.integers(0, DAY, COMING)
        self._arrive(times, times, PAYMENTS)

    def of_a_topic(self) -> None:
        known = self._day * DAY + self._chance.integers(0, DAY, COMING)
        self._arrive(known - self._chance.integers(0, SPREAD * DAY, COMING), known, PAYMENTS)

    def of_a_file(self) -> None:
        times = self._day * DAY - self._chance.integers(0, SPREAD * DAY, COMING)
        self._arrive(times, times, None)

    def _arrive(self, happened: np.ndarray, known: np.ndarray, topic: str | None) -> None:
        """Payments of the past, made again at these times, in the raw table and as its SQL puts them into marts."""
        self._day += 1
        rows = self._past.sample(COMING, seed=self._day).select("customer_id", "terminal_id", "tx_amount")
        times = {"tx_datetime": pl.Series(happened).cast(INSTANT), "known_at": pl.Series(known).cast(INSTANT)}
        rows = rows.with_columns(transaction_id=self._next + np.arange(COMING), loaded_in=self._day, **times)
        rows = rows.with_columns(event_date=pl.col("tx_datetime").dt.date())
        self._next += COMING
        assert FRAUD.raw_events is not None
        self._append(FRAUD.raw_events, rows.with_columns(pl.lit(topic, pl.String).alias(TOPIC)))
        ended = pl.lit(None, INSTANT).alias("superseded_at")
        self._append(FRAUD.events, rows.with_columns(ended, version=pl.lit(1, pl.Int64), first_event_date="event_date"))

    def _append(self, table: str, rows: pl.DataFrame) -> None:
        write_deltalake(self.lakehouse.path(table), rows.to_arrow(), mode="append", schema_mode="merge")

    def _spent(self) -> float:
        engine = engine_process.recorded(self.lakehouse.settings)
        return time.process_time() + (engine.processor_seconds() if engine else 0.0)
