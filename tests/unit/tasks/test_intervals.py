"""Intervals around predictions hold what they promise on rows that they were not made from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.examples import with_examples

from jobs.tasks.intervals import Interval


def drawn(seed: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and labels whose errors are skewed and grow with the prediction."""
    random = np.random.default_rng(seed)
    predictions = random.gamma(2, 10, rows)
    return predictions, predictions + predictions * (random.gamma(1, 0.3, rows) - 0.3)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95])
def test_later_rows_are_covered_within_two_points(level: float) -> None:
    interval = Interval.of(*drawn(1, 6_000), level)
    assert interval is not None and len(interval.below) > 1
    predictions, labels = drawn(2, 40_000)
    lower, upper = interval.ends(predictions)
    inside = (labels >= lower) & (labels <= upper)
    assert abs(inside.mean() - level) < 0.02
    # Small and large predictions alike, which one width for all would not give.
    for part in (predictions < 10, predictions > 30):
        assert abs(inside[part].mean() - level) < 0.05


@with_examples(20)
@given(st.integers(20, 200), st.integers(0, 10**6))
def test_few_rows_promise_no_more_than_they_can_keep(rows: int, seed: int) -> None:
    interval = Interval.of(*drawn(seed, rows), 0.9)
    assert interval is not None
    again = Interval.of_stored(interval.stored())
    assert again is not None
    predictions, _ = drawn(seed + 1, 50)
    lower, upper = again.ends(predictions)
    assert (lower <= upper).all()
    np.testing.assert_array_equal(lower, interval.ends(predictions)[0])


def test_too_few_rows_have_none_and_constant_predictions_one_for_all() -> None:
    assert Interval.of(np.zeros(19), np.arange(19.0), 0.9) is None
    assert Interval.of_stored({}) is None
    interval = Interval.of(np.zeros(1_000), np.arange(1_000.0), 0.9)
    assert interval is not None and len(interval.below) == 1
    lower, upper = interval.ends(np.array([0.0]))
    assert 40 <= lower[0] <= 60 and 940 <= upper[0] <= 960
