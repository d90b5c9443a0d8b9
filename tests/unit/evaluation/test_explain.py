"""Attributions add up to the served score, agree with shap's own, and find what a planted model uses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jobs.arrays import Float32s
from jobs.evaluation import explain
from jobs.models.catalog import new_model
from jobs.models.protocol import Examples
from jobs.registry import bundle
from jobs.registry.bundle import Bundle, Manifest

NAMES = ("amount", "age", "distance", "unused")
SMALL_NETWORK = {"members": 2, "width": 8, "blocks": 1, "bins": 4, "epochs": 4, "batch_size": 64}
PARAMETERS = {"logistic": {}, "boosted": {"rounds": 30, "min_data_in_leaf": 5}, "tabular_mlp": SMALL_NETWORK}


def rows(seed: int = 0, n: int = 600) -> Float32s:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 4)).astype(np.float32)
    features[rng.random((n, 4)) < 0.1] = np.nan
    return features


@pytest.fixture(scope="module", params=list(PARAMETERS))
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    family: str = request.param
    features = rows()
    labels = np.nan_to_num(features[:, 0]) * 2 - np.nan_to_num(features[:, 1]) > 0.5
    model = new_model(family, PARAMETERS[family])
    model.fit(Examples(features, labels, None, NAMES), None, seed=0, device="cpu")
    manifest = Manifest("fraud", family, tuple((n, "float32") for n in NAMES), 0.5, "2026-03-01", {})
    return bundle.write(tmp_path_factory.mktemp(family) / "bundle", model, manifest)


def test_base_and_values_add_up_to_the_served_score(made: Bundle) -> None:
    found = explain.attribute(made, rows(1, 50), rows())
    logit = found.base + found.values.sum(axis=1)
    np.testing.assert_allclose(1 / (1 + np.exp(-logit)), made.model().predict(rows(1, 50)), atol=1e-5)
    assert found.values.shape == (50, 4) and found.names == NAMES


def test_what_matters_comes_first(made: Bundle) -> None:
    found = explain.attribute(made, rows(1, 50), rows())
    assert list(found.importance)[:2] == ["amount", "age"]
    assert list(found.importance.values()) == sorted(found.importance.values(), reverse=True)
    name, value, attribution = found.reasons(3, 1)[0]
    column = NAMES.index(name)
    assert abs(attribution) == np.abs(found.values[3]).max()
    np.testing.assert_equal(value, float(rows(1, 50)[3, column]))


def test_the_same_seed_gives_the_same_attributions(made: Bundle) -> None:
    first, second = (explain.attribute(made, rows(1, 10), rows(), seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.values, second.values)


def test_it_agrees_with_brute_force_over_all_coalitions() -> None:
    """Shapley values by their definition, of the logistic model's logit."""
    from itertools import permutations

    features = rows()
    model = new_model("logistic")
    model.fit(Examples(features, np.nan_to_num(features[:, 0]) > 0.3, None, NAMES), None, seed=0, device="cpu")
    background, one = rows(2, 40), rows(5, 1)
    found = model.contributions(one, background)[0]  # type: ignore[attr-defined]
    expected = np.zeros(4)
    orders = list(permutations(range(4)))
    for order in orders:
        mixed = background.copy()
        before = _logit(model.predict(mixed)).mean()
        for column in order:
            mixed[:, column] = one[0, column]
            after = _logit(model.predict(mixed)).mean()
            expected[column] += (after - before) / len(orders)
            before = after
    np.testing.assert_allclose(found[:4], expected, atol=1e-9)
    assert found[4] == pytest.approx(_logit(model.predict(background)).mean())


def _logit(p: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(p) - np.log1p(-p))


@pytest.mark.filterwarnings("ignore:LightGBM binary classifier with TreeExplainer:UserWarning")
def test_trees_agree_with_shaps_own_explainer(tmp_path: Path) -> None:
    import lightgbm
    import shap

    features = rows()
    model = new_model("boosted", PARAMETERS["boosted"])
    model.fit(Examples(features, np.nan_to_num(features[:, 0]) > 0.3, None, NAMES), None, seed=0, device="cpu")
    model.save(tmp_path / "m")
    booster = lightgbm.Booster(model_str=(tmp_path / "m" / "booster.txt").read_text())
    theirs = shap.TreeExplainer(booster, feature_perturbation="tree_path_dependent")
    values = theirs.shap_values(rows(1, 30))
    ours = model.contributions(rows(1, 30), features)  # type: ignore[attr-defined]
    np.testing.assert_allclose(ours[:, :4], values, atol=1e-6)


def test_attributions_of_another_model_than_the_served_one_are_refused(tmp_path: Path) -> None:
    class Lying(type(new_model("logistic"))):  # type: ignore[misc]
        def contributions(self, features: Float32s, background: Float32s) -> np.ndarray:
            return np.asarray(super().contributions(features, background) * 1.1)

    liar = Lying()
    liar.fit(Examples(rows(), rows()[:, 0] > 0.3, None, NAMES), None, seed=0, device="cpu")
    manifest = Manifest("fraud", "logistic", tuple((n, "float32") for n in NAMES), 0.5, "2026-03-01", {})
    made = bundle.write(tmp_path / "bundle", liar, manifest)
    lying = replace(made)
    object.__setattr__(lying, "model", lambda: liar)
    with pytest.raises(explain.NotAdditive):
        explain.attribute(lying, rows(1, 10), rows())


@pytest.mark.parametrize(("rows", "most"), [(1000, 250), (999, 250), (3, 250), (251, 250), (0, 250)])
def test_rows_are_drawn_evenly_from_the_first_to_the_last(rows: int, most: int) -> None:
    drawn = explain.evenly(np.arange(rows)[::-1], most)
    assert len(drawn) <= most and (drawn[:1] == rows - 1).all()
    assert len(drawn) > min(rows, most) / 2 or not rows
    assert len(np.unique(np.diff(drawn))) <= 1 and (drawn[-1:] < max(1, rows / most + 1)).all()
