"""What is estimated from a world that acted meets the whole truth on average; what is not corrected misses it."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.actions import exploration
from jobs.actions.exploration import Acting
from jobs.stats import metrics, weighted_metrics

FIRST = date(2026, 1, 1)
SEEDS = 200


def population(seed: int = 0, count: int = 2000) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores of who acted, of another model, and amounts; amounts are larger in frauds."""
    rng = np.random.default_rng(seed)
    risk = rng.beta(0.6, 5, count)
    labels = rng.random(count) < risk
    acted, other = (np.clip(risk + rng.normal(0, 0.08, count), 0, 1) for _ in range(2))
    return labels, acted, other, rng.exponential(50, count) * (1 + labels)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 3)), min_size=2, max_size=40))
def test_a_row_of_weight_n_is_n_rows(rows: list[tuple[bool, int, int]]) -> None:
    labels, scores, weights = (np.array(column) for column in zip(*rows, strict=True))
    repeated = np.repeat(labels, weights)
    if not 0 < repeated.sum() < len(repeated):
        with pytest.raises(ValueError, match="expected seen positives and negatives"):
            weighted_metrics.average_precision(labels, scores, weights)
        return
    found = weighted_metrics.average_precision(labels, scores, weights)
    assert found == pytest.approx(metrics.average_precision(repeated, np.repeat(scores, weights)))
    alerted = scores >= 3
    precise = weighted_metrics.precision_at(labels, scores, weights, alerted)
    assert precise == pytest.approx(metrics.at_threshold(repeated, np.repeat(scores, weights), 3).precision)


@pytest.mark.parametrize("seed", [0, 1, 509])
def test_estimates_meet_the_truth_and_uncorrected_ones_miss_it(seed: int) -> None:
    labels, acted, other, amounts = population(seed)
    policy = Acting(0.3, explore=0.15, cap=1000, seed=seed)
    alerted = other >= 0.4
    truth = np.array(
        [
            metrics.average_precision(labels, other),
            labels[alerted].mean(),
            amounts[alerted & labels].sum() - 5 * alerted.sum(),
        ]
    )
    corrected: list[list[float]] = []
    naive: list[list[float]] = []
    for n in range(SEEDS):
        actions = exploration.act(acted, FIRST + timedelta(days=n), policy)
        weights = exploration.importance_weights(actions, policy)
        for estimates, of in ((corrected, weights), (naive, (weights > 0).astype(float))):
            estimates.append(
                [
                    weighted_metrics.average_precision(labels, other, of),
                    weighted_metrics.precision_at(labels, other, of, alerted),
                    weighted_metrics.money_saved(labels, other, of, alerted, amounts, 5.0),
                ]
            )
    mean, error = np.mean(corrected, axis=0), np.std(corrected, axis=0) / SEEDS**0.5
    # Self-normalised estimates of a few dozen explored rows are a little biased: 3% of the truth is granted.
    assert (np.abs(mean - truth) < 4.5 * error + 0.03 * np.abs(truth)).all()
    # Frauds with high scores are missing from what is not corrected.
    assert np.mean(naive, axis=0)[0] < 0.85 * truth[0]


def test_nothing_seen_is_said() -> None:
    labels, scores = np.array([True, False, True]), np.array([0.9, 0.1, 0.2])
    assert weighted_metrics.precision_at(labels, scores, np.zeros(3), scores > 0.5) == 0
    assert weighted_metrics.money_saved(labels, scores, np.zeros(3), scores > 0.1, np.ones(3), 2.0) == -4
    with pytest.raises(ValueError, match="weights: expected 0 or more"):
        weighted_metrics.average_precision(labels, scores, [-1, 1, 1])
