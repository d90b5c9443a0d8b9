"""The effect that is promised is found as often as promised, in the time that is promised; sizes fit together."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.stats import detectable_effect as effects
from jobs.stats.confidence_sequences import Looking, of_difference

LOOKING = Looking(0.05, 4000)
WORLDS = 400
Draw = Callable[[np.random.Generator, int], np.ndarray]


def skewed(generator: np.random.Generator, events: int) -> np.ndarray:
    return generator.exponential(2.0, events)


def even(generator: np.random.Generator, events: int) -> np.ndarray:
    return generator.normal(0.0, 2.0, events)


def found_shares(draw: Draw, effect: float, events: int, share: float) -> tuple[float, float]:
    """In which share of worlds an effect is found at the last look, and at any of a look every 50 events."""
    generator, last, ever = np.random.default_rng(3), 0, 0
    for _ in range(WORLDS):
        one = generator.random(events) < share
        values = draw(generator, events) + effect * one
        excluded = of_difference(values, one / share, ~one / (1 - share), LOOKING).excludes(0.0)
        last += bool(excluded[-1])
        ever += bool(excluded[49::50].any())
    return last / WORLDS, ever / WORLDS


@pytest.mark.parametrize(("draw", "events", "share"), [(skewed, 4000, 0.5), (even, 4000, 0.1), (skewed, 12_000, 0.5)])
def test_a_detectable_effect_is_found_with_its_power(draw: Draw, events: int, share: float) -> None:
    spread = effects.spread_of_difference(2.0, share, 2.0, 1 - share)
    effect = effects.detectable_effect(spread, events, LOOKING)
    last, ever = found_shares(draw, effect, events, share)
    assert last == pytest.approx(0.8, abs=3 * math.sqrt(0.8 * 0.2 / WORLDS))
    assert last <= ever < 0.93
    assert found_shares(draw, effect / 3, events, share)[1] < 0.3


@given(st.floats(0.001, 10), st.floats(0.01, 100), st.floats(0.001, 0.2), st.floats(10, 1e6))
def test_numbers_needed_are_those_that_detect(effect: float, spread: float, alpha: float, tightest_at: float) -> None:
    looking = Looking(alpha, tightest_at)
    needed = effects.observations_needed(effect, spread, looking)
    assert effects.detectable_effect(spread, needed, looking) <= effect * (1 + 1e-6)
    if needed > 1:
        assert effects.detectable_effect(spread, needed - 1, looking) > effect * (1 - 1e-6)
    assert effects.observations_needed(-effect, spread, looking) == needed


def test_days_are_those_of_the_traffic_and_of_the_last_outcomes() -> None:
    needed = effects.observations_needed(0.1, 1.0, LOOKING)
    assert effects.days_to_verdict(0.1, 1.0, 500, LOOKING, maturity=7) == needed / 500 + 7
    assert effects.observations_needed(0.0, 1.0, LOOKING) == math.inf
    assert effects.observations_needed(1e-12, 1.0, LOOKING) == math.inf


def test_the_spread_of_clusters_is_that_of_their_mean() -> None:
    generator = np.random.default_rng(2)
    who = np.repeat(np.arange(200), 10)
    means = [(generator.normal(0, 1, 200)[who] + generator.normal(0, 1, 2000)).mean() for _ in range(2000)]
    values = generator.normal(0, 1, 200)[who] + generator.normal(0, 1, 2000)
    assert effects.spread(values, who) / math.sqrt(2000) == pytest.approx(np.std(means), rel=0.2)
    assert effects.spread(values) == pytest.approx(values.std())
    assert effects.spread(values) < 0.6 * effects.spread(values, who)


def test_what_makes_no_comparison_is_said() -> None:
    with pytest.raises(ValueError, match="spread: expected values, found none"):
        effects.spread([])
    with pytest.raises(ValueError, match="shares: expected two above 0"):
        effects.spread_of_difference(1.0, 0.6, 1.0, 0.6)
    with pytest.raises(ValueError, match="effect: expected a spread"):
        effects.detectable_effect(math.nan, 10, LOOKING)
    with pytest.raises(ValueError, match="traffic: expected observations"):
        effects.days_to_verdict(0.1, 1.0, 0, LOOKING)
