"""An identifier that was encoded by its labels is named with the entity; what is known of entities before is not."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from jobs.arrays import Floats
from jobs.stats.entity_leak import encoded_labels

ROWS, CUSTOMERS = 20_000, 400
CHANCE = np.random.default_rng(0)
CUSTOMER = CHANCE.integers(0, CUSTOMERS, ROWS)
RISK = CHANCE.gamma(0.3, 0.03, CUSTOMERS)
LABELS = CHANCE.random(ROWS) < RISK[CUSTOMER]
COUNTS, POSITIVES = np.bincount(CUSTOMER), np.bincount(CUSTOMER, weights=LABELS)
OTHER = CHANCE.integers(0, 50, ROWS)
ENTITIES = {"customer": CUSTOMER, "other": OTHER}


def found(
    of_customers: npt.NDArray[Any], extra: npt.NDArray[Any] | float = 0.0, accepted: tuple[str, ...] = ()
) -> dict[str, str]:
    features = np.column_stack([CHANCE.normal(size=ROWS), of_customers[CUSTOMER] + extra]).astype(np.float32)
    return dict(encoded_labels(LABELS, features, ("amount", "planted"), ENTITIES, accepted))


@pytest.mark.parametrize("smoothing", [0, 1, 10, 50])
@pytest.mark.parametrize("sign", [1, -1])
def test_shares_of_positives_are_named(smoothing: int, sign: int) -> None:
    encoded = sign * (POSITIVES + smoothing * LABELS.mean()) / (COUNTS + smoothing)
    assert found(encoded) == {"planted": "customer"}
    assert found(encoded, accepted=("planted",)) == {}


@pytest.mark.parametrize(
    "planted", [RISK, POSITIVES * 0 + 1, CHANCE.normal(size=CUSTOMERS), np.arange(CUSTOMERS) * 1.0]
)
def test_what_could_be_known_before_is_not_suspected(planted: Floats) -> None:
    assert found(planted) == {}


def test_a_value_that_changes_within_an_entity_is_not_judged() -> None:
    assert found(POSITIVES / COUNTS, np.arange(ROWS) * 1.0) == {}


def test_few_entities_or_rows_of_each_say_nothing() -> None:
    few = np.minimum(CUSTOMER, 20)
    encoded = (np.bincount(few, weights=LABELS) / np.bincount(few))[few]
    assert encoded_labels(LABELS, encoded[:, None], ["x"], {"few": few}) == {}
    assert encoded_labels(LABELS, LABELS[:, None] * 1.0, ["x"], {"one row": np.arange(ROWS)}) == {}


@pytest.mark.parametrize("smoothing", [0, 10])
@pytest.mark.parametrize("sign", [1, -1])
def test_shares_that_leave_out_each_rows_own_label_are_named(smoothing: int, sign: int) -> None:
    others = POSITIVES[CUSTOMER] - LABELS + smoothing * LABELS.mean()
    planted = sign * others / (COUNTS[CUSTOMER] - 1 + smoothing)
    features = np.column_stack([CHANCE.normal(size=ROWS), planted]).astype(np.float32)
    assert encoded_labels(LABELS, features, ("amount", "planted"), ENTITIES) == {"planted": "customer"}


def test_shares_of_what_was_known_before_a_row_are_not_suspected() -> None:
    order = np.argsort(CUSTOMER, kind="stable")
    starts = np.repeat(np.cumsum(COUNTS) - COUNTS, COUNTS)
    before: Floats = np.cumsum(LABELS[order]) - LABELS[order]
    past = np.empty(ROWS)
    past[order] = (before - before[starts]) / np.maximum(np.arange(ROWS) - starts, 1)
    features = np.column_stack([CHANCE.normal(size=ROWS), past]).astype(np.float32)
    assert encoded_labels(LABELS, features, ("amount", "planted"), ENTITIES) == {}
