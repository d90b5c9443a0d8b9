"""Objectives of every task against scikit-learn, as they are and over resampled blocks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as oracle

from jobs.errors import Invalid
from jobs.objective import AUC, AVERAGE_PRECISION, LOG_LOSS, MEAN_ABSOLUTE_ERROR, cost_matrix, pinball, recall_at
from jobs.stats import paired_bootstrap
from jobs.tasks.binary import Binary
from jobs.tasks.multiclass import Multiclass
from jobs.tasks.regression import Regression
from jobs.tasks.task import RowValues, Task

ROWS, BLOCKS = 400, 40
RANDOM = np.random.default_rng(5)
BLOCK = RANDOM.integers(0, BLOCKS, ROWS)
WEIGHTS = RANDOM.uniform(0.2, 3, ROWS)
YES = RANDOM.random(ROWS) < 0.3
CHANCES = np.round(np.clip(0.3 * YES + RANDOM.random(ROWS) * 0.7, 0.01, 0.99), 2)
CLASSES = RANDOM.integers(0, 3, ROWS)
SHARES = RANDOM.dirichlet((1, 1, 1), ROWS)
NUMBERS = RANDOM.normal(10, 4, ROWS)
PREDICTIONS = NUMBERS + RANDOM.normal(0, 2, ROWS)
COSTS = cost_matrix({"true": {"false": 10.0}, "false": {"true": 1.0}})


def pinball_loss(labels: Any, scores: Any, weights: Any) -> float:
    return float(oracle.mean_pinball_loss(labels, scores, sample_weight=weights, alpha=0.8))


def log_loss(labels: Any, scores: Any, weights: Any) -> float:
    return float(oracle.log_loss(labels, scores, sample_weight=weights, labels=[0, 1, 2] if scores.ndim == 2 else None))


def cost(labels: Any, scores: Any, weights: Any) -> float:
    decided = scores > 1 / 11  # Elkan 2001: where both decisions are expected to cost the same
    return float(np.average(np.where(labels & ~decided, 10.0, np.where(~labels & decided, 1.0, 0.0)), weights=weights))


MEASURED: Sequence[tuple[Task, Any, Any, Any]] = [
    (Binary(AVERAGE_PRECISION), YES, CHANCES, lambda t, s, w: oracle.average_precision_score(t, s, sample_weight=w)),
    (Binary(AUC), YES, CHANCES, lambda t, s, w: oracle.roc_auc_score(t, s, sample_weight=w)),
    (Binary(LOG_LOSS), YES, CHANCES, log_loss),
    (Binary(COSTS), YES, CHANCES, cost),
    (Multiclass(LOG_LOSS, ("a", "b", "c")), CLASSES, SHARES, log_loss),
    (Regression(MEAN_ABSOLUTE_ERROR), NUMBERS, PREDICTIONS,
     lambda t, s, w: oracle.mean_absolute_error(t, s, sample_weight=w)),
    (Regression(pinball(0.8)), NUMBERS, PREDICTIONS, pinball_loss),
]  # fmt: skip
NAMES = [f"{task.name} {task.objective.name}" for task, *_ in MEASURED]


@pytest.mark.parametrize(("task", "labels", "scores", "expected"), MEASURED, ids=NAMES)
def test_the_value_is_that_of_scikit_learn(task: Task, labels: Any, scores: Any, expected: Any) -> None:
    assert task.value(labels, scores) == pytest.approx(expected(labels, scores, None), rel=1e-9)
    weighed = task.value(labels, scores, RowValues(weights=WEIGHTS))
    assert weighed == pytest.approx(expected(labels, scores, WEIGHTS), rel=1e-9)


@pytest.mark.parametrize(("task", "labels", "scores", "expected"), MEASURED, ids=NAMES)
def test_a_resample_is_the_value_of_rows_that_count_as_often(
    task: Task, labels: Any, scores: Any, expected: Any
) -> None:
    group = RANDOM.random(ROWS) < 0.5
    drawn = paired_bootstrap.poisson(np.random.default_rng(1), (8, BLOCKS))
    prepared = task.resampled(labels, scores, BLOCK, [np.ones(ROWS, bool), group], RowValues())
    found = prepared.resampled(drawn)
    assert found.shape == (8, 2) and prepared.width == 2
    for weights, (everything, _) in zip(drawn, found, strict=True):
        assert everything == pytest.approx(expected(labels, scores, weights[BLOCK]), rel=1e-5)


def test_recall_at_a_capacity_counts_the_highest_of_each_day() -> None:
    task, days = Binary(recall_at(2)), np.repeat([0, 1], 4)
    labels = np.array([1, 0, 1, 0, 0, 0, 1, 1], bool)
    scores = np.array([0.9, 0.8, 0.7, 0.1, 0.9, 0.5, 0.5, 0.2])
    # The first of day 0; of day 1 one of the two that are tied at the second place.
    assert task.value(labels, scores, RowValues(days=days)) == pytest.approx((1 + 0.5) / 4)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: pinball(1.5), "a quantile between 0 and 1, found 1.5"),
        (lambda: recall_at(0), "at least 1 row a day, found 0"),
        (lambda: cost_matrix({}), "finite costs"),
        (lambda: cost_matrix({"true": {"false": -1.0}}), "finite costs"),
    ],
)
def test_objectives_that_measure_nothing_are_refused(wrong: Any, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        wrong()
