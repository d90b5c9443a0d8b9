"""Processor seconds from Kafka to the raw Delta table where Spark reads topics, beside this process reading them.

Spark's seconds are those of its Java; its start, and that of its query, is apart.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
from common import ROOT

from jobs.ingest.columns_file import ColumnsFile
from jobs.lakehouse import spark_server
from jobs.lakehouse.tables import Lakehouse
from jobs.messages.formats import decoder
from jobs.messages.topics import Topics
from jobs.secret import ClusterUrl, Url
from jobs.settings import Settings
from jobs.spark_streams.opening import reader_of
from jobs.streams import starting
from jobs.streams.stream import Stream
from jobs.use_cases.fraud import FRAUD
from streaming.cluster import seconds_of
from streaming.topics import PAYMENTS, broker, opened, read_all, send, texts

ROWS, IDLE_SECONDS = 200_000, 20


def measured(frame: pl.DataFrame, folder: Path, rounds: int) -> dict[str, Any]:
    prepared = spark_server.prepare(ROOT / ".cache", ROOT / "requirements.lock")
    spark = spark_server.start(prepared, None, folder / "warehouse", folder / "spark")
    try:
        with broker(folder / "kafka") as address:
            values = texts(frame.head(ROWS * (rounds + 1)))
            home = Settings(
                home=folder / "home", spark_remote=Url(spark.url),
                stream_url=ClusterUrl(f"kafka://{address}?reader=spark"),
            )  # fmt: skip
            one, beside = _on_spark(home), opened(Lakehouse(replace(home, home=folder / "beside")), address)
            found = [_round(one, beside, spark.pid, address, values.slice(n * ROWS, ROWS)) for n in range(rounds + 1)]
            idle = _idle(one, spark.pid)
            one.close()
            beside.close()
    finally:
        spark.stop()
    return {"rows": ROWS, "first_round": found[0], "rounds": found[1:], "idle_core": idle}


def _on_spark(home: Settings) -> Stream:
    lakehouse, topics = Lakehouse(home), Topics(FRAUD)
    reader = reader_of(home, topics, starting.positions(lakehouse, topics))
    return starting.open_stream(lakehouse, topics, reader, decoder(), ColumnsFile())


def _round(one: Stream, beside: Stream, spark: int, address: str, values: pl.Series) -> dict[str, float]:
    """The same rows by both, one after the other."""
    send(address, PAYMENTS, values)
    here, there = _seconds_to_read(one, spark, len(values))
    alone, _ = _seconds_to_read(beside, spark, len(values))
    return {"stream_cpu_seconds": here, "spark_cpu_seconds": there, "embedded_cpu_seconds": alone}


def _seconds_to_read(one: Stream, spark: int, rows: int) -> tuple[float, float]:
    here, there = time.process_time(), seconds_of(spark)
    read_all(one, one.counts.messages + rows)
    return round(time.process_time() - here, 2), round(seconds_of(spark) - there, 2)


def _idle(one: Stream, spark: int) -> float:
    """Of a core, what Spark takes while no message comes."""
    before, began = seconds_of(spark), time.monotonic()
    while time.monotonic() - began < IDLE_SECONDS:
        one.step(0.02)
    return round((seconds_of(spark) - before) / IDLE_SECONDS, 3)
