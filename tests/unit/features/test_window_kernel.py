"""The window kernel against plain loops over hostile data: ties, late, corrected and contradicting rows, null keys."""

import math
import operator
import random
import statistics
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.examples import with_examples

from jobs.conditions import Where
from jobs.errors import Invalid
from jobs.features.window_kernel import compute
from jobs.window_lengths import BEFORE, Last, Trend, Window, reach
from jobs.windows import FACT_ID, Aggregate, Ratio, WindowFeatures

START = datetime(2026, 1, 1, tzinfo=UTC)
INT64 = pa.int64()
SECOND, MICROSECOND = timedelta(seconds=1), timedelta(microseconds=1)
EVER = datetime(1970, 1, 1, tzinfo=UTC)
Row = dict[str, Any]
EXACT = {"count", "distinct", "min", "max", "percentile", "rate", "last_age", "first_age", "streak", "streak_age"}
"""Functions without a sum of doubles: equal to the last bit."""

WINDOWS = (2 * SECOND, 5 * SECOND, timedelta(seconds=20))
LAST = Last(3, 20 * SECOND)
LASTS = (Last(1, 5 * SECOND), LAST, Last(7, 20 * SECOND))
TRENDS = (Trend(2 * SECOND, 20 * SECOND), Trend(5 * SECOND, 20 * SECOND))
LABELLED = {"of": "labels", "windows": WINDOWS}
# A bound that no quotient of two amounts in cents meets: it would be decided by the last bit.
USUAL: Where = ("to_mean", "<=", 1.499_999_999)
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
        Aggregate("streak", "is_fraud", **LABELLED),  # type: ignore[arg-type]
        Aggregate("streak_age", "is_fraud", **LABELLED),  # type: ignore[arg-type]
        Aggregate("streak", "is_fraud", WINDOWS, 3 * SECOND, "labels", name="late_streak"),
        Aggregate("streak", "online", WINDOWS),
        Aggregate("streak_age", "online", WINDOWS, empty=-1.0),
        Aggregate("count", where=("amount", ">", 12.5), windows=WINDOWS),
        Aggregate("mean", "amount", where=USUAL, windows=WINDOWS, name="usual_mean"),
        Aggregate("max", "to_usual", windows=WINDOWS),
        Aggregate("last_age", windows=WINDOWS, delay=BEFORE),
        Aggregate("count", where=(("amount", ">", 5), ("amount", "<=", 250.5), ("kind", "web")), windows=WINDOWS),
        Aggregate("sum", "amount", where=(("amount", "<", 100.0), ("online", "!=", True)), windows=WINDOWS),
        Aggregate("count", where=("kind", "in", ("web", "shop")), windows=WINDOWS),
        Aggregate("count", where=("amount", ">=", 12.5), windows=WINDOWS),
        Aggregate("percentile", "amount", (*WINDOWS, LAST), percentile=0.9),
        Aggregate("percentile", "amount", (*WINDOWS, LAST), 3 * SECOND, percentile=0.25, interpolation="nearest"),
        Aggregate("percentile", "amount", (*WINDOWS, LAST), percentile=0.5, interpolation="lower", empty=-1.0),
        Aggregate("percentile", "amount", WINDOWS, BEFORE, percentile=0.015, interpolation="higher"),
        Aggregate("percentile", "amount", WINDOWS, where=("kind", "web"), percentile=0.75),
        *(
            Aggregate(function, "amount", LASTS, delay)  # type: ignore[arg-type]
            for function in ("count", "sum", "mean", "std", "min", "max", "distinct", "last_age", "first_age")
            for delay in (timedelta(0), BEFORE)
        ),
        Aggregate("mean", "amount", LASTS, where=("kind", "web"), empty=-1.0),
        Aggregate("min", "amount", LASTS, 3 * SECOND),
        Aggregate("first_age", windows=LASTS, of="labels", where=("is_fraud", True)),
        Aggregate("count", windows=TRENDS),
        *(Aggregate(function, "amount", TRENDS) for function in ("sum", "mean", "max", "distinct")),  # type: ignore[arg-type]
        Aggregate("percentile", "amount", TRENDS, BEFORE, percentile=0.5, empty=-1.0),
        Aggregate("rate", "is_fraud", TRENDS, of="labels"),
    ),
    ratios=(
        Ratio("to_mean", "amount", Aggregate("mean", "amount", (5 * SECOND,))),
        Ratio(
            "to_usual",
            "amount",
            Aggregate("mean", "amount", (4 * SECOND,), SECOND / 2, where=USUAL),
        ),
    ),
)


def labels_of_others(labels: list[Row], events: list[Row], target: Row) -> list[Row]:
    """What a target may know of labels: none before its event is over, and none at the time of its event."""
    decided = {event["id"]: event["happened"] for event in events if event["is_target"]}
    others = [label for label in labels if decided.get(label["id"]) != target["happened"]]
    return [{**label, "known_at": max(label["known_at"], label["happened"] + MICROSECOND)} for label in others]


def contributes(fact: Row, target: Row, window: Window, delay: timedelta) -> bool:
    """The rule, word for word; a target knows its own row."""
    t, known, gone = target["happened"], fact["known_at"], fact["superseded_at"]
    if fact["entity"] is None or fact["entity"] != target["entity"]:
        return False
    if not t - delay - reach(window) < fact["happened"] <= t - delay:
        return False
    return fact is target or (known <= t and (gone is None or gone > t))


COMPARED = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "in": lambda found, several: found in several,
}  # fmt: skip


def keeps(fact: Row, where: Any) -> bool:
    if where is None:
        return True
    if isinstance(where[0], tuple):
        return all(keeps(fact, one) for one in where)
    found, comparison = fact[where[0]], where[1] if len(where) == 3 else "=="
    return found is not None and bool(COMPARED[comparison](found, where[-1]))


def percentile(values: list[float], share: Fraction, interpolation: str) -> float:
    """The place among the sorted values in exact fractions; one rounding for each operation between two values."""
    values, place = sorted(values), share * (len(values) - 1)
    low, part = int(place), place - int(place)
    above = values[min(low + 1, len(values) - 1)]
    nearest = round(place)  # halves to the even place
    named = {"lower": values[low], "higher": above if part else values[low], "nearest": values[nearest]}
    return named.get(interpolation, values[low] + float(part) * (above - values[low]))


def trend(aggregate: Aggregate, window: Trend, target: Row, events: list[Row], labels: list[Row]) -> float | None:
    whole = replace(aggregate, empty=None)
    short, long = (expected(whole, part, target, events, labels) for part in (window.short, window.long))
    return aggregate.empty if short is None or not long else short / long


def expected(aggregate: Aggregate, window: Window, target: Row, events: list[Row], labels: list[Row]) -> float | None:
    if isinstance(window, Trend):
        return trend(aggregate, window, target, events, labels)
    facts = events if aggregate.of == "events" else labels_of_others(labels, events, target)
    near = [fact for fact in facts if contributes(fact, target, window, aggregate.delay)]
    where = (aggregate.column, True) if aggregate.function == "rate" else aggregate.where
    chosen = [fact for fact in near if keeps(fact, where)]
    if aggregate.column is not None:
        chosen = [fact for fact in chosen if fact[aggregate.column] is not None]
    if isinstance(window, Last):
        chosen = sorted(chosen, key=lambda fact: (fact["happened"], fact["known_at"], fact["id"]))[-window.facts :]
    if aggregate.function.startswith("streak"):
        broken = max((fact["happened"] for fact in chosen if not fact[str(aggregate.column)]), default=EVER)
        chosen = [fact for fact in chosen if fact[str(aggregate.column)] and fact["happened"] > broken]
    ages = [(target["happened"] - fact["happened"]).total_seconds() for fact in chosen]
    values = [fact[aggregate.column] for fact in chosen] if aggregate.column else []
    match aggregate.function:
        case "count" | "streak":
            return len(chosen)
        case "distinct":
            return len(set(values))
        case "sum":
            return float(sum(map(Fraction, values)))
        case "rate":
            over = [fact for fact in events if contributes(fact, target, window, aggregate.delay)]
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
        case "percentile":
            return percentile(values, aggregate.share, aggregate.interpolation)
        case "last_age":
            return min(ages)
        case _:
            return max(ages)


def with_ratios(features: WindowFeatures, events: list[Row], labels: list[Row]) -> list[Row]:
    """Each fact with its ratios: its value over the level it would have had as a target."""
    for ratio in features.ratios:
        for event in events:
            level, value = expected(ratio.to, ratio.to.windows[0], event, events, labels), event[ratio.column]
            event["next"] = value / level if level is not None and level > 0 and value is not None else None
        events = [{**event, ratio.name: event["next"]} for event in events]
    return events


def event_table(rows: list[Row], key: pa.DataType) -> pa.Table:
    instant = pa.timestamp("us", "UTC")
    fields = [("id", pa.int64()), ("entity", key), ("happened", instant), ("known_at", instant)]
    fields += [("superseded_at", instant), ("amount", pa.float64()), ("kind", pa.string()), ("is_target", pa.bool_())]
    return pa.Table.from_pylist(rows, schema=pa.schema([*fields, ("online", pa.bool_())]))


def label_table(rows: list[Row], key: pa.DataType) -> pa.Table:
    instant = pa.timestamp("us", "UTC")
    fields = [("id", pa.int64()), ("entity", key), ("happened", instant), ("known_at", instant)]
    fields += [("superseded_at", instant), ("is_fraud", pa.bool_())]
    return pa.Table.from_pylist(rows, schema=pa.schema(fields))


def computed(events: list[Row], labels: list[Row]) -> list[Row]:
    found: list[Row] = compute(EVERYTHING, event_table(events, INT64), label_table(labels, INT64)).to_pylist()
    return found


def check(features: WindowFeatures, events: list[Row], labels: list[Row], key: pa.DataType = INT64) -> None:
    table = compute(features, event_table(events, key), label_table(labels, key))
    assert table.schema == features.schema(pa.int64(), key)
    found = {(row["id"]): row for row in table.to_pylist()}
    events = with_ratios(features, events, labels)
    targets = [row for row in events if row["is_target"]]
    assert sorted(found) == sorted(row["id"] for row in targets) and table.num_rows == len(targets)
    for target in targets:
        row = found[target["id"]]
        assert row["entity"] == target["entity"] and row["event_timestamp"] == target["happened"]
        assert row["created_timestamp"] == max(target["happened"], target["known_at"])
        assert row["event_date"] == target["happened"].date()
        for feature in features.features:
            want = expected(feature.aggregate, feature.window, target, events, labels)
            got = row[feature.name]
            exact = want is None or got is None or feature.aggregate.function in EXACT
            same = got == want if exact else math.isclose(got, want, rel_tol=1e-12, abs_tol=1e-300)  # type: ignore[arg-type]
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
    events: list[Row] = []
    labels: list[Row] = []
    for number in range(draw(st.integers(0, 12))):
        happened, entity = draw(when), draw(st.sampled_from(keys))
        moments = sorted({happened + draw(delays) for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3])))})
        for version, (known, gone) in enumerate(zip(moments, [*moments[1:], None], strict=True)):
            if version and draw(st.booleans()):
                happened, entity = draw(when), draw(st.sampled_from(keys))
            values = {"amount": draw(amounts), "kind": draw(st.sampled_from(["web", "shop", None]))}
            values |= {"online": draw(st.sampled_from([True, True, False, None]))}
            fact = {"id": number, "entity": entity, "happened": happened, "known_at": known, "superseded_at": gone}
            events.append(fact | values | {"is_target": version == 0 and draw(st.integers(0, 9)) > 0})
        # Half of the reports come at or before the time of their event.
        known = happened + draw(st.sampled_from([timedelta(0), timedelta(0), -MICROSECOND, -1000 * SECOND]))
        for _ in range(draw(st.integers(0, 2))):
            known += draw(delays) + MICROSECOND
            if labels and labels[-1]["id"] == number:
                labels[-1]["superseded_at"] = known
            fact = {"id": number, "entity": entity, "happened": happened, "known_at": known, "superseded_at": None}
            labels.append(fact | {"is_fraud": draw(st.booleans())})
    return draw(st.permutations(events)), draw(st.permutations(labels))


@given(worlds([1, 2, None], times))
@with_examples(60)
def test_every_value_equals_the_oracle(world: tuple[list[Row], list[Row]]) -> None:
    check(EVERYTHING, *world)


@given(worlds(["a", "b", "", None], exact_times))
@with_examples(25)
def test_string_keys_and_microseconds_equal_the_oracle(world: tuple[list[Row], list[Row]]) -> None:
    check(EVERYTHING, *world, key=pa.string())


@given(worlds([1, -(2**63), 2**63 - 1], exact_times))
@with_examples(15)
def test_keys_over_the_whole_range_of_integers_equal_the_oracle(world: tuple[list[Row], list[Row]]) -> None:
    check(EVERYTHING, *world)


@given(worlds([1, 2, None], times).filter(lambda world: bool(world[0])))
@with_examples(15)
def test_no_label_changes_the_features_of_its_own_event(world: tuple[list[Row], list[Row]]) -> None:
    events, labels = world
    found = {row["id"]: row for row in computed(events, labels)}
    for number, row in found.items():
        others = [label for label in labels if label["id"] != number]
        assert next(r for r in computed(events, others) if r["id"] == number) == row


@pytest.mark.parametrize("with_id", [True, False])
@pytest.mark.parametrize("known", [START, START - 14 * 3600 * SECOND, EVER, START + MICROSECOND])
def test_a_label_counts_after_its_event_only(known: datetime, with_id: bool) -> None:
    events = [payment(0, START), payment(1, START), payment(2, START + SECOND)]
    label = {**{name: events[0][name] for name in ("id", "entity", "happened", "superseded_at")}, "known_at": known}
    table = label_table([label | {"is_fraud": True}], INT64)
    features = only((Aggregate("count", of="labels", where=("is_fraud", True), name="known"),))
    found = compute(features, event_table(events, INT64), table if with_id else table.drop_columns("id"))
    assert dict(zip(found["id"].to_pylist(), found["known_1d"].to_pylist(), strict=True)) == {0: 0, 1: 0, 2: 1}


OF_VISITS = replace(
    EVERYTHING,
    name="of_visits",
    aggregates=tuple(aggregate for aggregate in EVERYTHING.aggregates if aggregate.of == "events"),
    facts="visits",
)


@st.composite
def targets_apart(draw: st.DrawFn) -> list[Row]:
    """Targets that are no facts: of entities that may have none, some known late, some at the moment of a fact."""
    rows = []
    for number in range(draw(st.integers(0, 8))):
        happened, entity = draw(times), draw(st.sampled_from([1, 2, 3, None]))
        row = {"id": number, "entity": entity, "happened": happened, "known_at": happened + draw(delays)}
        rows.append(row | {"superseded_at": None, "amount": None, "kind": None, "online": None, "is_target": True})
    return rows


@given(targets_apart(), worlds([1, 2, None], times))
@with_examples(60)
def test_facts_that_are_no_targets_equal_the_oracle(targets: list[Row], world: tuple[list[Row], list[Row]]) -> None:
    facts = with_ratios(OF_VISITS, world[0], [])
    table = event_table(world[0], INT64).rename_columns({"id": FACT_ID}).drop_columns("is_target")
    found = compute(OF_VISITS, event_table(targets, INT64).drop_columns(["amount", "kind", "online"]), None, table)
    assert found.schema == OF_VISITS.schema()
    rows = {row["id"]: row for row in found.to_pylist()}
    assert sorted(rows) == [target["id"] for target in targets]
    for target in targets:
        row = rows[target["id"]]
        assert row["created_timestamp"] == max(target["happened"], target["known_at"])
        for feature in OF_VISITS.features:
            want, got = expected(feature.aggregate, feature.window, target, facts, []), row[feature.name]
            exact = want is None or got is None or feature.aggregate.function in EXACT
            same = got == want if exact else math.isclose(got, want, rel_tol=1e-12, abs_tol=1e-300)  # type: ignore[arg-type]
            assert same, f"{feature.name} of {target}: expected {want}, found {got}"


PARTS = {11: (1, "a"), 12: (1, "b"), 21: (2, "a"), None: (2, None)}
"""The two columns of entities, one of which is null."""


@given(worlds(list(PARTS), times))
@with_examples(20)
def test_an_entity_of_two_columns_is_one_entity_for_each_pair(world: tuple[list[Row], list[Row]]) -> None:
    tables = [event_table(world[0], INT64), label_table(world[1], INT64)]
    whole = compute(EVERYTHING, *tables)
    for place, (name, kind) in enumerate((("first", INT64), ("second", pa.string()))):
        for number, rows in enumerate(world):
            column = pa.array([PARTS[row["entity"]][place] for row in rows], kind)
            tables[number] = tables[number].append_column(name, column)
    pairs = replace(EVERYTHING, entity=("first", "second"))
    found = compute(pairs, *(table.drop_columns("entity") for table in tables))
    assert found.schema == pairs.schema(INT64, INT64, pa.string())
    parts = {row["id"]: (row["first"], row["second"]) for row in found.to_pylist()}
    assert parts == {row["id"]: PARTS[row["entity"]] for row in whole.to_pylist()}
    columns = ["id", *EVERYTHING.names]
    assert found.select(columns).sort_by("id").to_pydict() == whole.select(columns).sort_by("id").to_pydict()


def payment(number: int, happened: datetime, entity: Any = 1, **given: Any) -> Row:
    fact = {"id": number, "entity": entity, "happened": happened, "known_at": happened, "superseded_at": None}
    return fact | {"amount": 1.0, "kind": "web", "online": True, "is_target": True} | given


def only(features: tuple[Aggregate, ...]) -> WindowFeatures:
    return WindowFeatures("few", "entity", "id", "happened", features)


def values(features: WindowFeatures, events: list[Row], name: str, labels: list[Row] | None = None) -> dict[int, Any]:
    table = compute(features, event_table(events, INT64), None if labels is None else label_table(labels, INT64))
    return dict(zip(table.column("id").to_pylist(), table.column(name).to_pylist(), strict=True))


def test_everything_at_one_second_counts_for_everything_at_that_second() -> None:
    tied = [payment(number, START) for number in range(3)]
    assert values(only((Aggregate("count", windows=(SECOND,)),)), tied, "events_count_1s") == {0: 3, 1: 3, 2: 3}


def test_the_old_end_of_a_window_is_open() -> None:
    events = [payment(0, START), payment(1, START + SECOND)]
    assert values(only((Aggregate("count", windows=(SECOND,)),)), events, "events_count_1s") == {0: 1, 1: 1}


def test_an_outlier_leaves_no_dust() -> None:
    events = [payment(0, START, amount=1e12), payment(1, START + 9 * SECOND, amount=0.1)]
    features = only((Aggregate("sum", "amount", (SECOND,)), Aggregate("mean", "amount", (SECOND,))))
    assert values(features, events, "amount_sum_1s")[1] == 0.1
    assert values(features, events, "amount_mean_1s")[1] == 0.1


def test_deviation_survives_a_mean_a_billion_times_larger() -> None:
    events = [payment(n, START + n * SECOND, amount=1e9 + n % 3) for n in range(9)]
    found = values(only((Aggregate("std", "amount", (9 * SECOND,)),)), events, "amount_std_9s")
    assert math.isclose(found[8], statistics.stdev([0, 1, 2] * 3), rel_tol=1e-15)


def test_equal_values_have_no_deviation() -> None:
    events = [payment(n, START + n * SECOND, amount=0.1) for n in range(7)]
    assert values(only((Aggregate("std", "amount", (9 * SECOND,)),)), events, "amount_std_9s")[6] == 0.0


def test_a_late_row_knows_itself_and_is_unknown_to_others_until_it_arrives() -> None:
    late = payment(0, START, known_at=START + 2 * SECOND)
    events = [late, payment(1, START), payment(2, START + SECOND), payment(3, START + 2 * SECOND)]
    found = values(only((Aggregate("count", windows=(9 * SECOND,)),)), events, "events_count_9s")
    assert found == {0: 2, 1: 1, 2: 2, 3: 4}


def test_a_null_entity_has_empty_windows_and_keeps_its_row() -> None:
    events = [payment(0, START, None), payment(1, START, None, known_at=START + SECOND)]
    assert values(only((Aggregate("count"),)), events, "events_count_1d") == {0: 0, 1: 0}


def test_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="expected finite numbers"):
        values(only((Aggregate("sum", "amount"),)), [payment(0, START, amount=math.nan)], "amount_sum_1d")


@pytest.mark.parametrize(
    ("aggregate", "message"),
    [
        (Aggregate("sum", "kind"), "column kind: expected numbers, found string"),
        (Aggregate("count", where=("amount", "web")), "the column amount can be compared with, of double, found 'web'"),
        (Aggregate("count", where=("kind", "<", 5)), "the column kind can be compared with, of string, found 5"),
        (Aggregate("percentile", "amount", percentile=0.5), "column amount: expected finite numbers"),
    ],
)
def test_a_column_of_another_kind_is_refused_in_one_line(aggregate: Aggregate, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        compute(only((aggregate,)), event_table([payment(0, START, amount=math.inf)], INT64))


def test_labels_must_be_given_where_they_are_declared() -> None:
    with pytest.raises(ValueError, match="no labels were given"):
        compute(EVERYTHING, event_table([], INT64))


def test_many_keys_over_a_long_time_at_microseconds_equal_the_oracle() -> None:
    """Key x time does not fit into 63 bits here: time becomes a rank."""
    chance = random.Random(1)
    events = []
    for number in range(60):
        happened = START + chance.randrange(40) * timedelta(days=90) + chance.randrange(3) * timedelta(microseconds=1)
        late = chance.choice([0, 0, 1, 200_000_000]) * timedelta(microseconds=1)
        gone = chance.choice([None, happened + late + 100 * timedelta(days=1)])
        key = chance.choice([0, 1, 2**24 - 3])
        events.append(payment(number, happened, key, known_at=happened + late, superseded_at=gone, amount=number / 7))
    functions = ("sum", "std", "min", "max", "distinct")
    windows = (timedelta(microseconds=2), timedelta(days=90), timedelta(days=900))
    features = only(tuple(Aggregate(function, "amount", windows) for function in functions))  # type: ignore[arg-type]
    check(features, events, [])


def test_one_request_with_its_history_gives_the_value_of_the_batch() -> None:
    """What the request path will do: the same function, one target, the key's history."""
    chance = random.Random(2)
    moments = [START + chance.randrange(60) * SECOND / 2 for _ in range(80)]
    events = [payment(n, moment, n % 3, amount=chance.randrange(9999) / 100) for n, moment in enumerate(moments)]
    labels = [
        {**{name: event[name] for name in ("id", "entity", "happened", "superseded_at")}, "is_fraud": n % 4 == 0}
        | {"known_at": event["happened"] + 2 * SECOND}
        for n, event in enumerate(events)
    ]
    batch = compute(EVERYTHING, event_table(events, INT64), label_table(labels, INT64)).to_pylist()
    for row in batch[::7]:
        history = [e for e in events if e["entity"] == row["entity"] and e["happened"] <= row["event_timestamp"]]
        asked = [event | {"is_target": event["id"] == row["id"]} for event in history]
        assert compute(EVERYTHING, event_table(asked, INT64), label_table(labels, INT64)).to_pylist() == [row]


def test_a_key_with_two_million_rows() -> None:
    rows, step = 2_000_000, 7
    happened = np.arange(rows) * step * 1_000_000
    instant = pa.timestamp("us", "UTC")
    columns = {
        "id": pa.array(np.arange(rows)),
        "entity": pa.array(np.zeros(rows, np.int64)),
        "happened": pa.array(happened).cast(instant),
        "known_at": pa.array(happened).cast(instant),
        "superseded_at": pa.nulls(rows, instant),
        "amount": pa.array(np.arange(rows) % 1000 / 100),
        "is_target": pa.array(np.ones(rows, bool)),
    }
    hour = timedelta(hours=1)
    features = only(tuple(Aggregate(name, "amount", (hour,)) for name in ("count", "sum", "max", "distinct")))  # type: ignore[arg-type]
    found = compute(features, pa.table(columns))
    inside = -(-3600 // step)
    for row in (0, 10, inside - 1, inside, rows // 2, rows - 1):
        recent = [number % 1000 for number in range(max(0, row - inside + 1), row + 1)]
        assert found.column("amount_count_1h")[row].as_py() == len(recent)
        assert math.isclose(found.column("amount_sum_1h")[row].as_py(), sum(recent) / 100, rel_tol=1e-15)
        assert found.column("amount_max_1h")[row].as_py() == max(recent) / 100
        assert found.column("amount_distinct_1h")[row].as_py() == len(set(recent))
