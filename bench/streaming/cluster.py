"""Features of payments on a local Spark, from Kafka: processor seconds of both sides, and whether Spark keeps up.

Spark's seconds are those of its Java and of its Python workers; a start, which makes the state of the past, is apart.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import psutil
from common import ROOT

from jobs.lakehouse import spark_server
from jobs.lakehouse.tables import Lakehouse
from jobs.secret import Url
from jobs.spark_streams.starter import OnSpark
from jobs.streams import starting
from jobs.streams.stream import Stream
from streaming.homes import home
from streaming.topics import PAYMENTS, broker, opened, send, texts

PAST, PAYMENTS_A_ROUND = 300_000, 20_000
"""Payments of the month before, and of a trigger of ten seconds at 2,000 a second."""
COMMIT_SECONDS, PATIENCE = 2.0, 600.0


def measured(frame: pl.DataFrame, folder: Path, rounds: int) -> dict[str, Any]:
    coming = frame.slice(PAST, PAYMENTS_A_ROUND * (rounds + 1))
    world = home(folder / "home", frame.head(PAST), int(coming["tx_datetime"].min()))  # type: ignore[arg-type]
    prepared = spark_server.prepare(ROOT / ".cache", ROOT / "requirements.lock")
    spark = spark_server.start(prepared, None, world.lakehouse.warehouse, folder / "spark")
    try:
        lakehouse = Lakehouse(replace(world.settings, spark_remote=Url(spark.url)))
        with broker(folder / "kafka") as address:
            one = opened(lakehouse, address)
            one.starter = OnSpark()
            starting.start_features(one, int(coming["tx_datetime"].min()) - 1)  # type: ignore[arg-type]
            found = [_round(one, spark.pid, address, coming, number) for number in range(rounds + 1)]
            one.close()
    finally:
        spark.stop()
    return {"past": PAST, "events": PAYMENTS_A_ROUND, "first_round": found[0], "rounds": found[1:]}


def _round(one: Stream, spark: int, address: str, coming: pl.DataFrame, number: int) -> dict[str, float]:
    """A trigger's payments, sent at once, until all have features."""
    part = coming.slice(number * PAYMENTS_A_ROUND, PAYMENTS_A_ROUND)
    send(address, PAYMENTS, texts(part), part["tx_datetime"])
    began, here, there = time.monotonic(), time.process_time(), seconds_of(spark)
    while one.counts.features < (number + 1) * part.height and time.monotonic() - began < PATIENCE:
        committed = time.monotonic()
        while one.step(0.02) or time.monotonic() - committed < COMMIT_SECONDS:
            pass
        one.commit()
        assert not one.note, one.note
    return {
        "stream_cpu_seconds": round(time.process_time() - here, 2),
        "spark_cpu_seconds": round(seconds_of(spark) - there, 2),
        "seconds": round(time.monotonic() - began, 1),
    }


def seconds_of(pid: int) -> float:
    """Processor seconds of a process and its children, those that ended included."""
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return sum(sum(process.cpu_times()[:4]) for process in processes)
