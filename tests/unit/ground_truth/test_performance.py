"""Performance per day, version and slice: each number against the metric of exactly those rows."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.ground_truth.label_delay import Delay, learn_delay
from jobs.ground_truth.performance import EVERYTHING, Performance, ScoredEvents, performance
from jobs.problem import Review
from jobs.stats import metrics
from jobs.times import MICROSECONDS_A_DAY as DAY
from jobs.times import NEVER, microseconds

AS_OF = datetime(2026, 4, 1, tzinfo=UTC)
NOW = microseconds(AS_OF)
REVIEW = Review(threshold=0.5, capacity=20, cost=5.0, cards=10)
DAYS, ROWS = 30, 120
NONE = np.array([], dtype=np.int64)
DECLARED: Delay = learn_delay(NONE, NONE, AS_OF, timedelta(days=14))


def scored(seed: int = 0) -> ScoredEvents:
    generator = np.random.default_rng(seed)
    times = NOW - DAYS * DAY + np.arange(DAYS * ROWS) * (DAY // ROWS)
    positive = generator.random(len(times)) < 0.1
    scores = np.clip(0.3 * positive + 0.5 * generator.random(len(times)), 0, 1)
    delays = (4 * np.exp(0.9 * generator.standard_normal(len(times))) * DAY).astype(np.int64)
    amounts = generator.integers(1, 200, len(times)).astype(np.float64)
    versions = np.where(times < NOW - 10 * DAY, 1, np.where(np.arange(len(times)) % 4 == 0, 3, 2))
    known_at = np.where(positive, times + delays, NEVER)
    cards = generator.integers(0, 50, len(times))
    return ScoredEvents(
        times=times,
        scores=scores,
        versions=versions,
        entities=cards,
        amounts=amounts,
        known_at=known_at,
        positive=positive,
        delay=DECLARED,
        as_of=AS_OF,
        slices={"large": amounts >= 100},
    )


@pytest.mark.parametrize("days", [1, 3])
def test_each_number_is_the_metric_of_exactly_its_rows(days: int) -> None:
    rows = scored()
    day, known = rows.times // DAY, rows.positive & (rows.known_at <= NOW)
    found = {(p.day, p.version, p.slice): p for p in performance(rows, REVIEW, days)}
    expected = set()
    for last, version, name in product(np.unique(day), (1, 2, 3), (EVERYTHING, "large")):
        here = (day > last - days) & (day <= last) & (rows.versions == version) & rows.slices.get(name, day > 0)
        if not here.any():
            continue
        expected.add((last, version, name))
        one = found[last, version, name]
        assert (one.rows, one.positives) == (here.sum(), known[here].sum())
        share = DECLARED.share((NOW - rows.times[here]) / DAY).mean()
        assert one.label_maturity == pytest.approx(share)
        assert one.judged == (share >= 0.9)
        assert rows.amounts is not None
        arrays = (known[here], rows.scores[here], rows.entities[here], day[here], rows.amounts[here])
        measured = dict(one.metrics)
        assert measured.pop("precision_at_20") == metrics.precision_at(*arrays[:2], day[here], 20)
        assert measured == metrics.evaluate(*arrays, REVIEW)
    assert set(found) == expected


def test_only_mature_windows_are_judged() -> None:
    found = [p for p in performance(scored(), REVIEW) if p.slice == EVERYTHING]
    assert {p.day for p in found if p.judged} == set(range(NOW // DAY - DAYS, NOW // DAY - 14))
    assert not any(p.judged for p in performance(scored(), REVIEW, mature_from=1.0))


def test_provisional_precision_rises_as_reports_come_in() -> None:
    rows = scored()
    last = NOW // DAY - 1

    def precision(later: int) -> float:
        found = performance(replace(rows, as_of=AS_OF + timedelta(days=later)), REVIEW)
        return next(p.metrics["precision"] or 0.0 for p in found if (p.day, p.version) == (last, 2))

    assert precision(0) < precision(5) < precision(30)


def test_what_happens_later_changes_nothing() -> None:
    earlier = AS_OF - timedelta(days=12, hours=5)
    rows, then = replace(scored(), as_of=earlier), microseconds(earlier)
    hidden = rows.rows(np.flatnonzero(rows.times <= then))
    late = hidden.known_at > then
    unknown = replace(hidden, known_at=np.where(late, NEVER, hidden.known_at), positive=hidden.positive & ~late)
    assert performance(rows, REVIEW) == performance(unknown, REVIEW)


def test_days_without_frauds_or_events_are_no_error() -> None:
    rows = scored()
    clean = replace(rows, positive=np.zeros(len(rows.times), dtype=bool))
    assert all(p.metrics["average_precision"] is None for p in performance(clean, REVIEW))
    nothing: tuple[Performance, ...] = performance(rows.rows(NONE), REVIEW)
    assert nothing == ()
    with pytest.raises(ValueError, match="days: expected a window of at least 1 day"):
        performance(rows, REVIEW, days=0)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.integers(0, 2)), max_size=15), st.integers(0, 4))
def test_precision_at_capacity_is_money_saved_when_every_fraud_is_worth_one(
    rows: list[tuple[bool, int, int]], capacity: int
) -> None:
    found, scores, days = (np.array([row[n] for row in rows]) for n in range(3))
    found = found.astype(bool)
    caught = metrics.money_saved(found, scores, days, np.ones(len(rows)), capacity, 0.0)
    reviewed = sum(min(capacity, int((days == day).sum())) for day in np.unique(days))
    assert metrics.precision_at(found, scores, days, capacity) == pytest.approx(caught / max(reviewed, 1))
