"""Vectors: elements are features of every family, one feature in drift and explanations, and refused where damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.evaluation import explain
from jobs.models.catalog import new_model
from jobs.models.features import value_shown, values_of
from jobs.models.graphs import feature_names
from jobs.models.parity import check_parity
from jobs.models.tables import examples_of, features_of
from jobs.models.vectors import columns_of, element_names, lengths_of, vectors, with_elements
from jobs.registry import bundle
from jobs.registry.bundle import Manifest

NAMES = ("amount", *element_names("words", 4), "shop")
FAMILIES = {"logistic": {}, "boosted": {"rounds": 40, "min_data_in_leaf": 10}}
AS_OF = "2026-03-01T00:00:00+00:00"
KINDS = tuple((name, "string" if name == "shop" else "float32") for name in NAMES)
EXPORTED = Manifest("demo", "boosted", KINDS, 0.5, AS_OF, {})
floats = st.floats(allow_nan=False, allow_infinity=False, width=32)


def json_text(values: list[float]) -> str:
    return "[" + ", ".join(repr(np.float32(value).item()) for value in values) + "]"


def world(rows: int = 1500) -> pa.Table:
    """A row is positive where its vector points one way; some have none."""
    random = np.random.default_rng(4)
    words = random.normal(size=(rows, 4)).astype(np.float32)
    texts = [None if random.random() < 0.1 else json_text(row) for row in words.tolist()]
    labels = words @ np.array([2.0, -1.0, 0.0, 0.5]) > 0.5
    shops = [f"shop {n}" for n in random.integers(0, 5, rows)]
    return pa.table({"amount": random.normal(size=rows), "words": texts, "shop": shops, "label": labels})


@given(st.lists(st.one_of(st.none(), st.lists(floats, min_size=3, max_size=3)), max_size=8))
def test_a_vector_is_read_as_it_was_written(rows: list[list[float] | None]) -> None:
    column = pa.array([None if row is None else json_text(row) for row in rows], pa.string())
    expected = np.array([[np.nan] * 3 if row is None else row for row in rows], np.float32).reshape(-1, 3)
    np.testing.assert_array_equal(vectors("words", column, 3), expected)


@pytest.mark.parametrize(("text", "told"), [
    ("[1.0,2.0]", "expected lists of 3 floats, found one of 2 in row 1"),
    ("[1.0,NaN,3.0]", "expected lists of finite floats, found nan at place 1 in row 1"),
    ("[1.0,2.0,1e39]", "expected lists of finite floats, found inf at place 2 in row 1"),
    ("[1.0,two,3.0]", "expected lists of floats as JSON, found .*two"),
])  # fmt: skip
def test_a_damaged_vector_is_refused_with_its_place(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=f"column 'words': {told}"):
        vectors("words", pa.array(["[0,1,2]", text]), 3)
    with pytest.raises(ValueError, match="expected lists of floats as JSON, found list"):
        vectors("words", pa.array([[1.0]]), 1)


def test_names_alone_say_what_is_one_vector() -> None:
    assert columns_of(NAMES) == ("amount", "words", "shop") and lengths_of(NAMES) == {"words": 4}
    assert with_elements(("words", "shop", "gone"), NAMES) == [*NAMES[1:5], "shop", "gone"]
    assert EXPORTED.columns == {"amount": "float32", "words": "float32[4]", "shop": "string"}
    assert EXPORTED.inputs == {
        "input": {"name": "features", "type": "float32", "shape": [-1, 5]},
        "categories": {"name": "categories", "type": "string", "shape": [-1, 1]},
    }
    blank = EXPORTED.blank_row()
    assert np.isnan(values_of(blank)).all() and value_shown(blank, 0, 5) == ""


@pytest.mark.parametrize("family", list(FAMILIES))
def test_every_family_learns_from_a_vector_and_its_graph_takes_the_elements(family: str) -> None:
    examples = examples_of(world(), NAMES, "label")
    model = new_model(family, FAMILIES[family])
    model.fit(examples, None, seed=1, device="cpu")
    scores = model.predict(examples.features)
    assert np.mean((scores > 0.5) == examples.labels) > 0.8
    assert feature_names(model.to_onnx()) == NAMES
    check_parity(model.to_onnx(), model.predict, examples.features, tolerance=1e-5)


def test_an_explanation_shows_a_vector_once_and_adds_up(tmp_path: Path) -> None:
    examples = examples_of(world(), NAMES, "label")
    model = new_model("boosted", FAMILIES["boosted"])
    model.fit(examples, None, seed=1, device="cpu")
    kept = bundle.write(tmp_path / "bundle", model, EXPORTED)
    rows = features_of(world().slice(0, 12), NAMES)
    shown = explain.attribute(kept, rows, examples.features[:50])
    assert shown.names == ("amount", "words", "shop") and next(iter(shown.importance)) == "words"
    added = shown.base + shown.values.sum(axis=1)
    np.testing.assert_allclose(1 / (1 + np.exp(-added)), shown.scores, atol=1e-4)
    _, value, _ = next(reason for reason in shown.reasons(0) if reason[0] == "words")
    assert value == pytest.approx(np.linalg.norm(values_of(rows)[0, 1:5]), nan_ok=True)
    assert value_shown(shown.features, 0, 2).startswith("shop")  # type: ignore[union-attr]
