"""Two features that make up the label are named together, and honest features, alike or not, are no pair."""

import numpy as np
import pytest

from jobs.arrays import Bools, Floats
from jobs.stats.pair_leak import FEWEST_POSITIVES, telling_pairs

ROWS = 20_000
CHANCE = np.random.default_rng(0)
LABELS = CHANCE.random(ROWS) < 0.015
COIN = CHANCE.random(ROWS) < 0.5
NOISE = CHANCE.lognormal(0, 1, ROWS)
NAMES = ("amount", "missing", "constant", "one", "other")


def flipped(labels: Bools, share: float) -> Bools:
    return labels ^ (np.random.default_rng(1).random(ROWS) < share)


def features(one: Floats | Bools, other: Floats | Bools) -> Floats:
    chance = np.random.default_rng(2)
    amount = chance.lognormal(3, 1, ROWS) * np.where(LABELS, 5, 1)
    missing = np.where(chance.random(ROWS) < 0.9, np.nan, amount)
    return np.column_stack([amount, missing, np.ones(ROWS), one, other]).astype(np.float32)


@pytest.mark.parametrize(("one", "other"), [
    (NOISE, NOISE + LABELS), (NOISE, LABELS - NOISE), (NOISE, NOISE + flipped(LABELS, 0.02)),
    (NOISE, NOISE + LABELS + np.random.default_rng(3).normal(0, 0.1, ROWS)),
    (NOISE, NOISE * (1 + LABELS)), (COIN, COIN ^ LABELS), (COIN, COIN ^ flipped(LABELS, 0.02)),
    (COIN, COIN ^ flipped(LABELS, 0.05)),
])  # fmt: skip
def test_a_label_in_two_parts_is_named(one: Floats, other: Floats) -> None:
    assert list(telling_pairs(LABELS, features(one, other), NAMES)) == ["one and other"]


@pytest.mark.parametrize("other", [NOISE, NOISE + 1e-7, -NOISE, COIN, np.full(ROWS, np.nan)])
def test_honest_pairs_are_not_suspected(other: Floats) -> None:
    assert telling_pairs(LABELS, features(NOISE, other), NAMES) == {}


def test_a_limit_on_a_sum_is_no_leak() -> None:
    one, other = np.random.default_rng(4).normal(size=(2, ROWS))
    assert telling_pairs(one + other > 2.5, features(one, other), NAMES) == {}


def test_few_positives_say_nothing_of_pairs() -> None:
    few = LABELS & (np.cumsum(LABELS) < FEWEST_POSITIVES)
    assert telling_pairs(few, features(NOISE, NOISE + few), NAMES) == {}
