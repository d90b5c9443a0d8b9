"""Counts that vary more than chance alone: positives per day, whose rate drifts because frauds come in campaigns.

The negative-binomial model: a count is Poisson around `expected * G`, where G varies from day to day like a gamma
variable of mean 1 and variance `1 / shape` (Gelman et al., Bayesian Data Analysis, 3rd ed., section 2.6).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.metrics import Floats

STEADIEST = 1e6
"""Largest shape: counts that vary no more than Poisson's."""


@dataclass(frozen=True)
class Rate:
    """Positives per unit of exposure, and how much it varies."""

    mean: float
    shape: float

    def to_come(self, counts: NDArray[Any], seen: Floats, unseen: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of further counts over the exposure `unseen`, after `counts` over `seen`.

        The posterior of G is gamma(shape + count, shape + expected), what is to come is Poisson around it.
        """
        further = self.mean * unseen
        posterior = (self.shape + counts) / (self.shape + self.mean * seen)
        mean = further * posterior
        variance = mean + further**2 * posterior / (self.shape + self.mean * seen)
        return mean, np.sqrt(variance)


def learn(counts: NDArray[Any], exposure: Floats) -> Rate:
    """Rate and shape by moments: the excess of squared deviations over their Poisson expectation.

    Without exposure nothing is expected: a rate of 0.

    Args:
        counts, exposure: shape (days,); exposure is rows times the share of their truth that is in.
    """
    if not len(counts) or exposure.sum() <= 0:
        return Rate(0.0, STEADIEST)
    mean = float(counts.sum() / exposure.sum())
    expected = mean * exposure
    excess = float(np.sum((counts - expected) ** 2 - expected))
    return Rate(mean, min(STEADIEST, float(np.sum(expected**2)) / excess) if excess > 0 else STEADIEST)
