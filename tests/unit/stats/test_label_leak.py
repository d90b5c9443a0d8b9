"""What tells labels too well is suspected, and strong but honest features are not."""

import numpy as np
import pytest

from jobs.arrays import Floats
from jobs.stats import label_leak

ROWS = 20_000
LABELS = np.random.default_rng(0).random(ROWS) < 0.01
FLIPPED = np.random.default_rng(4).random(ROWS) < 0.02
NAMES = ("amount", "history", "planted")


def world(planted: Floats) -> Floats:
    """An amount that is larger for positives, a history with gaps, and one more column."""
    chance = np.random.default_rng(1)
    amount = chance.lognormal(3, 0.6, ROWS) * np.where(LABELS, 6, 1)
    history = np.where(chance.random(ROWS) < 0.3, np.nan, chance.poisson(np.where(LABELS, 4.0, 0.2)))
    return np.column_stack([amount, history, planted]).astype(np.float32)


def noise() -> Floats:
    return np.random.default_rng(2).normal(size=ROWS)


@pytest.mark.parametrize(
    "planted",
    [
        LABELS * np.random.default_rng(3).lognormal(3, 1, ROWS),
        LABELS.astype(float),
        -LABELS.astype(float),
        LABELS * 1e-3 + 5,
        np.where(LABELS, noise() + 9, noise()),
        np.where(LABELS, np.nan, noise()),
        np.where(LABELS, noise(), np.nan),
        np.where(LABELS & (np.arange(ROWS) % 97 > 0), 1.0, 0.0),
        (LABELS ^ FLIPPED).astype(float),
        (LABELS ^ FLIPPED) * 9 + np.random.default_rng(5).normal(size=ROWS),
    ],
)
def test_a_planted_feature_is_named(planted: Floats) -> None:
    found = label_leak.suspicion(LABELS, world(planted), NAMES, noise())
    assert found is not None and list(found.features) == ["planted"]
    assert "planted alone has average precision" in found.text
    accepted = label_leak.suspicion(LABELS, world(planted), NAMES, LABELS.astype(float), ["planted"])
    assert accepted is not None and accepted.text == ""


def test_honest_features_are_not_suspected() -> None:
    features = world(noise())
    found = label_leak.suspicion(LABELS, features, NAMES, features[:, 0])
    assert found is not None and found.features == {} and found.text == ""


@pytest.mark.parametrize("limit", [1.5, 2.0])
def test_a_measurement_with_a_limit_is_no_leak(limit: float) -> None:
    measured = noise()
    labels = measured > limit
    found = label_leak.suspicion(labels, np.column_stack([measured]), ["measured"], -np.abs(measured))
    assert found is not None and found.text == ""


def test_a_model_without_an_error_is_suspected() -> None:
    found = label_leak.suspicion(LABELS, world(noise()), NAMES, LABELS + 1e-3 * noise())
    assert found is not None and "the model has average precision 1.0000" in found.text


@pytest.mark.parametrize("positives", [0, label_leak.FEWEST_POSITIVES - 1, ROWS])
def test_too_few_rows_say_nothing(positives: int) -> None:
    labels = np.arange(ROWS) < positives
    assert label_leak.suspicion(labels, world(labels.astype(float)), NAMES, labels.astype(float)) is None


def test_columns_without_values_are_no_suspects() -> None:
    empty = np.full((ROWS, 1), np.nan)
    assert label_leak.telling(LABELS, empty, ["empty"]) == {}
