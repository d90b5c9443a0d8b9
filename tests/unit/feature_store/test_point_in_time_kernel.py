"""The point-in-time kernel against a brute-force reading of its rules, on data made to break it."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.examples import with_examples

from jobs.feature_store import point_in_time_kernel
from jobs.feature_store.point_in_time_kernel import JoinRules

START = datetime(2026, 3, 29, tzinfo=UTC)
UTC_TIME = pa.timestamp("us", "UTC")
Row = dict[str, Any]


def oracle(
    entities: list[Row], features: list[Row], keys: list[str], ttl: timedelta | None, created: bool, columns: list[str]
) -> list[Row]:
    """One pass over everything for every row: slow and plain."""
    return [entity | _seen(entity, features, keys, ttl, created, columns) for entity in entities]


def _seen(
    entity: Row, features: list[Row], keys: list[str], ttl: timedelta | None, created: bool, columns: list[str]
) -> Row:
    best: tuple[Any, ...] | None = None
    chosen: Row = dict.fromkeys(columns)
    for row in features:
        known = row["created"] if created else row["event"]
        if None in (entity["t"], row["event"], known) or any(entity[k] is None or row[k] is None for k in keys):
            continue
        if any(entity[k] != row[k] for k in keys) or row["event"] > entity["t"] or known > entity["t"]:
            continue
        if ttl and entity["t"] - row["event"] > ttl:
            continue
        rank = (row["event"], known, *(_value_rank(row[c]) for c in columns))
        if best is None or rank >= best:
            best, chosen = rank, {c: row[c] for c in columns}
    return chosen


def _value_rank(value: Any) -> tuple[int, Any]:
    if value is None:
        return 0, 0
    if isinstance(value, float) and math.isnan(value):
        return 2, 0
    return 1, value


def same(found: list[Row], expected: list[Row]) -> None:
    plain = [row | {"t": row["t"] and row["t"].astimezone(UTC)} for row in found]
    # As text, because NaN equals nothing.
    assert [repr(sorted(row.items())) for row in plain] == [repr(sorted(row.items())) for row in expected]


moments = st.integers(0, 12).map(lambda hours: START + timedelta(hours=hours))
maybe_moments = st.one_of(moments, moments, moments, st.none())
# Joined as text without care, these pairs read alike: 1+23 and 12+3, "a"+"bc" and "ab"+"c".
key_one = st.sampled_from([1, 12, 123, None])
key_two = st.sampled_from(["", "3", "23", "a", "bc", "ab", "c", None])
values = st.one_of(st.none(), st.sampled_from([-1.5, 0.0, 2.5, float("nan")]))
entity_rows = st.lists(st.fixed_dictionaries({"one": key_one, "two": key_two, "t": maybe_moments}), max_size=25)
feature_rows = st.lists(
    st.fixed_dictionaries(
        {"one": key_one, "two": key_two, "event": maybe_moments, "created": maybe_moments, "x": values, "y": values}
    ),
    max_size=60,
)
time_to_live = st.sampled_from([None, timedelta(0), timedelta(hours=1), timedelta(hours=5), timedelta.max])
KEY_TYPES = {"one": pa.int64(), "two": pa.string()}


def entity_table(rows: list[Row]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=pa.schema({**KEY_TYPES, "t": UTC_TIME}))


def feature_table(rows: list[Row]) -> pa.Table:
    types = {**KEY_TYPES, "event": UTC_TIME, "created": UTC_TIME, "x": pa.float64(), "y": pa.float64()}
    return pa.Table.from_pylist(rows, schema=pa.schema(types))


def join(entities: pa.Table, features: pa.Table, **options: Any) -> pa.Table:
    settings = {"keys": ["one", "two"], "event_timestamp": "t", "feature_timestamp": "event", "columns": ["x", "y"]}
    return point_in_time_kernel.join(entities, features, JoinRules(**(settings | options)))


@with_examples(200)
@given(entity_rows, feature_rows, time_to_live, st.booleans(), st.sampled_from([[], ["one"], ["two"], ["one", "two"]]))
def test_equals_the_brute_force_reading_of_the_rules(
    entities: list[Row], features: list[Row], ttl: timedelta | None, created: bool, keys: list[str]
) -> None:
    found = join(
        entity_table(entities), feature_table(features), keys=keys, ttl=ttl,
        created_timestamp="created" if created else None,
    )  # fmt: skip
    # timedelta.max in the oracle would need dates before year 1; it is "no limit" by any measure.
    limit = None if ttl == timedelta.max else ttl
    same(found.to_pylist(), oracle(entities, features, keys, limit, created, ["x", "y"]))


@with_examples(100)
@given(entity_rows, feature_rows, st.randoms(use_true_random=False))
def test_the_answer_does_not_depend_on_the_order_of_the_feature_rows(
    entities: list[Row], features: list[Row], rng: random.Random
) -> None:
    shuffled = list(features)
    rng.shuffle(shuffled)
    found = join(entity_table(entities), feature_table(shuffled), created_timestamp="created")
    expected = join(entity_table(entities), feature_table(features), created_timestamp="created")
    assert repr(found.to_pylist()) == repr(expected.to_pylist())


@with_examples(50)
@given(entity_rows, feature_rows, st.integers(0, 25))
def test_entity_rows_in_several_chunks_change_nothing(entities: list[Row], features: list[Row], cut: int) -> None:
    whole, pieces = entity_table(entities), feature_table(features)
    chunked = pa.concat_tables([whole.slice(0, cut), whole.slice(cut)])
    split = pa.concat_tables([pieces.slice(0, cut), pieces.slice(cut)])
    assert repr(join(chunked, split).to_pylist()) == repr(join(whole, pieces).to_pylist())


def one_feature(event: datetime, created: datetime, x: float = 1.0) -> Row:
    return {"one": 1, "two": "a", "event": event, "created": created, "x": x, "y": None}


def asked_at(*times: datetime) -> pa.Table:
    return entity_table([{"one": 1, "two": "a", "t": t} for t in times])


def test_both_ends_of_the_ttl_count() -> None:
    step = timedelta(microseconds=1)
    features = feature_table([one_feature(START, START)])
    times = [START - step, START, START + timedelta(days=1), START + timedelta(days=1) + step]
    found = join(asked_at(*times), features, ttl=timedelta(days=1))
    assert found["x"].to_pylist() == [None, 1.0, 1.0, None]


def test_a_correction_is_seen_from_the_moment_it_was_known() -> None:
    late = START + timedelta(hours=3)
    features = feature_table([one_feature(START, START, 1.0), one_feature(START, late, 2.0)])
    found = join(asked_at(START, late - timedelta(seconds=1), late), features, created_timestamp="created")
    assert found["x"].to_pylist() == [1.0, 1.0, 2.0]


def test_an_old_event_that_arrives_late_does_not_replace_a_newer_one() -> None:
    hour = timedelta(hours=1)
    features = feature_table([one_feature(START + hour, START + hour, 2.0), one_feature(START, START + 5 * hour, 1.0)])
    found = join(asked_at(START + 6 * hour), features, created_timestamp="created")
    assert found["x"].to_pylist() == [2.0]


def test_an_expired_newest_row_does_not_bring_back_an_older_one() -> None:
    hour = timedelta(hours=1)
    features = feature_table([one_feature(START, START + 9 * hour, 1.0), one_feature(START + hour, START + hour, 2.0)])
    found = join(asked_at(START + 9 * hour), features, created_timestamp="created", ttl=timedelta(hours=8))
    assert found["x"].to_pylist() == [2.0]
    found = join(asked_at(START + 10 * hour), features, created_timestamp="created", ttl=timedelta(hours=8))
    assert found["x"].to_pylist() == [None]


def test_times_are_compared_as_instants_whatever_their_zone_and_unit() -> None:
    local = pa.table({"k": [1, 1], "t": pa.array([0, 3_600], pa.timestamp("s", "Europe/Berlin"))})
    naive = pa.table({"k": [1], "event": pa.array([3_600_000_000_000], pa.timestamp("ns")), "x": [7]})
    found = join(local, naive, keys=["k"], columns=["x"])
    assert found["x"].to_pylist() == [None, 7]


def test_dates_at_both_ends_of_the_calendar_do_not_overflow() -> None:
    ends = [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)]
    rows = [{"k": k, "event": when, "created": when, "x": k} for k in range(2000) for when in ends]
    features = pa.Table.from_pylist(
        rows, schema=pa.schema({"k": pa.int64(), "event": UTC_TIME, "created": UTC_TIME, "x": pa.int64()})
    )
    asked = pa.table({"k": list(range(2000)), "t": pa.array([START] * 2000, UTC_TIME)})
    found = join(asked, features, keys=["k"], columns=["x"], created_timestamp="created")
    assert found["x"].to_pylist() == list(range(2000))


def test_integer_and_text_keys_of_different_widths_meet() -> None:
    entities = pa.table({"k": pa.array([5], pa.int32()), "s": pa.array(["é"], pa.large_string()), "t": [START]})
    features = pa.table({"k": pa.array([5], pa.int64()), "s": pa.array(["é"]), "event": [START], "x": [1]})
    assert join(entities, features, keys=["k", "s"], columns=["x"])["x"].to_pylist() == [1]


def test_keys_of_two_kinds_are_refused() -> None:
    entities = pa.table({"k": ["5"], "t": [START]})
    features = pa.table({"k": [5], "event": [START], "x": [1]})
    with pytest.raises(ValueError, match="key column k: expected one type on both sides, found string"):
        join(entities, features, keys=["k"], columns=["x"])


def test_a_feature_named_like_an_entity_column_is_refused() -> None:
    table = pa.table({"k": [5], "t": [START], "event": [START], "x": [1]})
    with pytest.raises(ValueError, match=r"found \['x'\]: rename them"):
        join(table, table, keys=["k"], columns=["x"])


def test_a_missing_column_is_named() -> None:
    with pytest.raises(ValueError, match=r"expected the feature table to have \['z'\]"):
        join(entity_table([]), feature_table([]), columns=["z"])


def test_lists_and_structures_travel_and_break_ties() -> None:
    features = pa.table({"k": [1, 1], "event": [START, START], "x": [[1, 2], [1, 3]], "y": [{"a": 1}, {"a": 0}]})
    for order in ([0, 1], [1, 0]):
        found = join(pa.table({"k": [1], "t": [START]}), features.take(order), keys=["k"])
        assert found.select(["x", "y"]).to_pylist() == [{"x": [1, 3], "y": {"a": 0}}]


def test_the_kernel_needs_neither_an_engine_nor_feast() -> None:
    heavy = ("pyspark", "feast", "pandas")
    code = f"import sys, jobs.feature_store.point_in_time; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
