"""Expected metrics against all labels there could be; calibration against known chances; drift that it must disown."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.examples import with_examples

from jobs.arrays import Floats
from jobs.ground_truth.drift_windows import DriftTest
from jobs.ground_truth.label_delay import learn_delay
from jobs.ground_truth.labelled_scores import LabelledScores
from jobs.ground_truth.performance_estimate import Estimate, calibrate, estimate, expected
from jobs.stats import metrics
from jobs.times import MICROSECONDS_A_DAY as DAY
from jobs.times import NEVER, microseconds

AS_OF = datetime(2026, 4, 1, tzinfo=UTC)
NOW = microseconds(AS_OF)
DAYS, ROWS = 42, 800


def world(seed: int, shift: float = 0.0, since: int = DAYS, drift: float = 0.0) -> tuple[LabelledScores, Floats]:
    """Events of 42 days with scores that are no chances; from day `since` on evidence shifts up (covariate shift), or
    chances fall to a share `1 - drift` of what they were (concept drift). Also the true chances."""
    generator = np.random.default_rng(seed)
    times = NOW - DAYS * DAY + np.arange(DAYS * ROWS) * (DAY // ROWS)
    late = (times - times[0]) // DAY >= since
    evidence = generator.normal(-5, 2, len(times)) + shift * late
    chances = (1 - drift * late) / (1 + np.exp(-evidence))
    positive = generator.random(len(times)) < chances
    delays = (4 * np.exp(0.9 * generator.standard_normal(len(times))) * DAY).astype(np.int64)
    known_at = np.where(positive, times + delays, NEVER)
    delay = learn_delay(times[positive], known_at[positive], AS_OF, timedelta(days=14))
    scores = evidence / 10 + 0.4
    labelled = LabelledScores(
        times=times, scores=scores, known_at=known_at, positive=positive, delay=delay, as_of=AS_OF
    )
    return labelled, chances


def estimated(labelled: LabelledScores, drifts: tuple[DriftTest, ...] = (), days: int = 14) -> tuple[Estimate, ...]:
    """Of the latest days."""
    young = labelled.rows(np.arange(len(labelled))[-days * ROWS :])
    return estimate(young, calibrate(labelled), capacity=20, drifts=drifts)


def compared(seeds: int, days: int, **changes: float) -> tuple[Floats, Floats, Floats]:
    """Estimates of the latest days, what they turned out as, and the last known day's; shape (seeds, days)."""
    found = []
    for seed in range(seeds):
        rows, _ = world(seed, since=DAYS - days, **changes)
        means = [e.metrics["average_precision"].mean for e in estimated(rows, days=days)]
        real = truth(rows)
        found.append((means, real[-days:], np.full(days, real[DAYS - 15])))
    mine, real, last = np.swapaxes(np.array(found), 0, 1)
    return mine, real, last


def truth(rows: LabelledScores) -> Floats:
    """Average precision of each day, with all reports that ever come."""
    day = (rows.times - rows.times[0]) // DAY
    return np.array([metrics.average_precision(rows.positive[day == d], rows.scores[day == d]) for d in range(DAYS)])


@with_examples(30)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.1, 0.5, 0.9])), min_size=2, max_size=6),
    st.integers(1, 4),
)
def test_expected_metrics_are_means_over_all_labels_there_could_be(
    rows: list[tuple[int, float]], capacity: int
) -> None:
    scores, chances = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    outcomes = []
    for labels in product([False, True], repeat=len(rows)):
        found = np.array(labels)
        if 0 < found.sum() < len(found):
            weight = float(np.prod(np.where(found, chances, 1 - chances)))
            at = metrics.precision_at(found, scores, np.zeros(len(rows)), capacity)
            outcomes.append((weight, metrics.average_precision(found, scores), metrics.auc_roc(found, scores), at))
    weights, *values = np.array(outcomes).T
    found_means = expected(scores, chances, capacity, seed=0, draws=20_000)
    for one, of in zip(found_means.values(), values, strict=True):
        mean = float(weights @ of / weights.sum())
        assert one.mean == pytest.approx(mean, abs=0.02)
        spread = float(np.sqrt(max(0.0, weights @ (of - mean) ** 2 / weights.sum())))
        assert one.deviation == pytest.approx(spread, abs=0.02)


def test_calibration_finds_the_chances_behind_scores_with_half_of_the_truth_still_to_come() -> None:
    rows, chances = world(0)
    found = calibrate(rows).chance(rows.scores)
    assert found.mean() == pytest.approx(chances.mean(), rel=0.1)
    for low, high in ((0, 0.01), (0.01, 0.05), (0.05, 0.2), (0.2, 0.6), (0.6, 1)):
        of = (chances > low) & (chances <= high)
        assert found[of].mean() == pytest.approx(chances[of].mean(), rel=0.25)


def test_in_a_stable_world_it_is_nearer_to_the_truth_than_the_last_known_day() -> None:
    mine, real, last = compared(seeds=8, days=14)
    assert np.abs(mine - real).mean() < 0.7 * np.abs(last - real).mean()


def test_under_covariate_shift_it_is_twice_as_near_as_the_last_known_day() -> None:
    mine, real, last = compared(seeds=4, days=7, shift=2.5)
    assert np.abs(mine - real).mean() < 0.5 * np.abs(last - real).mean()


def test_the_truth_lies_within_two_deviations() -> None:
    inside = []
    for seed in range(6):
        rows, _ = world(seed)
        young = estimated(rows)
        found = [e.metrics["average_precision"] for e in young]
        off = np.abs([e.mean for e in found] - truth(rows)[-14:])
        inside += list(off <= 2 * np.array([e.deviation for e in found]))
    assert 0.85 < np.mean(inside) < 1


def test_days_whose_truth_is_in_are_as_they_were_found() -> None:
    rows, _ = world(1)
    first = estimated(rows, days=DAYS)[0]
    assert first.metrics["average_precision"].mean == pytest.approx(truth(rows)[0], abs=0.03)
    assert first.metrics["average_precision"].deviation < 0.03
    assert estimated(rows)[-1].metrics["average_precision"].deviation > 0.04


def test_known_positives_and_those_to_come_add_up() -> None:
    rows, chances = world(2)
    found = estimated(rows)
    assert sum(e.expected_positives for e in found) == pytest.approx(chances[-14 * ROWS :].sum(), rel=0.1)
    assert all(e.expected_positives >= e.positives for e in found)


def test_an_alarm_of_concept_drift_takes_the_trust_away() -> None:
    rows, _ = world(3, since=DAYS - 7, drift=0.8)
    alarm, quiet = DriftTest(1e-6, 2.0, True, True, {3: 1e-6}), DriftTest(1.0, 0.0, False, True, {3: 1.0})
    assert not any(e.trusted for e in estimated(rows, (quiet, alarm)))
    assert all(e.trusted for e in estimated(rows, (quiet, quiet)))


def test_without_known_positives_nothing_is_trusted_and_nothing_breaks() -> None:
    rows, _ = world(4)
    unreported = replace(rows, known_at=np.full(len(rows), NEVER), positive=np.zeros(len(rows), dtype=bool))
    found = estimated(unreported)
    assert not any(e.trusted or e.metrics for e in found)
    assert estimated(unreported.rows(np.zeros(0, dtype=np.intp))) == ()


def test_the_same_seed_gives_the_same_numbers() -> None:
    rows, _ = world(5)
    assert estimated(rows) == estimated(rows)
