"""Gradient-boosted trees (LightGBM), stored as the booster's own text. Its graph is made in `tree_graph`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from jobs.errors import Invalid
from jobs.models import vocabulary
from jobs.models.features import FeatureRows
from jobs.models.folders import read_model, write_model
from jobs.models.protocol import Examples, Probabilities, StepReport, check_features, check_trainable, merged
from jobs.models.tree_average import average
from jobs.models.tree_sets import translated, translation, union
from jobs.models.vocabulary import Vocabulary
from jobs.tasks.binary import BINARY
from jobs.tasks.catalog import of_stored
from jobs.tasks.task import Task

if TYPE_CHECKING:
    import lightgbm
    import onnx

DEFAULTS: Mapping[str, Any] = {
    "rounds": 1000,  # at most, when validation rows stop it earlier
    "patience": 50,  # rounds without a better average precision
    "learning_rate": 0.05,
    "num_leaves": 31,
    "min_data_in_leaf": 50,
    "feature_fraction": 0.8,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l1": 0.0,
    "lambda_l2": 1.0,
    "min_gain_to_split": 0.0,
    "path_smooth": 0.0,
    "max_bin": 255,
    "scale_pos_weight": 1.0,  # above 1, probabilities are no longer calibrated
    "num_threads": 1,
}
_OURS = ("rounds", "patience")
_BOOSTER = "booster.txt"


class Boosted:
    """LightGBM on the raw features: trees need no scaling, and send a missing value down a learned side of a split.

    Categories are LightGBM's own: a split has a set of known values on its left side.
    """

    family = "boosted"

    def __init__(self, parameters: Mapping[str, Any] | None = None) -> None:
        self.parameters = merged(self.family, DEFAULTS, parameters or {})
        self.steps = 0
        """Rounds; of a mean of boosters, those of each."""
        self._names: tuple[str, ...] | None = None
        self._text, self._task = "", cast(Task, BINARY)
        self._vocabulary = Vocabulary()
        self._booster: lightgbm.Booster | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The features expected, in order. Raises ValueError before `fit` or `load`."""
        if self._names is None:
            raise Invalid("boosted: expected a fitted model, found one without trees; call fit or load first")
        return self._names

    @property
    def categories(self) -> tuple[str, ...]:
        """See `Model.categories`."""
        return self._vocabulary.names(self.names)

    def fit(
        self, train: Examples, valid: Examples | None, *, seed: int, device: str, report: StepReport | None = None
    ) -> None:
        """See `Model.fit`. Trains on the CPU whatever `device` is: LightGBM's wheels have no CUDA build."""
        import lightgbm

        check_trainable(train, valid)
        known = vocabulary.learned(train.features)
        data = _dataset(train, known, None)
        evaluated = [] if valid is None else [_dataset(valid, known, data)]
        callbacks: list[Callable[..., Any]] = [] if report is None else [_reporting(report)]
        if valid is not None:
            callbacks.append(lightgbm.early_stopping(self.parameters["patience"], verbose=False))
        booster = lightgbm.train(
            self._training(seed, train.task), data, self.parameters["rounds"], valid_sets=evaluated, callbacks=callbacks
        )
        self._task = train.task
        self._become(booster.model_to_string(num_iteration=booster.best_iteration), train.names, known)

    @classmethod
    def mean(cls, models: Sequence[Boosted]) -> Boosted:
        """One model whose logit is the mean of theirs. Raises ValueError if they have other features, or there are
        none."""
        first = models[0] if models else cls()
        if any(model.names != first.names for model in models):
            raise Invalid("boosted: expected models of the same features, found others; fit them on the same rows")
        averaged = cls(first.parameters)
        averaged._task = first._task
        averaged._become(average(_texts(models)), first.names, union([model._vocabulary for model in models]))
        averaged.steps = first.steps
        return averaged

    def _training(self, seed: int, task: Task) -> dict[str, Any]:
        parameters = {name: value for name, value in self.parameters.items() if name not in _OURS}
        # Every other seed of LightGBM is drawn from this one.
        fixed = {"seed": seed, "deterministic": True, "force_row_wise": True, "verbosity": -1}
        if task.name != "binary":
            parameters.pop("scale_pos_weight")
        return {**parameters, **fixed, **objective_of(task)}

    def _become(self, text: str, names: tuple[str, ...], known: Vocabulary) -> None:
        import lightgbm

        # What is stored is what predicts: a fitted and a loaded model are the same text.
        booster = lightgbm.Booster(model_str=text)
        if booster.num_feature() != len(names):
            raise Invalid(f"booster: expected {len(names)} features, found {booster.num_feature()}")
        self._booster, self._text, self._names, self.steps = booster, text, names, booster.current_iteration()
        self._vocabulary = known

    def predict(self, features: FeatureRows) -> Probabilities:
        """See `Model.predict`."""
        check_features(features, self.names)
        assert self._booster is not None
        if not len(features):
            return self._task.no_scores()
        scores = self._booster.predict(self._vocabulary.encode(features), num_threads=self.parameters["num_threads"])
        return np.asarray(scores, dtype=np.float64)

    def contributions(self, features: FeatureRows, background: FeatureRows) -> Probabilities:
        """Exact tree SHAP values of the logit (of a regression, of the prediction), float64 [n, f + 1]; the last column
        is the base. Of a multiclass task [n, classes, f + 1], of each class's logit before the softmax.

        LightGBM's own (Lundberg et al. 2020, path-dependent): the same algorithm as shap's TreeExplainer. What is usual
        comes from the training rows' counts in the trees; `background` is not needed.
        """
        check_features(features, self.names)
        assert self._booster is not None
        # Rows do not depend on each other: on all cores they take the same values.
        encoded = self._vocabulary.encode(features)
        contributions = np.asarray(self._booster.predict(encoded, pred_contrib=True, num_threads=0), dtype=np.float64)
        classes = len(self._task.classes)
        return contributions.reshape(len(features), classes, -1) if classes else contributions

    def to_onnx(self) -> onnx.ModelProto:
        """See `Model.to_onnx`. Thresholds compare exactly; leaves are summed in float32."""
        from jobs.models.category_graph import with_vocabulary
        from jobs.models.tree_graph import tree_graph

        names = self.names
        return with_vocabulary(tree_graph(self._text, names), self._vocabulary)

    def save(self, folder: Path) -> None:
        """See `Model.save`."""
        header = {"family": self.family, "parameters": self.parameters, "names": self.names, "steps": self.steps}
        header |= {"task": stored} if (stored := self._task.stored()) else {}
        write_model(folder, header | self._vocabulary.header(self.names), _BOOSTER, self._text.encode())

    def load(self, folder: Path) -> None:
        """See `Model.load`."""
        header, content = read_model(folder, self.family, _BOOSTER)
        self.parameters = merged(self.family, DEFAULTS, header["parameters"])
        self._task = of_stored(header.get("task"))
        self._become(content.decode(), header["names"], vocabulary.of_header(header))
        self.steps = header["steps"]


def _texts(models: Sequence[Boosted]) -> list[str]:
    """The texts of boosters, with the codes of all that one of them knows."""
    vocabularies = [model._vocabulary for model in models]
    if all(each == vocabularies[0] for each in vocabularies):
        return [model._text for model in models]
    together = union(vocabularies)
    return [translated(model._text, translation(model._vocabulary, together)) for model in models]


def objective_of(task: Task) -> dict[str, Any]:
    """LightGBM's objective and the metric that stops it; where it does not know ours, the one that is nearest."""
    asked = task.objective
    if task.name == "regression":
        if asked.name == "pinball":
            return {"objective": "quantile", "alpha": asked.level, "metric": "quantile"}
        return {"objective": "regression_l1", "metric": "l1"}
    if task.name == "multiclass":
        return {"objective": "multiclass", "num_class": len(task.classes), "metric": "multi_logloss"}
    metrics = {"auc_roc": "auc", "log_loss": "binary_logloss", "cost": "binary_logloss"}
    return {"objective": "binary", "metric": metrics.get(asked.name, "average_precision")}


def _dataset(examples: Examples, known: Vocabulary, reference: lightgbm.Dataset | None) -> lightgbm.Dataset:
    import lightgbm

    return lightgbm.Dataset(
        known.encode(examples.features),
        examples.labels.astype(np.float32),
        weight=examples.weights,
        reference=reference,
        # Names may hold characters that LightGBM refuses; positions never do.
        feature_name=[f"f{position}" for position in range(len(examples.names))],
        categorical_feature=list(known.columns) or "auto",
        params={"verbosity": -1},
        free_raw_data=True,
    )


def _reporting(report: StepReport) -> Callable[[lightgbm.callback.CallbackEnv], None]:
    def tell(environment: lightgbm.callback.CallbackEnv) -> None:
        # (data set, metric, value, ...) of the one validation set and the one metric.
        for result in environment.evaluation_result_list or []:
            value, more_is_better = float(result[2]), bool(result[3])
            report(environment.iteration + 1, value if more_is_better else -value)

    return tell
