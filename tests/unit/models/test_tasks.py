"""Models of every task: they learn it, and their graphs score as they do, also on hostile rows."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.errors import Invalid
from jobs.models.catalog import load_model, new_model
from jobs.models.parity import check_parity
from jobs.models.protocol import Examples
from jobs.objective import AUC, FAMILIES, LOG_LOSS, MEAN_ABSOLUTE_ERROR, Objective, pinball
from jobs.stats.metrics import calibration_error
from jobs.tasks.binary import Binary
from jobs.tasks.multiclass import Multiclass
from jobs.tasks.regression import Regression
from jobs.tasks.task import Task

NAMES = ("a", "b", "c")
SMALL: dict[str, dict[str, Any]] = {
    "boosted": {"rounds": 60, "min_data_in_leaf": 10},
    "tabular_mlp": {"members": 4, "width": 32, "bins": 8, "epochs": 12, "batch_size": 64, "learning_rate": 5e-3},
}
TASKS: list[Task] = [
    Binary(AUC),
    Multiclass(LOG_LOSS, ("low", "middle", "high")),
    Regression(MEAN_ABSOLUTE_ERROR),
    Regression(pinball(0.8)),
]
CASES = [(task, family) for task in TASKS for family in FAMILIES[task.name] if family != "rule"]
IDS = [f"{task.name} {task.objective.name} {family}" for task, family in CASES]


def examples(task: Task, rows: int = 600, seed: int = 0, scale: float = 1.0) -> Examples:
    random = np.random.default_rng(seed)
    features = random.normal(size=(rows, 3)).astype(np.float32)
    features[random.random(rows) < 0.1, 2] = np.nan
    number = scale * (2 * features[:, 0] + np.nan_to_num(features[:, 2]) + 0.3 * random.normal(size=rows) + 7)
    level = np.digitize(number, np.quantile(number, (1 / 3, 2 / 3)))
    labels: Any = {"binary": number > np.median(number), "multiclass": level, "regression": number.astype(np.float64)}
    return Examples(features, labels[task.name], None, NAMES, task)


@pytest.mark.parametrize(("task", "family"), CASES, ids=IDS)
def test_a_model_learns_the_task_and_its_graph_scores_alike(task: Task, family: str, tmp_path: Path) -> None:
    train, held = examples(task), examples(task, seed=1)
    model = new_model(family, SMALL.get(family))
    model.fit(train, None, seed=0, device="cpu")
    scores = model.predict(held.features)
    assert scores.shape == (len(held), *([len(task.classes)] if task.classes else []))
    constant = task.constant_scores(train.labels, len(held))
    reached = task.gain(task.value(held.labels, scores))
    if family != "value":  # the first feature as it is, which is no model of these labels
        assert reached > max(task.gain(task.value(held.labels, each)) for each in constant.values())
    bounded = task.name != "regression"
    assert max(check_parity(model.to_onnx(), model.predict, held.features, bounded=bounded).values()) <= 1e-5
    model.save(tmp_path / "model")
    again = load_model(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(held.features), scores)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_graphs_of_numbers_agree_at_any_scale(scale: float) -> None:
    train = examples(Regression(MEAN_ABSOLUTE_ERROR), scale=scale)
    model = new_model("boosted", SMALL["boosted"])
    model.fit(train, None, seed=0, device="cpu")
    check_parity(model.to_onnx(), model.predict, train.features, bounded=False)
    with pytest.raises(ValueError, match="expected scores within"):
        check_parity(model.to_onnx(), lambda rows: model.predict(rows) * 1.001, train.features, bounded=False)


def test_validation_rows_stop_a_loss_when_it_no_longer_falls() -> None:
    task, reached = Regression(MEAN_ABSOLUTE_ERROR), list[float]()
    model = new_model("boosted", {"rounds": 400, "patience": 5, "learning_rate": 0.3, "min_data_in_leaf": 5})
    model.fit(
        examples(task), examples(task, seed=1), seed=0, device="cpu", report=lambda _, value: reached.append(value)
    )
    assert 0 < model.steps < 400
    assert max(reached) == reached[model.steps - 1] < 0, "a loss is reported as a gain, so that more is better"


@pytest.mark.parametrize("task", TASKS)
def test_labels_of_another_task_are_refused(task: Task) -> None:
    rows = examples(task)
    other = rows.labels.astype(np.float32)
    with pytest.raises(Invalid, match="expected labels of type"):
        Examples(rows.features, other, None, NAMES, task)


def test_an_objective_has_its_own_kind_of_trees() -> None:
    texts = set()
    for objective in (Objective("mean_absolute_error"), pinball(0.1), pinball(0.9)):
        model = new_model("boosted", SMALL["boosted"])
        model.fit(examples(Regression(objective)), None, seed=0, device="cpu")
        texts.add(float(np.mean(model.predict(examples(TASKS[2], seed=2).features))))
    assert len(texts) == 3


@pytest.mark.parametrize("task", TASKS[1:3], ids=["multiclass", "regression"])
def test_a_network_stops_by_the_objective_of_its_task_and_repeats(task: Task) -> None:
    train, valid, reached = examples(task), examples(task, seed=1), list[float]()
    models = [new_model("tabular_mlp", {**SMALL["tabular_mlp"], "epochs": 20, "patience": 2}) for _ in range(2)]
    models[0].fit(train, valid, seed=3, device="cpu", report=lambda _, value: reached.append(value))
    models[1].fit(train, valid, seed=3, device="cpu")
    scores = [model.predict(valid.features) for model in models]
    np.testing.assert_array_equal(scores[0], scores[1])
    assert max(reached) == reached[models[0].steps - 1] == pytest.approx(task.gain(task.value(valid.labels, scores[0])))
    with pytest.raises(Invalid, match="a negative_rate of 1"):
        new_model("tabular_mlp", {"negative_rate": 0.5}).fit(train, None, seed=0, device="cpu")


def test_a_network_about_numbers_is_the_same_at_any_scale() -> None:
    made = []
    for scale in (1e-4, 1e6):
        train = examples(Regression(MEAN_ABSOLUTE_ERROR), scale=scale)
        model = new_model("tabular_mlp", SMALL["tabular_mlp"])
        model.fit(train, None, seed=0, device="cpu")
        made.append(model.predict(train.features) / scale)
    np.testing.assert_allclose(made[0], made[1], rtol=1e-3)


@pytest.mark.parametrize("family", ["logistic", "boosted", "tabular_mlp"])
def test_probabilities_of_classes_are_how_often_each_is_true(family: str) -> None:
    """Reliability, class by class, where the true chances are known; scores that are too sure of themselves fail."""
    task = Multiclass(LOG_LOSS, ("low", "middle", "high"))

    def drawn(seed: int, rows: int) -> Examples:
        random = np.random.default_rng(seed)
        features = random.normal(size=(rows, 3)).astype(np.float32)
        logits = np.column_stack([np.zeros(rows), features[:, 0], features[:, 1] - 1])
        labels = (logits + random.gumbel(size=(rows, 3))).argmax(axis=1)
        return Examples(features, labels, None, NAMES, task)

    held = drawn(1, 8000)
    fast = {"members": 2, "width": 16, "batch_size": 256, "learning_rate": 1e-2} if family == "tabular_mlp" else {}
    model = new_model(family, SMALL.get(family, {}) | fast)
    model.fit(drawn(0, 3000), drawn(2, 1000), seed=0, device="cpu")
    chances = model.predict(held.features)

    def largest_error(scores: Any) -> float:
        return max(calibration_error(held.labels == each, scores[:, each]) for each in range(3))

    sharpened = chances**2 / (chances**2).sum(axis=1, keepdims=True)
    assert largest_error(chances) < 0.04 < 0.08 < largest_error(sharpened)
