"""What each row costs a prediction, shape (rows,): losses of numbers and of probabilities. Means are objectives."""

import numpy as np

from jobs.arrays import Floats, Ints

SMALLEST_CHANCE = 1e-7
"""A probability that float32 rounds to 0 counts as this much: an impossible label costs 16, not everything."""


def pinball(labels: Floats, predictions: Floats, level: float) -> Floats:
    """The loss that the quantile `level` minimises: `level` x what lies above, `1 - level` x what lies below (Koenker &
    Bassett, Econometrica 46, 1978)."""
    above = labels - predictions
    losses: Floats = np.maximum(level * above, (level - 1) * above)
    return losses


def logarithmic(labels: Ints, probabilities: Floats) -> Floats:
    """Minus the logarithm of the probability of what was true.

    Args:
        labels: numbers of classes.
        probabilities: shape (rows, classes).
    """
    chances = probabilities[np.arange(len(labels)), labels]
    losses: Floats = -np.log(np.clip(chances, SMALLEST_CHANCE, 1.0))
    return losses


def cheapest(probabilities: Floats, costs: Floats) -> Ints:
    """The decision of each row that is expected to cost least, the first of equals.

    Args:
        probabilities: shape (rows, classes).
        costs: shape (classes, classes): of what is true, and what is decided.
    """
    decisions: Ints = np.argmin(probabilities @ costs, axis=1)
    return decisions


def weighted_quantile(values: Floats, level: float, weights: Floats | None = None) -> float:
    """The smallest value with a share `level` of the weight at or below it; without weights the usual, interpolated."""
    if weights is None:
        return float(np.quantile(values, level))
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    return float(values[order][min(np.searchsorted(reached, level * reached[-1]), len(values) - 1)])
