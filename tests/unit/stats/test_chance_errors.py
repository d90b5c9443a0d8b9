"""A copied label with some values flipped errs by chance; what was measured errs where other features are unusual."""

import numpy as np
import pytest

from jobs.arrays import Bools
from jobs.stats.chance_errors import OtherFeatures
from jobs.stats.label_leak import telling

ROWS = 10_000
CHANCE = np.random.default_rng(0)
RISK = CHANCE.normal(size=ROWS)
LABELS = RISK + CHANCE.normal(0, 0.1, ROWS) > 1.5
HONEST = np.column_stack([RISK + CHANCE.normal(0, 0.5, ROWS), CHANCE.normal(size=ROWS), CHANCE.integers(0, 24, ROWS)])


def flipped(share: float) -> Bools:
    return LABELS ^ (np.random.default_rng(1).random(ROWS) < share)


@pytest.mark.parametrize("share", [0.02, 0.05, 0.07])
def test_a_copy_of_the_label_with_some_values_flipped_is_named(share: float) -> None:
    features = np.column_stack([HONEST, flipped(share)]).astype(np.float32)
    assert list(telling(LABELS, features, ("noisy", "other", "hour", "copy"))) == ["copy"]


def test_a_limit_that_was_measured_is_not_named() -> None:
    measured = RISK + CHANCE.normal(0, 0.3, ROWS) > 1.1
    features = np.column_stack([HONEST, measured]).astype(np.float32)
    assert telling(LABELS, features, ("noisy", "other", "hour", "rule")) == {}


def test_errors_are_told_from_chance_within_a_class() -> None:
    others, ranking = OtherFeatures(LABELS, HONEST), LABELS.astype(float)
    assert others.err_by_chance(ranking, CHANCE.random(ROWS) < 0.05)
    assert not others.err_by_chance(ranking, ~LABELS & (RISK > 1.2))
    assert not others.err_by_chance(ranking, np.arange(ROWS) < 5)
