"""A drop of average precision on mature days: seen when it is there, and hardly ever when it is not."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.ground_truth.performance_drop import FEWEST_DAYS, NOISE_DAYS, RECENT_DAYS, REFERENCE_DAYS, complete, drop
from jobs.stats import metrics

SPREAD = 0.08
"""Standard deviation of a day's average precision in the simulated world, about."""


def days(seed: int, lost: float = 0.0) -> list[float]:
    values = 0.75 + SPREAD * np.random.default_rng(seed).normal(size=NOISE_DAYS + RECENT_DAYS)
    values[-RECENT_DAYS:] -= lost
    return [float(value) for value in values]


def test_days_without_a_change_hardly_ever_alarm() -> None:
    alarms = sum((drop(days(seed)) or 0) >= 1 for seed in range(3000))
    assert alarms <= 2


def test_a_large_drop_alarms_and_a_small_one_does_not() -> None:
    assert np.mean([(drop(days(seed, 0.2)) or 0) >= 1 for seed in range(200)]) > 0.95
    assert np.mean([(drop(days(seed, 0.03)) or 0) >= 1 for seed in range(200)]) < 0.05


def campaigns(seed: int) -> list[float]:
    """Days without a change whose noise is shared by those near each other."""
    noise = np.random.default_rng(seed).normal(size=NOISE_DAYS + RECENT_DAYS + 50)
    for day in range(1, len(noise)):
        noise[day] = 0.6 * noise[day - 1] + 0.8 * noise[day]
    return [0.75 + SPREAD * float(value) for value in noise[50:]]


def test_days_that_are_alike_hardly_ever_alarm() -> None:
    alarms = sum((drop(campaigns(seed)) or 0) >= 1 for seed in range(1000))
    # Taken for days on their own, many more would.
    assert alarms <= 4


def test_four_weeks_alike_by_chance_are_not_the_noise() -> None:
    before = [float(value) for value in 0.75 + SPREAD * np.random.default_rng(5).normal(size=NOISE_DAYS)]
    before[-REFERENCE_DAYS:] = [0.8 + 0.01 * (n % 2) for n in range(REFERENCE_DAYS)]
    lately = [0.7] * RECENT_DAYS
    assert (drop(before[-REFERENCE_DAYS:] + lately) or 0) > 1 > (drop(before + lately) or 0) > 0


@pytest.mark.parametrize(("share", "positives"), [(0.9, 10), (0.9, 60), (0.6, 60)])
def test_a_day_of_which_reports_are_missing_is_completed_without_bias(share: float, positives: int) -> None:
    generator = np.random.default_rng(7)
    scores = generator.normal(size=400).round(2)
    labels = np.isin(np.arange(400), generator.choice(400, positives, replace=False, p=softmax(2 * scores)))
    whole, found = metrics.average_precision(labels, scores), []
    for _ in range(3000):
        known = labels & (generator.random(400) < share)
        if known.any():
            found.append(complete(known, scores, share))
    assert np.mean(found) == pytest.approx(whole, abs=4 * np.std(found) / len(found) ** 0.5)


def softmax(values: np.ndarray) -> np.ndarray:
    chances: np.ndarray = np.exp(values) / np.exp(values).sum()
    return chances


@pytest.mark.parametrize(("days_before", "quantile"), [(14, 4.72069294770), (56, 3.77040734730)])
def test_the_line_is_the_quantile_of_students_distribution(days_before: int, quantile: float) -> None:
    # Days that alternate are not alike: the smallest inflation of 2 holds, and the variance is that of +-0.1.
    before = [0.7 + 0.1 * (-1) ** day for day in range(days_before)]
    compared = min(days_before, REFERENCE_DAYS)
    deviation = (2 * 0.01 * days_before / (days_before - 1) * (1 / RECENT_DAYS + 1 / compared)) ** 0.5
    assert drop(before + [0.6] * RECENT_DAYS) == pytest.approx(0.1 / deviation / quantile, rel=1e-9)


def test_a_gain_is_no_drop() -> None:
    assert drop(days(1, -0.3)) == 0.0


def test_a_certain_drop_that_does_not_matter_is_below_the_line() -> None:
    assert 0 < (drop([0.8 + 0.001 * (n % 2) for n in range(REFERENCE_DAYS)] + [0.78] * RECENT_DAYS) or 0) < 1


def test_too_few_days_say_nothing() -> None:
    assert drop([]) is None and drop([0.5] * (FEWEST_DAYS + RECENT_DAYS - 1)) is None
    gaps = [0.5] * REFERENCE_DAYS + [float("nan")] * 3 + [0.4] * (RECENT_DAYS - 3)
    assert drop(gaps) is None
