"""Counts and sums of three windows of each customer, from the same messages of a broker: Evergreen, and Quix Streams.

Payments are late by up to an hour, 5 % come twice, and they come in the order of their arrival. A value is right if it
is what was known when the payment came: of its window up to that moment (as Evergreen decides), or, for the rival, up
to the payment's own time, which is the window that it declares.
"""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import polars as pl
from common import ratios, spread
from confluent_kafka import Consumer
from worlds.kafka_server import create_topic
from worlds.locked_environments import locked_environment

from jobs.messages.connection import client_options
from jobs.secret import ClusterUrl
from jobs.streams import starting, verify
from jobs.use_cases.fraud import FRAUD
from jobs.windows import Aggregate, WindowFeatures
from streaming.homes import home
from streaming.topics import PARTITIONS, PAYMENTS, broker, opened, read_all, send, texts

HERE = Path(__file__).parent / "rivals"
SECOND, DAY, HOUR = 1_000_000, 86_400_000_000, 3_600_000_000
SECONDS = (3_600, 86_400, 7 * 86_400)
"""Lengths of the windows."""
EVENTS, CUSTOMERS, REPEATED, GRACE = 20_000, 10, 0.05, 3_600
"""How many events, of every tenth customer; the share that comes twice; seconds that the rival waits for late ones."""
LENGTHS = tuple(timedelta(seconds=each) for each in SECONDS)
WINDOWS = WindowFeatures(
    "customer_windows", "customer_id", "transaction_id", "tx_datetime",
    (Aggregate("count", windows=LENGTHS, name="count"), Aggregate("sum", "tx_amount", LENGTHS, name="sum")),
)  # fmt: skip
USE_CASE = replace(FRAUD, windows=(WINDOWS,), request_features=())


def measured(frame: pl.DataFrame, folder: Path, rounds: int) -> dict[str, Any]:
    some = frame.filter(pl.col("customer_id") % CUSTOMERS == 0)
    past, coming = some.head(10), some.slice(10, EVENTS)
    events = _arriving(coming)
    rates: dict[str, list[float]] = {"evergreen": [], "quix": [], "quix_filtered": []}
    found: dict[str, Any] = {"messages": len(events), "events": len(coming)}
    with broker(folder / "kafka") as address:
        send(address, PAYMENTS, texts(events), events["known"], events["customer_id"])
        for number in range(rounds + 1):
            rate, found["evergreen"] = _ours(past, events, folder / f"home{number}", address)
            rates["evergreen"].append(rate)
            for name in ("quix", "quix_filtered"):
                rate, found[name] = _theirs(events, folder / f"{name}{number}", address)
                rates[name].append(rate)
    counted = {name: each[1:] for name, each in rates.items()}
    found["messages_per_cpu_second"] = {name: spread(each, 0) for name, each in counted.items()}
    found["times_quix"] = ratios(counted, "evergreen", "quix_filtered")
    return found


def _arriving(coming: pl.DataFrame) -> pl.DataFrame:
    chance = np.random.default_rng(0)
    first = coming.with_columns(known=pl.col("tx_datetime") + chance.integers(0, HOUR, len(coming)))
    again = first.sample(fraction=REPEATED, seed=1).with_columns(pl.col("known") + HOUR // 2)
    return pl.concat([first, again]).sort("known", "transaction_id")


def _ours(past: pl.DataFrame, events: pl.DataFrame, folder: Path, address: str) -> tuple[float, dict[str, int]]:
    """Messages a processor second, raw tables and repetitions included, and cells unlike those of the batch kernel."""
    world = home(folder, past, int(past["tx_datetime"].max()))  # type: ignore[arg-type]
    one = opened(world.lakehouse, address, USE_CASE)
    starting.start_features(one)
    start = time.process_time()
    read_all(one, len(events))
    rate = len(events) / (time.process_time() - start)
    one.close()
    world.night()
    checked = verify.verify(world.lakehouse, USE_CASE, verify.days_of(world.lakehouse, USE_CASE))
    return rate, {"cells": checked.cells, "different": checked.different + checked.not_in_marts}


def _theirs(events: pl.DataFrame, folder: Path, address: str) -> tuple[float, dict[str, Any]]:
    topics = {str(seconds): create_topic(address, None, PARTITIONS) for seconds in SECONDS}
    folder.mkdir(parents=True)
    given = {
        "broker": address, "topic": PAYMENTS, "group": uuid4().hex, "state": str(folder), "windows": topics,
        "grace": GRACE, "filtered": "filtered" in folder.name,
    }  # fmt: skip
    python = locked_environment("rival-quix", HERE / "quix.lock") / "python"
    run = subprocess.run(
        [python, HERE / "quix_windows.py"], env={"GIVEN": json.dumps(given)}, check=True, cwd=folder,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    rate = len(events) / float(run.stdout.split()[-1])
    return rate, _judged(events, pl.concat([_results(address, int(s), topic) for s, topic in topics.items()]))


def _results(address: str, seconds: int, topic: str) -> pl.DataFrame:
    """What was sent for windows of a length, in its order."""
    options = client_options(ClusterUrl(f"kafka://{address}"))
    own = {"group.id": uuid4().hex, "auto.offset.reset": "earliest", "enable.partition.eof": True}
    consumer, rows, ended = Consumer(options | own), [], 0
    consumer.subscribe([topic])
    while ended < PARTITIONS:
        for message in consumer.consume(10_000, 1.0):
            if message.error():
                ended += 1
                continue
            key, value = int(message.key() or b""), json.loads(message.value() or b"")
            rows.append((seconds, key, value["end"] * 1000, value["count"], value["sum"]))
    consumer.close()
    names = {"seconds": pl.Int64, "customer_id": pl.Int64, "end": pl.Int64, "count": pl.Int64, "sum": pl.Float64}
    return pl.DataFrame(rows, schema=names, orient="row")


def _judged(events: pl.DataFrame, results: pl.DataFrame) -> dict[str, Any]:
    """Of the first result for each payment: cells that are missing, and unlike the truth by either end of windows."""
    results = results.group_by("seconds", "customer_id", "end", maintain_order=True).first()
    different = {"missing": 0, "at_event_time": 0, "when_decided": 0}
    first = events.unique("transaction_id", keep="first", maintain_order=True)
    for seconds in SECONDS:
        rows = _truth(first, seconds * SECOND)
        theirs = results.filter(pl.col("seconds") == seconds)
        keys = ["customer_id", "tx_datetime"]
        rows = rows.join(theirs.rename({"end": "tx_datetime"}), on=keys, how="left", maintain_order="left")
        different["missing"] += 2 * rows["count"].null_count()
        for end in ("at_event_time", "when_decided"):
            for what, unlike in (("count", 0), ("sum", 1e-6)):
                away = (rows[what] - rows[f"{what}_{end}"]).abs().drop_nulls()
                different[end] += int((away > unlike).sum())
    return {"cells": 2 * len(SECONDS) * len(first), **different}


def _truth(events: pl.DataFrame, length: int) -> pl.DataFrame:
    """Counts and sums of what was known when each payment came, by plain sums, up to its time and to its arrival."""
    parts = []
    for part in events.partition_by("customer_id"):
        happened, known = part["tx_datetime"].to_numpy(), part["known"].to_numpy()
        values = {}
        for name, end in (("at_event_time", happened), ("when_decided", known)):
            inside = (happened > end[:, None] - length) & (happened <= end[:, None]) & (known <= known[:, None])
            values[f"count_{name}"] = pl.Series(inside.sum(1))
            values[f"sum_{name}"] = pl.Series(inside @ part["tx_amount"].to_numpy())
        parts.append(part.with_columns(**values))
    return pl.concat(parts)
