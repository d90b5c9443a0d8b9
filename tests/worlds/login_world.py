"""A bank that counts logins of its customers, which are no payments: tables, workers, and what clients tell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pyarrow as pa
from deltalake import write_deltalake
from worlds import profiled_world
from worlds.decided_world import score
from worlds.profiled_world import BANK, DAY, HOUR, START, TIME, Row, payment

from jobs.decisions import base_tables, consistency, log_contents, opened
from jobs.decisions.decider import Decider
from jobs.decisions.log_contents import Decided, FactCame, FactGone
from jobs.decisions.started import Started
from jobs.lakehouse.tables import attach
from jobs.settings import Settings
from jobs.times import microseconds, moment_of
from jobs.use_case import Column, Source
from jobs.window_lengths import Last
from jobs.windows import Aggregate, Ratio, WindowFeatures

LOGINS = Source(
    "logins",
    (
        Column("login_id", "string"),
        Column("logged_in_at", "timestamp"),
        Column("customer_id", "identifier", nullable=True),
        Column("failures", "integer", nullable=True),
        Column("seconds", "number"),
        Column("country", "category", nullable=True),
        Column("browser", "category", nullable=True),
    ),
    key=("login_id",),
    event_time="logged_in_at",
    deletions=True,
)
WINDOWS = WindowFeatures(
    "logins_of_customers", "customer_id", "payment_id", "paid_at",
    (
        Aggregate("count", windows=(HOUR, 3 * DAY), name="logins"),
        Aggregate("max", "failures", (DAY, Last(2, 3 * DAY))),
        Aggregate("mean", "seconds", (DAY,), HOUR),
        Aggregate("distinct", "country", (3 * DAY,)),
        Aggregate("last_age", windows=(3 * DAY,), where=("country", "at"), name="austria"),
        Aggregate("max", "to_usual", (DAY,)),
    ),
    ratios=(Ratio("to_usual", "seconds", Aggregate("mean", "seconds", (3 * DAY,))),),
    facts="logins",
)  # fmt: skip
SHOP = replace(
    BANK, name="logins_bank", events="logins_bank.payments", labels="logins_bank.reports",
    sources=(*BANK.sources, LOGINS), windows=(*BANK.windows, WINDOWS), profiles=(), feature_service="logins_bank",
)  # fmt: skip
MART = "logins_bank.logins"
SCHEMA = pa.schema(
    {"login_id": pa.string(), "logged_in_at": TIME, "customer_id": pa.int64(), "failures": pa.int64(),
     "seconds": pa.float64(), "country": pa.string(), "browser": pa.string(), "known_at": TIME, "superseded_at": TIME,
     "loaded_in": pa.int64(), "version": pa.int64(), "event_date": pa.date32()}
)  # fmt: skip
CUSTOMERS = (0, 1, 2, 7)


@dataclass
class World:
    """A home with payments and logins, a clock, and a source of chances."""

    settings: Settings
    chance: Random
    now: datetime = START + 6 * DAY
    rows: list[Row] = field(default_factory=list)
    """Versions of logins that tables have."""
    loads: int = 1
    ids: int = 1000
    shipped: int = 0
    """Stamp up to which tables have what clients told."""

    def clock(self) -> int:
        return microseconds(self.now)

    def write(self) -> None:
        house = attach(self.settings)
        if not house.exists(SHOP.events):
            payments = [payment(n, START + n * 3 * HOUR, self.chance.choice(CUSTOMERS)) for n in range(40)]
            reports = [profiled_world.report(row["payment_id"], row["paid_at"], row["customer_id"]) for row in payments]
            self._put(SHOP.events, payments, profiled_world.EVENTS)
            self._put(SHOP.labels, reports, profiled_world.LABELS)
        self._put(MART, self.rows, SCHEMA)

    def login(self, known_at: datetime, late: timedelta | None = None) -> None:
        """A login that a file brings."""
        number, late = len(self.rows), self.chance.choice([timedelta(0), HOUR, DAY, -HOUR]) if late is None else late
        known_at += timedelta(microseconds=number)
        self._version(f"f{number}", known_at - late, known_at, self.values())

    def correct(self, known_at: datetime) -> None:
        """A file has another version of a login, or one less."""
        held = [row for row in self.rows if row["superseded_at"] is None and row["known_at"] < known_at]
        if held:
            old = self.chance.choice(held)
            self._end(old["login_id"], known_at)
            if self.chance.random() < 0.7:
                self._version(old["login_id"], old["logged_in_at"], known_at, self.values())

    def values(self) -> Row:
        draw = self.chance
        return {
            "customer_id": draw.choice([*CUSTOMERS, None]), "failures": draw.choice([0, 1, 5, None]),
            "seconds": draw.choice([1.5, 1e9, 0.01, draw.random()]), "country": draw.choice(["at", "de", None]),
        }  # fmt: skip

    def ship(self, decider: Decider) -> None:
        """Let tables have what clients told of logins, as the lakehouse gets it from the log."""
        decider.catch_up()
        for record in decider.log.records():
            content = log_contents.decode(record.content)
            if record.stamp <= self.shipped or getattr(content, "known", 1) is not None:
                continue
            self.shipped = record.stamp
            if isinstance(content, FactCame):
                known = moment_of(record.stamp)
                self._end(content.id, known)
                self._version(content.id, moment_of(content.happened), known, content.values)
            elif isinstance(content, FactGone):
                self._end(content.id, moment_of(record.stamp))

    def decide(self, decider: Decider, customer: int | None) -> dict[str, Any]:
        """The features of logins of a payment now."""
        self.ids += 1
        self.now += self.chance.choice([timedelta(microseconds=1), timedelta(seconds=1), HOUR])
        late = self.chance.choice([None, timedelta(0), 2 * DAY])
        given: Row = {"payment_id": self.ids, "customer_id": customer, "amount": 5.0}
        given |= {} if late is None else {"paid_at": (self.now - late).isoformat()}
        started = decider.start(decider.schema.read({k: v for k, v in given.items() if v is not None}))
        assert isinstance(started, Started)
        decided: Decided = decider.finish(started, score)
        values = dict(zip(decider.rows.computed, decided.features, strict=True))
        return {name: values[name] for name in WINDOWS.names}

    def _version(self, id: str, happened: datetime, known_at: datetime, values: Row) -> None:
        version = 1 + sum(row["login_id"] == id for row in self.rows)
        self.rows.append({
            "login_id": id, "logged_in_at": happened, **values, "browser": "x", "known_at": known_at,
            "superseded_at": None, "loaded_in": self.loads, "version": version, "event_date": happened.date(),
        })  # fmt: skip

    def _end(self, id: str, known_at: datetime) -> None:
        for row in self.rows:
            if row["login_id"] == id and row["superseded_at"] is None:
                row |= {"superseded_at": known_at, "loaded_in": self.loads}

    def _put(self, table: str, rows: list[Row], schema: pa.Schema) -> None:
        path = attach(self.settings).path(table)
        write_deltalake(path, pa.Table.from_pylist(rows, schema=schema), mode="overwrite", partition_by=["event_date"])


def made(home: Settings, seed: int) -> World:
    world = World(home, Random(seed))
    for _ in range(30):
        world.login(START + world.chance.random() * 6 * DAY)
    for _ in range(6):
        world.login(world.now + world.chance.random() * DAY)  # known later than the base
    for _ in range(5):
        world.correct(START + (4 + world.chance.random() * 3) * DAY)
    world.write()
    return world


@contextmanager
def served(world: World) -> Iterator[Decider]:
    """A worker of a server that stands on the tables as they are now."""
    with opened.lease(world.settings, SHOP) as handle:
        opened.renew(world.settings, SHOP, handle, world.clock)
        decider = opened.open_decider(world.settings, SHOP, world.clock)
        try:
            yield decider
        finally:
            decider.close()


def differences(world: World) -> list[consistency.Difference]:
    with opened.log_of(world.settings, SHOP, world.clock) as log:
        base, _ = opened.last_base(log)
        assert base is not None
        house = attach(world.settings)
        found = consistency.compare(house, base_tables.feature_row(house, SHOP, base.tables), base, log.records())
    assert found.decisions and not found.undecided and found.cells > 10 * found.decisions / 2
    return found.examples
