"""Features of single decisions: a day of payments against the batch kernel, their cost, and what facts take in memory.

`python bench/online.py [--data FILE]`. Seconds are of the processor. One decision, both entities warm, stands against
the read of a packed row of features from SQLite and a call of ONNX Runtime with one row; a terminal with many facts
against one with few.
"""

import argparse
import gc
import json
import random
import sqlite3
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from common import REPORTS, simulated, spread

from jobs.features.window_kernel import compute
from jobs.models.graphs import Graph
from jobs.models.runtime import INPUT, OUTPUT, session
from jobs.online.column_type import ColumnType
from jobs.online.entity_facts import EntityFacts
from jobs.online.plan import Event, Plan
from jobs.use_cases.fraud import CUSTOMER_TERMINAL_WINDOWS, CUSTOMER_WINDOWS, TERMINAL_WINDOWS
from jobs.windows import WindowFeatures

REPORT = REPORTS / "online.json"
WHOLE = ColumnType("int64", nullable=False)
EVENTS = {
    "transaction_id": WHOLE, "customer_id": WHOLE, "terminal_id": WHOLE, "tx_amount": ColumnType("float64", False),
}  # fmt: skip
LABELS = {"is_fraud": ColumnType("bool", nullable=False)}
WINDOWS = (CUSTOMER_WINDOWS, TERMINAL_WINDOWS, CUSTOMER_TERMINAL_WINDOWS)
REPORTED = 7 * 86_400_000_000
"""Microseconds after which the truth about a payment is known."""
Log = list[tuple[int, str, dict[str, Any]]]
"""Stamps, what came (a payment or a report), and the payment that it is about."""
INSTANT = pa.timestamp("us", "UTC")
DAY = 86_400_000_000
CUSTOMERS, TERMINALS, DECISIONS = 60, 60, 1000


@dataclass
class Entities:
    """All entities of one declaration."""

    features: WindowFeatures
    facts: dict[Any, EntityFacts] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.plan = Plan.of(self.features, EVENTS, LABELS)

    def of(self, row: dict[str, Any]) -> EntityFacts:
        keys = self.features.keys
        key = row[keys[0]] if len(keys) == 1 else tuple(row[name] for name in keys)
        if key not in self.facts:
            self.facts[key] = EntityFacts(self.plan)
        return self.facts[key]


def payments(data: Path) -> pl.DataFrame:
    frame = pl.read_parquet(data)
    frame = frame.rename({name: name.lower() for name in frame.columns})
    # The simulator tells frauds in another file; any truth will do to compare two ways.
    fraud = pl.col("tx_fraud") == 1 if "tx_fraud" in frame.columns else pl.col("transaction_id") % 50 == 0
    return frame.select(
        *[pl.col(name).cast(pl.Int64) for name in ("transaction_id", "customer_id", "terminal_id")],
        pl.col("tx_datetime").cast(pl.Datetime("us")).cast(pl.Int64),
        pl.col("tx_amount").cast(pl.Float64),
        is_fraud=fraud,
    ).sort("tx_datetime")


def logged(frame: pl.DataFrame, first: int, last: int) -> Log:
    """A day as a log: payments up to five seconds after their event time, and reports, with their stamps."""
    chance = random.Random(0)
    day = frame.filter(pl.col("tx_datetime").is_between(first, last, closed="left")).rows(named=True)
    reported = pl.col("tx_datetime").is_between(first - REPORTED, last - REPORTED, closed="left")
    came = [(row["tx_datetime"] + chance.randrange(5_000_000), "payment", row) for row in day]
    came += [(row["tx_datetime"] + REPORTED, "report", row) for row in frame.filter(reported).rows(named=True)]
    log, stamp = [], 0
    for moment, kind, row in sorted(came, key=lambda one: one[0]):
        stamp = max(moment, stamp + 1)
        log.append((stamp, kind, row))
    return log


def loaded(frames: Sequence[pl.DataFrame], first: int) -> list[Entities]:
    """Everything before a moment, as tables have it; frames: of each declaration."""
    entities = [Entities(features) for features in WINDOWS]
    for one, frame in zip(entities, frames, strict=True):
        past = frame.filter(pl.col("tx_datetime") < first)
        for _, group in past.group_by(one.features.keys, maintain_order=True):
            rows = group.rows(named=True)
            facts, events = one.of(rows[0]), [event(row) for row in rows]
            facts.load("events", [(each, each.happened, None) for each in events])
            known = [(each, each.happened + REPORTED, None) for each in events if each.happened + REPORTED < first]
            if one.features.reads_labels:
                facts.load("labels", known)
    return entities


def event(row: dict[str, Any]) -> Event:
    return Event(row["transaction_id"], row["tx_datetime"], row)


def played(entities: list[Entities], log: Log) -> dict[int, list[Any]]:
    """What is decided about each payment: the features of all declarations, one behind the other."""
    decided = {}
    for stamp, kind, row in log:
        if kind == "payment":
            decided[row["transaction_id"]] = [
                value for one in entities for value in one.of(row).decide(event(row), stamp)
            ]
        else:
            for one in entities:
                if one.features.reads_labels:
                    one.of(row).add_label(event(row), stamp)
    return decided


def unlike(frame: pl.DataFrame, first: int, log: Log, decided: dict[int, Any]) -> dict[str, Any]:
    """How many values there are, and how many are not those of the batch kernel, to the last bit."""
    past = frame.filter(pl.col("tx_datetime") < first).with_columns(known=pl.col("tx_datetime"), decided=None)
    mine = pl.DataFrame([row | {"known": stamp, "decided": stamp} for stamp, kind, row in log if kind == "payment"])
    told = frame.filter(pl.col("tx_datetime") + REPORTED < first).with_columns(known=pl.col("tx_datetime") + REPORTED)
    late = pl.DataFrame([row | {"known": stamp} for stamp, kind, row in log if kind == "report"])
    events, labels = table(pl.concat([past, mine], how="vertical_relaxed")), table(pl.concat([told, late]))
    columns: dict[str, pa.ChunkedArray] = {}
    for features in WINDOWS:
        found = compute(features, events, labels if features.reads_labels else None).sort_by("transaction_id")
        columns |= {name: found.column(name) for name in features.names}
        ids = found.column("transaction_id").to_pylist()
    different = 0
    for place, column in enumerate(columns.values()):
        batch = column.to_pylist()
        different += sum(repr(decided[id][place]) != repr(value) for id, value in zip(ids, batch, strict=True))
    assert len(ids) == len(decided)
    return {"payments": len(ids), "values": len(ids) * len(columns), "different": different}


def table(frame: pl.DataFrame) -> pa.Table:
    columns = {name: frame[name].to_arrow() for name in ("transaction_id", "customer_id", "terminal_id", "tx_amount")}
    columns |= {
        name: frame[of].to_arrow().cast(INSTANT) for name, of in (("tx_datetime", "tx_datetime"), ("known_at", "known"))
    }
    columns |= {"superseded_at": pa.nulls(len(frame), INSTANT), "is_fraud": frame["is_fraud"].to_arrow()}
    if "decided" in frame.columns:
        columns["decided_at"] = frame["decided"].cast(pl.Int64).to_arrow().cast(INSTANT)
        columns["is_target"] = frame["decided"].is_not_null().to_arrow()
    return pa.table(columns)


def of_day(frame: pl.DataFrame, first: int) -> dict[str, Any]:
    """A whole day of all customers and terminals, decided payment by payment."""
    frame = since(frame, first)
    log = logged(frame, first, first + DAY)
    entities, seconds = loaded([frame] * 3, first), [time.process_time()]
    decided = played(entities, log)
    seconds.append(time.process_time())
    per_record = (seconds[1] - seconds[0]) / len(log) * 1e6
    return unlike(frame, first, log, decided) | {"records": len(log), "microseconds_per_record": round(per_record)}


def since(frame: pl.DataFrame, first: int) -> pl.DataFrame:
    """What the decisions of a day can reach, and the day."""
    back = max(features.history for features in WINDOWS) + timedelta(microseconds=REPORTED)
    return frame.filter(pl.col("tx_datetime").is_between(first - back // timedelta(microseconds=1), first + DAY))


class Warm:
    """Some customers and their terminals, with facts in place, and decisions about payments of theirs."""

    def __init__(self, frame: pl.DataFrame, first: int) -> None:
        frame = since(frame, first).filter(pl.col("tx_datetime") < first)
        customers = frame["customer_id"].unique().sort().head(CUSTOMERS)
        mine = pl.col("customer_id").is_in(customers.implode())
        terminals = frame.filter(mine)["terminal_id"].unique().sort().head(TERMINALS)
        theirs = pl.col("terminal_id").is_in(terminals.implode())
        self.rows = frame.filter(mine & theirs).rows(named=True)
        self.entities = loaded([frame.filter(mine), frame.filter(theirs), frame.filter(mine)], first)
        self.stamp, self.number = first, 10**12
        self.chance = random.Random(1)
        for row in self.rows:
            self.decide(row)

    def decide(self, row: dict[str, Any]) -> list[Any]:
        self.stamp, self.number = self.stamp + self.chance.randrange(1, 2_000_000), self.number + 1
        asked = Event(self.number, self.stamp - 500_000, row)
        return [value for one in self.entities for value in one.of(row).decide(asked, self.stamp)]

    def seconds(self) -> float:
        """Of the processor, for one decision on average."""
        rows = self.chance.choices(self.rows, k=DECISIONS)
        start = time.process_time()
        for row in rows:
            self.decide(row)
        return (time.process_time() - start) / DECISIONS


class Read:
    """What a decision costs that reads nightly features: a packed row of each entity out of SQLite, one call of ORT."""

    def __init__(self, folder: Path) -> None:
        self.names = [name for features in WINDOWS for name in features.names]
        self.database = sqlite3.connect(folder / "features.db")
        self.database.execute("create table features (entity text, key integer, row blob, primary key (entity, key))")
        width = 8 * len(self.names)
        rows = [(features.name, key, np.zeros(width // 8).tobytes()) for features in WINDOWS for key in range(5000)]
        self.database.executemany("insert into features values (?, ?, ?)", rows)
        self.session = session(_small_network(len(self.names)).model(self.names))
        self.chance = random.Random(2)

    def seconds(self) -> float:
        keys = [self.chance.randrange(5000) for _ in range(DECISIONS)]
        start = time.process_time()
        for key in keys:
            for features in WINDOWS[:2]:
                query = "select row from features where entity = ? and key = ?"
                [packed] = self.database.execute(query, (features.name, key)).fetchone()
                row = np.frombuffer(packed)
            self.session.run([OUTPUT], {INPUT: row.astype(np.float32)[None]})
        return (time.process_time() - start) / DECISIONS


def _small_network(width: int) -> Graph:
    """width -> 16 -> 1 with ReLU, random weights."""
    rng, graph = np.random.default_rng(0), Graph()
    first = graph.constant("w1", rng.normal(size=(width, 16)).astype(np.float32) / 4)
    hidden = graph.node("Relu", graph.node("MatMul", INPUT, first))
    second = graph.constant("w2", rng.normal(size=(16, 1)).astype(np.float32) / 4)
    scores = graph.node("Sigmoid", graph.node("MatMul", hidden, second))
    graph.node("Squeeze", scores, graph.constant("axis", np.array([1])), name=OUTPUT)
    return graph


def hot(facts: int) -> Callable[[], float]:
    """Seconds of a decision at one terminal with so many facts in its window."""
    held, step = EntityFacts(Plan.of(TERMINAL_WINDOWS, EVENTS, LABELS)), 30 * DAY // facts
    values = {"terminal_id": 1, "tx_amount": 12.34, "is_fraud": True}
    rows = (Event(n, n * step, values | {"customer_id": n % 5000}) for n in range(facts))
    held.load("events", ((row, row.happened, None) for row in rows))
    stamps = iter(range(30 * DAY, 60 * DAY, max(step, 1)))

    def seconds() -> float:
        start = time.process_time()
        for _ in range(500):
            stamp = next(stamps)
            held.decide(Event(stamp, stamp - 5, values | {"customer_id": stamp % 5000}), stamp)
        return (time.process_time() - start) / 500

    seconds()
    return seconds


def memory(frame: pl.DataFrame, first: int) -> dict[str, float]:
    """Bytes per fact of some customers, their terminals and pairs: facts alone, and with all that makes them quick."""
    tracemalloc.start()
    warm = Warm(frame, first)
    held = [facts for one in warm.entities for facts in one.facts.values()]
    facts = sum(map(len, held))
    gc.collect()
    quick = tracemalloc.get_traced_memory()[0]
    for each in held:
        each.cool()
    gc.collect()
    cool = tracemalloc.get_traced_memory()[0]
    del held
    warm.entities.clear()
    gc.collect()
    rest = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return {"facts": facts, "warm": round((quick - rest) / facts, 1), "cool": round((cool - rest) / facts, 1)}


def measured(frame: pl.DataFrame, first: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        warm, read = Warm(frame, first), Read(Path(folder))
        few, many = hot(10_000), hot(1_000_000)
        # As a service does once it is ready: what is there is not looked through again.
        gc.freeze()
        rounds = [(warm.seconds(), read.seconds(), few(), many()) for _ in range(3)]
    return {
        "microseconds": spread((one[0] * 1e6 for one in rounds), 1),
        "of_read_and_model": spread(one[0] / one[1] for one in rounds),
        "million_facts_of_ten_thousand": spread(one[3] / one[2] for one in rounds),
        "bytes_per_fact": memory(frame, first),
        "day": of_day(frame, first),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path)
    data = parser.parse_args().data
    with tempfile.TemporaryDirectory() as made:
        events = payments(data or simulated(Path(made))["transactions"])
    latest: Any = events["tx_datetime"].max()
    report = measured(events, latest // DAY * DAY - 20 * DAY)
    REPORT.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))
