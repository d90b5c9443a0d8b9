"""One decision in process, from the request's object to the log, both entities warm: what else it could have cost."""

from __future__ import annotations

import gc
import json
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import redis
from common import spread
from worlds.redis_server import RedisServer

from deciding.home import Day
from jobs.decisions import opened
from jobs.decisions.fallback import Fallback
from jobs.decisions.started import Awaited, Started
from jobs.models.runtime import INPUT, OUTPUT
from jobs.online.scanning import prepared
from jobs.promotion import export_onnx
from jobs.secret import Url
from jobs.settings import Settings
from jobs.use_case import problem_of
from jobs.use_cases.fraud import FRAUD
from serving.decisions.scorer import Scorer
from serving.live_models.live_model import LiveModel

ENTITIES, PAIRS, DECISIONS, WARM_ROUNDS = 5000, 500, 1000, 3
Clock = Callable[[], float]


class Own:
    """A worker without HTTP, and payments of few customers and terminals."""

    def __init__(self, day: Day, settings: Settings) -> None:
        prepared.prepare()
        began, as_of = time.monotonic(), round(day.ends.timestamp() * 1e6)
        self._now = lambda: as_of + round((time.monotonic() - began) * 1e6)
        with opened.lease(settings, FRAUD) as handle:
            opened.renew(settings, FRAUD, handle, self._now)
        self._decider = opened.open_decider(settings, FRAUD, self._now)
        exported = export_onnx.current(settings, FRAUD)
        assert exported is not None
        rows = self._decider.rows
        self._score = Scorer(LiveModel.load("fraud", exported), rows, Fallback(problem_of(FRAUD), rows))
        self._pairs = [(row["customer_id"], row["terminal_id"]) for row in day.payments[:PAIRS]]
        self._chance, self._count = random.Random(0), 0
        for _ in range(WARM_ROUNDS):
            self.seconds(time.perf_counter)

    def seconds(self, clock: Clock) -> float:
        """Of one decision on average."""
        asked = [self._payment() for _ in range(DECISIONS)]
        start = clock()
        for each in asked:
            started = self._decider.start(self._decider.schema.read(each))
            assert isinstance(started, Started)
            decided = self._decider.finish(started, self._score)
        seconds = clock() - start
        assert decided.fallback is None and decided.features
        return seconds / DECISIONS

    def seconds_of_features(self, clock: Clock, count: int, calls: int) -> float:
        """Of the features of so many payments that come at once: appended, entered, and in rows."""
        asked = [self.payments(count) for _ in range(calls)]
        start = clock()
        for payments in asked:
            given = [Awaited(self._decider.schema.read(each), start) for each in payments]
            for started in self._decider.start_all(given):
                assert isinstance(started, Started)
                started.find()
                self._decider.rows.row(started.values, started.event.happened, started.found)  # type: ignore[arg-type]
        return (clock() - start) / calls

    def payments(self, count: int) -> list[dict[str, Any]]:
        """New ones, of warm customers and terminals."""
        return [self._payment() for _ in range(count)]

    def _payment(self) -> dict[str, Any]:
        self._count += 1
        customer, terminal = self._pairs[self._count % PAIRS]
        amount = self._chance.randrange(100, 50_000) / 100
        return {
            "transaction_id": 10**13 + self._count, "customer_id": customer, "terminal_id": terminal,
            "tx_amount": amount,
        }  # fmt: skip

    def close(self) -> None:
        self._decider.close()


class Read:
    """Nightly features of both entities, packed, out of a store, and one call of the same graph."""

    def __init__(self, day: Day, fetch: Callable[[int], tuple[bytes, bytes]]) -> None:
        exported = export_onnx.current(day.settings, FRAUD)
        assert exported is not None
        self._session, self._fetch = exported.session(), fetch
        self._chance = random.Random(2)

    def seconds(self, clock: Clock) -> float:
        keys = [self._chance.randrange(ENTITIES) for _ in range(DECISIONS)]
        start = clock()
        for key in keys:
            row = np.concatenate([np.frombuffer(packed) for packed in self._fetch(key)])
            self._session.run([OUTPUT], {INPUT: row.astype(np.float32)[None]})
        return (clock() - start) / DECISIONS


def _packed(width: int) -> tuple[bytes, bytes]:
    return np.zeros(width // 2).tobytes(), np.zeros(width - width // 2).tobytes()


def from_sqlite(folder: Path, width: int) -> Callable[[int], tuple[bytes, bytes]]:
    database = sqlite3.connect(folder / "features.db")
    database.execute("create table features (entity text, key integer, row blob, primary key (entity, key))")
    halves = dict(zip(("customer", "terminal"), _packed(width), strict=True))
    rows = [(entity, key, half) for entity, half in halves.items() for key in range(ENTITIES)]
    database.executemany("insert into features values (?, ?, ?)", rows)
    database.commit()
    query = "select row from features where entity = ? and key = ?"

    def fetch(key: int) -> tuple[bytes, bytes]:
        [customer] = database.execute(query, ("customer", key)).fetchone()
        [terminal] = database.execute(query, ("terminal", key)).fetchone()
        return customer, terminal

    return fetch


def from_redis(url: str, width: int) -> Callable[[int], tuple[bytes, bytes]]:
    store: Any = redis.Redis.from_url(url)
    halves = dict(zip(("customer", "terminal"), _packed(width), strict=True))
    store.mset({f"{entity}:{key}": half for entity, half in halves.items() for key in range(ENTITIES)})
    return lambda key: tuple(store.mget(f"customer:{key}", f"terminal:{key}"))


@contextmanager
def worker(day: Day, settings: Settings) -> Iterator[Own]:
    own = Own(day, settings)
    try:
        yield own
    finally:
        own.close()


def measured(day: Day, folder: Path) -> dict[str, Any]:
    """Three rounds in turns, without and with Redis."""
    folder.mkdir(parents=True)
    exported = export_onnx.current(day.settings, FRAUD)
    assert exported is not None
    width, found = len(exported.bundle.manifest.names), {}
    with worker(day, day.copy(folder / "file")) as own:
        found["file"] = _compared(own, Read(day, from_sqlite(folder, width)), "read_and_model")
    with RedisServer() as server:
        settings = replace(day.copy(folder / "redis"), online_store_url=Url(server.url))
        with worker(day, settings) as own:
            found["redis"] = _compared(own, Read(day, from_redis(server.url, width)), "round_trip_and_model")
    print(json.dumps(found), flush=True)
    return found


def _compared(own: Own, read: Read, name: str) -> dict[str, Any]:
    gc.collect()
    # As a service does once it is ready: what is there is not looked through again.
    gc.freeze()
    found: dict[str, Any] = {}
    for clock in (time.process_time, time.perf_counter):
        rounds = [(own.seconds(clock), read.seconds(clock)) for _ in range(3)]
        of = "processor" if clock is time.process_time else "clock"
        found[f"microseconds_by_{of}"] = spread((mine * 1e6 for mine, _ in rounds), 1)
        found[f"of_{name}_by_{of}"] = spread((mine / its for mine, its in rounds), 2)
    gc.unfreeze()
    return found
