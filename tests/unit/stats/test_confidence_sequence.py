"""Looks at data that grow: equals cross the boundary at most as often as is allowed, whenever somebody looks."""

from statistics import NormalDist

import numpy as np
import pytest

from jobs.stats.confidence_sequence import level


@pytest.mark.parametrize(("alpha", "a_look"), [(0.01, 5), (0.05, 1), (0.05, 60)])
def test_equals_hardly_ever_cross_and_a_fixed_level_would_be_crossed_more_often(alpha: float, a_look: int) -> None:
    information = 20 + a_look * np.arange(100)
    generator = np.random.default_rng(a_look)
    parts = generator.normal(size=(4_000, 100)) * np.sqrt(np.diff(np.r_[0, information]))
    statistics = np.cumsum(parts, axis=1) / np.sqrt(information)
    bounds = np.array([NormalDist().inv_cdf(level(float(each), 20, alpha)) for each in information])
    ever = (statistics > bounds).any(axis=1).mean()
    assert ever <= alpha, "by Ville's inequality"
    assert (statistics > NormalDist().inv_cdf(1 - alpha)).any(axis=1).mean() > 2 * alpha


def test_a_real_difference_is_found() -> None:
    information = 20 * np.arange(1, 61)
    drift = 3.0 * np.sqrt(information / 200)  # three standard errors at ten times the first look
    bounds = np.array([NormalDist().inv_cdf(level(float(each), 20, 0.05)) for each in information])
    assert (drift > bounds).any() and not (drift[:5] > bounds[:5]).any()


@pytest.mark.parametrize(("information", "alpha"), [(19, 0.05), (20, 0.0), (20, 1.0), (float("nan"), 0.05)])
def test_what_cannot_be_asked_is_refused(information: float, alpha: float) -> None:
    with pytest.raises(ValueError, match="expected information of at least 20"):
        level(information, 20, alpha)
