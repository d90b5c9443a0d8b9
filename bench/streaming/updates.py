"""Updates of features a processor second: payments of entities with 60 facts, and with 100,000 facts, each."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from common import spread

from jobs.streams.bootstrap import Bootstrap
from jobs.streams.event_facts import Came
from jobs.use_cases.fraud import FRAUD
from streaming.homes import home

DAY = 86_400_000_000
START = 20_000 * DAY
EVENTS = 20_000


def measured(frame: pl.DataFrame, folder: Path, rounds: int) -> dict[str, Any]:
    return {
        "facts_60": _rate(folder / "few", 120_000, 2_000, rounds),
        "facts_100000": _rate(folder / "many", 200_000, 2, rounds),
    }


def _rate(folder: Path, facts: int, entities: int, rounds: int) -> dict[str, Any]:
    """Events a processor second, where so many facts are of so many customers and terminals."""
    chance = np.random.default_rng(0)
    world = home(folder, _payments(chance, facts, entities, 0), START)
    coming = _payments(chance, EVENTS * (rounds + 1), entities, facts)
    bootstrap = Bootstrap.of(world.lakehouse, FRAUD, START - 1)
    features = bootstrap.features(folder / "journal")
    rates = []
    for number in range(rounds + 1):
        rows = coming.slice(number * EVENTS, EVENTS).drop("is_fraud").rows(named=True)
        came = [_came(row, START + (number * EVENTS + place) * 1000) for place, row in enumerate(rows)]
        start = time.process_time()
        for _ in features.take(came):
            pass
        rates.append(EVENTS / (time.process_time() - start))
    return {"facts": facts, "entities": entities, "events_per_cpu_second": spread(rates[1:], 0)}


def _came(row: dict[str, Any], stamp: int) -> tuple[int, Came]:
    id = row.pop("transaction_id")
    row.pop("tx_datetime")
    return stamp, Came(id, stamp, row, True)


def _payments(chance: np.random.Generator, rows: int, entities: int, first: int) -> pl.DataFrame:
    """Payments of the month before, or to come; ids from `first` on."""
    return pl.DataFrame(
        {
            "transaction_id": np.arange(first, first + rows),
            "customer_id": np.arange(rows) % entities,
            "terminal_id": chance.permutation(rows) % entities,
            "tx_datetime": np.sort(chance.integers(START - 29 * DAY, START, rows)),
            "tx_amount": np.round(chance.lognormal(3, 1, rows), 2),
            "is_fraud": chance.random(rows) < 0.01,
        }
    )
