"""Intervals that may be looked at every day cover all days, and follow units; what is wrong is said."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import binom

from jobs.stats import bounded_means
from jobs.stats.bounded_means import of_bounded_mean
from jobs.stats.confidence_sequences import ConfidenceSequence, Looking, of_difference, of_mean, of_weighted_mean

DAYS, A_DAY, WORLDS = 365, 20, 400
EVENTS = DAYS * A_DAY
LOOKS = np.arange(A_DAY - 1, EVENTS, A_DAY)
LOOKING = Looking(0.05, 3000)
MOST_MISSED = binom.ppf(0.999, WORLDS, LOOKING.alpha)
"""A sequence that keeps its promise misses in so many worlds or fewer, 999 times of 1000."""
Draw = Callable[[np.random.Generator], np.ndarray]


def rare(generator: np.random.Generator) -> np.ndarray:
    return (generator.random(EVENTS) < 0.03).astype(float)


def money(generator: np.random.Generator) -> np.ndarray:
    """Nothing for most, and for the others sums that are as skewed as those of payments."""
    return rare(generator) * generator.lognormal(0, 1, EVENTS)


def misses(sequences: Callable[[np.random.Generator], ConfidenceSequence], truth: float) -> int:
    """In how many worlds any daily look leaves the truth out."""
    generator = np.random.default_rng(5)
    return sum(bool(sequences(generator).excludes(truth)[LOOKS].any()) for _ in range(WORLDS))


@pytest.mark.parametrize(("draw", "mean"), [(rare, 0.03), (money, 0.03 * np.exp(0.5))])
def test_a_year_of_daily_looks_covers_the_mean(draw: Draw, mean: float) -> None:
    assert misses(lambda generator: of_mean(draw(generator), LOOKING), mean) <= MOST_MISSED


@pytest.mark.parametrize("draw", [rare, money])
@pytest.mark.parametrize("share", [0.5, 0.1])
def test_equal_arms_are_rarely_told_apart(draw: Draw, share: float) -> None:
    def arms(generator: np.random.Generator) -> ConfidenceSequence:
        one = generator.random(EVENTS) < share
        return of_difference(draw(generator), one / share, ~one / (1 - share), LOOKING)

    assert misses(arms, 0.0) <= MOST_MISSED


def test_bounded_means_are_covered_from_the_first_observation_on() -> None:
    generator = np.random.default_rng(6)
    missed = sum(of_bounded_mean(rare(generator), (0, 1), LOOKING, 0.17).excludes(0.03).any() for _ in range(100))
    assert missed <= binom.ppf(0.999, 100, LOOKING.alpha)


def customers(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Payments of customers who stay in one arm and differ from each other: values, arms and customers."""
    who = generator.integers(0, 300, EVENTS)
    return generator.normal(0, 1, 300)[who] + generator.normal(0, 1, EVENTS), (generator.random(300) < 0.5)[who], who


def test_customers_who_stay_in_one_arm_are_told_apart_unless_they_are_clusters() -> None:
    def arms(generator: np.random.Generator, clustered: bool) -> ConfidenceSequence:
        values, one, who = customers(generator)
        return of_difference(values, one * 2.0, ~one * 2.0, LOOKING, who if clustered else None)

    assert misses(lambda generator: arms(generator, True), 0.0) <= MOST_MISSED
    assert misses(lambda generator: arms(generator, False), 0.0) > 5 * MOST_MISSED


def test_looks_at_fixed_intervals_do_not_cover_a_year() -> None:
    def usual(generator: np.random.Generator) -> ConfidenceSequence:
        found = of_mean(rare(generator), LOOKING)
        scale = 1.96 / LOOKING.standard_errors(np.arange(1, EVENTS + 1))
        away = (found.upper - found.estimate) * scale
        return ConfidenceSequence(found.estimate, found.estimate - away, found.estimate + away)

    assert misses(usual, 0.03) > 2 * MOST_MISSED


def test_a_rate_that_drifts_is_covered_by_its_mean_so_far() -> None:
    rates = 0.3 + 0.25 * np.sin(np.arange(EVENTS) / 700)
    so_far = np.cumsum(rates) / np.arange(1, EVENTS + 1)
    generator = np.random.default_rng(7)
    missed = 0
    for _ in range(100):
        values = (generator.random(EVENTS) < rates).astype(float)
        found, within = of_mean(values, LOOKING), of_bounded_mean(values, (0, 1), LOOKING)
        missed += bool(((found.lower > so_far) | (found.upper < so_far)).any())
        missed += bool(((within.lower > so_far) | (within.upper < so_far)).any())
    assert missed <= binom.ppf(0.999, 200, LOOKING.alpha)


def test_the_boundary_is_where_the_mixture_of_bets_reaches_its_limit() -> None:
    mixed, alpha = 3.0, 0.02
    for grown in (0.5, 20.0, 400.0):
        found = float(bounded_means.boundary(np.array([grown]), mixed, alpha)[0])
        whole = quad(lambda left: left ** (mixed - 1) * np.exp(-mixed * left), 0, 1)[0]

        def bet(left: float, found: float = found, grown: float = grown) -> float:
            stake = 1 - left
            wealth = np.exp(stake * found + grown * (np.log(left) + stake))
            return float(left ** (mixed - 1) * np.exp(-mixed * left) * wealth)

        assert quad(bet, 0, 1, epsrel=1e-10, limit=200)[0] / whole == pytest.approx(1 / alpha, rel=1e-6)


def test_an_interval_is_no_wider_anywhere_else_tuned() -> None:
    def width(tightest_at: float) -> float:
        return float(Looking(0.05, tightest_at).standard_errors(1000))

    # The approximation is within a percent of the best.
    assert width(1000) <= 1.01 * min(width(each) for each in (10, 100, 300, 500, 2000, 3000, 10_000))


numbers = st.lists(st.floats(-100, 100), min_size=60, max_size=120)


@given(numbers, st.floats(0.1, 100), st.floats(-1000, 1000), st.integers(0, 9))
def test_intervals_follow_units_and_origins(values: list[float], unit: float, origin: float, seed: int) -> None:
    generator = np.random.default_rng(seed)
    given, weights = (
        np.array(values) + generator.normal(0, 1, len(values)),
        generator.choice([0.0, 1.0, 3.0], len(values)),
    )
    weights[0] = 1.0
    moved = given * unit + origin
    bounds = np.array([given.min() - 1, given.max() + 1])
    for one, other in (
        (of_weighted_mean(given, weights, LOOKING), of_weighted_mean(moved, weights, LOOKING)),
        (
            of_bounded_mean(given, tuple(bounds), LOOKING),
            of_bounded_mean(moved, tuple(bounds * unit + origin), LOOKING),
        ),
    ):
        for end in ("estimate", "lower", "upper"):
            expected = getattr(one, end) * unit + origin
            assert getattr(other, end) == pytest.approx(expected, rel=1e-6, abs=1e-6 * (unit + abs(origin)))


@given(numbers)
def test_rows_that_are_their_own_clusters_are_no_clusters_and_weights_alike_are_none(values: list[float]) -> None:
    alone = of_mean(values, LOOKING)
    for same in (
        of_mean(values, LOOKING, [f"row {n}" for n in range(len(values))]),
        of_weighted_mean(values, np.full(len(values), 7.0), LOOKING),
    ):
        for end in ("estimate", "lower", "upper"):
            assert getattr(same, end) == pytest.approx(getattr(alone, end), rel=1e-9, abs=1e-9)


def test_the_weighted_mean_is_that_of_the_whole_population() -> None:
    generator = np.random.default_rng(1)
    chance = generator.uniform(0.05, 0.9, 60_000)
    values = generator.normal(10 * chance, 1)
    seen = generator.random(len(values)) < chance
    found = of_weighted_mean(np.where(seen, values, 0.0), seen / chance, Looking(0.05, 60_000))
    assert found.lower[-1] < 4.75 < found.upper[-1]
    assert found.upper[-1] - found.lower[-1] < 0.5
    # Those that are seen most often have the largest values.
    assert values[seen].mean() > 6


@pytest.mark.parametrize("values", [[], [3.0], [2.0] * 500])
def test_nothing_is_claimed_of_what_never_varied(values: list[float]) -> None:
    found = of_mean(values, LOOKING)
    assert len(found.lower) == len(values)
    assert found.estimate == pytest.approx(np.array(values))
    assert (found.lower == -np.inf).all() and (found.upper == np.inf).all()
    within = of_bounded_mean(values, (0, 4), LOOKING)
    assert ((within.lower <= values) & (within.upper >= values)).all()


def test_values_that_never_varied_narrow_a_bounded_mean() -> None:
    found = of_bounded_mean(np.zeros(10_000), (0, 1), LOOKING, 0.1)
    assert found.lower[-1] == 0 and 0 < found.upper[-1] < 0.005


def test_an_arm_without_traffic_has_no_interval() -> None:
    values = np.random.default_rng(0).normal(size=500)
    found = of_difference(values, np.ones(500), np.zeros(500), LOOKING)
    assert (found.upper == np.inf).all()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda: of_mean([1.0, np.nan], LOOKING), "values: expected a list of finite numbers"),
        (lambda: of_mean([1.0, np.inf], LOOKING), "values: expected a list of finite numbers"),
        (lambda: of_weighted_mean([1.0, 2.0], [1.0, -1.0], LOOKING), "weights: expected a list of finite numbers"),
        (lambda: of_weighted_mean([1.0, 2.0], [1.0], LOOKING), "weights: expected 2"),
        (lambda: of_mean([1.0, 2.0], LOOKING, ["a"]), "clusters: expected 2 values"),
        (lambda: of_difference([1.0, 2.0], [1.0, 1.0], [0.0, 1.0], LOOKING), "one arm at most"),
        (lambda: of_bounded_mean([0.5, 1.5], (0, 1), LOOKING), r"numbers in \[0, 1\]"),
        (lambda: of_bounded_mean([0.5], (1, 1), LOOKING), "bounds: expected a lower and a higher one"),
        (lambda: of_bounded_mean([0.5], (0, 1), LOOKING, 0.0), "bounds: expected"),
        (lambda: Looking(0.0), "looking: expected an alpha"),
        (lambda: Looking(0.05, np.inf), "looking: expected an alpha"),
    ],
)
def test_what_cannot_be_looked_at_is_said(wrong: Callable[[], object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        wrong()
