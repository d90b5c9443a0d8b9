"""Features of facts of another source at the moments of targets, against the batch kernel, to the last bit."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.examples import with_examples
from worlds.logged_histories import ARROW, ENTITIES, EVENTS, INSTANT, SECOND, START, Row, bits, moment

from jobs.features.window_kernel import compute
from jobs.online.column_type import ColumnType
from jobs.online.entity_facts import GRACE, EntityFacts
from jobs.online.fast_path import FastPath
from jobs.online.plan import Event, Plan
from jobs.online.scanning import prepared
from jobs.window_lengths import BEFORE, Last, Trend
from jobs.windows import FACT_ID, Aggregate, Ratio, WindowFeatures

pytestmark = pytest.mark.embedded

S = timedelta(seconds=1)
WINDOWS = (2 * S, 20 * S, Last(1, 5 * S), Last(3, 20 * S), Trend(2 * S, 20 * S))
DELAYS = (timedelta(0), BEFORE, S)
FUNCTIONS: tuple[Any, ...] = ("sum", "mean", "std", "min", "max", "distinct")
FEATURES = WindowFeatures(
    "logins_of_customers", "entity", "payment_id", "happened",
    (
        *(Aggregate("count", windows=WINDOWS, delay=delay) for delay in DELAYS),
        *(Aggregate(function, "amount", WINDOWS, delay) for function in FUNCTIONS for delay in DELAYS),
        Aggregate("percentile", "amount", WINDOWS[:4], percentile=0.9),
        *(Aggregate(function, windows=WINDOWS[:4], where=("pieces", ">", 0), name=function)  # type: ignore[arg-type]
          for function in ("last_age", "first_age", "count")),
        *(Aggregate(function, "online", WINDOWS[:2]) for function in ("streak", "streak_age")),  # type: ignore[arg-type]
        Aggregate("max", "to_mean", (20 * S,), BEFORE),
        Aggregate("std", "to_mean", (20 * S,)),
    ),
    ratios=(Ratio("to_mean", "amount", Aggregate("mean", "amount", (5 * S,))),),
    facts="logins",
)  # fmt: skip
WITHOUT_RATIOS = replace(FEATURES, aggregates=FEATURES.aggregates[:-2], ratios=())
OF_TEXTS = replace(
    FEATURES, aggregates=(Aggregate("distinct", "kind", WINDOWS), Aggregate("count", where=("kind", "web"))), ratios=()
)


@dataclass
class History:
    """Facts of two entities that come, are corrected and withdrawn, and moments at which targets ask for them."""

    features: WindowFeatures
    chance: Random
    kind: Any
    facts: list[Row] = field(default_factory=list)
    found: list[tuple[int, int, list[Any]]] = field(default_factory=list)
    """Entity, moment, and features."""
    stamp: int = START

    def __post_init__(self) -> None:
        plan = Plan.of(self.features, EVENTS | {FACT_ID: ColumnType(self.kind, nullable=False)})
        self.entities = {each: EntityFacts(plan) for each in ENTITIES}
        self.has_nulls = self.chance.random() < 0.5

    def play(self, steps: int) -> None:
        for _ in range(steps):
            self.stamp += self.chance.choice([1, SECOND // 3, SECOND, 2 * SECOND, 9 * SECOND])
            self.chance.choice([self.ask, self.ask, self.come, self.come, self.correct, self.withdraw])()

    def ask(self) -> None:
        entity = self.chance.choice(ENTITIES)
        self.found.append((entity, self.stamp, self.at(entity, self.stamp)))
        lately = [each for each in self.found[-200:] if each[1] > self.stamp - GRACE]
        entity, moment, before = self.chance.choice(lately)
        assert list(map(bits, self.at(entity, moment))) == list(map(bits, before)), "asked again, it is the same"

    def at(self, entity: int, moment: int) -> list[Any]:
        found = self.entities[entity].at(moment)
        return found if isinstance(found, list) else found()

    def come(self) -> None:
        number = len(self.facts) * 7 % 101 + 1000 * len(self.facts)
        late = self.chance.choice([0, 0, SECOND, 3 * SECOND, -2 * SECOND])
        self._put(str(number) if self.kind == "string" else number, self.chance.choice(ENTITIES), late)

    def correct(self) -> None:
        if old := self._ended():
            entity = self.chance.choice(ENTITIES)
            if entity != old["entity"]:
                self.entities[old["entity"]].withdraw("events", old[FACT_ID], self.stamp)
            self._put(old[FACT_ID], entity, self.chance.choice([0, SECOND]))

    def withdraw(self) -> None:
        if old := self._ended():
            self.entities[old["entity"]].withdraw("events", old[FACT_ID], self.stamp)

    def check(self) -> None:
        fields = [(FACT_ID, ARROW[self.kind]), ("entity", pa.int64())]
        fields += [(name, INSTANT) for name in ("happened", "known_at", "superseded_at")]
        fields += [(name, ARROW[type.kind]) for name, type in EVENTS.items()]
        facts = pa.Table.from_pylist(self.facts, schema=pa.schema(fields))
        targets = pa.table({
            "payment_id": range(len(self.found)), "entity": [entity for entity, _, _ in self.found],
            "happened": pa.array([stamp for _, stamp, _ in self.found]).cast(INSTANT),
            "known_at": pa.array([stamp for _, stamp, _ in self.found]).cast(INSTANT),
            "superseded_at": pa.nulls(len(self.found), INSTANT), "is_target": [True] * len(self.found),
        })  # fmt: skip
        batch = {row["payment_id"]: row for row in compute(self.features, targets, None, facts).to_pylist()}
        for number, (_, _, mine) in enumerate(self.found):
            its = [batch[number][name] for name in self.features.names]
            assert list(map(bits, mine)) == list(map(bits, its)), number

    def _put(self, id: Any, entity: int, late: int) -> None:
        event = Event(id, self.stamp - late, self._values())
        self.entities[entity].add_event(event, self.stamp)
        times = {"happened": moment(event.happened), "known_at": moment(self.stamp), "superseded_at": None}
        self.facts.append({FACT_ID: id, "entity": entity} | times | dict(event.values))

    def _ended(self) -> Row | None:
        held = [row for row in self.facts[-10:] if row["superseded_at"] is None]
        old = self.chance.choice(held) if held else None
        if old is not None:
            old["superseded_at"] = moment(self.stamp)
        return old

    def _values(self) -> Row:
        draw, null = self.chance, [None] if self.has_nulls else []
        return {
            "amount": draw.choice([draw.randint(-500, 50_000) / 100, 1e9, 0.01, -0.0, *null]),
            "price": 1.0,
            "pieces": draw.choice([0, 3, -7, *null]),
            "kind": draw.choice(["web", "shop", "", *null]),
            "place": 7,
            "online": draw.choice([True, True, False, *null]),
        }


@pytest.fixture(autouse=True, scope="module")
def kernel() -> None:
    prepared.prepare()


@pytest.mark.parametrize("features", [FEATURES, WITHOUT_RATIOS, OF_TEXTS], ids=["numbers", "no ratios", "texts"])
@pytest.mark.parametrize("is_scanned", [True, False], ids=["scanned", "in series"])
@given(seed=st.integers(0, 2**32), kind=st.sampled_from(["int64", "string"]))
@with_examples(6)
def test_what_targets_find_equals_the_batch_kernel(
    features: WindowFeatures, is_scanned: bool, seed: int, kind: Any
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        if not is_scanned:
            patched.setattr(prepared, "kernel", lambda: None)
        history = History(features, Random(seed), kind)
        history.play(40)
    history.check()


def test_few_facts_are_scanned_and_what_stands_for_the_target_leaves_nothing_behind() -> None:
    history = History(FEATURES, Random(3), "int64")
    history.has_nulls = False
    for _ in range(20):
        history.stamp += SECOND
        history.come()
    facts = history.entities[1]
    before, found = facts.counts(), facts.at(history.stamp + 1)
    assert isinstance(found, list) and facts.counts() == before
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(FastPath, "at", lambda *_: pytest.fail("it was not scanned"))
        assert facts.at(history.stamp + 1) == found


def test_of_nothing_the_features_are_those_of_empty_windows() -> None:
    plan = Plan.of(FEATURES, EVENTS | {FACT_ID: ColumnType("int64", nullable=False)})
    found = EntityFacts(plan).at(START)
    assert isinstance(found, list)
    history = History(FEATURES, Random(0), "int64")
    history.found.append((1, START, found))
    history.check()


def test_facts_that_no_target_reaches_any_more_are_dropped() -> None:
    few = replace(FEATURES, aggregates=(Aggregate("count", windows=(2 * S,)),), ratios=())
    history = History(few, Random(1), "int64")
    for _ in range(1500):
        history.stamp += 9 * SECOND
        history.come()
        history.ask()
    history.check()
    assert sum(map(len, history.entities.values())) < 1100
