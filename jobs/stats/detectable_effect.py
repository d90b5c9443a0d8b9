"""What a comparison by confidence sequence can find, told before it starts: the smallest effect that some number of
observations finds, and the number that an effect needs.

An effect is found when the interval leaves 0 out. At one look its chance is that of a normal estimate to be further
from 0 than the interval is wide (`jobs.stats.confidence_sequences.Looking.standard_errors`); earlier looks find some
effects too, so that the chance of all looks is a little above the one that is asked for. It is below where a small arm
has skewed outcomes, whose error grows with their mean: exponential ones in 400 observations were found by 67 % at 80 %.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from jobs.arrays import codes
from jobs.errors import Invalid
from jobs.stats.confidence_sequences import Looking
from jobs.stats.running_sums import finite

POWER = 0.8
MOST = 10.0**15
"""Observations beyond which nobody waits."""


def spread(values: ArrayLike, clusters: ArrayLike | None = None) -> float:
    """The standard deviation of values by which a mean of n of them has an error of spread / sqrt(n): that of
    independent ones, or the larger one of rows that come in clusters.

    Raises:
        ValueError: values that are not finite, none, or not one cluster for each.
    """
    numbers = finite("values", values)
    if not len(numbers):
        raise Invalid("spread: expected values, found none; take a longer period")
    away = numbers - numbers.mean()
    sums = away if clusters is None else np.bincount(codes("clusters", clusters, len(numbers))[1], away)
    return float(np.sqrt(sums @ sums / len(numbers)))


def spread_of_difference(one: float, share: float, other: float, other_share: float) -> float:
    """The spread of a difference of two arms' means, per observation of all traffic.

    Args:
        one, other: spread within each arm.
        share, other_share: of all traffic, that each arm gets.
    """
    if not (min(share, other_share) > 0 and share + other_share <= 1 + 1e-12):
        raise Invalid(f"shares: expected two above 0 that make up 1 at most, found {share} and {other_share}")
    return math.sqrt(one**2 / share + other**2 / other_share)


def detectable_effect(spread: float, observations: float, looking: Looking, power: float = POWER) -> float:
    """The smallest difference from 0, in the unit of the spread, that so many observations find with this power.

    Raises:
        ValueError: a spread below 0, no observations, or a power outside (0, 1).
    """
    if not (0 <= spread < np.inf and observations > 0 and 0 < power < 1):
        raise Invalid(f"effect: expected a spread, observations and a power, found {spread}, {observations}, {power}")
    errors = float(looking.standard_errors(observations)) + NormalDist().inv_cdf(power)
    return errors * spread / math.sqrt(observations)


def observations_needed(effect: float, spread: float, looking: Looking, power: float = POWER) -> float:
    """How many observations find an effect with a chance of `power`; infinite for an effect of 0, or beyond reach.

    Raises:
        ValueError: as `detectable_effect` does.
    """
    few, many = 1.0, MOST
    if detectable_effect(spread, many, looking, power) > abs(effect) or not effect:
        return math.inf
    # What can be found falls with every observation: halving the range of the exponent ends at the first that will do.
    while many / few > 1 + 1e-9:
        middle = math.sqrt(few * many)
        enough = detectable_effect(spread, middle, looking, power) <= abs(effect)
        few, many = (few, middle) if enough else (middle, many)
    return float(math.ceil(many - 1e-6))


def days_to_verdict(effect: float, spread: float, a_day: float, looking: Looking, maturity: float = 0.0) -> float:
    """Days until an effect is found with a chance of 80 %: those in which the traffic comes, and `maturity` days until
    the outcomes of the last one are known.

    Raises:
        ValueError: no traffic, or as `detectable_effect` does.
    """
    if not a_day > 0:
        raise Invalid(f"traffic: expected observations every day, found {a_day}")
    return observations_needed(effect, spread, looking) / a_day + maturity
