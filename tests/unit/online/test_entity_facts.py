"""Features of single decisions against the batch kernel, to the last bit, over hostile histories."""

from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.examples import with_examples
from worlds.logged_histories import EVENTS, INSTANT, LABELS, SECOND, START, History, Row, moment

from jobs.errors import Invalid
from jobs.features.window_kernel import compute
from jobs.online import whole_history
from jobs.online.column_type import ColumnType
from jobs.online.entity_facts import EntityFacts
from jobs.online.plan import Event, Plan
from jobs.online.sliding import FEW
from jobs.window_lengths import BEFORE, Last, Trend
from jobs.windows import Aggregate, Ratio, WindowFeatures

pytestmark = pytest.mark.embedded

S = timedelta(seconds=1)
WINDOWS, LASTS = (2 * S, 20 * S), (Last(1, 5 * S), Last(3, 20 * S))
TRENDS = (Trend(2 * S, 20 * S),)
DELAYS = (timedelta(0), BEFORE, S)
NUMBERS: tuple[Any, ...] = ("count", "sum", "mean", "std", "min", "max", "distinct")
COUNTED: tuple[Any, ...] = (("distinct", "place"), ("distinct", "amount"), ("max", "amount"), ("std", "price"))
INTERPOLATIONS: tuple[Any, ...] = ("linear", "lower", "higher", "nearest")
FEATURES = WindowFeatures(
    "logged",
    "entity",
    "id",
    "happened",
    (
        *(Aggregate("count", windows=(*WINDOWS, *LASTS, *TRENDS), delay=delay) for delay in DELAYS),
        *(Aggregate(function, "amount", (*WINDOWS, *LASTS), delay) for function in NUMBERS for delay in DELAYS),
        *(Aggregate(function, "amount", TRENDS) for function in ("sum", "mean", "max", "distinct")),  # type: ignore[arg-type]
        *(Aggregate(function, "price", WINDOWS, BEFORE) for function in NUMBERS),
        *(Aggregate(function, "pieces", WINDOWS) for function in ("mean", "max", "distinct")),  # type: ignore[arg-type]
        *(Aggregate("distinct", column, (*WINDOWS, *LASTS)) for column in ("kind", "place", "online")),
        *(
            Aggregate(function, windows=(*WINDOWS, *LASTS), delay=delay, where=where, name=f"{function}{number}")  # type: ignore[arg-type]
            for function in ("last_age", "first_age", "count")
            for delay in DELAYS
            for number, where in enumerate(
                (None, ("kind", "web"), ("place", "in", (2**53 + 1, 7)), ("online", "!=", True), ("amount", "<=", 0))
            )
        ),
        Aggregate("count", where=(("amount", ">", 5), ("amount", "<", 99.5), ("kind", "!=", "")), windows=WINDOWS),
        Aggregate("count", where=("pieces", ">=", 2.5), windows=WINDOWS),
        *(
            Aggregate("percentile", "amount", (*WINDOWS, *LASTS), delay, "events", None, None, how, "", share, how)
            for how in INTERPOLATIONS
            for delay, share in ((timedelta(0), 0.9), (BEFORE, 0.25))
        ),
        *(Aggregate("rate", "is_fraud", (*WINDOWS, *TRENDS), delay, "labels", empty=empty)
          for delay, empty in ((timedelta(0), None), (S, 0.0))),
        *(Aggregate(function, "is_fraud", WINDOWS, delay, "labels")  # type: ignore[arg-type]
          for function in ("streak", "streak_age") for delay in DELAYS),
        *(Aggregate(function, "online", WINDOWS) for function in ("streak", "streak_age")),  # type: ignore[arg-type]
        Aggregate("count", of="labels", where=("is_fraud", True), windows=(*WINDOWS, *LASTS)),
        Aggregate("last_age", of="labels", where=("is_fraud", False), windows=(*WINDOWS, *LASTS)),
        Aggregate("max", "to_mean", WINDOWS, BEFORE),
        Aggregate("mean", "amount", WINDOWS, where=("to_mean", "<=", 1.5), name="usual"),
        Aggregate("std", "to_usual", WINDOWS),
        Aggregate("count", where=("to_usual", ">", 0.5), windows=LASTS),
    ),
    ratios=(
        Ratio("to_mean", "amount", Aggregate("mean", "amount", (5 * S,))),
        Ratio("to_usual", "price", Aggregate("mean", "price", (9 * S,), S, where=("to_mean", "<=", 1.5))),
    ),
)  # fmt: skip
BY_LABELS = replace(
    FEATURES,
    aggregates=(
        Aggregate("sum", "per_report", WINDOWS),
        Aggregate("count", where=("per_report", ">", 1), windows=WINDOWS, delay=BEFORE),
    ),
    ratios=(Ratio("per_report", "amount", Aggregate("count", of="labels", windows=(9 * S,))),),
)


@given(st.integers(0, 2**32), st.sampled_from(["int64", "string"]))
@with_examples(12)
def test_every_decision_equals_the_batch_kernel(seed: int, kind: Any) -> None:
    history = History(FEATURES, Random(seed), ColumnType(kind, nullable=False))
    history.play(files=12, steps=40)
    history.check()


@given(st.integers(0, 2**32))
@with_examples(15)
def test_levels_of_labels_equal_the_batch_kernel(seed: int) -> None:
    history = History(BY_LABELS, Random(seed), ColumnType("int64", nullable=False))
    history.play(files=12, steps=40)
    history.check()


def test_long_histories_equal_the_batch_kernel_and_old_facts_are_dropped() -> None:
    """Where counters, blocks of extremes and trimming are at work."""
    few = replace(
        FEATURES,
        aggregates=tuple(
            Aggregate(function, column, (9 * S, 1000 * S), delay)
            for function, column in COUNTED
            for delay in (timedelta(0), S)
        ),
        ratios=(),
    )
    history = History(few, Random(5), ColumnType("int64", nullable=False), ahead=SECOND)
    history.play(files=0, steps=3000)
    history.check()
    held = sum(len(entity) for entity in history.entities.values())
    assert 2 * FEW < held < 0.8 * (len(history.events) + len(history.labels))


def test_an_entity_of_two_columns_is_evaluated_like_one() -> None:
    pairs = replace(
        FEATURES, entity=("entity", "place"), aggregates=(Aggregate("count"), Aggregate("distinct", "place"))
    )
    facts = EntityFacts(Plan.of(replace(pairs, ratios=()), EVENTS | {"id": ColumnType("int64", False)}, LABELS))
    assert facts.decide(event(1), START) == [1, 1]
    # A fact that is known at the very moment sends the next decision to the kernel.
    facts.add_event(event(2), START + 5)
    assert facts.decide(event(3), START + 5) == [3, 1]


def event(number: int, happened: int = START, **given: Any) -> Event:
    return Event(number, happened, {"amount": 1.0, "price": 2.0, "place": 7} | given)


def entity(*aggregates: Aggregate) -> EntityFacts:
    few = replace(FEATURES, aggregates=aggregates, ratios=())
    return EntityFacts(Plan.of(few, EVENTS | {"id": ColumnType("int64", False)}, LABELS))


def test_of_two_decisions_at_one_event_time_the_later_sees_the_earlier() -> None:
    facts = entity(Aggregate("count"), Aggregate("count", delay=BEFORE))
    assert facts.decide(event(1), START + 1) == [1, 0]
    assert facts.decide(event(2), START + 2) == [2, 1]


def test_a_label_counts_from_the_microsecond_after_the_event_time_that_it_bears() -> None:
    facts = entity(Aggregate("count", of="labels", where=("is_fraud", True)))
    facts.add_label(Event(9, START + 10, {"is_fraud": True}), START)
    assert [facts.decide(event(n), START + n) for n in (9, 10, 11)] == [[0], [0], [1]]


def test_of_labels_that_count_from_one_moment_the_last_is_the_one_with_the_greatest_id() -> None:
    """One of them was known before its event time, the other a microsecond after it."""
    few = replace(FEATURES, aggregates=(Aggregate("max", "loss", (Last(1, 20 * S),), of="labels"),), ratios=())
    facts = EntityFacts(Plan.of(few, {"id": ColumnType("int64", False)}, {"loss": ColumnType("float64")}))
    facts.add_label(Event(9, START + 10, {"loss": 1.0}), START)
    assert facts.decide(Event(1, START + 5, {}), START + 5) == [None]
    facts.add_label(Event(8, START + 10, {"loss": 2.0}), START + 11)
    assert facts.decide(Event(2, START + 20, {}), START + 20) == [1.0]


def test_a_ratio_of_an_event_to_come_follows_what_becomes_known_before_its_time() -> None:
    share = Ratio("share", "price", Aggregate("sum", "price", (60 * S,)))
    few = replace(FEATURES, aggregates=(Aggregate("min", "share", (60 * S,), BEFORE),), ratios=(share,))
    facts = EntityFacts(Plan.of(few, EVENTS | {"id": ColumnType("int64", False)}, LABELS))
    facts.add_event(event(1, START + 20), START)
    assert facts.decide(event(2, START + 1), START + 1) == [None]
    assert facts.decide(event(3, START + 2), START + 2) == [1.0]
    facts.add_event(event(4, START + 10), START + 3)
    # At its own time the first one is one of four alike.
    assert facts.decide(event(5, START + 30), START + 30) == [0.25]


def test_an_integer_that_is_no_double_is_compared_with_integers_only() -> None:
    whole = entity(Aggregate("count", where=("place", "==", 2**53)))
    assert [whole.decide(event(n, place=2**53 + n), START + n) for n in (0, 1)] == [[1], [1]]
    with pytest.raises(Invalid, match="column place: expected a number up to 9"):
        entity(Aggregate("count", where=("place", "<", 0.5))).decide(event(1, place=2**53 + 1), START)


def test_what_is_held_of_an_entity_survives_letting_go_of_what_makes_it_quick() -> None:
    facts = entity(Aggregate("last_age"), Aggregate("distinct", "kind"))
    facts.decide(event(1, kind="web"), START)
    facts.cool()
    assert facts.decide(event(2, START + 5, kind="shop"), START + 5) == [0.0, 2]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"price": float("nan")}, "column price: expected a finite number, found nan"),
        ({"price": float("-inf")}, "column price: expected a finite number"),
        ({"price": None}, "column price: expected a value in every event"),
        ({"price": "7"}, "column price: expected float64, found '7'"),
        ({"price": True}, "column price: expected float64, found True"),
        ({"price": 1e141}, "column price: expected a number up to 1e"),
        ({"pieces": 2**53 + 1}, "column pieces: expected a number up to 9"),
        ({"pieces": 2**63}, "column pieces: expected an integer of 64 bits"),
    ],
)
def test_a_value_that_cannot_be_is_refused_and_changes_nothing(given: Row, message: str) -> None:
    facts = entity(Aggregate("std", "price"), Aggregate("max", "pieces"), Aggregate("count"))
    facts.decide(event(1), START)
    with pytest.raises(Invalid, match=message):
        facts.decide(event(2, **given), START + 1)
    assert facts.decide(event(3), START + 1)[-1] == 2


def test_a_ratio_that_cannot_be_squared_leaves_an_entity_to_the_batch_kernel() -> None:
    share = Ratio("share", "price", Aggregate("mean", "price", (9 * S,), BEFORE))
    few = replace(FEATURES, aggregates=(Aggregate("std", "share"), Aggregate("count")), ratios=(share,))
    facts, follows = (EntityFacts(Plan.of(few, EVENTS | {"id": ColumnType("int64", False)}, LABELS)) for _ in "ab")
    prices = (1e-150, 1.0, 1e-150, 3.0, 2.0)
    found = [facts.decide(event(n, START + n, price=price), START + n) for n, price in enumerate(prices)]
    for number, price in enumerate(prices[:-1]):
        follows.follow(event(number, START + number, price=price), START + number)
    assert repr(follows.decide(event(4, START + 4, price=2.0), START + 4)) == repr(found[4])
    rows = [
        dict(event(n, START + n, price=price).values) | {"id": n, "entity": 1, "is_target": True}
        | dict.fromkeys(("happened", "known_at", "decided_at"), moment(START + n))
        for n, price in enumerate(prices)
    ]  # fmt: skip
    batch = compute(few, pa.Table.from_pylist(rows).append_column("superseded_at", pa.nulls(len(rows), INSTANT)))
    kernel = {row["id"]: [row[name] for name in few.names] for row in batch.to_pylist()}
    assert repr(found) == repr([kernel[n] for n in range(len(prices))])
    assert found[-1][0] is not None and found[-1][0] > 1e140


@pytest.mark.parametrize("happened", [2**61, -(2**61), 2**70])
def test_a_time_beyond_all_calendars_is_refused(happened: int) -> None:
    with pytest.raises(Invalid, match="expected a time in microseconds since 1970"):
        entity(Aggregate("count")).decide(event(1, happened), START)


def test_labels_are_nothing_to_an_entity_that_reads_none() -> None:
    facts = entity(Aggregate("count"))
    facts.load("labels", [(Event(1, START, {"is_fraud": True}), START, None)])
    facts.add_label(Event(1, START, {"is_fraud": True}), START + 1)
    assert len(facts) == 0


def test_what_comes_before_the_last_decision_is_refused() -> None:
    facts = entity(Aggregate("count"))
    facts.decide(event(1), START)
    with pytest.raises(Invalid, match="expected a moment after the last decision's"):
        facts.decide(event(2), START)
    with pytest.raises(Invalid, match="expected a fact known after the last decision"):
        facts.add_event(event(2), START)


@pytest.mark.parametrize(
    ("aggregate", "message"),
    [
        (Aggregate("sum", "kind"), "column kind: expected numbers, found string"),
        (Aggregate("max", "colour"), "column colour: expected its type, found none"),
        (
            Aggregate("count", where=("amount", "web")),
            "the column amount can be compared with, of float64, found 'web'",
        ),
        (Aggregate("count", where=("kind", "<", 5)), "the column kind can be compared with, of string, found 5"),
    ],
)
def test_a_declaration_that_columns_contradict_is_refused(aggregate: Aggregate, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        entity(aggregate)


def test_an_event_of_nobody_has_the_features_of_empty_windows() -> None:
    few = replace(FEATURES, aggregates=(Aggregate("count"), Aggregate("sum", "amount"), Aggregate("mean", "amount")))
    plan = Plan.of(few, EVENTS | {"id": ColumnType("int64", False)}, LABELS)
    assert whole_history.of_nobody(plan, event(1), START)() == [0, 0, None]
