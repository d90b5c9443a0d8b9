"""The families of models: they learn, repeat, refuse what they cannot read, and export what they predict."""

import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from jobs.arrays import Float32s
from jobs.errors import Invalid
from jobs.models.catalog import MEANS, check_declared, load_model, new_model
from jobs.models.features import values_of
from jobs.models.graphs import feature_names
from jobs.models.parity import check_parity
from jobs.models.protocol import Examples, Model
from jobs.models.runtime import score, session
from jobs.objective import FAMILIES
from jobs.problem import Family, Range
from jobs.use_case import problem_of
from jobs.use_cases.catalog import USE_CASES

NAMES = ("amount", "bump", "gap", "left", "right", "constant", "count")
SMALL: dict[str, dict[str, Any]] = {
    "logistic": {},
    "boosted": {"rounds": 80, "min_data_in_leaf": 10, "learning_rate": 0.1},
    "tabular_mlp": {"members": 4, "width": 32, "bins": 8, "epochs": 12, "batch_size": 128, "learning_rate": 5e-3},
    "rule": {},
}
LEARNED = {"logistic": 0.45, "rule": 0.3}
"""Least average precision of the families that do not see all of the signal."""


def examples(rows: int, seed: int) -> Examples:
    """A fifth of the rows is positive: large amounts, a bump, a missing gap, and an exclusive or."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(rows, len(NAMES)))
    signal = features[:, 0] + 2.0 * (np.abs(features[:, 1]) < 0.5) + 2.0 * (features[:, 3] * features[:, 4] > 0)
    missing = random.random(rows) < 0.2
    labels = signal + 2.0 * missing + random.normal(scale=0.5, size=rows) > 4.1
    features[:, 0] = np.exp(3 * features[:, 0])
    features[missing, 2] = np.nan
    features[:, 5] = 7.0
    features[:, 6] = random.poisson(0.3, rows)
    features[random.random(rows) < 0.05, 6] = np.nan
    return Examples(features.astype(np.float32), labels, None, NAMES)


TRAIN, VALID, TEST = examples(2000, 1), examples(1000, 2), examples(2000, 3)


def fitted(family: str, train: Examples = TRAIN, valid: Examples | None = VALID, **parameters: Any) -> Model:
    model = new_model(family, {**SMALL[family], **parameters})
    model.fit(train, valid, seed=7, device="cpu")
    return model


def average_precision(model: Model, test: Examples = TEST) -> float:
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(test.labels, model.predict(test.features)))


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def models() -> dict[str, Model]:
    return {family: fitted(family) for family in FAMILIES["binary"]}


@pytest.fixture(scope="module")
def graphs(models: dict[str, Model]) -> dict[str, Any]:
    return {family: model.to_onnx() for family, model in models.items()}


every_family = pytest.mark.parametrize("family", FAMILIES["binary"])


@every_family
def test_learns_a_planted_signal(models: dict[str, Model], family: str) -> None:
    """Chance is the prevalence, .2. The linear model sees amounts and gaps; bump and exclusive or need the others.
    A rule ranks by amounts alone."""
    assert 0.15 < TEST.labels.mean() < 0.25
    assert average_precision(models[family]) > LEARNED.get(family, 0.75)


@every_family
def test_predictions_are_calibrated_probabilities_in_the_order_of_the_rows(
    models: dict[str, Model], family: str
) -> None:
    predicted = models[family].predict(TEST.features)
    assert predicted.dtype == np.float64 and predicted.shape == (len(TEST),)
    assert predicted.min() >= 0 and predicted.max() <= 1
    assert abs(predicted.mean() - TEST.labels.mean()) < 0.03
    order = np.random.default_rng(0).permutation(len(TEST))
    np.testing.assert_allclose(models[family].predict(TEST.features[order]), predicted[order], atol=1e-6)
    assert models[family].predict(TEST.features[:0]).shape == (0,)


@every_family
def test_the_same_seed_gives_the_same_model(models: dict[str, Model], family: str) -> None:
    again = fitted(family)
    np.testing.assert_array_equal(again.predict(TEST.features), models[family].predict(TEST.features))
    assert again.steps == models[family].steps


def test_another_seed_gives_another_network() -> None:
    one, two = (new_model("tabular_mlp", {**SMALL["tabular_mlp"], "epochs": 1}) for _ in range(2))
    one.fit(TRAIN, None, seed=1, device="cpu")
    two.fit(TRAIN, None, seed=2, device="cpu")
    assert np.abs(one.predict(TEST.features) - two.predict(TEST.features)).max() > 1e-3


def test_training_leaves_the_random_numbers_of_the_caller_alone() -> None:
    before = torch.random.get_rng_state()
    fitted("tabular_mlp", valid=None, epochs=1)
    assert torch.equal(torch.random.get_rng_state(), before)


@every_family
def test_the_exported_graph_agrees_at_every_batch_size(
    models: dict[str, Model], graphs: dict[str, Any], family: str
) -> None:
    differences = check_parity(graphs[family], models[family].predict, TEST.features, tolerance=1e-5)
    assert list(differences) == [1, 2, 1000]
    assert feature_names(graphs[family]) == NAMES


@every_family
def test_the_exported_graph_has_one_input_and_one_output(graphs: dict[str, Any], family: str) -> None:
    runtime = session(graphs[family])
    (given,), (returned,) = runtime.get_inputs(), runtime.get_outputs()
    assert (given.name, given.type, given.shape[1:]) == ("features", "tensor(float)", [len(NAMES)])
    assert (returned.name, returned.type, len(returned.shape)) == ("score", "tensor(float)", 1)
    assert isinstance(given.shape[0], str), "the batch is not dynamic"
    assert score(runtime, TEST.features[:3]).shape == (3,)


@every_family
def test_the_exported_graph_is_the_same_file_everywhere(
    models: dict[str, Model], graphs: dict[str, Any], family: str
) -> None:
    content = graphs[family].SerializeToString(deterministic=True)
    assert models[family].to_onnx().SerializeToString(deterministic=True) == content
    assert b".py" not in content, "the graph names files of this machine"


@every_family
def test_a_saved_model_is_loaded_without_pickle(
    models: dict[str, Model], family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("pickle was asked to load")

    for name in ("load", "loads", "Unpickler", "_Unpickler", "dumps", "dump"):
        monkeypatch.setattr(pickle, name, refuse)
    models[family].save(tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(TEST.features), models[family].predict(TEST.features))
    assert (loaded.parameters, loaded.names, loaded.steps) == (
        models[family].parameters, NAMES, models[family].steps
    )  # fmt: skip
    loaded.save(tmp_path / "again")
    for file in (tmp_path / "model").iterdir():
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes()


@every_family
def test_a_damaged_folder_is_refused(models: dict[str, Model], family: str, tmp_path: Path) -> None:
    models[family].save(tmp_path)
    other = next(name for name in FAMILIES["binary"] if name != family)
    with pytest.raises(ValueError, match=f"expected a model of the family '{other}'"):
        new_model(other).load(tmp_path)
    (content,) = (file for file in tmp_path.iterdir() if file.suffix != ".json")
    whole = content.read_bytes()
    for damaged in (whole[:100], whole[: len(whole) // 2], whole + b" "):
        content.write_bytes(damaged)
        with pytest.raises(ValueError, match="expected content of sha256"):
            load_model(tmp_path)
    content.unlink()
    with pytest.raises(ValueError, match="save"):
        load_model(tmp_path)


@every_family
def test_rows_of_another_shape_are_refused(models: dict[str, Model], family: str) -> None:
    with pytest.raises(ValueError, match=r"expected float32 of shape \[n, 7\].*amount"):
        models[family].predict(TEST.features[:, :-1])
    with pytest.raises(ValueError, match=r"found float64"):
        models[family].predict(values_of(TEST.features).astype(np.float64))
    with pytest.raises(ValueError, match="infinity in 'gap'"):
        models[family].predict(
            np.where(np.isnan(values_of(TEST.features)), np.float32(np.inf), values_of(TEST.features))
        )


@every_family
def test_other_names_one_class_and_no_rows_are_refused(family: str) -> None:
    model = new_model(family, SMALL[family])
    with pytest.raises(ValueError, match="fitted model"):
        model.predict(TEST.features)
    renamed = replace(VALID, names=tuple(reversed(NAMES)))
    no_positives = TRAIN.rows(~TRAIN.labels)
    for train, valid, message in (
        (TRAIN, renamed, "expected the features of the training rows"),
        (TRAIN, no_positives, "validation rows: expected positives"),
        (no_positives, VALID, "expected both classes, found 0 positives"),
        (TRAIN.rows(slice(0, 0)), None, "expected both classes, found 0 positives among 0 rows"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit(train, valid, seed=0, device="cpu")


@every_family
def test_unknown_parameters_are_refused(family: str) -> None:
    with pytest.raises(ValueError, match=r"expected parameters among .*, found \['colour'\]"):
        new_model(family, {"colour": 1})


@every_family
def test_weights_count(models: dict[str, Model], family: str) -> None:
    weights: Float32s = np.where(TRAIN.labels, 5, 1).astype(np.float32)
    weighted = fitted(family, replace(TRAIN, weights=weights))
    assert weighted.predict(TEST.features).mean() > models[family].predict(TEST.features).mean() + 0.02


def test_a_rule_ranks_by_its_first_feature_and_breaks_ties_by_the_next() -> None:
    features = np.array([[2, 5], [1, 9], [2, 7], [np.nan, 9], [1, 1], [3, np.nan]] * 50, np.float32)
    labels = np.random.default_rng(0).random(len(features)) < 0.3
    model = new_model("rule")
    model.fit(Examples(features, labels, None, ("risk", "amount")), None, seed=0, device="cpu")
    predicted = model.predict(features[:6])
    assert list(np.argsort(-predicted)) == [5, 2, 0, 1, 4, 3]
    check_parity(model.to_onnx(), model.predict, features, tolerance=1e-6)


def test_a_rule_that_ranks_the_wrong_way_round_keeps_its_order() -> None:
    model = new_model("rule")
    amounts = np.arange(1000, dtype=np.float32)[:, None]
    model.fit(Examples(amounts, np.arange(1000) < 100, None, ("amount",)), None, seed=0, device="cpu")
    assert (np.diff(model.predict(amounts)) >= 0).all() and model.predict(amounts)[-1] > model.predict(amounts)[0]


@pytest.mark.parametrize("correction", ["weights", "offset"])
def test_drawing_negatives_keeps_probabilities_calibrated(correction: str) -> None:
    """Uncorrected, a quarter of the negatives would put the mean at about .45 instead of .18."""
    model = fitted("tabular_mlp", negative_rate=0.25, correction=correction, epochs=25)
    assert abs(model.predict(TEST.features).mean() - TEST.labels.mean()) < 0.05
    assert average_precision(model) > 0.7


@pytest.mark.parametrize("family", ["boosted", "tabular_mlp"])
def test_training_keeps_its_best_step_and_can_be_stopped(family: str) -> None:
    told: list[tuple[int, float]] = []
    model = new_model(family, SMALL[family])
    model.fit(TRAIN, VALID, seed=7, device="cpu", report=lambda step, value: told.append((step, value)))
    assert [step for step, _ in told] == list(range(1, len(told) + 1))
    best = max(value for _, value in told)
    assert average_precision(model, VALID) == pytest.approx(best, abs=2e-3)
    assert told[model.steps - 1][1] == pytest.approx(best)

    def stop(step: int, value: float) -> None:
        raise StopIteration(step)

    with pytest.raises(StopIteration):
        new_model(family, SMALL[family]).fit(TRAIN, VALID, seed=7, device="cpu", report=stop)


def test_a_mean_of_boosters_is_one_model_with_the_mean_of_their_logits(tmp_path: Path) -> None:
    members = [fitted("boosted", TRAIN.rows(slice(n * 500, None)), None, rounds=20 + n, num_leaves=5) for n in range(3)]
    together = MEANS["boosted"](members)

    def logits(model: Model) -> Float32s:
        chances = model.predict(TEST.features)
        return np.log(chances / (1 - chances))

    wanted = np.mean([logits(model) for model in members], axis=0)
    np.testing.assert_allclose(logits(together), wanted, atol=1e-9)
    check_parity(together.to_onnx(), together.predict, TEST.features, tolerance=1e-5)
    together.save(tmp_path / "mean")
    loaded = load_model(tmp_path / "mean")
    np.testing.assert_array_equal(loaded.predict(TEST.features), together.predict(TEST.features))
    # Rounds of each, not trees of all: who is trained with the same number again comes to the same size.
    assert loaded.steps == together.steps == members[0].steps == 20
    own = [model.contributions(TEST.features[:50], TRAIN.features) for model in (together, *members)]  # type: ignore[attr-defined]
    np.testing.assert_allclose(own[0], np.mean(own[1:], axis=0), atol=1e-9)


def test_a_mean_of_boosters_that_saw_values_missing_and_of_others_that_did_not() -> None:
    full = TRAIN.rows(np.flatnonzero(~np.isnan(values_of(TRAIN.features)).any(axis=1)))
    members = [fitted("boosted", rows, None, rounds=30) for rows in (TRAIN, full, TRAIN.rows(slice(0, 700)))]
    for together in (MEANS["boosted"](members), MEANS["boosted"](members[::-1])):
        assert np.isnan(values_of(TEST.features)).any()
        check_parity(together.to_onnx(), together.predict, TEST.features, tolerance=1e-5)
        gaps = TEST.features[np.isnan(values_of(TEST.features)).any(axis=1)]
        logits = [np.log(c / (1 - c)) for c in (model.predict(gaps) for model in (together, *members))]
        np.testing.assert_allclose(logits[0], np.mean(logits[1:], axis=0), atol=1e-9)


def test_a_mean_of_one_kind_only() -> None:
    other = replace(TRAIN, names=("other", *NAMES[1:]))
    members = [fitted("boosted", rows, None, rounds=3) for rows in (TRAIN, other)]
    with pytest.raises(ValueError, match="same features"):
        MEANS["boosted"](members)
    with pytest.raises(ValueError, match="expected"):
        MEANS["boosted"]([])


@every_family
def test_columns_without_any_value_do_no_harm(family: str) -> None:
    empty = replace(TRAIN, features=np.where(np.arange(len(NAMES)) == 6, np.float32(np.nan), values_of(TRAIN.features)))
    model = fitted(family, empty, None)
    assert np.isfinite(model.predict(TEST.features)).all()


def test_a_gpu_gives_the_same_network_twice() -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    one, two = (new_model("tabular_mlp", SMALL["tabular_mlp"]) for _ in range(2))
    for model in (one, two):
        model.fit(TRAIN, VALID, seed=7, device="cuda")
    np.testing.assert_array_equal(one.predict(TEST.features), two.predict(TEST.features))
    assert average_precision(one) > 0.75


@pytest.mark.parametrize("family", [Family("boosted", {"round": 3}), Family("logistic", search={"l3": Range(1, 2)})])
def test_a_parameter_that_a_family_does_not_know_is_refused_before_it_is_trained(family: Family) -> None:
    with pytest.raises(Invalid, match=f"{family.name}: expected parameters among .* found .*(round|l3)"):
        check_declared([family])


def test_the_families_of_the_use_cases_are_known() -> None:
    for use_case in USE_CASES:
        check_declared(problem_of(use_case).families)
