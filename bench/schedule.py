"""Windows over a million orders for 50,000 customers each Monday of a year, next to as many targets that are events.

The events are the same moments of the same customers, each a fact too. `python bench/schedule.py [--customers N]`.
"""

import argparse
import json
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pyarrow as pa
from common import REPORTS, ratios, runs, spread

from jobs.features import window_runs
from jobs.targets import Schedule
from jobs.windows import FACT_ID, Aggregate, WindowFeatures

REPORT = REPORTS / "schedule.json"
START, DAY = datetime(2026, 1, 1, tzinfo=UTC), timedelta(days=1)
ORDERS_EACH, DAYS = 20, 364
MONDAY = Schedule("Monday 06:00", entities_of="customers", zone="Europe/London")
MONTHS = tuple(n * DAY for n in (7, 30, 90))
AGGREGATES = (
    Aggregate("count", windows=MONTHS, name="orders"),
    Aggregate("mean", "amount", MONTHS, name="amount"),
    Aggregate("max", "amount", MONTHS, name="largest"),
    Aggregate("last_age", windows=(90 * DAY,), name="last_age"),
)
"""Ten windows."""
OF_ORDERS = WindowFeatures("order_windows", "customer_id", "target_id", "at", AGGREGATES, facts="orders")
OF_EVENTS = WindowFeatures("event_windows", "customer_id", "target_id", "at", AGGREGATES)
INSTANT = pl.Datetime("us", "UTC")


def known(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows that are known when they happen, and hold."""
    return frame.with_columns(known_at=pl.col("at"), superseded_at=pl.lit(None, INSTANT))


def targets(customers: int) -> pl.DataFrame:
    """Each customer at each Monday, with an amount for those who take it for an event."""
    mondays = pl.Series("at", list(MONDAY.moments(START, START + DAYS * DAY)), INSTANT)
    frame = pl.DataFrame({"customer_id": range(customers)}).join(mondays.to_frame(), how="cross")
    return known(frame).with_columns(
        target_id=pl.int_range(pl.len()), version=pl.lit(1, pl.Int32), amount=pl.int_range(pl.len()) % 977 * 0.25
    )


def orders(customers: int) -> pl.DataFrame:
    chance, rows = np.random.default_rng(1), customers * ORDERS_EACH
    seconds = np.sort(chance.integers(0, DAYS * 86_400, rows))
    frame = pl.DataFrame({FACT_ID: range(rows), "customer_id": chance.integers(0, customers, rows), "seconds": seconds})
    at = pl.lit(START, INSTANT) + pl.duration(seconds="seconds")
    return known(frame.select(FACT_ID, "customer_id", at=at, amount=pl.lit(chance.gamma(2, 20, rows).round(2))))


def _read(features: WindowFeatures, events: pl.LazyFrame, facts: pl.LazyFrame | None = None) -> pa.Table:
    rows = window_runs.run(None, features, events, facts=facts)  # type: ignore[arg-type]
    assert isinstance(rows, pa.RecordBatchReader)
    return rows.read_all()


def main() -> None:
    """Measure and print; the results go to docs/benchmarks/schedule.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=50_000)
    customers = parser.parse_args().customers
    mondays, facts = targets(customers), orders(customers)
    work = {
        "schedule": lambda: _read(OF_ORDERS, mondays.drop("amount").lazy(), facts.lazy()),
        "events": lambda: _read(OF_EVENTS, mondays.lazy()),
    }
    seconds = runs(work)
    report = {
        "targets": mondays.height,
        "orders": facts.height,
        "seconds": {name: spread(times) for name, times in seconds.items()},
        "schedule_over_events": ratios(seconds, "schedule", "events"),
    }
    REPORT.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
