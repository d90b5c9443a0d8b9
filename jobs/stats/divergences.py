"""Distances between histograms. What distance is too far is judged in `jobs.drift.detector`.

All take shares of rows, shape (..., bins), that sum to 1 over the bins, and give shape (...,).
"""

from __future__ import annotations

import numpy as np

from jobs.arrays import Floats


def stability_index(reference: Floats, current: Floats, least: float | Floats) -> Floats:
    """Population stability index, sum of (q - p) log(q / p) (Siddiqi, Credit Risk Scorecards, 2006): Jeffreys'
    divergence in nats, 0 or more.

    Args:
        least: a share that an empty bin is taken to have, usually that of half a row; keeps the logarithm finite.
    """
    p, q = np.maximum(reference, least), np.maximum(current, least)
    index: Floats = np.sum((q - p) * np.log(q / p), axis=-1)
    return index


def jensen_shannon(reference: Floats, current: Floats) -> Floats:
    """Jensen-Shannon distance in sqrt(bits), 0 to 1: a metric, finite also where bins are empty (Endres & Schindelin,
    IEEE Transactions on Information Theory 49, 2003)."""
    middle = (reference + current) / 2
    divergence = (_relative_entropy(reference, middle) + _relative_entropy(current, middle)) / 2
    distance: Floats = np.sqrt(np.maximum(divergence, 0) / np.log(2))
    return distance


def kolmogorov_smirnov(reference: Floats, current: Floats) -> Floats:
    """Largest difference of the distribution functions at the bins' edges, 0 to 1; bins in order, missing as the last.

    A lower bound of the statistic of the rows, exact where the edges hold all the values.
    """
    distance: Floats = np.abs(np.cumsum(current - reference, axis=-1)).max(axis=-1)
    return distance


def _relative_entropy(p: Floats, q: Floats) -> Floats:
    # Where p is positive so is the mixture q; 0 log 0 is 0.
    ratio = np.divide(p, q, out=np.ones_like(p), where=p > 0)
    entropy: Floats = np.sum(p * np.log(ratio), axis=-1)
    return entropy
