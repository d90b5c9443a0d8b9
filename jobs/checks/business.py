"""Whether figures of the business are of all that was decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from jobs.checks.check import Check, Outcome
from jobs.times import numbered_day

if TYPE_CHECKING:
    from jobs.ground_truth.performance import ScoredEvents

EVERY_EVENT_COUNTS = Check(
    "every_event_counts", "Every event that was scored counts on its day, in one arm and one model version."
)


def every_event_counts(scored: ScoredEvents, rows: pl.DataFrame) -> Outcome:
    """EVERY_EVENT_COUNTS of the rows of a table (`jobs.ground_truth.business_table`) on days with scored events."""
    days, counts = np.unique(scored.days, return_counts=True)
    there = {numbered_day(day): int(count) for day, count in zip(days.tolist(), counts.tolist(), strict=True)}
    parts = ["event_date", "arm", "model_version"]
    of_parts = rows.filter(pl.col("slice") == "all").unique(parts).group_by("event_date").agg(pl.col("rows").sum())
    counted = dict(of_parts.iter_rows())
    wrong = sorted(day for day, count in there.items() if counted.get(day, 0) != count)
    found = f"{len(wrong)} days with others{f', the last {wrong[-1]}' if wrong else ''}"
    return EVERY_EVENT_COUNTS.outcome(
        not wrong, f"{sum(there.values()):,} events on {len(there)} days", found, days=len(there), wrong=len(wrong)
    )
