"""A small history whose truth is known: frauds are rows with a high first feature, after a change a high second one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from jobs.history import History, LabelVersions
from jobs.reports import NEVER
from jobs.split import microseconds

START = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
A_DAY = 86_400_000_000
DAYS, A_DAYS_ROWS = 40, 150


def world(
    seed: int = 0, changed_on: int = 10**4, delay_days: float = 4.0, days: int = DAYS, shift: float = 0.0
) -> History:
    """Reports come after an exponential delay; from day `changed_on` on the third feature is larger by `shift`."""
    rng = np.random.default_rng(seed)
    count = days * A_DAYS_ROWS
    times = np.sort(rng.integers(0, days * A_DAY, count)) + microseconds(START)
    features = rng.normal(size=(count, 3)).astype(np.float32)
    after = times >= microseconds(START + changed_on * DAY)
    features[after, 2] += shift
    fraud = np.where(after, features[:, 1], features[:, 0]) > 1.5
    rows = np.flatnonzero(fraud)
    known = times[rows] + (rng.exponential(delay_days, len(rows)) * A_DAY).astype(np.int64)
    labels = LabelVersions(rows, np.ones(len(rows), np.bool_), known, np.full(len(rows), NEVER))
    blocks = rng.integers(0, 300, count)
    return History(
        ("a", "b", "c"), features, times, times, blocks, np.ones(count), labels, {},
    )  # fmt: skip
