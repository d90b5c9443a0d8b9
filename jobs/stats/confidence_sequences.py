"""Confidence sequences: intervals around a running mean that hold at all looks together, so that anybody may look after
every observation and stop when an interval says enough.

These hold asymptotically, whatever the values, which money and importance weights need: the normal mixture
(Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, Annals of Statistics 52, 2024). They say nothing while few values make
up most of the variance, as limits say nothing there yet. Those of `jobs.stats.bounded_means` hold from the first on.

Each interval is around the mean of the conditional means so far, so that a rate that drifts does no harm; for the same
reason intervals are not intersected over time. Observations come in the order in which they were learned. Rows of one
cluster (a customer who stays in one arm) are added up before they are squared: their sums then wander less than
independent ones, and by Slepian's inequality cross the boundary more rarely.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from jobs.arrays import Bools, Floats
from jobs.errors import Invalid
from jobs.stats.running_sums import Residuals

FEWEST = 40
"""Residuals, counted by their share of the variance, before an asymptotic interval is given."""


@dataclass(frozen=True)
class Looking:
    """How sure all looks together have to be, and when the looks that matter are expected."""

    alpha: float = 0.05
    """Largest chance that any interval misses, between 0 and 1."""
    tightest_at: float = 10_000
    """Number of observations at which intervals are the shortest that they can be; fixed before the first one."""

    def __post_init__(self) -> None:
        if not (0 < self.alpha < 1 and 0 < self.tightest_at < np.inf):
            raise Invalid(f"looking: expected an alpha in (0, 1) and a positive number of observations, found {self}")

    @property
    def mixed(self) -> float:
        """Observations that the mixture adds to those seen, for intervals that are tightest at `tightest_at` (the
        approximation of Waudby-Smith et al. 2024, section 2.3)."""
        surprise = -2 * np.log(self.alpha)
        return float(self.tightest_at / (surprise + np.log1p(surprise)))

    def standard_errors(self, observations: ArrayLike) -> Floats:
        """Half the width of an asymptotic interval after so many observations, in standard errors."""
        seen = np.asarray(observations, np.float64)
        wide: Floats = np.sqrt((1 + self.mixed / seen) * np.log((seen + self.mixed) / (self.mixed * self.alpha**2)))
        return wide


@dataclass(frozen=True, eq=False)
class ConfidenceSequence:
    """An estimate and its interval after each observation; ends are infinite while nothing can be said."""

    estimate: Floats
    lower: Floats
    upper: Floats

    def excludes(self, value: float) -> Bools:
        """Whether the interval leaves a value out, after each observation."""
        return (self.lower > value) | (self.upper < value)


def of_mean(values: ArrayLike, looking: Looking, clusters: ArrayLike | None = None) -> ConfidenceSequence:
    """Around the running mean of values without known bounds.

    Raises:
        ValueError: values that are not finite, or not one cluster for each.
    """
    return of_weighted_mean(values, np.ones(np.shape(values)), looking, clusters)


def of_weighted_mean(
    values: ArrayLike, weights: ArrayLike, looking: Looking, clusters: ArrayLike | None = None
) -> ConfidenceSequence:
    """Around the running self-normalised mean: the sum of weights times values over that of weights (Hajek 1971).

    For the unnormalised mean, which is unbiased but varies more, call `of_mean` with the products.

    Args:
        weights: 1 / propensity of what was done, 0 where something else was done.

    Raises:
        ValueError: as `of_mean` does, or negative weights.
    """
    return _around([Residuals.of(values, weights, clusters)], looking)


def of_difference(
    values: ArrayLike, weights: ArrayLike, other: ArrayLike, looking: Looking, clusters: ArrayLike | None = None
) -> ConfidenceSequence:
    """Around the running difference of two self-normalised means: that of one arm less that of another.

    Args:
        weights, other: weights of the same events in either arm; an event counts in one of them at most.

    Raises:
        ValueError: as `of_weighted_mean` does, or an event in both arms.
    """
    one, two = (Residuals.of(values, each, clusters) for each in (weights, other))
    if ((one.weights > 0) & (two.weights > 0)).any():
        raise Invalid("difference: expected events in one arm at most, found some in both; compare pairs by `of_mean`")
    return _around([one, two], looking)


def _around(arms: list[Residuals], looking: Looking) -> ConfidenceSequence:
    """Around the mean of the first arm less that of the second, if there is one."""
    means = [arm.means for arm in arms]
    estimate = means[0] - means[1] if len(arms) > 1 else means[0]
    error = np.sqrt(sum(arm.squared_errors for arm in arms))
    enough = np.logical_and.reduce([arm.effective >= FEWEST for arm in arms])
    seen = np.arange(1.0, len(estimate) + 1)
    half = np.where(enough, error * looking.standard_errors(seen), np.inf)
    return ConfidenceSequence(estimate, estimate - half, estimate + half)
