"""Hostile histories of two entities as an ordered log has them, played to single entities and told as tables."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pyarrow as pa

from jobs.features.window_kernel import compute
from jobs.online import many_entities
from jobs.online.column_type import ColumnType
from jobs.online.entity_facts import GRACE, EntityFacts
from jobs.online.plan import Event, Plan
from jobs.windows import WindowFeatures

Row = dict[str, Any]
INSTANT = pa.timestamp("us", "UTC")
EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
START = 1_767_225_600_000_000
SECOND = 1_000_000
ENTITIES = (1, 2)
AMOUNTS = (0.0, -0.0, 1e9, 1e9 + 0.01, 0.01, 0.1, 1e15, -1e12, 1e-9, 123_456_789.01, -5e-324, 12.5)
EVENTS = {
    "amount": ColumnType("float64"),
    "price": ColumnType("float64", nullable=False),
    "pieces": ColumnType("int64"),
    "kind": ColumnType("string"),
    "place": ColumnType("int64"),
    "online": ColumnType("bool"),
}
LABELS = {"is_fraud": ColumnType("bool")}
ARROW = {"float64": pa.float64(), "int64": pa.int64(), "bool": pa.bool_(), "string": pa.string()}


@dataclass
class History:
    """Draws what happens, plays it, and keeps it as rows of tables."""

    features: WindowFeatures
    chance: Random
    id_type: ColumnType
    events: list[Row] = field(default_factory=list)
    labels: list[Row] = field(default_factory=list)
    decided: dict[Any, list[Any]] = field(default_factory=dict)
    stamp: int = START + 5 * SECOND
    ahead: int = 10**15
    """How far in the future the worst clock of a client is."""
    amounts: tuple[float, ...] = AMOUNTS

    def __post_init__(self) -> None:
        self.plan = Plan.of(self.features, EVENTS | {"id": self.id_type}, LABELS)
        self.entities = {entity: _Twins(self.plan, self.chance) for entity in ENTITIES}
        self._ids = 0
        self._nulls = self.chance.choice([0.0, 0.05, 1.0])
        """Share of facts that may have nulls: none, few that come among others, or any."""

    def play(self, files: int, steps: int) -> None:
        """Facts of files first, then what the log brings, one behind the other."""
        for _ in range(self.chance.randint(0, files)):
            self._file_event()
        if self.chance.random() < 0.5:
            self._load()
        kinds: list[Callable[[], None]] = (
            [self._decide] * 6 + [self._decide_many] + [self._label] * 3 + [self._correct, self._withdraw]
        )
        for _ in range(steps):
            # Now and then nothing but a microsecond passes, or an hour in which everything leaves.
            self.stamp += self.chance.choice([1, 1, SECOND // 3, SECOND, 2 * SECOND, 9 * SECOND])
            self.chance.choice([*kinds, self._cool])()

    def check(self) -> None:
        """Every decision is what the batch kernel makes of all rows, to the last bit."""
        found = compute(self.features, self._table(self.events, EVENTS), self._table(self.labels, LABELS)).to_pylist()
        batch = {row["id"]: [row[name] for name in self.features.names] for row in found}
        for id, values in self.decided.items():
            for name, mine, its in zip(self.features.names, values, batch[id], strict=True):
                assert bits(mine) == bits(its), f"{name} of {id}: the kernel has {its!r}, the plan {mine!r}"

    def _decide(self) -> None:
        late = self.chance.choice([0, 0, 1, SECOND, 3 * SECOND, 30 * SECOND, -SECOND, -self.ahead])
        event, entity = Event(self._id(), self.stamp - late, self._values()), self.chance.choice(ENTITIES)
        self.decided[event.id] = self.entities[entity].decide(event, self.stamp)
        self._note(self.events, event, entity, decided_at=moment(self.stamp), is_target=True)
        if self.chance.random() < 0.3:
            self._ask_again(entity)

    def _decide_many(self) -> None:
        """Several one behind the other, of which the batch kernel finds the features at once, and one by one."""
        alone: dict[Any, list[Any]] = {}
        for twins in self.entities.values():
            twins.last.cool()
        for _ in range(self.chance.randint(1, 5)):
            late = self.chance.choice([0, 1, SECOND, -SECOND])
            event, entity = Event(self._id(), self.stamp - late, self._values()), self.chance.choice(ENTITIES)
            alone[event.id] = self.entities[entity].decide(event, self.stamp, shuffled=False)
            self._note(self.events, event, entity, decided_at=moment(self.stamp), is_target=True)
            self.stamp += self.chance.choice([1, SECOND])
        follow = [twins.last for twins in self.entities.values()]
        found = many_entities.of_followed(self.plan, follow, alone.keys())
        assert {id: list(map(bits, row)) for id, row in found.items()} == {
            id: list(map(bits, row)) for id, row in alone.items()
        }
        self.decided |= found

    def _ask_again(self, entity: int) -> None:
        """What was decided is found again, whatever came since."""
        mine = [row for row in self.events[-200:] if row["entity"] == entity and row["decided_at"]]
        row = self.chance.choice([row for row in mine if micros(row["decided_at"]) > self.stamp - GRACE])
        again, decided = self.entities[entity].again(row["id"]), self.decided[row["id"]]
        assert list(map(bits, again)) == list(map(bits, decided)), row["id"]

    def _file_event(self) -> None:
        happened = START + self.chance.randint(0, 10) * SECOND // 2
        event, entity = Event(self._id(), happened, self._values()), self.chance.choice(ENTITIES)
        known = happened + self.chance.choice([0, 0, SECOND, 12 * SECOND])
        self.entities[entity].add_event(event, known, is_target=True)
        self._note(self.events, event, entity, known, decided_at=None, is_target=True)

    def _load(self) -> None:
        """The same facts, and reports about some, at once into entities that are new."""
        for entity in ENTITIES:
            facts = self.entities[entity] = _Twins(self.plan, self.chance)
            mine = [row for row in self.events if row["entity"] == entity]
            facts.load("events", [(_event(row), micros(row["known_at"]), None) for row in mine])
            reports = []
            for row in self.chance.sample(mine, len(mine) // 2):
                label = Event(row["id"], micros(row["happened"]), {"is_fraud": self.chance.choice([True, False])})
                first, then = sorted(self.chance.sample(range(START, START + 12 * SECOND), 2))
                reports += [(label, first, then), (label, then, None)]
                for known, gone in ((first, then), (then, None)):
                    self._note(self.labels, label, entity, known)
                    self.labels[-1]["superseded_at"] = gone if gone is None else moment(gone)
            facts.load("labels", self.chance.sample(reports, len(reports)))

    def _correct(self) -> None:
        if old := self._current(self.events):
            old["superseded_at"] = moment(self.stamp)
            entity = self.chance.choice([old["entity"], *ENTITIES])
            if entity != old["entity"]:
                self.entities[old["entity"]].withdraw("events", old["id"], self.stamp)
            happened = micros(old["happened"]) - self.chance.choice([0, 0, SECOND, -2 * SECOND])
            event = Event(old["id"], happened, self._values())
            self.entities[entity].add_event(event, self.stamp)
            self._note(self.events, event, entity, decided_at=None, is_target=False)

    def _label(self) -> None:
        """Of an event that is there, or of the next one that will be, which nobody has seen yet."""
        old = self._current(self.events)
        if old is None or self.chance.random() < 0.2:
            old = {
                "id": self._name(self._ids + 1),
                "entity": self.chance.choice(ENTITIES),
                "happened": moment(self.stamp),
            }
        replaced = [row for row in self.labels if row["id"] == old["id"] and row["superseded_at"] is None]
        if replaced and replaced[0]["entity"] != old["entity"]:
            self.entities[replaced[0]["entity"]].withdraw("labels", old["id"], self.stamp)
        for row in replaced:
            row["superseded_at"] = moment(self.stamp)
        label = Event(
            old["id"], micros(old["happened"]), {"is_fraud": self.chance.choice([True, False, *self._null()])}
        )
        self.entities[old["entity"]].add_label(label, self.stamp)
        self._note(self.labels, label, old["entity"])
        self.stamp += 1

    def _withdraw(self) -> None:
        of = self.chance.choice(["events", "labels", "labels"])
        if old := self._current(self.events if of == "events" else self.labels):
            old["superseded_at"] = moment(self.stamp)
            self.entities[old["entity"]].withdraw(of, old["id"], self.stamp)

    def _cool(self) -> None:
        self.entities[self.chance.choice(ENTITIES)].cool()

    def _current(self, rows: list[Row]) -> Row | None:
        held = [row for row in rows[-30:] if row["superseded_at"] is None]
        return self.chance.choice(held) if held else None

    def _note(self, rows: list[Row], event: Event, entity: int, known: int | None = None, **more: Any) -> None:
        times = {"happened": event.happened, "known_at": self.stamp if known is None else known}
        fact = {name: moment(time) for name, time in times.items()} | {"id": event.id, "entity": entity}
        rows.append(fact | {"superseded_at": None} | dict(event.values) | more)

    def _id(self) -> Any:
        self._ids += 1
        return self._name(self._ids)

    def _name(self, number: int) -> Any:
        # Neighbours that are one double, in no order of time.
        return f"é{number * 7 % 5}-{number}" if self.id_type.kind == "string" else 2**53 + number * (-1) ** number

    def _values(self) -> Row:
        draw, null = self.chance, self._null()
        cents = draw.randint(-500, 50_000) / 100
        return {
            "amount": draw.choice([cents, cents, draw.choice(self.amounts), *null]),
            "price": draw.choice([abs(cents), 1e9, 0.01]),
            "pieces": draw.choice([*null, 0, 3, -7, 2**53]),
            "kind": draw.choice(["web", "shop", "", *null]),
            "place": draw.choice([2**53, 2**53 + 1, -(2**63), 2**63 - 1, *null]),
            "online": draw.choice([True, True, False, *null]),
        }

    def _null(self) -> list[None]:
        """What a fact draws its values from besides."""
        return [None] if self.chance.random() < self._nulls else []

    def _table(self, rows: list[Row], types: dict[str, ColumnType]) -> pa.Table:
        fields = [("id", ARROW[self.id_type.kind]), ("entity", pa.int64())]
        fields += [(name, INSTANT) for name in ("happened", "known_at", "superseded_at", "decided_at")]
        fields += [("is_target", pa.bool_()), *((name, ARROW[type.kind]) for name, type in types.items())]
        return pa.Table.from_pylist(rows, schema=pa.schema(fields))


class _Twins:
    """One entity as two workers have it: either decides an event, and the other follows."""

    def __init__(self, plan: Plan, chance: Random) -> None:
        self._twins, self._chance = [EntityFacts(plan), EntityFacts(plan)], chance

    def __len__(self) -> int:
        return max(map(len, self._twins))

    @property
    def last(self) -> EntityFacts:
        return self._twins[-1]

    def decide(self, event: Event, moment: int, *, shuffled: bool = True) -> list[Any]:
        if shuffled:
            self._chance.shuffle(self._twins)
        decides, follows = self._twins
        found = decides.begin(event, moment)
        follows.follow(event, moment)
        return found if isinstance(found, list) else found()

    def again(self, id: Any) -> list[Any]:
        return self._chance.choice(self._twins).again(id)()

    def load(self, of: str, facts: list[tuple[Event, int, int | None]]) -> None:
        for twin in self._twins:
            twin.load(of, facts)

    def add_event(self, event: Event, known: int, *, is_target: bool = False) -> None:
        for twin in self._twins:
            twin.add_event(event, known, is_target=is_target)

    def add_label(self, label: Event, known: int) -> None:
        for twin in self._twins:
            twin.add_label(label, known)

    def withdraw(self, of: str, id: Any, known: int) -> None:
        for twin in self._twins:
            twin.withdraw(of, id, known)

    def cool(self) -> None:
        self._chance.choice(self._twins).cool()


def _event(row: Row) -> Event:
    return Event(row["id"], micros(row["happened"]), {name: row[name] for name in EVENTS})


def moment(stamp: int) -> datetime:
    return EPOCH + stamp * MICROSECOND


def micros(time: datetime) -> int:
    return (time - EPOCH) // MICROSECOND


def bits(value: float | int | None) -> Any:
    """A value as it is compared: doubles by all their bits, and apart from integers."""
    return value.hex() if isinstance(value, float) else value
