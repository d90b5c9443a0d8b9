"""Targets with a moment of decision against plain loops: late, early, crossing, simultaneous events, in any order."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.examples import with_examples

from jobs.features.window_kernel import compute
from jobs.window_lengths import BEFORE, Last, Window, reach
from jobs.windows import Aggregate, Ratio, WindowFeatures

START = datetime(2026, 1, 1, tzinfo=UTC)
SECOND, MICROSECOND = timedelta(seconds=1), timedelta(microseconds=1)
WINDOWS, LASTS = (2 * SECOND, 20 * SECOND), (Last(1, 5 * SECOND), Last(3, 20 * SECOND))
DELAYS = (timedelta(0), BEFORE, 2 * SECOND)
INSTANT = pa.timestamp("us", "UTC")
Row = dict[str, Any]
FEATURES = WindowFeatures(
    "decided",
    "entity",
    "id",
    "happened",
    (
        *(Aggregate("count", windows=(*WINDOWS, *LASTS), delay=delay) for delay in DELAYS),
        *(
            Aggregate(function, "amount", (*WINDOWS, *LASTS), delay)  # type: ignore[arg-type]
            for function in ("sum", "max", "min", "distinct")
            for delay in DELAYS
        ),
        *(Aggregate("last_age", windows=WINDOWS, delay=delay) for delay in DELAYS),
        *(Aggregate("percentile", "amount", WINDOWS, delay, percentile=0.5) for delay in DELAYS),
        *(Aggregate("streak", "online", WINDOWS, delay) for delay in DELAYS),
        *(Aggregate("streak_age", "online", WINDOWS, delay) for delay in DELAYS),
        *(Aggregate("rate", "is_fraud", WINDOWS, delay, "labels") for delay in DELAYS),
        Aggregate("count", of="labels", where=("is_fraud", True), windows=WINDOWS),
        *(Aggregate("count", windows=WINDOWS, delay=delay, where=("ratio", "<=", 1.499_999_9)) for delay in DELAYS),
    ),
    ratios=(Ratio("ratio", "amount", Aggregate("max", "amount", (5 * SECOND,), SECOND)),),
)


def moment(target: Row) -> datetime:
    decided: datetime | None = target["decided_at"]
    return target["happened"] if decided is None else decided


def inside(facts: list[Row], target: Row, window: Window, delay: timedelta) -> list[Row]:
    """The facts that count, in the order of `Last`: the rule, word for word."""
    t = moment(target)
    chosen = []
    for fact in facts:
        known = fact is target or fact["known_at"] <= t
        held = known and (fact["superseded_at"] is None or t < fact["superseded_at"])
        own = fact is target and bool(delay)
        in_time = t - delay - reach(window) < fact["happened"] <= t - delay
        if held and in_time and not own and fact["entity"] == target["entity"]:
            chosen.append(fact)
    return sorted(chosen, key=lambda fact: (fact["happened"], fact["known_at"], fact["id"]))


def labels_for(labels: list[Row], targets: list[Row], target: Row) -> list[Row]:
    decided = {event["id"]: moment(event) for event in targets}
    others = [label for label in labels if decided.get(label["id"]) != moment(target)]
    return [label | {"known_at": max(label["known_at"], label["happened"] + MICROSECOND)} for label in others]


def middle(values: list[float]) -> float:
    values, place = sorted(values), Fraction(len(values) - 1, 2)
    low, part = int(place), float(place - int(place))
    return values[low] + part * (values[min(low + 1, len(values) - 1)] - values[low])


def expected(aggregate: Aggregate, window: Window, target: Row, events: list[Row], labels: list[Row]) -> Any:
    facts = inside(events if aggregate.of == "events" else labels, target, window, aggregate.delay)
    column, t = aggregate.column, moment(target)
    if aggregate.function == "rate":
        over = inside(events, target, window, aggregate.delay)
        return sum(fact["is_fraud"] for fact in facts) / len(over) if over else None
    if aggregate.where == ("is_fraud", True):
        facts = [fact for fact in facts if fact["is_fraud"]]
    elif aggregate.where is not None:
        facts = [fact for fact in facts if fact["ratio"] is not None and fact["ratio"] <= aggregate.where[2]]  # type: ignore[misc]
    if column is not None:
        facts = [fact for fact in facts if fact[column] is not None]
    if isinstance(window, Last):
        facts = facts[-window.facts :]
    if aggregate.function.startswith("streak"):
        broken = max((fact["happened"] for fact in facts if not fact["online"]), default=START - 999 * SECOND)
        facts = [fact for fact in facts if fact["online"] and fact["happened"] > broken]
    values = [fact[column] for fact in facts] if column else []
    if aggregate.function in ("count", "streak"):
        return len(facts)
    if aggregate.function == "distinct":
        return len(set(values))
    if aggregate.function == "sum":
        return float(sum(map(Fraction, values)))
    if not facts:
        return None
    if aggregate.function in ("last_age", "streak_age"):
        return (t - facts[-1 if aggregate.function == "last_age" else 0]["happened"]).total_seconds()
    functions: dict[str, Any] = {"max": max, "min": min, "percentile": middle}
    return functions[aggregate.function](values)


def with_ratio(events: list[Row]) -> None:
    """Added in place, as a target counts by identity."""
    for event in events:
        [ratio] = FEATURES.ratios
        level = expected(ratio.to, ratio.to.windows[0], event, events, [])
        known = level is not None and level > 0 and event["amount"] is not None
        event["ratio"] = event["amount"] / level if known else None


def tables(events: list[Row], labels: list[Row]) -> tuple[pa.Table, pa.Table]:
    fact = [("id", pa.int64()), ("entity", pa.int64())]
    fact += [(name, INSTANT) for name in ("happened", "known_at", "superseded_at")]
    own = [("decided_at", INSTANT), ("amount", pa.float64()), ("online", pa.bool_()), ("is_target", pa.bool_())]
    return (
        pa.Table.from_pylist(events, schema=pa.schema([*fact, *own])),
        pa.Table.from_pylist(labels, schema=pa.schema([*fact, ("is_fraud", pa.bool_())])),
    )


def check(events: list[Row], labels: list[Row]) -> None:
    found = {row["id"]: row for row in compute(FEATURES, *tables(events, labels)).to_pylist()}
    with_ratio(events)
    targets = [event for event in events if event["is_target"]]
    assert sorted(found) == sorted(event["id"] for event in targets)
    for target in targets:
        row, known = found[target["id"]], labels_for(labels, targets, target)
        assert row["event_timestamp"] == moment(target) and row["event_date"] == target["happened"].date()
        assert row["created_timestamp"] == max(target["known_at"], moment(target))
        for feature in FEATURES.features:
            want = expected(feature.aggregate, feature.window, target, events, known)
            assert row[feature.name] == want, f"{feature.name} of {target}: expected {want}, found {row[feature.name]}"


half_seconds = st.integers(0, 24).map(lambda half: half * SECOND / 2)
# Multiples of 1/8: their sums are exact.
amounts = st.one_of(st.integers(-8, 80).map(lambda eighths: eighths / 8), st.none())


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Row], list[Row]]:
    """Events of files, events decided by their own stamp, and events decided at any time; corrections; reports."""
    events: list[Row] = []
    labels: list[Row] = []
    for number in range(draw(st.integers(0, 9))):
        happened, entity = START + draw(half_seconds), draw(st.sampled_from([1, 1, 2]))
        kind = draw(st.sampled_from(["file", "stamped", "stamped", "any"]))
        # A stamp comes after the event, or before it where a clock is wrong; no two are the same.
        stamp = START + draw(half_seconds) + number * MICROSECOND
        known = stamp if kind == "stamped" else happened + draw(st.sampled_from([0, 0, 1, 5])) * SECOND
        decided = {"file": None, "stamped": stamp, "any": START + draw(half_seconds)}[kind]
        moved = known + draw(half_seconds) + MICROSECOND if draw(st.booleans()) else None
        fact = {"id": number, "entity": entity, "happened": happened, "known_at": known, "superseded_at": moved}
        values = {"amount": draw(amounts), "online": draw(st.sampled_from([True, True, False, None]))}
        events.append(fact | values | {"decided_at": decided, "is_target": True})
        if moved is not None:
            fact |= {"happened": START + draw(half_seconds), "known_at": moved, "superseded_at": None}
            events.append(fact | {"amount": draw(amounts), "online": None, "decided_at": None, "is_target": False})
        if draw(st.booleans()):
            reported = {"known_at": START + draw(half_seconds), "superseded_at": None, "happened": happened}
            labels.append({"id": number, "entity": entity, "is_fraud": draw(st.booleans())} | reported)
    return draw(st.permutations(events)), draw(st.permutations(labels))


@given(histories())
@with_examples(60)
def test_every_value_equals_the_oracle(history: tuple[list[Row], list[Row]]) -> None:
    check(*history)


@given(histories())
@with_examples(15)
def test_a_moment_that_is_the_event_time_changes_nothing(history: tuple[list[Row], list[Row]]) -> None:
    events, labels = history
    told = [event | {"decided_at": event["happened"]} for event in events]
    (untold, reports), (told_table, _) = tables(events, labels), tables(told, labels)
    plain = compute(FEATURES, untold.drop_columns("decided_at"), reports)
    assert compute(FEATURES, told_table, reports).sort_by("id") == plain.sort_by("id")


def event(number: int, happened: datetime, stamp: datetime, amount: float = 1.0) -> Row:
    known = {"happened": happened, "known_at": stamp, "superseded_at": None, "decided_at": stamp}
    return {"id": number, "entity": 1, "amount": amount, "online": True, "is_target": True} | known


def counted(events: list[Row], name: str) -> dict[int, Any]:
    table = compute(FEATURES, *tables(events, []))
    return dict(zip(table["id"].to_pylist(), table[name].to_pylist(), strict=True))


@pytest.mark.parametrize("swapped", [False, True])
def test_of_two_requests_in_one_second_the_later_stamp_sees_the_earlier(swapped: bool) -> None:
    first = event(0, START, START + MICROSECOND)
    second = event(1, START, START + 2 * MICROSECOND)
    found = counted([second, first] if swapped else [first, second], "events_count_20s")
    assert found == {0: 1, 1: 2}
    assert counted([first, second], "events_count_20s_before") == {0: 0, 1: 1}


def test_events_that_cross_on_their_way_are_seen_by_stamp_and_not_by_event_time() -> None:
    overtaken = event(0, START, START + 2 * SECOND)
    overtaking = event(1, START + SECOND, START + SECOND + MICROSECOND)
    assert counted([overtaken, overtaking], "events_count_20s") == {0: 2, 1: 1}


def test_a_clock_of_another_century_moves_no_moment() -> None:
    odd = event(0, START + timedelta(days=36_000), START + SECOND)
    assert counted([odd, event(1, START, START + 2 * SECOND)], "events_count_20s") == {0: 0, 1: 1}


def test_a_late_decision_does_not_count_itself_behind_a_delay() -> None:
    late = event(0, START, START + 9 * SECOND)
    assert counted([late], "events_count_20s_delay_2s") == {0: 0}
    assert counted([late, event(1, START, START + 10 * SECOND)], "events_count_20s_delay_2s") == {0: 0, 1: 1}


def test_zeros_of_either_sign_are_one_value() -> None:
    events = [event(n, START, START + n * MICROSECOND, (-0.0, 0.0)[n]) for n in range(2)]
    assert counted(events, "amount_distinct_20s") == {0: 1, 1: 1}
    assert str(counted(events[:1], "amount_max_20s")[0]) == "0.0"
