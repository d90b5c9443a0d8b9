"""What is counted later, many at once, is what would have been counted at once, one by one."""

from __future__ import annotations

import itertools
import math
import threading

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram

from serving.telemetry.distribution import Distribution
from serving.telemetry.tally import Tally, flush_all

BOUNDS = (-1.0, 0.0, 0.5, 2.0)
REGISTRY, EXAMPLES = CollectorRegistry(), itertools.count()
MANY = Distribution("many", "Values at once.", ["example"], buckets=BOUNDS, registry=REGISTRY)
SINGLY = Histogram("singly", "One by one.", ["example"], buckets=BOUNDS, registry=REGISTRY)
VALUES = st.one_of(st.none(), st.sampled_from(BOUNDS), st.floats(width=32), st.integers(-(10**6), 10**6))


@given(st.lists(VALUES))
def test_many_values_fall_into_the_buckets_that_each_alone_falls_into(values: list[float | None]) -> None:
    example = f"{next(EXAMPLES)}"
    finite = [float(each) for each in values if each is not None and math.isfinite(each)]
    assert MANY.labels(example).observe_all(values) == len(finite)
    for each in finite:
        SINGLY.labels(example).observe(each)
    if finite:
        for le in (*map(str, BOUNDS), "+Inf"):
            assert counted("many_bucket", example, le=le) == counted("singly_bucket", example, le=le)


def counted(name: str, example: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, {"example": example, **labels})


def test_nothing_is_lost_or_counted_twice_whoever_adds_and_counts() -> None:
    counted: list[int] = []
    tally: Tally[int] = Tally(counted.extend)
    ended = threading.Event()

    def add(start: int) -> None:
        for number in range(start, start + 20_000):
            tally.add(number)

    def count() -> None:
        while not ended.is_set():
            flush_all()

    adding = [threading.Thread(target=add, args=(start,)) for start in (0, 20_000)]
    counting = [threading.Thread(target=count) for _ in range(2)]
    for thread in (*adding, *counting):
        thread.start()
    for thread in adding:
        thread.join()
    ended.set()
    for thread in counting:
        thread.join()
    tally.flush()
    assert sorted(counted) == list(range(40_000))
