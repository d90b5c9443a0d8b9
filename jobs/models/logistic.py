"""Logistic regression with its preprocessing: the baseline that every candidate has to beat."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from jobs.arrays import Float32s
from jobs.errors import Invalid
from jobs.models.folders import packed, read_model, unpacked, write_model
from jobs.models.graphs import Graph
from jobs.models.protocol import Examples, Probabilities, StepReport, check_features, check_trainable, merged
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
_ARRAYS = "arrays.npz"
_STATE = ("median", "mean", "scale", "weights", "missing_weights", "intercept")


class Logistic:
    """L2-regularised logistic regression on standardised signed logarithms, sign(x) log(1 + |x|).

    A missing value becomes the median, and an indicator of its own has a weight (for features that were missing in
    training). All arithmetic is float64, in the graph too, because 1 + |x| rounds small values away in float32.
    """

    family = "logistic"

    def __init__(self, parameters: Mapping[str, Any] | None = None) -> None:
        self.parameters = merged(self.family, DEFAULTS, parameters or {})
        self.steps = 0
        self._names: tuple[str, ...] | None = None
        self._state: dict[str, npt.NDArray[np.float64]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The features expected, in order. Raises ValueError before `fit` or `load`."""
        if self._names is None:
            raise Invalid("logistic: expected a fitted model, found one without weights; call fit or load first")
        return self._names

    def fit(
        self, train: Examples, valid: Examples | None, *, seed: int, device: str, report: StepReport | None = None
    ) -> None:
        """See `Model.fit`. The problem is convex: neither seed, device nor validation rows change the result."""
        from sklearn.linear_model import LogisticRegression

        check_trainable(train, valid)
        self._state = _preprocessing(train.features)
        standard, missing = self._design(train.features)
        indicated = np.flatnonzero(missing.any(axis=0))
        solver = LogisticRegression(
            C=1 / self.parameters["l2"],
            class_weight="balanced" if self.parameters["balanced"] else None,
            max_iter=self.parameters["iterations"],
        )
        solver.fit(np.hstack([standard, missing[:, indicated]]), train.labels, sample_weight=train.weights)
        weights, missing_weights = np.split(solver.coef_[0], [len(train.names)])
        self._state |= {"weights": weights, "missing_weights": np.zeros_like(weights), "intercept": solver.intercept_}
        self._state["missing_weights"][indicated] = missing_weights
        self._names, self.steps = train.names, int(solver.n_iter_[0])

    def predict(self, features: Float32s) -> Probabilities:
        """See `Model.predict`."""
        check_features(features, self.names)
        standard, missing = self._design(features)
        state = self._state
        return _sigmoid(standard @ state["weights"] + missing @ state["missing_weights"] + state["intercept"])

    def contributions(self, features: Float32s, background: Float32s) -> npt.NDArray[np.float64]:
        """Exact SHAP values of the logit, float64 [n, f + 1]; the last column is the base.

        For a linear function each is the feature's term less its mean over `background` (features taken as
        independent, as in shap's LinearExplainer); a missing value's indicator belongs to its feature.
        """
        check_features(features, self.names)
        check_features(background, self.names)
        terms, usual = self._terms(features), self._terms(background).mean(axis=0)
        base = np.full((len(features), 1), usual.sum() + self._state["intercept"][0])
        return np.hstack([terms - usual, base])

    def _terms(self, features: Float32s) -> npt.NDArray[np.float64]:
        standard, missing = self._design(features)
        terms: npt.NDArray[np.float64] = standard * self._state["weights"] + missing * self._state["missing_weights"]
        return terms

    def _design(self, features: Float32s) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        missing = np.isnan(features)
        filled = np.where(missing, self._state["median"], _signed_log(features))
        return (filled - self._state["mean"]) / self._state["scale"], missing.astype(np.float64)

    def to_onnx(self) -> onnx.ModelProto:
        """See `Model.to_onnx`."""
        from onnx import TensorProto

        names, state, graph = self.names, self._state, Graph()
        wide = graph.node("Cast", INPUT, to=TensorProto.DOUBLE)
        missing = graph.node("IsNaN", wide)
        magnitude = graph.node("Log", graph.node("Add", graph.node("Abs", wide), graph.constant("one", 1.0)))
        logarithm = graph.node("Mul", graph.node("Sign", wide), magnitude)
        filled = graph.node("Where", missing, graph.constant("median", state["median"]), logarithm)
        centred = graph.node("Sub", filled, graph.constant("mean", state["mean"]))
        standard = graph.node("Div", centred, graph.constant("scale", state["scale"]))
        indicator = graph.node("Cast", missing, to=TensorProto.DOUBLE)
        parts = [
            graph.node("MatMul", standard, graph.constant("weights", state["weights"])),
            graph.node("MatMul", indicator, graph.constant("missing_weights", state["missing_weights"])),
        ]
        logit = graph.node("Add", graph.node("Add", *parts), graph.constant("intercept", state["intercept"]))
        graph.node("Cast", graph.node("Sigmoid", logit), name=OUTPUT, to=TensorProto.FLOAT)
        return graph.model(names)

    def save(self, folder: Path) -> None:
        """See `Model.save`."""
        header = {"family": self.family, "parameters": self.parameters, "names": self.names, "steps": self.steps}
        write_model(folder, header, _ARRAYS, packed(self._state))

    def load(self, folder: Path) -> None:
        """See `Model.load`."""
        header, content = read_model(folder, self.family, _ARRAYS)
        arrays = unpacked(content)
        shapes = {name: (1,) if name == "intercept" else (len(header["names"]),) for name in _STATE}
        if {name: array.shape for name, array in arrays.items()} != shapes:
            raise Invalid(f"{folder}: expected arrays of shapes {shapes}, found others; save the model again")
        self.parameters = merged(self.family, DEFAULTS, header["parameters"])
        self._names, self.steps, self._state = header["names"], header["steps"], arrays


def _preprocessing(features: Float32s) -> dict[str, npt.NDArray[np.float64]]:
    logarithms = _signed_log(features)
    empty = np.isnan(logarithms).all(axis=0)
    median = np.nanmedian(np.where(empty, 0.0, logarithms), axis=0)
    filled = np.where(np.isnan(logarithms), median, logarithms)
    deviation = filled.std(axis=0)
    return {"median": median, "mean": filled.mean(axis=0), "scale": np.where(deviation > _CONSTANT, deviation, 1.0)}


def _signed_log(features: Float32s) -> npt.NDArray[np.float64]:
    wide = features.astype(np.float64)
    result: npt.NDArray[np.float64] = np.sign(wide) * np.log(1 + np.abs(wide))
    return result


def _sigmoid(logit: npt.NDArray[np.float64]) -> Probabilities:
    # exp of a negative number cannot overflow.
    small = np.exp(-np.abs(logit))
    result: Probabilities = np.where(logit >= 0, 1.0, small) / (1 + small)
    return result
