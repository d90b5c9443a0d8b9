"""Logistic regression with its preprocessing: the baseline that every candidate has to beat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from jobs.arrays import Float32s, Floats
from jobs.models import label_odds
from jobs.models.array_model import ArrayModel, Arrays
from jobs.models.category_graph import with_vocabulary
from jobs.models.features import FeatureRows
from jobs.models.graphs import Graph
from jobs.models.label_odds import LabelOdds
from jobs.models.protocol import Examples, Probabilities, StepReport, check_features, check_trainable
from jobs.models.runtime import INPUT, OUTPUT

if TYPE_CHECKING:
    import onnx

DEFAULTS: Mapping[str, Any] = {
    "l2": 1.0,  # minimised: sum of the rows' losses + l2 / 2 * |weights|^2, so scikit-learn's C is 1 / l2
    "balanced": False,  # weigh the classes equally; probabilities are then no longer calibrated
    "iterations": 500,
}
_CONSTANT = 1e-9
"""Below this deviation a column of logarithms is one constant and rounding."""
_NEVER = -50.0
"""Logit of a class that was not among the training rows."""
_STATE = ("median", "mean", "scale", "weights", "missing_weights", "intercept")


class Logistic(ArrayModel):
    """L2-regularised logistic regression on standardised signed logarithms, sign(x) log(1 + |x|).

    A missing value becomes the median, and an indicator of its own has a weight (for features that were missing in
    training). A category is the log odds of its value (`jobs.models.label_odds`). All arithmetic is float64, in the
    graph too, because 1 + |x| rounds small values away in float32.
    """

    family = "logistic"
    defaults = DEFAULTS

    def __init__(self, parameters: Mapping[str, Any] | None = None) -> None:
        super().__init__(parameters)
        self._odds = LabelOdds()

    def fit(
        self, train: Examples, valid: Examples | None, *, seed: int, device: str, report: StepReport | None = None
    ) -> None:
        """See `Model.fit`. The problem is convex: neither seed, device nor validation rows change the result."""
        check_trainable(train, valid)
        self._odds, features = label_odds.learned(train)
        self._vocabulary = self._odds.vocabulary
        self._learned(train, self._preprocessing(features))
        standard, missing = self._design(features)
        indicated = np.flatnonzero(missing.any(axis=0))
        weights, intercept = self._solved(np.hstack([standard, missing[:, indicated]]), train)
        weights, missing_weights = np.split(weights, [len(train.names)])
        self._state |= {"weights": weights, "missing_weights": np.zeros_like(weights), "intercept": intercept}
        self._state["missing_weights"][indicated] = missing_weights

    def _solved(self, design: Floats, train: Examples) -> tuple[Floats, Floats]:
        """Weights of the columns of `design`, shape (columns,), and the intercept, shape (1,); of a multiclass task of
        shapes (columns, classes) and (classes,)."""
        from sklearn.linear_model import LogisticRegression

        solver = LogisticRegression(
            C=1 / self.parameters["l2"],
            class_weight="balanced" if self.parameters["balanced"] else None,
            max_iter=self.parameters["iterations"],
        )
        solver.fit(design, train.labels, sample_weight=train.weights)
        self.steps = int(solver.n_iter_[0])
        if not train.task.classes:
            return solver.coef_[0], solver.intercept_
        return by_class(solver, len(train.task.classes))

    def predict(self, features: FeatureRows) -> Probabilities:
        """See `Model.predict`."""
        check_features(features, self.names)
        standard, missing = self._design(self._odds.transform(features))
        state = self._state
        return self._link(standard @ state["weights"] + missing @ state["missing_weights"] + state["intercept"])

    def _link(self, sums: Floats) -> Probabilities:
        return _softmax(sums) if self._task.classes else _sigmoid(sums)

    def contributions(self, features: FeatureRows, background: FeatureRows) -> npt.NDArray[np.float64]:
        """Exact SHAP values of the logit (of each class's, [n, classes, f + 1]), float64 [n, f + 1]; the last column is
        the base.

        For a linear function each is the feature's term less its mean over `background` (features taken as
        independent, as in shap's LinearExplainer); a missing value's indicator belongs to its feature.
        """
        check_features(features, self.names)
        check_features(background, self.names)
        terms, usual = self._terms(features), self._terms(background).mean(axis=0)
        base = np.broadcast_to(usual.sum(axis=-1) + self._state["intercept"], (*terms.shape[:-1],))
        return np.concatenate([terms - usual, base[..., None]], axis=-1)

    def _terms(self, features: FeatureRows) -> npt.NDArray[np.float64]:
        """What each feature adds, shape (rows, features), or (rows, classes, features)."""
        standard, missing = self._design(self._odds.transform(features))
        weights, missing_weights = self._state["weights"].T, self._state["missing_weights"].T
        if self._task.classes:
            standard, missing = standard[:, None], missing[:, None]
        terms: npt.NDArray[np.float64] = standard * weights + missing * missing_weights
        return terms

    def _design(self, features: Float32s) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        missing = np.isnan(features)
        filled = np.where(missing, self._state["median"], self._transformed(features))
        return (filled - self._state["mean"]) / self._state["scale"], missing.astype(np.float64)

    def _transformed(self, features: Float32s) -> Floats:
        return _signed_log(features)

    def _transform_nodes(self, graph: Graph, wide: str) -> str:
        magnitude = graph.node("Log", graph.node("Add", graph.node("Abs", wide), graph.constant("one", 1.0)))
        return graph.node("Mul", graph.node("Sign", wide), magnitude)

    def _link_nodes(self, graph: Graph, sums: str) -> str:
        return graph.node("Softmax", sums, axis=1) if self._task.classes else graph.node("Sigmoid", sums)

    def _preprocessing(self, features: Float32s) -> dict[str, Floats]:
        transformed = self._transformed(features)
        empty = np.isnan(transformed).all(axis=0)
        median = np.nanmedian(np.where(empty, 0.0, transformed), axis=0)
        filled = np.where(np.isnan(transformed), median, transformed)
        deviation = filled.std(axis=0)
        return {"median": median, "mean": filled.mean(axis=0), "scale": np.where(deviation > _CONSTANT, deviation, 1.0)}

    def to_onnx(self) -> onnx.ModelProto:
        """See `Model.to_onnx`."""
        from onnx import TensorProto

        names, state, graph = self.names, self._state, Graph()
        wide = graph.node("Cast", INPUT, to=TensorProto.DOUBLE)
        missing = graph.node("IsNaN", wide)
        transformed = self._transform_nodes(graph, wide)
        filled = graph.node("Where", missing, graph.constant("median", state["median"]), transformed)
        centred = graph.node("Sub", filled, graph.constant("mean", state["mean"]))
        standard = graph.node("Div", centred, graph.constant("scale", state["scale"]))
        indicator = graph.node("Cast", missing, to=TensorProto.DOUBLE)
        parts = [
            graph.node("MatMul", standard, graph.constant("weights", state["weights"])),
            graph.node("MatMul", indicator, graph.constant("missing_weights", state["missing_weights"])),
        ]
        logit = graph.node("Add", graph.node("Add", *parts), graph.constant("intercept", state["intercept"]))
        graph.node("Cast", self._link_nodes(graph, logit), name=OUTPUT, to=TensorProto.FLOAT)
        complete = graph.model(names, max(1, len(self._task.classes)))
        return with_vocabulary(complete, self._odds.vocabulary, self._odds.tables)

    def _arrays(self) -> Arrays:
        return self._state | self._odds.arrays()

    def _restore(self, arrays: Arrays) -> None:
        self._odds = label_odds.of_arrays(self._vocabulary, arrays)
        super()._restore({name: array for name, array in arrays.items() if name not in self._odds.arrays()})

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        features, classes = len(self.names), len(self._task.classes)
        of_classes = (classes,) if classes else ()
        weighed = dict.fromkeys(("weights", "missing_weights"), (features, *of_classes))
        return {**dict.fromkeys(_STATE, (features,)), **weighed, "intercept": of_classes or (1,)}


def _signed_log(features: Float32s) -> npt.NDArray[np.float64]:
    wide = features.astype(np.float64)
    result: npt.NDArray[np.float64] = np.sign(wide) * np.log(1 + np.abs(wide))
    return result


def _sigmoid(logit: npt.NDArray[np.float64]) -> Probabilities:
    # exp of a negative number cannot overflow.
    small = np.exp(-np.abs(logit))
    result: Probabilities = np.where(logit >= 0, 1.0, small) / (1 + small)
    return result


def _softmax(logits: Floats) -> Probabilities:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: Probabilities = powers / powers.sum(axis=1, keepdims=True)
    return result


def by_class(solver: Any, classes: int) -> tuple[Floats, Floats]:
    """Weights and intercepts with a column for each class, of a solver that may have met fewer of them."""
    coefficients, intercepts = solver.coef_, solver.intercept_
    if len(solver.classes_) == 2:
        # Of two classes there is one logit; half of it speaks for the one, half against the other.
        coefficients, intercepts = (np.stack([-each[0] / 2, each[0] / 2]) for each in (coefficients, intercepts))
    weights, intercept = np.zeros((coefficients.shape[1], classes)), np.full(classes, _NEVER)
    weights[:, solver.classes_], intercept[solver.classes_] = coefficients.T, intercepts
    return weights, intercept
