"""The window kernel against plain loops over hostile data: ties, late, corrected and contradicting rows, null keys."""

import math
import statistics
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.window_kernel import compute
from jobs.windows import Aggregate, Feature, WindowFeatures

START = datetime(2026, 1, 1, tzinfo=UTC)
INT64 = pa.int64()
SECOND = timedelta(seconds=1)
Row = dict[str, Any]

WINDOWS = (2 * SECOND, 5 * SECOND, timedelta(seconds=20))
LABELLED = {"of": "labels", "windows": WINDOWS}
EVERYTHING = WindowFeatures(
    "everything",
    "entity",
    "id",
    "happened",
    (
        Aggregate("count", windows=WINDOWS),
        *(Aggregate(function, "amount", WINDOWS) for function in ("count", "sum", "mean", "std", "min", "max")),  # type: ignore[arg-type]
        Aggregate("mean", "amount", WINDOWS, 3 * SECOND, empty=-1.0),
        Aggregate("max", "amount", WINDOWS, 3 * SECOND, where=("kind", "web")),
        Aggregate("distinct", "kind", WINDOWS),
        Aggregate("last_age", windows=WINDOWS),
        Aggregate("first_age", windows=WINDOWS, where=("kind", "web")),
        Aggregate("rate", "is_fraud", WINDOWS, 3 * SECOND, of="labels", empty=0.0),
        Aggregate("rate", "is_fraud", WINDOWS, of="labels"),
        Aggregate("count", where=("is_fraud", True), **LABELLED),  # type: ignore[arg-type]
        Aggregate("last_age", where=("is_fraud", False), **LABELLED),  # type: ignore[arg-type]
        Aggregate("first_age", where=("is_fraud", True), **LABELLED),  # type: ignore[arg-type]
    ),
)


def contributes(fact: Row, target: Row, window: timedelta, delay: timedelta) -> bool:
    """The rule, word for word; a target knows its own row."""
    t, known, gone = target["happened"], fact["known_at"], fact["superseded_at"]
    if fact["entity"] is None or fact["entity"] != target["entity"]:
        return False
    if not t - delay - window < fact["happened"] <= t - delay:
        return False
    return fact is target or (known <= t and (gone is None or gone > t))


def expected(feature: Feature, target: Row, events: list[Row], labels: list[Row]) -> float | None:
    aggregate = feature.aggregate
    where = (aggregate.column, True) if aggregate.function == "rate" else aggregate.where
    facts = events if aggregate.of == "events" else labels
    near = [fact for fact in facts if contributes(fact, target, feature.window, aggregate.delay)]
    chosen = [fact for fact in near if where is None or fact[where[0]] == where[1]]
    if aggregate.column is not None:
        chosen = [fact for fact in chosen if fact[aggregate.column] is not None]
    ages = [(target["happened"] - fact["happened"]).total_seconds() for fact in chosen]
    values = [fact[aggregate.column] for fact in chosen] if aggregate.column else []
    match aggregate.function:
        case "count":
            return len(chosen)
        case "distinct":
            return len(set(values))
        case "sum":
            return float(sum(map(Fraction, values)))
        case "rate":
            over = [fact for fact in events if contributes(fact, target, feature.window, aggregate.delay)]
            return len(chosen) / len(over) if over else aggregate.empty
    if len(chosen) < (2 if aggregate.function == "std" else 1):
        return aggregate.empty
    match aggregate.function:
        case "mean":
            return float(sum(map(Fraction, values)) / len(values))
        case "std":
            return math.sqrt(statistics.variance(map(Fraction, values)))
        case "min":
            return min(values)
        case "max":
            return max(values)
        case "last_age":
            return min(ages)
        case _:
            return max(ages)


def event_table(rows: list[Row], key: pa.DataType) -> pa.Table:
    instant = pa.timestamp("us", "UTC")
    fields = [("id", pa.int64()), ("entity", key), ("happened", instant), ("known_at", instant)]
    fields += [("superseded_at", instant), ("amount", pa.float64()), ("kind", pa.string()), ("is_target", pa.bool_())]
    return pa.Table.from_pylist(rows, schema=pa.schema(fields))


def label_table(rows: list[Row], key: pa.DataType) -> pa.Table:
    instant = pa.timestamp("us", "UTC")
    fields = [("id", pa.int64()), ("entity", key), ("happened", instant), ("known_at", instant)]
    fields += [("superseded_at", instant), ("is_fraud", pa.bool_())]
    return pa.Table.from_pylist(rows, schema=pa.schema(fields))


def check(features: WindowFeatures, events: list[Row], labels: list[Row], key: pa.DataType = INT64) -> None:
    table = compute(features, event_table(events, key), label_table(labels, key))
    assert table.schema == features.schema(pa.int64(), key)
    found = {(row["id"]): row for row in table.to_pylist()}
    targets = [row for row in events if row["is_target"]]
    assert sorted(found) == sorted(row["id"] for row in targets) and table.num_rows == len(targets)
    for target in targets:
        row = found[target["id"]]
        assert row["entity"] == target["entity"] and row["event_timestamp"] == target["happened"]
        assert row["created_timestamp"] == max(target["happened"], target["known_at"])
        assert row["event_date"] == target["happened"].date()
        for feature in features.features:
            want = expected(feature, target, events, labels)
            got = row[feature.name]
            same = (
                got == want if want is None or got is None else math.isclose(got, want, rel_tol=1e-12, abs_tol=1e-300)
            )
            assert same, f"{feature.name} of {target}: expected {want}, found {got}"


times = st.integers(0, 40).map(lambda half: START + half * SECOND / 2)
exact_times = st.one_of(times, st.integers(0, 20_000_000).map(lambda micros: START + timedelta(microseconds=micros)))
delays = st.one_of(st.just(timedelta(0)), st.integers(0, 30).map(lambda half: half * SECOND / 2))
amounts = st.one_of(
    st.integers(-500, 50_000).map(lambda cents: cents / 100),
    st.sampled_from([1e12, -1e12, 1e-9, 0.0, 123_456_789.01, 1e15, 0.1]),
    st.none(),
)


@st.composite
def worlds(draw: st.DrawFn, keys: list[Any], when: st.SearchStrategy[datetime]) -> tuple[list[Row], list[Row]]:
    """Transactions with late first versions and corrections of amount, key and time; labels that contradict."""
    events, labels = [], []
    for number in range(draw(st.integers(0, 12))):
        happened, entity = draw(when), draw(st.sampled_from(keys))
        moments = sorted({happened + draw(delays) for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3])))})
        for version, (known, gone) in enumerate(zip(moments, [*moments[1:], None], strict=True)):
            if version and draw(st.booleans()):
                happened, entity = draw(when), draw(st.sampled_from(keys))
            values = {"amount": draw(amounts), "kind": draw(st.sampled_from(["web", "shop", None]))}
            fact = {"id": number, "entity": entity, "happened": happened, "known_at": known, "superseded_at": gone}
            events.append(fact | values | {"is_target": version == 0 and draw(st.integers(0, 9)) > 0})
        known = happened
        for _ in range(draw(st.integers(0, 2))):
            known += draw(delays) + timedelta(microseconds=1)
            if labels and labels[-1]["id"] == number:
                labels[-1]["superseded_at"] = known
            fact = {"id": number, "entity": entity, "happened": happened, "known_at": known, "superseded_at": None}
            labels.append(fact | {"is_fraud": draw(st.booleans())})
    return draw(st.permutations(events)), draw(st.permutations(labels))


@given(worlds([1, 2, None], times))
@settings(max_examples=150, deadline=None)
def test_every_value_equals_the_oracle(world: tuple[list[Row], list[Row]]) -> None:
    check(EVERYTHING, *world)


@given(worlds(["a", "b", "", None], exact_times))
@settings(max_examples=60, deadline=None)
def test_string_keys_and_microseconds_equal_the_oracle(world: tuple[list[Row], list[Row]]) -> None:
    check(EVERYTHING, *world, key=pa.string())


@given(worlds([1, -(2**63), 2**63 - 1], exact_times))
@settings(max_examples=40, deadline=None)
def test_keys_over_the_whole_range_of_integers_equal_the_oracle(world: tuple[list[Row], list[Row]]) -> None:
    check(EVERYTHING, *world)
