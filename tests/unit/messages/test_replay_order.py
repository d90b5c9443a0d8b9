"""The order of a replayed stream: nothing is lost, what is asked for comes late and twice, and a seed repeats it."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from worlds.examples import with_examples

from jobs.messages.replay_order import FARTHEST, Disturbance, arrivals, sending_order

COUNTS, SHARES, SEEDS = st.integers(0, 3000), st.sampled_from([0.0, 0.01, 0.3, 1.0]), st.integers(0, 2**32 - 1)
UTC_TIMES = pl.Datetime("us", "UTC")


@given(COUNTS, SHARES, SHARES, SEEDS)
@with_examples(60)
def test_each_message_is_sent_once_or_twice_and_not_too_far_from_its_place(
    count: int, duplicates: float, disorder: float, seed: int
) -> None:
    order = sending_order(count, Disturbance(duplicates=duplicates, disorder=disorder, seed=seed)).tolist()
    times = Counter(order)
    assert set(times) == set(range(count)) and set(times.values()) <= {1, 2}
    twice = sum(number == 2 for number in times.values())
    assert abs(twice - duplicates * count) <= 5 * (count * duplicates * (1 - duplicates)) ** 0.5
    first = list(dict.fromkeys(order))
    assert all(place - number <= FARTHEST and number - place <= FARTHEST for place, number in enumerate(first))
    assert disorder or first == list(range(count))


@given(st.integers(2000, 4000), st.sampled_from([0.01, 0.1, 0.5]), SEEDS)
@with_examples(30)
def test_so_many_are_overtaken_and_by_few_and_by_many(count: int, disorder: float, seed: int) -> None:
    order = sending_order(count, Disturbance(disorder=disorder, seed=seed)).tolist()
    behind = [number - later for number, later in zip(_largest_before(order), order, strict=True) if number > later]
    # One at the end has nobody left to overtake it, and those that move together keep their order.
    assert 0.5 * disorder * count < len(behind) <= disorder * count + 5 * (disorder * count) ** 0.5
    assert min(behind) < 10 < max(behind) <= FARTHEST


def _largest_before(order: list[int]) -> list[int]:
    largest, before = -1, []
    for number in order:
        before.append(largest)
        largest = max(largest, number)
    return before


@given(st.integers(500, 3000), SEEDS)
@with_examples(30)
def test_copies_come_at_once_and_later(count: int, seed: int) -> None:
    order = sending_order(count, Disturbance(duplicates=0.5, seed=seed)).tolist()
    places: dict[int, list[int]] = {}
    for place, number in enumerate(order):
        places.setdefault(number, []).append(place)
    gaps = [second - first for first, second in (pair for pair in places.values() if len(pair) == 2)]
    assert min(gaps) <= 2 and max(gaps) > 100


@given(st.lists(st.datetimes(datetime(2018, 1, 1), datetime(2026, 1, 1))), st.integers(0, 10**10), SEEDS, st.data())
def test_rows_arrive_within_their_lateness_whatever_comes_after(
    moments: list[datetime], late: int, seed: int, data: st.DataObject
) -> None:
    known_at = pl.Series([moment.replace(tzinfo=UTC) for moment in moments], dtype=UTC_TIMES)
    disturbance = Disturbance(late=timedelta(microseconds=late), seed=seed)
    arrived = arrivals(known_at, disturbance, 1)
    lateness = (arrived - known_at).dt.total_microseconds()
    assert arrived.dtype == UTC_TIMES and lateness.is_between(0, late).all()
    fewer = data.draw(st.integers(0, len(moments)))
    assert arrivals(known_at[:fewer], disturbance, 1).to_list() == arrived[:fewer].to_list()


def test_another_seed_or_source_is_late_otherwise() -> None:
    known_at = pl.Series([datetime(2026, 1, 1, tzinfo=UTC)] * 100, dtype=UTC_TIMES)
    drawn = [
        arrivals(known_at, Disturbance(late=timedelta(hours=1), seed=seed), source).to_list()
        for seed, source in ((0, 1), (0, 2), (1, 1), (0, 1))
    ]
    assert drawn[0] == drawn[3] and drawn[0] not in drawn[1:3] and drawn[1] != drawn[2]
    assert max(drawn[0]) - min(drawn[0]) > timedelta(minutes=30)
