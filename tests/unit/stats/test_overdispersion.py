"""Counts in campaigns: tails against simulated and known ones, and parameters that are found again."""

from itertools import product

import numpy as np
import pytest

from jobs.stats import overdispersion
from jobs.stats.overdispersion import CountRate, Proportion


@pytest.mark.parametrize(("mean", "correlation", "of"), [*product([0.1, 0.6], [0.03, 0.3], [5, 40])])
def test_tails_of_proportions_are_those_of_simulated_ones(mean: float, correlation: float, of: int) -> None:
    generator = np.random.default_rng(0)
    total = 1 / correlation - 1
    drawn = generator.binomial(of, generator.beta(mean * total, (1 - mean) * total, 200_000))
    for hits in range(of + 1):
        assert Proportion(mean, correlation).at_least(hits, of) == pytest.approx((drawn >= hits).mean(), abs=0.006)
    learned = overdispersion.learn_proportion(drawn, np.full(len(drawn), of))
    assert (learned.mean, learned.correlation) == pytest.approx((mean, correlation), rel=0.1)


def test_tails_of_counts_are_those_of_simulated_ones() -> None:
    drawn = np.random.default_rng(0).negative_binomial(5, 5 / (5 + 20), 200_000)
    for count in (0, 5, 12, 20, 35, 60):
        both = 2 * min((drawn <= count).mean(), (drawn >= count).mean(), 0.5)
        assert CountRate(0.1, 5.0).two_sided(count, 200.0) == pytest.approx(both, abs=0.01)
    assert CountRate(0.0, 5.0).two_sided(3, 100.0) == 1


@pytest.mark.parametrize(("hits", "of"), [(0, 9), (3, 9), (9, 9), (40, 50)])
def test_with_a_uniform_chance_every_number_of_hits_is_as_likely(hits: int, of: int) -> None:
    # Beta(1, 1): a mean of one half, and a correlation of 1 / (1 + 1 + 1).
    assert Proportion(0.5, 1 / 3).at_least(hits, of) == pytest.approx((of - hits + 1) / (of + 1), rel=1e-12)


@pytest.mark.parametrize("count", [10, 60, 400])
def test_with_a_shape_of_one_counts_are_geometric_far_into_the_tail(count: int) -> None:
    assert CountRate(0.1, 1.0).two_sided(count, 30.0) == pytest.approx(min(1.0, 2 * (3 / 4) ** count), rel=1e-9)


def test_the_shape_of_counts_is_found_again() -> None:
    generator = np.random.default_rng(0)
    exposure = generator.uniform(500, 1500, 4000)
    varied = generator.poisson(0.05 * exposure * generator.gamma(8, 1 / 8, 4000))
    assert overdispersion.learn_rate(varied, exposure).shape == pytest.approx(8, rel=0.15)
    assert overdispersion.learn_rate(varied, exposure).mean == pytest.approx(0.05, rel=0.05)
    assert overdispersion.learn_rate(generator.poisson(0.05 * exposure), exposure).shape > 200
