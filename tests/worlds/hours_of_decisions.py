"""Simulated decisions of many hours with the rhythm of day and week, as rows and as counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np

from jobs.arrays import Floats
from jobs.drift.drift_kernel import edges_of
from jobs.drift.hourly_counts import HOURS, HourlyCounts, counted

FIRST = date(2026, 3, 2)
BINS = 10
Rows = dict[str, Floats]
Change = Callable[[Rows], Rows]


@dataclass(frozen=True)
class Rhythm:
    """How many decisions there are an hour, and how they differ."""

    by_day: float = 240
    """Decisions an hour at noon."""
    by_night: float = 30
    weekend: float = 0.6
    """Share of the decisions on Saturdays and Sundays."""
    burst: float = 0.15
    """Deviation of the logarithm of an hour's decisions from its rhythm."""
    alike: int = 2
    """Decisions, on average, of one entity in an hour: these resemble each other."""


def decisions(chance: np.random.Generator, day: int, hour: int, rhythm: Rhythm = Rhythm()) -> Rows:
    """The decisions of an hour: features and scores, NaN where there is no value."""
    light = (1 - np.cos(2 * np.pi * (hour - 3) / HOURS)) / 2
    rest = day % 7 >= 5
    usual = (rhythm.by_night + (rhythm.by_day - rhythm.by_night) * light) * (rhythm.weekend if rest else 1)
    rows = int(chance.poisson(usual * np.exp(chance.normal(0, rhythm.burst))))
    entity = chance.integers(0, max(1, rows // rhythm.alike), rows)
    habits = chance.normal(0, 1, max(1, rows // rhythm.alike))[entity]
    amounts = np.exp(3 + 0.5 * light + 0.4 * rest + 0.6 * habits + chance.normal(0, 0.8, rows))
    count = chance.poisson(np.exp(1 + 0.5 * light + 0.3 * habits) * (1 + 0.002 * day))
    away = chance.random(rows) < 0.02 + 0.05 * (1 - light) + 0.03 * rest
    rare = np.where(chance.random(rows) < 0.03, chance.poisson(2.0, rows) + 1.0, 0.0)
    age = np.where(chance.random(rows) < 0.1, np.nan, chance.exponential(30 + 0.1 * day, rows))
    risk = -4 + 0.5 * np.log(amounts) + 2.0 * away + 0.3 * rare + chance.normal(0, 0.5, rows)
    return {
        "score": 1 / (1 + np.exp(-risk)), "amount": amounts, "amount_to_mean": amounts / np.exp(3 + 0.6 * habits),
        "payments_1d": count.astype(float), "is_away": away.astype(float), "frauds_28d": rare, "days_since_last": age,
        "is_night": np.full(rows, float(hour < 6)), "is_weekend": np.full(rows, float(rest)),
        "constant": np.zeros(rows), "hour": hour + chance.random(rows),
    }  # fmt: skip


def simulated(
    days: int, seed: int, rhythm: Rhythm = Rhythm(), changes: Mapping[tuple[int, int], Change] | None = None
) -> HourlyCounts:
    """The counts of days; bins are those of the first four weeks.

    Args:
        changes: what becomes of the decisions of some hours, by day and hour.
    """
    chance = np.random.default_rng(seed)
    by_hour = [decisions(chance, day, hour, rhythm) for day in range(days) for hour in range(HOURS)]
    names = tuple(by_hour[0])
    first = {name: np.concatenate([rows[name] for rows in by_hour[: 28 * HOURS]]) for name in names}
    edges = {name: edges_of(values, BINS) for name, values in first.items()}
    for (day, hour), change in (changes or {}).items():
        by_hour[day * HOURS + hour] = change(by_hour[day * HOURS + hour])
    hours = np.repeat(np.arange(days * HOURS), [len(rows["score"]) for rows in by_hour])
    bins = max(map(len, edges.values())) + 2
    counts = [
        counted(hours, np.concatenate([rows[n] for rows in by_hour]).astype(np.float32), edges[n], days, bins)
        for n in names
    ]
    return HourlyCounts(FIRST, names, np.stack(counts, axis=2))
