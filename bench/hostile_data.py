"""Data made to break a point-in-time join, and the right answers by brute force.

Only plain Python belongs here: the oracle must share nothing with what it judges.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

Row = dict[str, Any]

START = datetime(2026, 3, 1, tzinfo=UTC)
TTL = timedelta(days=3)
COLUMNS = ["x", "y"]
KEYS = ["one", "two"]
TIME = pa.timestamp("us", "UTC")
# Written one after the other these keys read alike: 1+"23" and 12+"3", 1+"" and so on.
ONES = [1, 12, 123, 1232, 0, -1]
TWOS = ["3", "23", "a", "bc", "c", "ab", "", "é|", "2026-03-01"]

ENTITY_SCHEMA = pa.schema({"one": pa.int64(), "two": pa.string(), "event_timestamp": TIME, "note": pa.string()})
FEATURE_SCHEMA = pa.schema(
    {"one": pa.int64(), "two": pa.string(), "event": TIME, "created": TIME, "x": pa.float64(), "y": pa.int64()}
)


def features(rng: random.Random, keys: int = 40) -> list[Row]:
    """Values with ties in event time, corrections of the same event, late arrivals and null keys."""
    rows: list[Row] = []
    for one, two in _pairs(rng, keys):
        for _ in range(rng.randint(0, 12)):
            event = START + timedelta(hours=rng.randint(0, 24 * 10))
            delay = rng.choice([timedelta(0), timedelta(0), timedelta(minutes=5), timedelta(days=2)])
            known = event + delay
            row: Row = {"one": one, "two": two, "event": event, "created": known, "x": rng.random(), "y": len(rows)}
            rows.append(row)
            if rng.random() < 0.4:
                later = rng.choice([timedelta(0), timedelta(hours=1), timedelta(days=4)])
                rows.append(row | {"created": known + later, "x": rng.choice([None, rng.random()])})
    rng.shuffle(rows)
    return rows


def entities(rng: random.Random, known: list[Row], rows: int) -> list[Row]:
    """Questions at, just before and just after every edge: event, created, expiry; with duplicates and nulls."""
    step = timedelta(microseconds=1)
    asked: list[Row] = []
    while len(asked) < rows:
        about = rng.choice(known)
        edge = rng.choice([about["event"], about["created"], about["event"] + TTL])
        moment = edge + rng.choice([-step, timedelta(0), timedelta(0), step, timedelta(hours=1)])
        one, two = rng.choice([(about["one"], about["two"]), (rng.choice(ONES), rng.choice(TWOS))])
        row = {"one": one, "two": two, "event_timestamp": moment, "note": f"row {len(asked)}"}
        asked += [row] * rng.choice([1, 1, 1, 2])
    return asked[:rows]


def _pairs(rng: random.Random, number: int) -> list[tuple[int | None, str | None]]:
    every: list[tuple[int | None, str | None]] = [(one, two) for one in ONES for two in TWOS]
    return [*rng.sample(every, min(number, len(every))), (None, "a"), (1, None), (None, None)]


def answers(asked: list[Row], known: list[Row], ttl: timedelta | None, created: bool) -> list[Row]:
    """For each question the values that could be seen, by looking at everything."""
    return [row | _answer(row, known, ttl, created) for row in asked]


def _answer(asked: Row, known: list[Row], ttl: timedelta | None, created: bool) -> Row:
    t = asked["event_timestamp"]
    seen = [
        row
        for row in known
        if all(asked[k] is not None and asked[k] == row[k] for k in KEYS)
        and row["event"] <= t
        and (not ttl or t - row["event"] <= ttl)
        and (not created or row["created"] <= t)
    ]
    if not seen:
        return dict.fromkeys(COLUMNS)
    best = max(seen, key=lambda r: (r["event"], r["created"], *((r[c] is not None, r[c] or 0) for c in COLUMNS)))
    return {name: best[name] for name in COLUMNS}
