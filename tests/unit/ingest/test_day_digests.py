"""Digests of the days of a raw table add up, so that a day need not be read again."""

from datetime import date, timedelta

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from jobs.ingest import day_digests


@given(rows=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=30), cut=st.integers(0, 30))
def test_digests_add_up_whatever_the_order(rows: list[tuple[int, int]], cut: int) -> None:
    def frame(part: list[tuple[int, int]]) -> pl.DataFrame:
        days = [date(2026, 1, 1) + timedelta(days=d) for d, _ in part]
        return pl.DataFrame(
            {"event_date": days, "value": [v for _, v in part]}, schema={"event_date": pl.Date, "value": pl.Int64}
        )

    first, second = frame(rows[:cut]), frame(rows[cut:])
    kept = day_digests.Digests(0, {}, complete=True).after(1, day_digests.digest(first, ["value"]))
    kept = kept.after(2, day_digests.digest(second, ["value"]))
    assert dict(kept.days) == day_digests.digest(frame(rows[::-1]), ["value"])
    for other in (8, 9):
        changed = day_digests.digest(frame([*rows, (0, other)]), ["value"])
        assert changed[date(2026, 1, 1)] != day_digests.digest(frame([*rows, (0, 7)]), ["value"])[date(2026, 1, 1)]
