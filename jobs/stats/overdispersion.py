"""Overdispersed counts, which vary more than independent events, as frauds come in campaigns: their distribution and
its tails.

A number of positives is negative-binomial: Poisson around `expected * G`, where G varies like a gamma variable of mean
1 and variance `1 / shape` (Gelman et al., Bayesian Data Analysis, 3rd ed., section 2.6). A number among positives is
beta-binomial: each has the same chance, which varies like a beta variable (Williams, Biometrics 31, 1975).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.arrays import Floats

LARGEST_SHAPE = 1e6
"""Largest shape: counts that vary no more than a Poisson variable does."""
SMALLEST_CORRELATION = 0.02
"""Smallest correlation of events counted together: a short past cannot show that they are independent."""


@dataclass(frozen=True)
class CountRate:
    """Positives per unit of exposure, and the shape of the gamma variable that it varies like."""

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

    def two_sided(self, count: int, exposure: float) -> float:
        """Twice the smaller of P(N <= count) and P(N >= count), at most 1; 1 where nothing is expected."""
        expected = self.mean * exposure
        if expected <= 0:
            return 1.0
        from scipy.stats import nbinom

        counts = nbinom(self.shape, self.shape / (self.shape + expected))
        return min(1.0, 2 * float(min(counts.cdf(count), counts.sf(count - 1))))


@dataclass(frozen=True)
class Proportion:
    """Share of a kind among counted events, and the correlation (above 0) of events counted together."""

    mean: float
    correlation: float

    def at_least(self, hits: int, of: int) -> float:
        """P(hits or more of the kind among `of`)."""
        from scipy.stats import betabinom

        total = 1 / self.correlation - 1
        chances = betabinom.pmf(np.arange(hits, of + 1), of, self.mean * total, (1 - self.mean) * total)
        return min(1.0, float(chances.sum()))


def learn_rate(counts: NDArray[Any], exposure: Floats) -> CountRate:
    """Rate and shape by moments: the excess of squared deviations over their Poisson expectation.

    Without exposure nothing is expected: a rate of 0.

    Args:
        counts, exposure: shape (days,); exposure is rows times the share of their truth that is in.
    """
    if not len(counts) or exposure.sum() <= 0:
        return CountRate(0.0, LARGEST_SHAPE)
    mean = float(counts.sum() / exposure.sum())
    expected = mean * exposure
    excess = float(np.sum((counts - expected) ** 2 - expected))
    return CountRate(mean, min(LARGEST_SHAPE, float(np.sum(expected**2)) / excess) if excess > 0 else LARGEST_SHAPE)


def learn_proportion(hits: NDArray[Any], of: NDArray[Any], smallest: float = SMALLEST_CORRELATION) -> Proportion:
    """Mean and correlation by moments: Var(hits) = n p (1 - p) (1 + (n - 1) correlation).

    Half a hit in one more keeps the mean off 0 and 1; a correlation is never taken to be below `smallest`.
    """
    mean = float((hits.sum() + 0.5) / (of.sum() + 1))
    unit = of * mean * (1 - mean)
    excess = float(np.sum((hits - of * mean) ** 2 - unit))
    pairs = float(np.sum(unit * np.maximum(of - 1, 0)))
    return Proportion(mean, float(np.clip(excess / pairs if pairs else 0.0, smallest, 0.9)))
