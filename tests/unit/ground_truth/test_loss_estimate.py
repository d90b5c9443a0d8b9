"""What a day of numbers or classes is expected to cost before its labels are in, against what it then costs."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from jobs.ground_truth.concept_drift import ALARM
from jobs.ground_truth.drift_windows import combined
from jobs.ground_truth.label_delay import learn_delay
from jobs.ground_truth.loss_estimate import calibrate_losses, estimate_losses
from jobs.ground_truth.performance import ScoredEvents
from jobs.objective import LOG_LOSS, MEAN_ABSOLUTE_ERROR, TaskName
from jobs.tasks.multiclass import Multiclass
from jobs.tasks.regression import Regression
from jobs.tasks.task import Task
from jobs.times import MICROSECONDS_A_DAY as DAY
from jobs.times import microseconds

AS_OF = datetime(2026, 4, 1, tzinfo=UTC)
NOW = microseconds(AS_OF)
DAYS, ROWS, YOUNG = 30, 300, 5
MATURITY = timedelta(days=5)


def scored(name: TaskName, seed: int = 0, larger: float = 1.0) -> tuple[ScoredEvents, np.ndarray]:
    """30 days of which labels take until the sixth day, and losses by the truth. Rows are `larger` in the young days,
    so that errors are."""
    random, rows = np.random.default_rng(seed), DAYS * ROWS
    times = NOW - DAYS * DAY + np.arange(rows) * (DAY // ROWS)
    size = random.gamma(4, 0.25, rows) * np.where(times > NOW - YOUNG * DAY, larger, 1.0)
    task: Task
    if name == "regression":
        task, scores = Regression(MEAN_ABSOLUTE_ERROR), 10 * size
        values = scores + size * random.standard_normal(rows)
        ends = scores - 2 * size, scores + 2 * size
    else:
        task = Multiclass(LOG_LOSS, ("a", "b", "c"))
        odds = np.exp(random.standard_normal((rows, 3)) * np.minimum(2 / size, 8)[:, None])
        chances = odds / odds.sum(axis=1, keepdims=True)
        values = (chances.cumsum(axis=1) < random.random(rows)[:, None]).sum(axis=1).clip(0, 2)
        # Overconfident: what the model says of itself is wrong, and calibration mends it.
        sharp = chances**1.5
        scores, ends = sharp / sharp.sum(axis=1, keepdims=True), None
    known_at = times + (random.random(rows) * 5 * DAY).astype(np.int64)
    events = ScoredEvents(
        times=times,
        scores=scores,
        known_at=known_at,
        positive=np.ones(rows, np.bool_),
        delay=learn_delay(times, known_at, AS_OF, MATURITY),
        as_of=AS_OF,
        values=values,
        versions=np.ones(rows, np.int64),
        entities=np.arange(rows),
        amounts=None,
        task=task,
        lower=None if ends is None else ends[0],
        upper=None if ends is None else ends[1],
    )
    return events, task.losses(values, scores)


@pytest.mark.parametrize("name", ["regression", "multiclass"])
@pytest.mark.parametrize("larger", [1.0, 1.6])
def test_what_is_expected_of_young_days_is_what_they_cost(name: TaskName, larger: float) -> None:
    """Also where rows about which the model is unsure become more: the mean of the past would be off."""
    events, losses = scored(name, larger=larger)
    young = events.days >= events.days[-1] - YOUNG + 1
    calibration = calibrate_losses(events, MATURITY)
    found = estimate_losses(events.rows(young), calibration)
    assert len(found) == YOUNG and all(day.trusted and day.rows == ROWS for day in found)
    truth = np.array([losses[young][events.days[young] == day.day].mean() for day in found])
    expected = [day.metrics[events.task.objective.name] for day in found]
    off = np.array([each.mean for each in expected]) - truth
    assert (np.abs(off) <= 4 * np.array([each.deviation for each in expected])).all()
    if larger > 1:
        assert abs(off.mean()) < 0.5 * abs(losses[~young].mean() - truth.mean())


def test_labels_that_are_known_later_and_losses_of_young_rows_change_nothing() -> None:
    events, _ = scored("regression")
    unknown = events.known_at > NOW
    assert unknown.any()
    values: np.ndarray = np.array(events.values)
    values[unknown] = 1e9
    hidden = ScoredEvents(**{**vars(events), "values": values})
    assert [vars(day) for day in estimate_losses(events, calibrate_losses(events, MATURITY))] == [
        vars(day) for day in estimate_losses(hidden, calibrate_losses(hidden, MATURITY))
    ]


def test_silence_counts_as_the_declared_label_once_it_is_mature() -> None:
    events, _ = scored("regression")
    silent = np.arange(len(events)) % 4 == 0
    own = {**vars(events), "positive": ~silent, "values": np.where(silent, np.nan, np.array(events.values))}
    left_out, counted = (ScoredEvents(**{**own, "unlabelled": label}) for label in (None, -100.0))
    assert calibrate_losses(counted, MATURITY).labels > calibrate_losses(left_out, MATURITY).labels
    costly = calibrate_losses(counted, MATURITY).losses.mean()
    assert costly > 20 > calibrate_losses(left_out, MATURITY).losses.mean()


def test_estimates_of_few_labels_or_after_a_change_are_not_to_be_trusted() -> None:
    events, _ = scored("regression")
    few = events.rows(events.times > NOW - 5 * DAY)
    assert not any(day.trusted for day in estimate_losses(few, calibrate_losses(few, MATURITY)))
    alarm = combined({3: 1e-9}, ALARM)
    assert not any(day.trusted for day in estimate_losses(events, calibrate_losses(events, MATURITY), (alarm,)))
    none = events.rows(events.times > NOW - DAY)
    assert all(not day.metrics for day in estimate_losses(none, calibrate_losses(none, MATURITY)))
