"""From a payment that is produced to its features that are readable online: milliseconds, at 500 payments a second."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from common import spread
from worlds.marts import update_windows
from worlds.redis_server import RedisServer

from jobs import pauses
from jobs.lakehouse.tables import Lakehouse
from jobs.secret import Url
from jobs.settings import Settings
from jobs.streams import starting
from jobs.streams.features import Computed
from jobs.streams.publishing import Publisher
from jobs.streams.stream import Stream
from jobs.use_cases.fraud import FRAUD
from streaming.homes import home
from streaming.producing import produce
from streaming.topics import PAYMENTS, broker, opened, read_all, texts

RATE, SECONDS = 500, 15
DAY = 86_400_000_000


class Watched:
    """A publisher that notes when each payment was readable."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher, self.error = publisher, ""
        self.readable: dict[int, float] = {}

    def __call__(self, computed: Sequence[Computed]) -> None:
        self._publisher(computed)
        self.error = self._publisher.error
        if not self.error:
            self.readable.update((each.id, time.monotonic()) for each in computed)

    def anew(self) -> None:
        self._publisher.anew()


def measured(frame: pl.DataFrame, folder: Path, rounds: int) -> dict[str, Any]:
    now = time.time_ns() // 1000
    shift = now - int(frame["tx_datetime"].head(200_000).max())  # type: ignore[arg-type]
    frame = frame.with_columns(pl.col("tx_datetime") + shift)
    past, coming = frame.head(200_000), frame.slice(200_000, RATE * SECONDS * (rounds + 1))
    found: dict[str, Any] = {"events_per_second": RATE}
    with RedisServer() as redis:
        for store, url in (("sqlite", None), ("redis", Url(redis.url))):
            found[store] = _rounds(past, coming, folder / store, url, rounds)
    return found


def _rounds(past: pl.DataFrame, coming: pl.DataFrame, folder: Path, store: Url | None, rounds: int) -> dict[str, Any]:
    world = home(folder / "home", past, time.time_ns() // 1000)
    lakehouse = Lakehouse(Settings(home=folder / "home", online_store_url=store))
    update_windows(lakehouse, datetime.now(UTC))
    waits = []
    with broker(folder / "kafka") as address, ProcessPoolExecutor(1, get_context("spawn")) as process:
        one = opened(world.lakehouse, address)
        watched = Watched(Publisher(lakehouse, FRAUD))
        one.publish = watched
        starting.start_features(one)
        pauses.share_quickly()
        pauses.spare_the_collector()
        for number in range(rounds + 1):
            part = coming.slice(number * RATE * SECONDS, RATE * SECONDS)
            waits.append(_round(one, watched, part, address, process))
        one.close()
    p50, p99 = (spread((1000 * np.quantile(wait, share) for wait in waits[1:]), 0) for share in (0.5, 0.99))
    return {"p50_ms": p50, "p99_ms": p99}


def _round(one: Stream, watched: Watched, part: pl.DataFrame, address: str, process: Executor) -> list[float]:
    part = part.with_columns(tx_datetime=pl.lit(time.time_ns() // 1000))
    before, values = one.counts.messages, texts(part).to_list()
    sent = process.submit(produce, address, PAYMENTS, values, RATE)
    read_all(one, before + len(values))
    ids = part["transaction_id"].to_list()
    return [watched.readable[id] - at for id, at in zip(ids, sent.result(), strict=True)]
