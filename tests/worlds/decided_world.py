"""A home whose tables a test writes, and workers that decide on it as servers do; its clock is the test's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
from deltalake import write_deltalake
from worlds.marts import EVENT_SCHEMA, LABEL_SCHEMA

from jobs.decisions import opened
from jobs.decisions.decider import Decider
from jobs.decisions.log_contents import Decided
from jobs.decisions.outcome import Outcome
from jobs.decisions.scores import Scored
from jobs.decisions.started import Started
from jobs.lakehouse.tables import attach
from jobs.settings import Settings
from jobs.times import microseconds
from jobs.use_cases.fraud import FRAUD

START = datetime(2026, 5, 20, 12, tzinfo=UTC)
SECOND, DAY = 1_000_000, timedelta(days=1)
CUSTOMERS, TERMINALS = range(1, 6), range(100, 104)
Row = dict[str, Any]


class NoModel:
    """What tests of features need."""

    fallback: Any = None

    def __call__(self, rows: Sequence[list[Any]]) -> list[Scored]:
        return [Scored(Outcome(0.25, "approve"), "1", "0" * 64) for _ in rows]


score = NoModel()


@dataclass
class World:
    """A home with history, a clock, and a source of chances."""

    settings: Settings
    chance: Random = field(default_factory=lambda: Random(0))
    now: int = microseconds(START)
    ids: int = 10_000

    def clock(self) -> int:
        return self.now

    def write(self, events: int = 300, future: int = 20) -> None:
        """Tables of events up to the start, with corrections, labels, and some of both that are known only later."""
        made = [self.event(n, START - self.chance.random() * 70 * DAY) for n in range(events)]
        made += [self.event(events + n, START + self.chance.random() * DAY / 24) for n in range(future)]
        for row in self.chance.sample(made, events // 10):
            row["superseded_at"] = row["known_at"] + self.chance.random() * 80 * DAY
            other = self.event(row["transaction_id"], row["tx_datetime"])
            made.append(other | {"version": 2, "known_at": row["superseded_at"]})
        labels = [self.label(row) for row in made if row["version"] == 1 and self.chance.random() < 0.6]
        self.put(made, labels)

    def put(self, events: list[Row], labels: list[Row], mode: Any = "overwrite") -> None:
        house = attach(self.settings)
        for name, rows, schema in ((FRAUD.events, events, EVENT_SCHEMA), (FRAUD.labels, labels, LABEL_SCHEMA)):
            table = pa.Table.from_pylist(rows, schema=schema)
            write_deltalake(house.path(name), table, mode=mode, partition_by=["event_date"])

    def event(self, id: int, at: datetime) -> Row:
        draw = self.chance
        return {
            "transaction_id": id, "tx_datetime": at, "customer_id": draw.choice(CUSTOMERS),
            "terminal_id": draw.choice(TERMINALS), "tx_amount": draw.choice([0.0, 12.5, 99.99, draw.random() * 500]),
            "known_at": at + draw.choice([timedelta(0), timedelta(seconds=9)]), "version": 1, "superseded_at": None,
            "loaded_in": 1, "first_event_date": at.date(), "event_date": at.date(),
        }  # fmt: skip

    def label(self, event: Row) -> Row:
        names = ("transaction_id", "customer_id", "terminal_id", "tx_datetime", "event_date")
        known = event["tx_datetime"] + self.chance.choice([7 * DAY, self.chance.random() * 3 * DAY])
        more = {"is_fraud": self.chance.random() < 0.3, "known_at": known, "superseded_at": None, "loaded_in": 1}
        return {name: event[name] for name in names} | more

    def given(self, **given: Any) -> Row:
        """What a client sends."""
        self.ids += 1
        draw = self.chance
        body = {
            "transaction_id": self.ids, "customer_id": draw.choice([*CUSTOMERS, 77]),
            "terminal_id": draw.choice(TERMINALS), "tx_amount": draw.choice([0, 7.25, 1e9, draw.random() * 300]),
        }  # fmt: skip
        late = draw.choice([None, 0, 3 * SECOND, -SECOND, 40 * 86_400 * SECOND, -(10**15)])
        if late is not None:
            body["tx_datetime"] = (datetime.fromtimestamp(0, UTC) + timedelta(microseconds=self.now - late)).isoformat()
        return body | given


@contextmanager
def worker(world: World) -> Iterator[Decider]:
    """A worker as a server starts it."""
    decider = opened.open_decider(world.settings, FRAUD, world.clock)
    try:
        yield decider
    finally:
        decider.close()


@contextmanager
def server(world: World) -> Iterator[None]:
    """What a server does before its workers start."""
    with opened.lease(world.settings, FRAUD) as handle:
        opened.renew(world.settings, FRAUD, handle, world.clock)
        yield


def decide(decider: Decider, body: Row) -> Decided:
    """A decision from the request to the log."""
    started = decider.start(decider.schema.read(body))
    if isinstance(started, Started):
        return decider.finish(started, score)
    assert started is not None
    return started


def made(home: Settings | Path, seed: int = 0, **history: int) -> World:
    """A world with tables."""
    world = World(home if isinstance(home, Settings) else Settings(home=home), Random(seed))
    world.write(**history)
    return world
