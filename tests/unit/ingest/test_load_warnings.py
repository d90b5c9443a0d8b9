"""Warnings about loaded days: shifts are noticed, days like the others are not, and nothing is blocked."""

import math
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from jobs.ingest import load_warnings
from jobs.use_case import Column, Source

SOURCE = Source(
    name="orders",
    key=("order_id",),
    event_time="placed_at",
    latency=timedelta(hours=1),
    columns=(
        Column("order_id", "identifier"),
        Column("placed_at", "timestamp"),
        Column("amount", "number"),
        Column("gift", "boolean", nullable=True),
        Column("items", "integer", nullable=True, optional=True),
    ),
)


def orders(days: int, per_day: int, shift: float = 0.0, missing: float = 0.0) -> pl.DataFrame:
    generator = np.random.default_rng(1)
    number = days * per_day
    items = [None if generator.random() < missing else 1 for _ in range(number)]
    return pl.DataFrame(
        {
            "event_date": [date(2026, 1, 1) + timedelta(days=i // per_day) for i in range(number)],
            "amount": generator.lognormal(3 + shift, 1, number),
            "gift": [None] * number,
            "items": pl.Series(items, dtype=pl.Int64),
        }
    )


def warned(loaded: pl.DataFrame, before: pl.DataFrame, per_day: dict[date, int]) -> dict[str, bool]:
    days = sorted(loaded["event_date"].unique())
    return {f.name: f.passed for f in load_warnings.findings(SOURCE, days, loaded, before, per_day)}


def test_shifts_are_warned_of_and_like_days_are_not() -> None:
    usual = {date(2026, 1, 1) + timedelta(days=n): 100 for n in range(40)}
    before, same = orders(28, 100), orders(7, 100)
    all_well = {"volume": True, "missing_rate": True, "distribution": True}
    assert warned(same, before, usual) == all_well
    assert warned(orders(7, 100, shift=1.0), before, usual) == {**all_well, "distribution": False}
    assert warned(orders(7, 100, missing=0.2), before, usual) == {**all_well, "missing_rate": False}
    fewer = {**usual, date(2026, 2, 3): 30}
    last = same.with_columns(pl.lit(date(2026, 2, 3)).alias("event_date"))
    assert warned(last, before, fewer) == {**all_well, "volume": False}
    few = {day: (1, 2, 2, 3, 6)[n % 5] for n, day in enumerate(usual)}
    assert warned(last, before, few) == all_well
    assert warned(orders(1, 10, shift=9), orders(1, 10), {}) == all_well


def test_warnings_never_block() -> None:
    found = load_warnings.findings(SOURCE, [], orders(7, 100, shift=3), orders(28, 100), {})
    assert not all(f.passed for f in found)
    assert not any(f.blocking for f in found)


def test_the_stability_index_is_that_of_the_textbook() -> None:
    reference, current = pl.Series(range(1000)), pl.Series([i // 2 for i in range(1000)])
    # Half of the deciles twice as full, the other half empty (half a row).
    expected = 5 * (0.2 - 0.1) * math.log(2) + 5 * (0.0005 - 0.1) * math.log(0.0005 / 0.1)
    assert load_warnings.sample_stability(reference, current) == pytest.approx(expected, rel=0.02)
    assert load_warnings.sample_stability(reference, reference) == 0
    assert load_warnings.sample_stability(reference, current.head(10)) is None
