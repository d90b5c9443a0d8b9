"""A burst through the real stream, with features: lag as it was beside lag as `streaming.scale` predicts it.

Unit costs are measured first, on other payments. Time is the processor time of the stream's process, and what its steps
wait: messages come by that clock, so that a busy machine stretches arrivals and work alike.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import polars as pl
from common import spread
from confluent_kafka import Producer
from worlds.marts import update_windows

from jobs.messages.connection import client_options
from jobs.secret import ClusterUrl
from jobs.streams import starting
from jobs.streams.stream import Stream
from streaming.homes import home
from streaming.scale import IDLE, Costs, Run, burst, simulated
from streaming.topics import PAYMENTS, broker, opened, send, texts

RATE, AT, SIZE, SECONDS, TRIGGER = 300, 3.0, 8_000, 12.0, 2.0
"""Messages a second, when the burst comes and its size, how long, and seconds between commits."""
PAST = 100_000
SIZES = (50,) * 25 + (5_000,) * 3
"""Messages of the steps that unit costs are taken from."""
WARM = 20_000
"""Messages before, so that entities are warm."""


def measured(frame: pl.DataFrame, folder: Path, rounds: int) -> dict[str, Any]:
    past, coming = frame.head(PAST), frame.slice(PAST)
    world = home(folder / "home", past, int(past["tx_datetime"].max()))  # type: ignore[arg-type]
    update_windows(world.lakehouse, datetime.now(UTC))
    needed = round(RATE * SECONDS) + SIZE
    with broker(folder / "kafka") as address:
        one = opened(world.lakehouse, address)
        starting.start_features(one)
        _take(one, address, coming.head(WARM))
        costs = _costs(one, address, coming.slice(WARM, sum(SIZES)))
        values = texts(coming.slice(WARM + sum(SIZES))).to_list()
        runs = [_run(one, address, values[n * needed : (n + 1) * needed]) for n in range(rounds)]
        one.close()
    predicted = simulated(costs, TRIGGER, burst(RATE, AT, SIZE), SECONDS)
    return {"rate": RATE, "burst": SIZE, "costs": {name: round(each, 7) for name, each in asdict(costs).items()}} | {
        "predicted": {"peak": predicted.peak, "seconds": round(_recovered(predicted), 2)},
        "measured": {"peak": spread((run.peak for run in runs), 0), "seconds": spread(map(_recovered, runs), 2)},
    }


def _recovered(run: Run) -> float:
    """Processor seconds from the burst until less waits than comes between two commits."""
    return run.recovered(AT, RATE * TRIGGER)


def _costs(one: Stream, address: str, payments: pl.DataFrame) -> Costs:
    """Medians of small and of large steps, and of the commits after them."""
    small, large = min(SIZES), max(SIZES)
    found: dict[int, list[tuple[float, float]]] = {small: [], large: []}
    for size in SIZES:
        found[size].append(_take(one, address, payments.head(size)))
        payments = payments.slice(size)
    steps, commits = ([float(np.median([each[n] for each in found[size]])) for size in (small, large)] for n in (0, 1))
    event, row = (max(0.0, high - low) / (large - small) for low, high in (steps, commits))
    return Costs(max(0.0, steps[0] - small * event), event, max(0.0, commits[0] - small * row), row)


def _take(one: Stream, address: str, payments: pl.DataFrame) -> tuple[float, float]:
    """Processor seconds until all these payments are taken, and of the commit after them."""
    send(address, PAYMENTS, texts(payments))
    start, end = time.process_time(), one.counts.messages + len(payments)
    while one.counts.messages < end:
        one.step(0.5)
    stepped = time.process_time()
    one.commit()
    return stepped - start, time.process_time() - stepped


def _run(one: Stream, address: str, values: list[str]) -> Run:
    arrivals, before = Arrivals(address, values), one.counts.messages
    times, lag, committed = [], [], 0.0
    with arrivals:
        while (now := arrivals.clock()) < SECONDS:
            if not one.step(IDLE):
                arrivals.waited += IDLE
            if now - committed > TRIGGER and not one.is_committing:
                one.begin_commit()
                committed = now
            times.append(arrivals.clock())
            lag.append(arrivals.sent - one.counts.messages + before)
    while one.counts.messages < before + arrivals.sent:
        one.step(0.5)
    one.commit()
    return Run(np.array(times), np.array(lag))


class Arrivals:
    """A thread that sends messages by the processor time that this process spent otherwise, and the time it waited."""

    def __init__(self, address: str, values: list[str]) -> None:
        self.sent, self.waited, self._values, self._own, self._end = 0, 0.0, values, 0.0, Event()
        self._producer = Producer(client_options(ClusterUrl(f"kafka://{address}")) | {"linger.ms": 1})
        self._thread = Thread(target=self._send)

    def __enter__(self) -> Arrivals:
        self._start = time.process_time()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._producer.flush()

    def clock(self) -> float:
        return time.process_time() - self._start - self._own + self.waited

    def _send(self) -> None:
        due = burst(RATE, AT, SIZE)
        while not self._end.wait(0.002):
            for value in self._values[self.sent : int(due(self.clock()))]:
                self._producer.produce(PAYMENTS, value)
                self.sent += 1
            self._producer.poll(0)
            self._own = time.thread_time()
