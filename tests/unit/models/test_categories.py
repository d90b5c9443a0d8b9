"""Categories in models: known, unknown and missing values, in the model and in its graph alike."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from jobs.models import vocabulary
from jobs.models.catalog import MEANS, load_model, new_model
from jobs.models.features import Features, concatenated, hashed, rows_of, texts_of, value_shown, values_of
from jobs.models.graphs import category_names, feature_names
from jobs.models.label_shares import with_label_shares
from jobs.models.parity import check_parity
from jobs.models.protocol import Examples, Model
from jobs.models.runtime import score, session
from jobs.models.tables import examples_of, features_of
from jobs.models.tree_graph import tree_graph

NAMES = ("amount", "shop", "noise", "size")
FAMILIES: dict[str, dict[str, Any]] = {
    "logistic": {},
    "boosted": {"rounds": 60, "min_data_in_leaf": 10, "learning_rate": 0.1},
    "tabular_mlp": {"members": 2, "width": 16, "bins": 8, "epochs": 6, "batch_size": 128, "learning_rate": 5e-3},
}


def world(seed: int, rows: int = 2000) -> pa.Table:
    """A third of the rows is positive: what the shop sells matters most, and that it is missing."""
    random = np.random.default_rng(seed)
    shops = random.integers(0, 20, rows)
    effect = np.random.default_rng(5).permutation(np.linspace(-3, 3, 20))
    missing = random.random(rows) < 0.1
    amount = random.normal(size=rows)
    signal = np.where(missing, 2, effect[shops]) + amount + random.normal(scale=0.5, size=rows)
    names = [None if gone else f"shop {shop}" for shop, gone in zip(shops.tolist(), missing, strict=True)]
    return pa.table(
        {
            "amount": amount,
            "shop": names,
            "noise": random.normal(size=rows),
            "size": random.choice(["small", "", "large"], rows),
            "label": signal > 1,
        }
    )


TRAIN, TEST = (examples_of(world(seed), NAMES, "label") for seed in (1, 2))


def fitted(family: str, train: Examples = TRAIN) -> Model:
    model = new_model(family, FAMILIES[family])
    model.fit(train, None, seed=3, device="cpu")
    return model


@pytest.fixture(scope="module")
def models() -> dict[str, Model]:
    return {family: fitted(family) for family in FAMILIES}


every_family = pytest.mark.parametrize("family", list(FAMILIES))


@every_family
def test_a_family_learns_what_a_category_says(models: dict[str, Model], family: str) -> None:
    """Without the shop the average precision is about .45."""
    assert models[family].categories == ("shop", "size")
    assert average_precision_score(TEST.labels, models[family].predict(TEST.features)) > 0.85


@every_family
def test_graph_and_stored_model_say_the_same_of_known_unknown_and_missing_values(
    models: dict[str, Model], family: str, tmp_path: Path
) -> None:
    model, graph = models[family], models[family].to_onnx()
    check_parity(graph, model.predict, TEST.features, tolerance=1e-5)
    assert feature_names(graph) == NAMES and category_names(graph) == ("shop", "size")
    model.save(tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(TEST.features), model.predict(TEST.features))
    assert loaded.categories == model.categories


@every_family
def test_the_graph_takes_texts_from_anybody(models: dict[str, Model], family: str) -> None:
    """Who has no code of ours hands over two arrays: numbers, and texts of which an empty one is missing."""
    runtime = session(models[family].to_onnx())
    numbers = np.array([[0.5, 0.0], [0.5, 0.0], [0.5, 0.0]], np.float32)
    texts = np.array([["shop 3", "small"], ["never seen", "small"], ["", "small"]], dtype=object)
    found = runtime.run(["score"], {"features": numbers, "categories": texts})[0]
    rows = rows_of(
        [numbers[:, 0], pa.array(["shop 3", "never seen", None]), numbers[:, 1], pa.array(["small"] * 3)], 3, 4
    )
    np.testing.assert_allclose(found, models[family].predict(rows), atol=1e-5)
    assert len(set(np.round(found, 4))) == 3, "known, unknown and missing are three things"


@every_family
def test_codes_of_another_reading_mean_the_same_texts(models: dict[str, Model], family: str) -> None:
    some = world(2).slice(700, 300)
    np.testing.assert_allclose(
        models[family].predict(features_of(some, NAMES)), models[family].predict(TEST.features[700:1000]), atol=1e-6
    )


@every_family
def test_another_type_of_column_is_refused(models: dict[str, Model], family: str) -> None:
    numbers = values_of(TEST.features)
    with pytest.raises(ValueError, match="expected categories at the positions"):
        models[family].predict(numbers)


texts = st.one_of(st.none(), st.text(max_size=5), st.sampled_from(["", " ", "a", "a\0", "A", "é", "é", "x" * 3000]))


@given(st.lists(texts, min_size=12, max_size=60), st.lists(texts, min_size=1, max_size=20), st.integers(1, 4))
def test_a_vocabulary_tells_known_unknown_and_missing_texts_apart(
    learned_from: list[str | None], asked: list[str | None], fewest: int
) -> None:
    train, rows = (rows_of([pa.array(column, pa.string())], len(column), 1) for column in (learned_from, asked))
    known = vocabulary.learned(train, fewest)
    counts = {text: learned_from.count(text) for text in learned_from if text}
    frequent = sorted((text for text, count in counts.items() if count >= fewest), key=lambda t: (-counts[t], t))
    assert known.known[0] == tuple(frequent)
    expected = [1 if not text else frequent.index(text) + 2 if text in frequent else 0 for text in asked]
    assert known.encode(rows)[:, 0].tolist() == expected


@given(st.lists(texts, min_size=1, max_size=30), st.lists(texts, min_size=0, max_size=30))
def test_rows_keep_their_texts_through_selections_and_hashes(first: list[str | None], second: list[str | None]) -> None:
    columns = [(np.arange(len(part), dtype=np.float32), pa.array(part, pa.string())) for part in (first, second)]
    parts = [rows_of(both, len(both[0]), 2) for both in columns]
    together = concatenated(parts)
    expected = [text or "" for text in (*first, *second)]
    assert [value_shown(together, row, 1) for row in range(len(together))] == expected
    assert isinstance(together, Features) and together.known_texts(1).tolist() == expected
    turned = together[::-1][:, [1]]
    assert texts_of(turned).keys() == {0}
    assert [value_shown(turned, row, 0) for row in range(len(turned))] == expected[::-1]
    np.testing.assert_array_equal(hashed(together), np.concatenate([hashed(part) for part in parts]))
    numbers = together[:, [0]]
    assert isinstance(numbers, np.ndarray)


def test_at_most_so_many_values_are_known_and_ties_do_not_depend_on_the_order_of_rows() -> None:
    values = [f"{n:03}" for n in range(200)] * 2
    for column in (values, values[::-1]):
        known = vocabulary.learned(rows_of([pa.array(column)], 400, 1), 1, 50)
        assert known.known[0] == tuple(f"{n:03}" for n in range(50))


@pytest.mark.parametrize("values", [2, 20, 400])
def test_the_graph_of_trees_decides_categories_as_lightgbm_does(values: int) -> None:
    """LightGBM's own predictions are the oracle: also of values it never saw, and of missing ones."""
    import lightgbm

    random = np.random.default_rng(values)
    codes = random.integers(0, values, 3000).astype(np.float32)
    effects = random.normal(size=values) * 2
    labels = (effects[codes.astype(int)] + random.normal(size=3000) > 0).astype(np.float32)
    rows = np.column_stack([random.normal(size=3000), codes]).astype(np.float32)
    parameters = {"objective": "binary", "verbosity": -1, "num_threads": 1, "min_data_per_group": 5, "cat_smooth": 1}
    data = lightgbm.Dataset(rows, labels, categorical_feature=[1], params=parameters)
    text = lightgbm.train(parameters, data, 20).model_to_string()
    assert "cat_threshold=" in text
    rows[::7, 1], rows[::11, 1] = values + 5, np.nan
    expected = lightgbm.Booster(model_str=text).predict(rows, num_threads=1)
    np.testing.assert_allclose(score(session(tree_graph(text, ("a", "b"))), rows), expected, atol=5e-7, rtol=0)


def shares(values: Sequence[str | None], labels: Sequence[bool]) -> list[float]:
    rows = rows_of([pa.array(values, pa.string())], len(values), 1)
    return with_label_shares(rows, np.array(labels), ["value"])[:, 0].tolist()


def test_a_label_in_disguise_is_told_and_the_own_label_of_a_rare_value_is_not() -> None:
    labels = [n % 5 == 0 for n in range(1000)]
    disguised = shares(["yes" if label else "no" for label in labels], labels)
    assert min(s for s, label in zip(disguised, labels, strict=True) if label) > 0.9
    single = shares([f"id {n}" for n in range(1000)], labels)
    assert len(set(single)) == 1


def test_a_category_without_any_value_is_one_missing_value() -> None:
    table = world(1).set_column(1, "shop", pa.nulls(2000, pa.string()))
    for family in FAMILIES:
        model = fitted(family, examples_of(table, NAMES, "label"))
        check_parity(model.to_onnx(), model.predict, TEST.features, tolerance=1e-5)


def test_a_mean_of_boosters_knows_what_each_of_them_knows() -> None:
    """The logit of the mean is the mean of the logits, of values that one member knows and the other does not, too."""
    shops = [f"shop {n}" for n in range(20)]
    parts = [
        examples_of(world(1).filter(pc.invert(pc.is_in(world(1)["shop"], pa.array(gone)))), NAMES, "label")
        for gone in (shops[:5], shops[10:])
    ]
    members = [fitted("boosted", part) for part in parts]
    for together in (MEANS["boosted"](members), MEANS["boosted"](members[::-1])):
        logits = [np.log(p / (1 - p)) for p in (model.predict(TEST.features) for model in (together, *members))]
        np.testing.assert_allclose(logits[0], np.mean(logits[1:], axis=0), atol=1e-9)
        check_parity(together.to_onnx(), together.predict, TEST.features, tolerance=1e-5)
