"""Nights that bring to the tables of a decided world what they bring to marts: events, corrections, reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from worlds.decided_world import Row, World

from jobs.decisions.log_contents import EventCame
from jobs.lakehouse.tables import attach
from jobs.use_cases.fraud import FRAUD

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OF_EVENTS = ("customer_id", "terminal_id", "tx_datetime")


@dataclass
class NightlyLoads:
    """The rows of both tables, and the loads that changed them."""

    world: World
    events: list[Row] = field(default_factory=list)
    labels: list[Row] = field(default_factory=list)
    loads: int = 1
    ids: int = 2_000_000

    def __post_init__(self) -> None:
        house = attach(self.world.settings)
        order = [(FRAUD.event_id, "ascending"), ("known_at", "ascending")]
        tables = [house.to_arrow(table).sort_by(order) for table in (FRAUD.events, FRAUD.labels)]
        self.events, self.labels = (table.to_pylist() for table in tables)

    @property
    def now(self) -> datetime:
        return _EPOCH + timedelta(microseconds=self.world.now)

    def night(self, decided: Mapping[int, tuple[int, EventCame]], count: int = 12) -> None:
        """A load of everything that can come.

        Args:
            decided: stamps and events of the log, by id: some of them come by the file, a few with other content.
        """
        self.loads += 1
        chance = self.world.chance
        for _ in range(count):
            self.event(known=self.now + timedelta(hours=chance.choice([-5, -1, -1, 3])))
        for id in [id for id in decided if all(row["transaction_id"] != id for row in self.events)]:
            if chance.random() < 0.7:
                self.decided(id, *decided[id], is_same=chance.random() < 0.7)
        for row in chance.sample(self._standing(self.events), count):
            self.correct(row)
        for row in chance.sample(self._standing(self.labels), count):
            self.contradict(row, is_withdrawn=chance.random() < 0.4)
        for row in chance.sample(self._standing(self.events), count):
            self.report(row)
        self.write()

    def event(self, id: int | None = None, known: datetime | None = None, **given: Any) -> Row:
        """A payment of the last day or month."""
        self.ids += 1
        at = self.now - timedelta(days=self.world.chance.choice([0.1, 0.5, 25]))
        row = self.world.event(self.ids if id is None else id, at)
        row |= {"known_at": max(known or row["known_at"], at)} | given
        return self.add(self.events, row)

    def decided(self, id: int, stamp: int, came: EventCame, *, is_same: bool = True) -> None:
        """A payment that was decided online, as the file of the night has it."""
        at = _EPOCH + timedelta(microseconds=came.time(stamp))
        if abs(at - self.now) < timedelta(days=1000):
            day = {"tx_datetime": at, "first_event_date": at.date(), "event_date": at.date()}
            values = {**came.values, "tx_amount": came.values["tx_amount"] + (0 if is_same else 1)}
            self.event(id, at, **day, **values)

    def correct(self, row: Row) -> None:
        """A further version of a payment: another amount, time, customer or terminal."""
        chance, known = self.world.chance, self._after(row)
        if known is not None:
            other = self.world.event(row["transaction_id"], row["tx_datetime"] - timedelta(hours=chance.choice([0, 2])))
            self.version(row, known, **{name: other[name] for name in (*_OF_EVENTS, "tx_amount", "event_date")})

    def version(self, row: Row, known: datetime, **values: Any) -> None:
        """A further version of a payment that is known from a moment on; from then on its labels are of it."""
        self._end(row, known)
        version = {"known_at": known, "version": row["version"] + 1, "superseded_at": None}
        made = self.add(self.events, row | version | values)
        place = {name: made[name] for name in _OF_EVENTS}
        for label in [each for each in self.labels if each["transaction_id"] == row["transaction_id"]]:
            if label["known_at"] >= known:
                label.update(place | {"loaded_in": self.loads})
            elif label["superseded_at"] is None or label["superseded_at"] > known:
                self.add(self.labels, label | place | {"known_at": known})
                self._end(label, known)

    def report(self, event: Row) -> None:
        """What became of a payment, unless that was reported."""
        if all(each["transaction_id"] != event["transaction_id"] for each in self.labels):
            chance = self.world.chance
            hours = chance.choice([-3, -0.1, 2])
            row = self.world.label(event) | {"known_at": max(event["tx_datetime"], self.now + timedelta(hours=hours))}
            self.add(self.labels, row)

    def contradict(self, row: Row, *, is_withdrawn: bool) -> None:
        """A report turns out to be wrong."""
        known = self._after(row)
        if known is not None:
            self._end(row, known)
            if not is_withdrawn:
                self.add(self.labels, row | {"known_at": known, "is_fraud": not row["is_fraud"], "superseded_at": None})

    def write(self) -> None:
        """Let the tables hold all that."""
        self.world.put(self.events, self.labels)

    def _standing(self, rows: list[Row]) -> list[Row]:
        return [row for row in rows if row["superseded_at"] is None]

    def _after(self, row: Row) -> datetime | None:
        """A moment of the last hours, if the row was known by then."""
        known = self.now - timedelta(hours=self.world.chance.choice([0, 1, 8]))
        return known if row["known_at"] < known else None

    def _end(self, row: Row, known: datetime) -> None:
        row |= {"superseded_at": known, "loaded_in": self.loads}

    def add(self, rows: list[Row], row: Row) -> Row:
        """A row that this load brings."""
        made = row | {"loaded_in": self.loads}
        rows.append(made)
        return made
