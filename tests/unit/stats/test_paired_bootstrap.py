"""Resampled average precision against rows that are really repeated, and bounds against what they promise."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.stats import metrics, paired_bootstrap

ROWS = st.lists(
    st.tuples(st.booleans(), st.integers(0, 4), st.integers(0, 5), st.booleans()), min_size=1, max_size=30
).filter(lambda rows: any(row[0] for row in rows))
"""label, score, block, in the slice"""


def columns(rows: list[Any]) -> list[np.ndarray[Any, Any]]:
    return [np.array(column) for column in zip(*rows, strict=True)]


@given(ROWS, st.lists(st.integers(0, 3), min_size=6, max_size=6))
def test_a_weight_is_as_good_as_repeated_rows(rows: list[Any], weights: list[int]) -> None:
    labels, scores, blocks, mask = columns(rows)
    ranking = paired_bootstrap.rank(labels, scores.astype(float), blocks, [labels | True, mask])
    found = paired_bootstrap.average_precisions(ranking, np.array([weights], dtype=np.float32))[0]
    repeats = np.array(weights)[blocks]
    again, values, inside = (np.repeat(column, repeats) for column in (labels, scores, mask))
    precisions = [again[values >= values[n]].mean() if again[n] else 0.0 for n in range(len(again))]
    for measured, wanted in zip(found, (again, again & inside), strict=True):
        expected = np.mean([precisions[n] for n in np.flatnonzero(wanted)]) if wanted.any() else 0.0
        assert measured == pytest.approx(expected)
    if 0 < again.sum() < len(again):
        assert found[0] == pytest.approx(metrics.average_precision(again, values))


@given(ROWS, st.lists(st.integers(1, 3), min_size=30, max_size=30), st.lists(st.integers(1, 3), min_size=6, max_size=6))
def test_a_row_that_stands_for_several_is_as_good_as_these(rows: list[Any], many: list[int], drawn: list[int]) -> None:
    labels, scores, blocks, mask = columns(rows)
    stands_for, weights = np.array(many[: len(labels)]), np.array([drawn], dtype=np.float32)
    found = paired_bootstrap.rank(labels, scores.astype(float), blocks, [labels | True, mask], stands_for.astype(float))
    again, values, inside, of = (np.repeat(column, stands_for) for column in (labels, scores, mask, blocks))
    repeated = paired_bootstrap.rank(again, values.astype(float), of, [again | True, inside])
    first, second = (paired_bootstrap.average_precisions(ranking, weights) for ranking in (found, repeated))
    np.testing.assert_allclose(first, second)


def test_weights_are_poisson_with_mean_and_variance_one() -> None:
    weights = paired_bootstrap.poisson(np.random.default_rng(0), (1000, 1000))
    assert weights.mean() == pytest.approx(1, abs=0.005) and weights.var() == pytest.approx(1, abs=0.01)
    assert (weights == 0).mean() == pytest.approx(np.exp(-1), abs=0.003)
    assert set(np.unique(weights)) >= set(range(7))


def test_a_resample_weighs_all_rankings_alike() -> None:
    generator = np.random.default_rng(1)
    labels, scores, blocks = generator.random(500) < 0.2, generator.normal(size=500), generator.integers(0, 90, 500)
    ranking = paired_bootstrap.rank(labels, scores + labels, blocks, [labels])
    first, second = paired_bootstrap.resampled([ranking, ranking], 90, 70, seed=5).T
    assert (first == second).all() and len(set(first)) > 60
    assert (paired_bootstrap.resampled([ranking], 90, 70, seed=5)[:, 0] == first).all()
    assert (paired_bootstrap.resampled([ranking], 90, 70, seed=6)[:, 0] != first).any()


def test_further_noise_widens_an_interval_as_independent_errors_add() -> None:
    drawn = np.random.default_rng(2).normal(1.0, 3.0, 400_000)
    plain, wide = (paired_bootstrap.normal_interval(np.append(1.0, drawn), 0.975, more) for more in (0.0, 4.0))
    assert plain == pytest.approx((1 - 1.96 * 3, 1 + 1.96 * 3), abs=0.05)
    assert wide == pytest.approx((1 - 1.96 * 5, 1 + 1.96 * 5), abs=0.05)


@pytest.mark.parametrize("more", [0.0, 1.5])
@pytest.mark.parametrize("seen", [-1.0, 0.1, 2.0, 4.0])
def test_the_p_value_is_where_the_interval_leaves_zero(seen: float, more: float) -> None:
    difference = np.append(seen, np.random.default_rng(4).normal(seen, 1.0, 1000))
    p_value = paired_bootstrap.p_value(difference, more)
    below, above = (paired_bootstrap.normal_interval(difference, 1 - p_value * factor, more) for factor in (0.9, 1.1))
    assert 0 < p_value < 1 and below[0] < 0 < above[0]
    assert paired_bootstrap.p_value(np.zeros(50), 0.0) == 1.0


def test_percentiles_follow_the_skew_of_what_was_drawn() -> None:
    drawn = np.random.default_rng(5).exponential(1.0, 200_000)
    assert paired_bootstrap.interval(np.append(1.0, drawn), 0.95) == pytest.approx((0.051, 2.996), abs=0.05)


def test_simultaneous_bounds_hold_together_and_pay_nothing_for_copies() -> None:
    generator = np.random.default_rng(3)
    truth = np.arange(8) * 0.1
    held = 0
    for _ in range(400):
        seen = truth + generator.normal(size=8)
        differences = np.vstack([seen, seen + generator.normal(size=(400, 8))])
        upper = paired_bootstrap.simultaneous_upper(differences, alarm=0.1)
        assert (paired_bootstrap.simultaneous_upper(np.tile(differences, 3), alarm=0.1) == np.tile(upper, 3)).all()
        held += int((upper >= truth).all())
    assert held / 400 == pytest.approx(0.9, abs=0.05)


def test_measures_that_never_vary_are_their_own_bound() -> None:
    assert paired_bootstrap.simultaneous_upper(np.zeros((50, 2)), alarm=0.05).tolist() == [0.0, 0.0]
    assert paired_bootstrap.simultaneous_upper(np.zeros((50, 0)), alarm=0.05).tolist() == []
