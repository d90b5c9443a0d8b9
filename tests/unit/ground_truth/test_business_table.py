"""Figures of the business against sums by hand: by arm, version and slice, live and matured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import hypothesis
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.checks.business import every_event_counts
from jobs.ground_truth.business_table import LIVE, SCHEMA, business
from jobs.ground_truth.label_delay import learn_delay
from jobs.ground_truth.performance import DecidedArms, ScoredEvents
from jobs.problem import Review
from jobs.times import MICROSECONDS_A_DAY, NEVER, microseconds

AS_OF = datetime(2026, 5, 31, tzinfo=UTC)
DAYS = 30
DELAY = learn_delay(np.zeros(0, np.int64), np.zeros(0, np.int64), AS_OF, timedelta(days=7))
"""As declared: nothing was learned."""
REVIEW = Review(threshold=0.5, capacity=5, cost=3.0, block=0.9)
ARMS = ("champion", "4:champion", "4:new")


def events(seed: int, count: int = 120) -> ScoredEvents:
    chance = np.random.default_rng(seed)
    first = microseconds(AS_OF - timedelta(days=DAYS))
    times = np.sort(first + chance.integers(0, DAYS * MICROSECONDS_A_DAY, count))
    scores, positive = chance.random(count), chance.random(count) < 0.3
    known_at = np.where(positive, times + chance.integers(1, 5 * MICROSECONDS_A_DAY, count), NEVER)
    decided = DecidedArms(np.array(ARMS)[chance.integers(0, 3, count)], scores >= 0.5, scores >= 0.9)
    return ScoredEvents(
        times=times, known_at=known_at, positive=positive, as_of=AS_OF, scores=scores,
        delay=DELAY,
        versions=chance.integers(3, 5, count), entities=chance.integers(0, 20, count),
        amounts=chance.gamma(2, 25, count), slices={"dear": chance.random(count) < 0.3}, decided=decided,
    )  # fmt: skip


def rows_of(scored: ScoredEvents, review: Review | None = REVIEW) -> list[Mapping[str, Any]]:
    return list(business(scored, review, set(scored.days.tolist())))


@given(st.integers(0, 10**6))
@hypothesis.settings(max_examples=25)
def test_figures_are_sums_over_the_events_of_their_part(seed: int) -> None:
    scored = events(seed)
    decided, amounts = scored.decided, scored.amounts
    assert decided is not None and amounts is not None
    parts = ("event_date", "arm", "model_version", "slice", "metric")
    found = {tuple(row[name] for name in parts): row["value"] for row in rows_of(scored)}
    expected: dict[Any, float] = {}
    epoch = datetime(1970, 1, 1, tzinfo=UTC).date()
    for n, part in product(range(len(scored)), ("all", "dear")):
        if part == "dear" and not scored.slices["dear"][n]:
            continue
        alert, block, yes, money = decided.alerts[n], decided.blocks[n], scored.reported[n], amounts[n]
        key = (epoch + timedelta(days=int(scored.days[n])), decided.arms[n], scored.versions[n], part)
        for metric, value in {
            "to_review": alert and not block, "blocked": block, "stopped": alert and yes, "missed": yes and not alert,
            "false_alarms": alert and not block and not yes, "false_blocks": block and not yes,
            "stopped_money": money * (alert and yes), "missed_money": money * (yes and not alert),
            "earned_money": money * (alert and yes) - REVIEW.cost * alert,
        }.items():  # fmt: skip
            expected[(*key, metric)] = expected.get((*key, metric), 0.0) + float(value)
    assert found == pytest.approx(expected)


def test_what_needs_outcomes_is_provisional_until_they_are_in() -> None:
    rows = pl.DataFrame(rows_of(events(1)), schema=pl.Schema(pl.DataFrame(SCHEMA.empty_table()).schema))
    judged = rows.group_by("event_date").agg(pl.col("judged").all()).sort("event_date")
    assert judged["judged"].to_list() == sorted(judged["judged"].to_list(), reverse=True)
    assert judged["judged"][0] and not judged["judged"][-1]
    assert set(LIVE) <= set(rows.filter(~pl.col("judged"))["metric"])


def test_without_amounts_there_is_no_money_and_without_review_the_metrics_of_the_task() -> None:
    scored = events(2)
    assert not [row for row in rows_of(replace(scored, amounts=None)) if row["metric"].endswith("money")]
    metrics = {row["metric"] for row in rows_of(scored, None)}
    assert "average_precision" in metrics and not metrics & set(LIVE)


def test_a_part_that_is_lost_is_noticed() -> None:
    scored = events(3)
    rows = pl.DataFrame(rows_of(scored))
    assert every_event_counts(scored, rows).passed
    assert not every_event_counts(scored, rows.filter(pl.col("arm") != "4:new")).passed


def test_days_that_nobody_asks_about_are_left_out() -> None:
    scored = events(4)
    last = int(scored.days[-1])
    found = business(scored, REVIEW, {last})
    assert {row["event_date"] for row in found} == {datetime(1970, 1, 1).date() + timedelta(days=last)}
