"""The times that the tables can hold: the years 1 to 9999. A file can hold others, at which libraries stop.

Which times are plausible for a source is part of its contract: see `jobs.ingest.contracts`.
"""

from datetime import UTC, date, datetime, timedelta

import polars as pl

from jobs.ingest import vectors
from jobs.times import day_number, microseconds

FIRST, LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
_TICKS_A_SECOND = {"ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def in_calendar(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Dates or times of type `dtype`; null where they are outside of the calendar."""
    if isinstance(dtype, pl.Datetime):
        ticks = _TICKS_A_SECOND[dtype.time_unit]
        low, high = (microseconds(moment) * ticks // 1_000_000 for moment in (FIRST, LAST))
    elif dtype == pl.Date:
        low, high = day_number(FIRST.date()), day_number(LAST.date())
    else:
        return value
    # Nanoseconds do not reach the ends of the calendar.
    bounds = (pl.lit(max(low, -(2**63)), pl.Int64), pl.lit(min(high, 2**63 - 1), pl.Int64))
    return pl.when(value.to_physical().cast(pl.Int64).is_between(*bounds)).then(value)


def as_text(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Values as text; a time outside of the calendar as the number that the file holds."""
    if vectors.is_list(dtype):
        return vectors.from_lists(value, dtype)
    text = in_calendar(value, dtype).cast(pl.String)
    return pl.coalesce(text, value.to_physical().cast(pl.String)) if dtype.is_temporal() else text


def days_before(day: date, number: int) -> list[date]:
    """The last `number` days before a day, in their order; fewer at the beginning of the calendar."""
    return [day - timedelta(days=n) for n in range(min(number, (day - FIRST.date()).days), 0, -1)]
