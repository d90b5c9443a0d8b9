"""The mean of a target by category, pulled towards the mean of all rows where a category has few.

Rows that are to be compared with their own target get the mean of the others: a category of one row would else hold its
target (Micci-Barreca, A preprocessing scheme for high-cardinality categorical attributes, SIGKDD Explorations 3, 2001).
"""

import numpy as np

from jobs.arrays import Floats, Ints

PRIOR_ROWS = 10.0
"""Rows of the mean of all that a category's own are mixed with."""
FOLDS = 5


def means(codes: Ints, targets: Floats, weights: Floats, size: int) -> Floats:
    """Shape (size,): the smoothed mean of each category, of rows with codes from 0 to `size` - 1."""
    summed, weighed = _sums(codes, targets, weights, size)
    return _smoothed(summed, weighed, summed.sum() / max(weighed.sum(), 1e-300))


def out_of_fold(codes: Ints, targets: Floats, weights: Floats, size: int) -> Floats:
    """Shape (rows,): of each row the mean of its category among the rows of the other folds."""
    # Drawn, as rows may come in a rhythm of their own.
    fold = np.random.default_rng(0).integers(0, FOLDS, len(codes))
    own = [array.reshape(FOLDS, size) for array in _sums(codes + fold * size, targets, weights, size * FOLDS)]
    summed, weighed = (array.sum(axis=0) - array for array in own)
    # The mean of all rows, not of other folds: that would be lower for a fold with more positives, and tell them.
    overall = own[0].sum() / max(own[1].sum(), 1e-300)
    held_out: Floats = _smoothed(summed, weighed, overall)[fold, codes]
    return held_out


def _sums(codes: Ints, targets: Floats, weights: Floats, size: int) -> tuple[Floats, Floats]:
    summed: Floats = np.bincount(codes, targets * weights, size).astype(np.float64)
    return summed, np.bincount(codes, weights, size).astype(np.float64)


def _smoothed(summed: Floats, weighed: Floats, overall: float) -> Floats:
    smoothed: Floats = (summed + PRIOR_ROWS * overall) / (weighed + PRIOR_ROWS)
    return smoothed
