"""Scores in one process of several models, and of one model under several feature lists: each its own."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from jobs.models.runtime import INPUT, OUTPUT
from jobs.scoring.decided_columns import SCORE
from jobs.scoring.scoring_kernel import matrix, scorer

BATCH = pa.RecordBatch.from_pydict({name: pa.array([n], pa.float32()) for name, n in (("a", 1.0), ("b", 10.0))})


def graph(weights: list[float]) -> bytes:
    """An ONNX model whose score is the weighted sum of its features."""
    features = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", len(weights)])
    score = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch"])
    weighted = numpy_helper.from_array(np.array(weights, dtype=np.float32), "weights")
    node = helper.make_node("MatMul", [INPUT, "weights"], [OUTPUT])
    made = helper.make_graph([node], "weighted", [features], [score], [weighted])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return model.SerializeToString()


def scored(content: bytes, names: list[str]) -> float:
    run = scorer(content, hashlib.sha256(content).hexdigest(), names, 0.5, [])
    [batch] = run(iter([BATCH]))
    return float(batch.column(batch.schema.get_field_index(SCORE))[0].as_py())


def test_models_and_feature_lists_do_not_mix() -> None:
    first, second, wider = graph([1.0, 2.0]), graph([3.0, 4.0]), graph([1.0, 1.0, 1.0])
    for _ in range(2):
        assert scored(first, ["a", "b"]) == 21.0
        assert scored(first, ["b", "a"]) == 12.0
        assert scored(second, ["a", "b"]) == 43.0
        assert scored(wider, ["a", "b", "a"]) == 12.0


def test_more_models_than_sessions_are_kept_score_as_before() -> None:
    models = [graph([float(n), 0.0]) for n in range(10)]
    assert [scored(model, ["a", "b"]) for model in [*models, *models]] == [float(n) for n in [*range(10)] * 2]


def test_another_graph_under_an_approved_name_is_refused() -> None:
    approved, other = graph([1.0, 2.0]), graph([3.0, 4.0])
    run = scorer(other, hashlib.sha256(approved).hexdigest(), ["a", "b"], 0.5, [])
    assert scored(approved, ["a", "b"]) == 21.0
    with pytest.raises(ValueError, match="not the one that was approved"):
        list(run(iter([BATCH])))


@given(st.lists(st.lists(st.none() | st.floats(width=32), min_size=3, max_size=3), max_size=20), st.integers(0, 5))
def test_the_matrix_holds_every_value_bit_by_bit_and_null_as_nan(values: list[list[float | None]], first: int) -> None:
    columns = [pa.array([row[n] for row in values], pa.float32()) for n in range(3)]
    batch = pa.RecordBatch.from_arrays(columns, names=["a", "b", "c"]).slice(first)
    expected = np.array([[row[n] for n in (2, 0, 2)] for row in values[first:]], np.float32).reshape(-1, 3)
    if np.isinf(expected).any():
        with pytest.raises(ValueError, match="infinity"):
            matrix(batch, ["c", "a", "c"])
    else:
        found = matrix(batch, ["c", "a", "c"])
        np.testing.assert_array_equal(found, expected)
        assert found.flags.c_contiguous and found.dtype == np.float32
        assert (np.signbit(found) == np.signbit(expected))[~np.isnan(expected)].all()
