"""Concept drift through labels: how often it cries wolf, how soon it is seen."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.arrays import Bools, Floats
from jobs.ground_truth.concept_drift import concept_drift, loss_drift, percentiles
from jobs.ground_truth.drift_windows import DriftTest
from jobs.ground_truth.label_delay import learn_delay
from jobs.ground_truth.label_drift import label_drift
from jobs.ground_truth.labelled_scores import LabelledScores
from jobs.times import MICROSECONDS_A_DAY as DAY
from jobs.times import NEVER, Times, microseconds

AS_OF = datetime(2026, 4, 1, tzinfo=UTC)
NOW = microseconds(AS_OF)
DAYS, ROWS = 80, 500
World = tuple[Times, Floats, Times, Bools]
Tests = tuple[DriftTest, DriftTest]
"""Of concept drift and of label drift."""


def world(seed: int, since: float = 0, hidden: float = 0.0, factor: float = 1.0, shift: float = 0.0) -> World:
    """80 days of events, 6% of them positive, in campaigns of about five a day that share how hard they are to see.
    In the last `since` days a share `hidden` of the positives scores like all others, the rate of positives is `factor`
    times as large, and scores of all rows are `shift` higher."""
    generator = np.random.default_rng(seed)
    times = NOW - DAYS * DAY + np.arange(DAYS * ROWS) * (DAY // ROWS)
    late = times >= NOW - since * DAY
    positive = generator.random(len(times)) < 0.06 * np.where(late, factor, 1)
    campaign = generator.integers(0, 6, len(times)) + 6 * ((times - times[0]) // (5 * DAY))
    ease = generator.normal(3, 1, int(campaign.max()) + 1)[campaign]
    seen = positive & ~(late & (generator.random(len(times)) < hidden))
    scores = generator.standard_normal(len(times)) + ease * seen + shift * late
    delays = (4 * np.exp(0.9 * generator.standard_normal(len(times))) * DAY).astype(np.int64)
    return times, scores, np.where(positive, times + delays, NEVER), positive


def judged(rows: World, as_of: datetime = AS_OF) -> Tests:
    times, scores, known_at, positive = rows
    delay = learn_delay(times[positive], known_at[positive], as_of, timedelta(days=14))
    labelled = LabelledScores(
        times=times, scores=scores, known_at=known_at, positive=positive, delay=delay, as_of=as_of
    )
    return concept_drift(labelled), label_drift(labelled)


@pytest.fixture(scope="module")
def stable() -> list[Tests]:
    return [judged(world(seed)) for seed in range(120)]


def test_without_a_change_it_hardly_ever_alarms(stable: list[Tests]) -> None:
    assert all(c.judged and labels.judged for c, labels in stable)
    assert sum(c.alarm for c, _ in stable) <= 1
    assert sum(labels.alarm for _, labels in stable) <= 1


@pytest.mark.parametrize("level", [0.05, 0.2])
def test_p_values_are_small_no_more_often_than_they_say(level: float, stable: list[Tests]) -> None:
    assert np.mean([c.p_value <= level for c, _ in stable]) <= level + 0.06
    assert np.mean([labels.p_value <= level for _, labels in stable]) <= level + 0.06


def test_positives_that_hide_are_seen_within_five_days() -> None:
    found = [judged(world(seed, since=5, hidden=0.7))[0] for seed in range(12)]
    assert np.mean([c.alarm for c in found]) >= 0.9
    assert all(c.alarm == (c.score >= 1) for c in found)


def test_a_shift_of_all_scores_is_no_concept_drift() -> None:
    assert not any(judged(world(seed, since=5, shift=2.0))[0].alarm for seed in range(12))


@pytest.mark.parametrize("factor", [0.0, 2.5])
def test_more_or_fewer_positives_are_label_drift(factor: float) -> None:
    found = [judged(world(seed, since=7, factor=factor)) for seed in range(10)]
    assert np.mean([labels.alarm for _, labels in found]) >= 0.9
    assert not any(c.alarm for c, _ in found)


def test_a_week_without_any_report_is_no_drift() -> None:
    times, scores, known_at, positive = world(1)
    silent = np.where(known_at > NOW - 7 * DAY, NEVER, known_at)
    assert not any(c.alarm for c in judged((times, scores, silent, positive & (silent < NEVER))))


def test_a_month_of_reports_at_once_is_no_concept_drift() -> None:
    for seed in range(8):
        times, scores, known_at, positive = world(seed)
        burst = np.where((known_at > NOW - 30 * DAY) & (known_at <= NOW), NOW - 1, known_at)
        assert not judged((times, scores, burst, positive))[0].alarm


@pytest.mark.parametrize(("days", "reported"), [(0, True), (20, True), (DAYS, False)])
def test_with_too_little_to_compare_nothing_is_said(days: int, reported: bool) -> None:
    times, scores, known_at, positive = world(2)
    some = slice(len(times) - days * ROWS, None)
    known = np.where(positive & reported, known_at, NEVER)
    for found in judged((times[some], scores[some], known[some], positive[some] & reported)):
        assert (found.p_value, found.score, found.alarm, found.judged) == (1.0, 0.0, False, False)


def test_what_is_known_later_changes_nothing() -> None:
    times, scores, known_at, positive = world(3, since=12, hidden=0.6)
    as_of = AS_OF - timedelta(days=8)
    then, past = microseconds(as_of), times <= microseconds(as_of)
    known = np.where(known_at <= then, known_at, NEVER)[past]
    assert judged((times, scores, known_at, positive), as_of) == judged(
        (times[past], scores[past], known, positive[past] & (known < NEVER)), as_of
    )


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4)), min_size=1, max_size=12))
def test_a_percentile_is_the_share_below_with_ties_as_half(rows: list[tuple[int, int]]) -> None:
    days, scores = (np.array(column) for column in zip(*rows, strict=True))
    found = percentiles(days * DAY, scores.astype(np.float64), np.arange(len(rows)))
    for place, day, score in zip(found, days, scores, strict=True):
        today = scores[days == day]
        assert place == pytest.approx(((today < score).sum() + (today == score).sum() / 2) / len(today))


def losses(seed: int, wrong: float = 0.0, larger: float = 1.0, costs: bool = False, since: int = 5) -> DriftTest:
    """The same of a number whose errors grow with it, on days that differ: in the last days it lies `wrong` usual
    errors above its prediction, or rows are `larger`. With `costs` only a large error costs something."""
    generator = np.random.default_rng(seed)
    times = NOW - DAYS * DAY + np.arange(DAYS * 200) * (DAY // 200)
    late = times >= NOW - since * DAY
    size = generator.gamma(2, 1, len(times)) * np.where(late, larger, 1)
    usual = size * np.repeat(np.exp(0.15 * generator.standard_normal(DAYS)), 200)
    lost = np.abs(usual * generator.standard_normal(len(times)) + late * wrong * usual)
    lost = np.where(lost > 1.5 * size, 1.0, 0.0) if costs else lost
    known_at = times + (np.exp(0.9 * generator.standard_normal(len(times))) * DAY).astype(np.int64)
    labelled = LabelledScores(
        times=times,
        scores=10 * size,
        known_at=known_at,
        positive=np.ones(len(times), np.bool_),
        delay=learn_delay(times, known_at, AS_OF, timedelta(days=7)),
        as_of=AS_OF,
    )
    return loss_drift(labelled, lost)


@pytest.mark.parametrize("costs", [False, True])
def test_losses_that_stay_as_they_were_hardly_ever_alarm(costs: bool) -> None:
    stable = [losses(seed, costs=costs) for seed in range(24)]
    assert all(each.judged for each in stable) and sum(each.alarm for each in stable) <= 1


@pytest.mark.parametrize("costs", [False, True])
def test_labels_that_move_away_from_their_predictions_are_seen_within_five_days(costs: bool) -> None:
    assert np.mean([losses(seed, wrong=1.2, costs=costs).alarm for seed in range(8)]) >= 0.8


def test_more_rows_that_always_erred_more_are_no_concept_drift() -> None:
    assert sum(losses(seed, larger=1.3).alarm for seed in range(12)) <= 1


def test_losses_of_few_labels_are_not_judged() -> None:
    times = NOW - np.arange(100) * DAY // 2
    few = LabelledScores(
        times=times,
        scores=np.ones(100),
        known_at=times,
        positive=np.ones(100, np.bool_),
        delay=learn_delay(times, times, AS_OF, timedelta(days=7)),
        as_of=AS_OF,
    )
    assert not loss_drift(few, np.ones(100)).judged
