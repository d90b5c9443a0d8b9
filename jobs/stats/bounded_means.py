"""Confidence sequences of values with known bounds, which hold for every number of observations: the
empirical-Bernstein gamma-exponential mixture (Howard, Ramdas, McAuliffe & Sekhon, Annals of Statistics 49, 2021,
theorem 4 and proposition 9).

What they have in common with those of values without bounds is said in `jobs.stats.confidence_sequences`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from jobs.arrays import Floats
from jobs.errors import Invalid
from jobs.stats.confidence_sequences import ConfidenceSequence, Looking
from jobs.stats.running_sums import finite

NEWTON_STEPS = 60
SMALLEST_STEP = 1e-9


def of_bounded_mean(
    values: ArrayLike,
    bounds: tuple[float, float],
    looking: Looking,
    spread: float | None = None,
    places: slice = slice(None),
) -> ConfidenceSequence:
    """Around the running mean of values within bounds, such as outcomes of 0 or 1, or of these times weights.

    Args:
        places: after which of the observations the interval is wanted; each costs a search for a root.
        spread: expected standard deviation, from the time before the first observation: where intervals are tightest
            depends on it, whether they hold does not. None: half the range, the largest there is.

    Raises:
        ValueError: bounds that are none, a spread that is not positive, or values that are not within the bounds.
    """
    lowest, highest = bounds
    width = highest - lowest
    if not (0 < width < np.inf and (spread is None or 0 < spread < np.inf)):
        raise Invalid(f"bounds: expected a lower and a higher one and a positive spread, found {bounds} and {spread}")
    shares = (finite("values", values, lowest, highest) - lowest) / width
    seen = np.arange(1.0, len(shares) + 1)
    total = np.cumsum(shares)
    # Half a unit in the middle stands for what is expected of the first observation.
    expected = np.concatenate([[0.5], (total + 0.5) / (seen + 1)])[: len(shares)]
    grown = np.cumsum((shares - expected) ** 2)
    mixed = looking.mixed * (0.5 if spread is None else spread / width) ** 2
    mean = (total / seen)[places]
    half = boundary(grown[places], mixed, looking.alpha / 2) / seen[places]
    lower, upper = np.maximum(mean - half, 0.0), np.minimum(mean + half, 1.0)
    return ConfidenceSequence(*(lowest + width * each for each in (mean, lower, upper)))


def boundary(grown: Floats, mixed: float, alpha: float) -> Floats:
    """What a sum of deviations in [-1, 1] exceeds at any time with a chance of at most `alpha`.

    Args:
        grown: the sum of squared deviations from what was expected, at each time.
        mixed: rho of the mixture, in the unit of `grown`.
    """
    far: Floats = np.sqrt((grown + mixed) * 2 * np.log1p(np.sqrt(1 + grown / mixed) / alpha)) + 2 * np.log(1 / alpha)
    # The logarithm is convex and grows: from a sum that is too large, Newton's steps fall without passing the root.
    for _ in range(NEWTON_STEPS):
        excess, slope = _log_mixture(far, grown, mixed, alpha)
        step = excess / slope
        far = far - step
        if (np.abs(step) <= SMALLEST_STEP * far).all():
            break
    return far


def _log_mixture(sums: Floats, grown: Floats, mixed: float, alpha: float) -> tuple[Floats, Floats]:
    """The logarithm of the mixture martingale times `alpha`, and its derivative in the sum."""
    from scipy.special import gammainc, gammaln, xlogy

    shape, rate = grown + mixed, sums + grown + mixed
    inside = gammainc(shape, rate)
    constant = xlogy(mixed, mixed) - gammaln(mixed) - np.log(gammainc(mixed, mixed)) + np.log(alpha)
    log = constant + gammaln(shape) + np.log(inside) - xlogy(shape, rate) + sums + grown
    density = np.exp(xlogy(shape - 1, rate) - rate - gammaln(shape)) / inside
    slope: Floats = density - shape / rate + 1
    return log, slope
