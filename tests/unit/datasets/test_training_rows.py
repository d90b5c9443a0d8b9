"""Training rows: which features, in which order, which negatives are drawn, and how rules rank them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import training_world as world
from worlds.examples import with_examples

from jobs import settings
from jobs.datasets.training_rows import codes, feature_names, read, rule_scores, sampled
from jobs.lakehouse.tables import Lakehouse, attach
from jobs.models.features import hashed, values_of
from jobs.models.protocol import Examples
from jobs.models.tables import features_of
from jobs.problem import Rule


@pytest.fixture
def lakehouse(tmp_path: Path) -> Lakehouse:
    return attach(settings.load({"EVERGREEN_HOME": str(tmp_path)}))


def names_of(lakehouse: Lakehouse, version: int) -> tuple[str, ...]:
    return feature_names(lakehouse, world.DEMO, version, world.FEATURES)


def test_features_are_inputs_and_served_numbers_and_categories_in_order(lakehouse: Lakehouse) -> None:
    version = world.put(lakehouse, world.payments(days=3))
    assert names_of(lakehouse, version) == ("tx_amount", "hour", "risk", "seldom", "kind")
    with pytest.raises(ValueError, match=r"expected the columns gone"):
        feature_names(lakehouse, world.DEMO, version, ["gone"])
    with pytest.raises(ValueError, match=r"expected features that are numbers, .*'tx_datetime': 'timestamp"):
        feature_names(lakehouse, world.DEMO, version, ["tx_datetime"])


def test_the_order_of_files_and_rows_does_not_matter(lakehouse: Lakehouse) -> None:
    payments = world.payments(days=5)
    one = world.put(lakehouse, payments)
    two = world.put(lakehouse, payments.take(pa.array(np.random.default_rng(1).permutation(len(payments)))))
    first, second = (read(lakehouse, world.DEMO, version, names_of(lakehouse, version)) for version in (one, two))
    assert (np.diff(first.times) >= 0).all() and len(first) == len(payments)
    np.testing.assert_array_equal(hashed(first.examples.features), hashed(second.examples.features))
    np.testing.assert_array_equal(first.examples.labels, second.examples.labels)
    assert np.isnan(values_of(first.examples.features)[:, 3]).any()


def test_an_infinite_feature_is_a_clear_error(lakehouse: Lakehouse) -> None:
    payments = world.payments(days=3)
    broken = payments.set_column(5, "risk", pa.array([np.inf] * len(payments)))
    version = world.put(lakehouse, broken)
    with pytest.raises(ValueError, match=r"'risk'.*inf"):
        read(lakehouse, world.DEMO, version, names_of(lakehouse, version))


def test_sampled_negatives_carry_the_weight_of_those_left_out() -> None:
    labels = np.random.default_rng(0).random(5000) < 0.02
    examples = Examples(np.zeros((5000, 1), np.float32), labels, None, ("x",))
    drawn = sampled(examples, 0.1, seed=1)
    assert drawn.labels.sum() == labels.sum() and 400 < len(drawn) < 700 and drawn.weights is not None
    assert drawn.weights[~drawn.labels].sum() == pytest.approx((~labels).sum(), rel=1e-4)
    assert (drawn.weights[drawn.labels] == 1).all() and sampled(examples, 1.0, seed=1) is examples


@given(st.floats(0.02, 0.9), st.floats(1, 40), st.integers(0, 5))
@with_examples(40)
def test_negatives_are_drawn_in_proportion_to_their_weight(rate: float, steep: float, seed: int) -> None:
    age = np.sort(np.random.default_rng(seed).uniform(0, 100, 20_000))
    labels, weights = np.arange(20_000) % 50 == 0, (0.5 ** (age / steep)).astype(np.float32)
    examples = Examples(age[:, None].astype(np.float32), labels, weights, ("age",))
    drawn = sampled(examples, rate, seed)
    negative = ~drawn.labels
    assert drawn.weights is not None and drawn.labels.sum() == labels.sum()
    np.testing.assert_array_equal(drawn.weights[drawn.labels], weights[labels])
    assert drawn.weights[negative].sum() == pytest.approx(weights[~labels].sum(), rel=1e-3)
    assert negative.sum() < 1.1 * rate * (~labels).sum() + 50
    # What is drawn stands for all of it: the weighted mean age is that of all negatives.
    mean = np.average(age[~labels], weights=weights[~labels])
    spread = np.sqrt(np.average((age[~labels] - mean) ** 2, weights=weights[~labels]))
    off = np.average(values_of(drawn.features)[negative, 0], weights=drawn.weights[negative]) - mean
    assert abs(off) < 5 * spread / np.sqrt(negative.sum())
    # Who could have been left out weighs as much as anybody of that kind.
    own, common = 0.5 ** (values_of(drawn.features)[negative, 0] / steep), drawn.weights[negative].min()
    lighter = own < 0.7 * common
    np.testing.assert_allclose(drawn.weights[negative][lighter], common, rtol=1e-3)
    assert lighter.any()


def test_a_rule_ranks_by_its_first_feature_and_breaks_ties_by_the_next() -> None:
    table = pa.table({"a": [2.0, 1.0, 2.0, None, 1.0, 1.0], "b": [0.0, 5.0, 1.0, 9.0, 5.0, None]})
    rows = Examples(features_of(table, ["a", "b"]), np.zeros(6, dtype=bool), None, ("a", "b"))
    places = rule_scores(Rule("both", ("a", "b")), rows, rows)
    assert list(places) == [3, 2, 4, 0, 2, 1]


def test_events_without_an_entity_share_a_code() -> None:
    column = pa.chunked_array([["b", None], ["a", None, "b"]])
    assert codes(column).tolist() == [0, 1, 2, 1, 0]
