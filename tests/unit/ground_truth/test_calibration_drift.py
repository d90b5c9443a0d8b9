"""Scores that stop meaning the chance that they used to mean: seen on young labels, and told from other payments."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from jobs.ground_truth.calibration_drift import calibration_drift
from jobs.ground_truth.drift_windows import DriftTest
from jobs.ground_truth.label_delay import learn_delay
from jobs.ground_truth.labelled_scores import LabelledScores
from jobs.times import MICROSECONDS_A_DAY as DAY
from jobs.times import NEVER, microseconds

AS_OF = datetime(2026, 4, 1, tzinfo=UTC)
DAYS, ROWS = 80, 600


def judged(seed: int, since: int = 0, shift: float = 0.0, slope: float = 1.0, days: int = DAYS) -> DriftTest:
    """Events of `days` days, of which a score says the chance, in campaigns that make days differ. In the last `since`
    days evidence is `shift` higher (covariate shift), and tells `slope` times as much (concept drift)."""
    generator = np.random.default_rng(seed)
    times = microseconds(AS_OF) - days * DAY + np.arange(days * ROWS) * (DAY // ROWS)
    late = times >= microseconds(AS_OF) - since * DAY
    evidence = generator.normal(-4, 2, len(times)) + shift * late
    campaigns = generator.normal(0, 0.2, days + 1)[(times - times[0]) // DAY]
    told = np.where(late, slope * (evidence + 4) - 4, evidence)
    positive = generator.random(len(times)) < 1 / (1 + np.exp(-told - campaigns))
    delays = (4 * np.exp(0.9 * generator.standard_normal(len(times))) * DAY).astype(np.int64)
    known_at = np.where(positive, times + delays, NEVER)
    shuffled = generator.permutation(len(times))
    delay = learn_delay(times[positive], known_at[positive], AS_OF, timedelta(days=14))
    labelled = LabelledScores(
        times=times, scores=evidence, known_at=known_at, positive=positive, delay=delay, as_of=AS_OF
    )
    return calibration_drift(labelled.rows(shuffled))


def test_without_a_change_it_hardly_ever_alarms() -> None:
    found = [judged(seed) for seed in range(60)]
    assert all(c.judged for c in found) and sum(c.alarm for c in found) <= 2


@pytest.mark.parametrize("since", [7, 14])
def test_scores_that_tell_less_are_seen_within_one_and_two_weeks(since: int) -> None:
    assert np.mean([judged(seed, since=since, slope=0.4).alarm for seed in range(20)]) >= 0.9


@pytest.mark.parametrize("shift", [-1.0, 1.0])
def test_other_payments_of_which_scores_say_the_same_are_no_drift(shift: float) -> None:
    assert sum(judged(seed, since=10, shift=shift).alarm for seed in range(30)) <= 1


def test_with_too_little_to_compare_nothing_is_said() -> None:
    found = judged(0, days=20)
    assert not found.judged and not found.alarm and found.score == 0
