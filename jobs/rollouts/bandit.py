"""Shares of a bandit's arms, by what each one earned over the champion; the champion itself earned 0.

Assignment stays a pure function of entity and shares, so that propensities are exact: shares change at a step, for all
entities alike, and not with every event.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from jobs.rollout_strategy import Strategy

DRAWS = 10_000


def shares_by_gain(gains: Mapping[str, tuple[float, float]], strategy: Strategy, seed: int) -> dict[str, float]:
    """Arm -> its share; the champion has the rest.

    Args:
        gains: arm -> mean gain of an event over the champion, and its standard error.
    """
    best = _chances(gains, seed) if strategy.choice == "thompson" else _greedy(gains)
    even = strategy.explored / (len(gains) + 1)
    return {name: even + (1 - strategy.explored) * chance for name, chance in zip(gains, best, strict=True)}


def _chances(gains: Mapping[str, tuple[float, float]], seed: int) -> list[float]:
    """The chance that each arm is the best of all, the champion among them (Thompson, Biometrika 25, 1933), by draws
    from normal distributions; the same for the same gains."""
    chance = np.random.default_rng(seed)
    drawn = [chance.normal(mean, error, DRAWS) for mean, error in gains.values()]
    best = np.argmax([np.zeros(DRAWS), *drawn], axis=0)
    return [float(np.mean(best == number)) for number in range(1, len(gains) + 1)]


def _greedy(gains: Mapping[str, tuple[float, float]]) -> list[float]:
    """1 for the arm that earned most, if that is more than nothing."""
    most = max(gains, key=lambda name: gains[name][0])
    return [float(name == most and gains[name][0] > 0) for name in gains]
