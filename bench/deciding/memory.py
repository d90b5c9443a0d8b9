"""Memory of a worker for each fact, and how long a start takes with many of them.

`python -m deciding.memory HOME` tells of one worker without HTTP, alone in its process, as JSON.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psutil
from common import spread

from jobs.decisions import opened
from jobs.settings import ROOT, Settings
from jobs.use_cases.fraud import FRAUD

AS_OF = datetime(2026, 6, 30, tzinfo=UTC)
CUSTOMERS, TERMINALS, FAVOURITES, DAYS, FEW = 5000, 10_000, 20, 55, 1000
REPORTED_SHARE = 50
"""One event of so many has a report."""


def events(count: int) -> pl.DataFrame:
    """Payments of the days that windows reach, evenly; each customer has some terminals."""
    chance, end = np.random.default_rng(0), round(AS_OF.timestamp() * 1e6)
    span = round(timedelta(days=DAYS) / timedelta(microseconds=1))
    customers = chance.integers(0, CUSTOMERS, count)
    terminals = chance.integers(0, TERMINALS, (CUSTOMERS, FAVOURITES))[customers, chance.integers(0, FAVOURITES, count)]
    return pl.DataFrame(
        {
            "transaction_id": np.arange(count),
            "customer_id": customers,
            "terminal_id": terminals,
            "tx_datetime": np.sort(end - chance.integers(1, span, count)),
            "tx_amount": np.round(chance.exponential(50, count), 2),
            "is_fraud": np.ones(count, bool),
        }
    )


def written(home: Path, count: int) -> Settings:
    """A home with so many events, and a model."""
    from deciding.home import put_models, write

    settings, frame = Settings(home=home), events(count)
    write(settings, frame, frame.filter(pl.col("transaction_id") % REPORTED_SHARE == 0))
    put_models(settings, home.with_name(f"{home.name}-bundles"))
    return settings


def measured(folder: Path, count: int) -> dict[str, Any]:
    """Three starts with many facts and with few, in turns: what differs is what facts take."""
    from deciding.servers import ours

    folder.mkdir(parents=True)
    homes = written(folder / "many", count), written(folder / "few", FEW)
    rounds = []
    for _ in range(3):
        told = []
        for home in homes:
            with ours(home, "--as-of", f"{AS_OF:%Y-%m-%dT%H:%M:%S}") as server:
                told.append((server.ready_seconds, server.resident()))
        print("seconds until ready and bytes, with many and few facts:", told, flush=True)
        rounds.append(told)
    facts, (_, (_, bare)) = count - FEW, rounds[0]
    alone = _alone(homes[0])
    return {
        "facts": count,
        "seconds_until_ready": spread((one[0][0] for one in rounds), 2),
        "seconds_of_the_facts": spread((one[0][0] - one[1][0] for one in rounds), 2),
        "worker_megabytes_without_facts": round(bare / 1e6),
        "worker_bytes_per_fact": spread(((one[0][1] - one[1][1]) / facts for one in rounds), 1),
        "alone": alone,
    }


def _alone(home: Settings) -> dict[str, Any]:
    here = os.pathsep.join([str(ROOT / "bench"), str(ROOT / "tests"), str(ROOT)])
    command = [sys.executable, "-m", "deciding.memory", str(home.home)]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": here}, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def told(home: str) -> dict[str, Any]:
    """What facts of a home take in this process: arrays, resident after the start, and with every entity asked for."""
    settings, as_of = Settings(home=Path(home)), round(AS_OF.timestamp() * 1e6)
    with opened.lease(settings, FRAUD) as handle:
        opened.renew(settings, FRAUD, handle, lambda: as_of)
    before, start = _resident(), time.perf_counter()
    decider = opened.open_decider(settings, FRAUD, lambda: as_of)
    seconds, opened_bytes = time.perf_counter() - start, _resident() - before
    facts = len(decider.states.base.events.happened)
    arrays = sum({id(each): each.nbytes for each in _arrays(decider.states.base)}.values())
    for number, key in _entities(decider):
        decider.states.entity(number, key)
    asked_bytes = _resident() - before
    decider.close()
    return {
        "events": facts,
        "seconds_to_open": round(seconds, 2),
        "array_bytes_per_fact": round(arrays / facts, 1),
        "resident_bytes_per_fact": round(opened_bytes / facts, 1),
        "resident_bytes_per_fact_with_every_entity_asked_for": round(asked_bytes / facts, 1),
    }


def _entities(decider: Any) -> set[tuple[int, tuple[Any, ...]]]:
    facts, plans = decider.states.base.events, decider.rows.plans
    columns = [[facts.columns[key].tolist() for key in plan.features.keys] for plan in plans]
    return {(number, key) for number, of in enumerate(columns) for key in zip(*of, strict=True)}


def _arrays(held: Any) -> Iterator[np.ndarray[Any, Any]]:
    if isinstance(held, np.ndarray):
        yield held
        return
    fields = getattr(held, "__dict__", None) or {}
    parts = held if isinstance(held, list | tuple) else held.values() if isinstance(held, dict) else fields.values()
    for part in parts if type(held).__module__.startswith("jobs.decisions") or isinstance(held, list | dict) else ():
        yield from _arrays(part)


def _resident() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


if __name__ == "__main__":
    print(json.dumps(told(sys.argv[1])))
