"""The parts that models are made of: rows from tables, parity, the trees' graph, piecewise-linear bins."""

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st
from worlds.examples import with_examples

from jobs.arrays import Float32s
from jobs.models.features import values_of
from jobs.models.graphs import Graph, feature_names
from jobs.models.parity import ParityError, check_parity, hostile_rows
from jobs.models.piecewise import bins_of
from jobs.models.protocol import Examples
from jobs.models.runtime import OUTPUT, score, session
from jobs.models.tables import examples_of, features_of
from jobs.models.tree_graph import below, tree_graph

TABLE = pa.table(
    {
        "flag": [True, None, False],
        "count": pa.array([1, 2, None], pa.int64()),
        "amount": pa.array([Decimal("1.25"), None, Decimal("-3.50")], pa.decimal128(12, 2)),
        "ratio": [0.5, float("nan"), None],
        "half": pa.array(np.array([1, 2, 3], np.float16)),
        "fraud": [True, False, True],
        "number": [1, 0, 1],
    }
)


def test_a_table_becomes_examples() -> None:
    nan = np.nan
    rows = examples_of(TABLE, ["flag", "count", "amount", "ratio", "half"], "fraud", weight="half")
    np.testing.assert_array_equal(rows.features, [[1, 1, 1.25, 0.5, 1], [nan, 2, nan, nan, 2], [0, nan, -3.5, nan, 3]])
    assert values_of(rows.features).dtype == np.float32 and rows.names == ("flag", "count", "amount", "ratio", "half")
    assert rows.labels.tolist() == [True, False, True] and rows.weights is not None
    assert examples_of(TABLE, ["count"], "number").labels.tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([b"a"]), "column 'x': expected booleans, integers, floats, decimals or texts, found binary"),
        (pa.array([0], pa.timestamp("us")), "found timestamp"),
        (pa.array([None], pa.null()), "found null"),
        (pa.array([float("inf")]), "expected values that float32 holds, found inf"),
        (pa.array([1e39]), "expected values that float32 holds, found 1e[+]39"),
    ],
)
def test_a_column_that_is_no_number_is_refused(column: pa.Array, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        features_of(pa.table({"x": column}), ["x"])


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("flag", "expected known labels, found 1 nulls"),
        ("half", "expected booleans or 0 and 1, found halffloat"),
        ("absent", "expected one column 'absent'"),
    ],
)
def test_a_label_that_is_not_known_is_refused(label: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        examples_of(TABLE, ["count"], label)


def test_examples_refuse_what_does_not_fit() -> None:
    features, labels = np.zeros((2, 2), np.float32), np.array([True, False])
    with pytest.raises(ValueError, match="distinct feature names"):
        Examples(features, labels, None, ("a", "a"))
    with pytest.raises(ValueError, match="expected labels of type bool"):
        Examples(features, labels[:1], None, ("a", "b"))
    with pytest.raises(ValueError, match="weights above zero"):
        Examples(features, labels, np.array([1, 0], np.float32), ("a", "b"))


def test_examples_may_hold_values_whose_sum_overflows() -> None:
    features = np.full((3, 1), np.finfo(np.float32).max, np.float32)
    assert len(Examples(features, np.ones(3, bool), None, ("a",))) == 3


def sum_graph() -> Any:
    graph = Graph()
    graph.node("ReduceSum", "features", graph.constant("axis", [1], np.int64), name=OUTPUT, keepdims=0)
    return graph.model(("a", "b"))


def test_parity_tells_a_graph_that_disagrees() -> None:
    rows = np.zeros((3, 2), np.float32)
    with pytest.raises(ParityError, match="no numbers"):
        check_parity(sum_graph(), lambda x: values_of(x).sum(axis=1).astype(np.float64), rows)
    with pytest.raises(ParityError, match="at batch 1, found a difference"):
        check_parity(zeros_graph(), lambda x: np.full(len(x), 2e-5), rows)
    with pytest.raises(ParityError, match="expected finite predictions"):
        check_parity(zeros_graph(), lambda x: np.full(len(x), np.nan), rows)
    assert check_parity(zeros_graph(), lambda x: np.full(len(x), 2e-5), rows, tolerance=1e-4)[1000] == 2e-5


def zeros_graph() -> Any:
    graph = Graph()
    missing = graph.node("Cast", graph.node("IsNaN", "features"), to=1)
    none = graph.node("Mul", missing, graph.constant("zero", 0, np.float32))
    graph.node("ReduceMax", none, graph.constant("axis", [1], np.int64), name=OUTPUT, keepdims=0)
    return graph.model(("a", "b"))


def test_parity_refuses_rows_that_are_none_of_the_graph() -> None:
    for rows in (np.zeros((0, 2), np.float32), np.zeros((1, 3), np.float32), np.full((1, 2), np.inf, np.float32)):
        with pytest.raises(ValueError, match="expected"):
            check_parity(zeros_graph(), lambda x: np.zeros(len(x)), rows)


def test_a_graph_without_names_is_refused() -> None:
    graph = zeros_graph()
    del graph.metadata_props[:]
    with pytest.raises(ValueError, match="feature_names"):
        feature_names(graph)


def test_hostile_rows_hold_missing_and_extreme_values_but_no_infinity() -> None:
    rows = values_of(hostile_rows(np.ones((1, 3), np.float32)))
    assert np.isnan(rows).all(axis=1).any() and (np.isnan(rows).sum(axis=1) == 1).any()
    assert np.nanmax(rows) > 1e38 and not np.isinf(rows).any()


@given(st.lists(st.floats(allow_nan=False), min_size=1))
@example([1.7976931348623157e308, -1.7976931348623157e308, 1e-46, -1e-46, 16777217.0])
@example([-3.402823364973241e38])
def test_a_lowered_threshold_decides_every_float32_alike(thresholds: list[float]) -> None:
    wide = np.array(thresholds)
    lowered = below(wide)
    with np.errstate(over="ignore"):
        near = wide.astype(np.float32)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for value in (near, np.nextafter(near, np.float32(np.inf)), np.nextafter(near, np.float32(-np.inf)), lowered):
            np.testing.assert_array_equal(value <= lowered, value.astype(np.float64) <= wide)


POOLS = (
    [np.nan, 0.0, 1.0, 2.0, -1.0],
    [0.0, 1e-36, -1e-36, 1e-34, -1e-34, np.nan],
    [5.0],
    [np.nan],
    [16777216.0, 16777218.0, 0.1, -0.0],
    [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0],
)


@given(
    st.lists(st.sampled_from(POOLS), min_size=1, max_size=4),
    st.integers(0, 2**31),
    st.booleans(),
    st.booleans(),
    st.integers(1, 12),
)
@with_examples(60, suppress_health_check=[HealthCheck.too_slow])
def test_the_graph_of_trees_decides_as_lightgbm_does(
    pools: list[list[float]], seed: int, zero_as_missing: bool, use_missing: bool, rounds: int
) -> None:
    """On training rows, other combinations of their values, missing values never seen, and both sides of a split."""
    import lightgbm

    random = np.random.default_rng(seed)
    continuous = random.normal(size=(120, 1))
    features = np.hstack([*(random.choice(pool, (120, 1)) for pool in pools), continuous]).astype(np.float32)
    labels = (np.nan_to_num(features).sum(axis=1) + random.normal(size=120) > 1).astype(np.float32)
    names = tuple(f"f{i}" for i in range(features.shape[1]))
    parameters = {"objective": "binary", "min_data_in_leaf": 1, "verbosity": -1, "num_threads": 1, "num_leaves": 8}
    parameters |= {"zero_as_missing": zero_as_missing, "use_missing": use_missing, "min_data_in_bin": 1}
    data = lightgbm.Dataset(features, labels, params=parameters)
    text = lightgbm.train(parameters, data, rounds).model_to_string()
    rows = np.concatenate([features, *(np.roll(features, shift, axis=0) for shift in (1, 2)), _around(text, features)])
    rows[np.random.default_rng(seed).random(rows.shape) < 0.05] = np.nan
    rows[np.random.default_rng(seed + 1).random(rows.shape) < 0.05] = 0.0
    expected = lightgbm.Booster(model_str=text).predict(rows, num_threads=1)
    np.testing.assert_allclose(score(session(tree_graph(text, names)), rows), expected, atol=5e-7, rtol=0)


def _around(text: str, features: Float32s) -> Float32s:
    """Rows on both sides of every threshold."""
    rows: list[Float32s] = []
    for block in text.split("\nTree=")[1:]:
        fields = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        for feature, threshold in zip(
            fields.get("split_feature", "").split(), fields.get("threshold", "").split(), strict=True
        ):
            lower = below(np.array([float(threshold)]))[0]
            for value in (lower, np.nextafter(lower, np.float32(np.inf))):
                rows.append(features[len(rows) % len(features)].copy())
                rows[-1][int(feature)] = value
    return np.array(rows, np.float32).reshape(-1, features.shape[1])


def test_boosters_of_another_objective_are_refused() -> None:
    import lightgbm

    data = lightgbm.Dataset(np.arange(100.0).reshape(-1, 1), np.arange(100.0), params={"verbosity": -1})
    text = lightgbm.train({"objective": "regression", "verbosity": -1, "num_threads": 1}, data, 2).model_to_string()
    with pytest.raises(ValueError, match=r"expected an objective among binary, .*, found 'regression'"):
        tree_graph(text, ("x",))


@given(st.lists(st.floats(width=32, allow_infinity=False), min_size=1, max_size=60), st.integers(1, 10))
@example([3.4e38, -3.4e38, 1e-45, 0.0], 4)
@example([np.nan], 3)
def test_bins_encode_values_in_their_order_and_stay_finite(values: list[float], count: int) -> None:
    column = np.array(values, np.float32)[:, None]
    bins = bins_of(column, count)
    assert bins.left.shape == bins.inverse.shape == (1, count)
    assert all(np.isfinite(part).all() for part in bins)
    known = np.sort(np.clip(column[~np.isnan(column)], -1e37, 1e37))
    with np.errstate(over="ignore"):
        components = np.clip((known[:, None] - bins.left) * bins.inverse, 0, 1)
    assert np.isfinite(components).all()
    assert (np.diff(components, axis=0) >= 0).all()
    if len(known):
        assert components[0].sum() == 0 and components[-1].sum() == pytest.approx((bins.inverse > 0).sum())


def test_rare_values_of_a_count_get_bins_of_their_own() -> None:
    column = np.concatenate([np.zeros(10_000), np.arange(1, 6)]).astype(np.float32)[:, None]
    bins = bins_of(column, 8)
    assert bins.left[0, bins.inverse[0] > 0].tolist() == [0, 1, 2, 3, 4]
