"""A rule that a person wrote, as a model: the first feature ranks, the next ones break its ties.

The order is the person's; only the probability that belongs to a rank is learned. See `jobs.problem.Rule`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from jobs.arrays import Float32s, Floats
from jobs.models.array_model import ArrayModel
from jobs.models.features import FeatureRows, numbers_of
from jobs.models.graphs import Graph
from jobs.models.protocol import Examples, Probabilities, StepReport, check_features, check_trainable
from jobs.models.runtime import INPUT, OUTPUT

if TYPE_CHECKING:
    import onnx

DEFAULTS: Mapping[str, Any] = {
    "knots": 64,  # values per feature at which its rank is known; between them ranks are interpolated
}
TIE = 1e-3
"""Two values whose ranks differ by less, as a share of the rows, are ties that the next feature breaks."""
_LEAST_SLOPE = 1e-3
"""Smallest slope of the logit: a rule that ranks the wrong way round is bad, and stays the rule."""


class RuleModel(ArrayModel):
    """Ranks of the training rows (0 to 1, missing values lowest), and the logit as a linear function of the share of
    rows that rank higher, in logarithms: -log(1 - rank)."""

    family = "rule"
    defaults = DEFAULTS

    def fit(
        self, train: Examples, valid: Examples | None, *, seed: int, device: str, report: StepReport | None = None
    ) -> None:
        """See `Model.fit`. Neither seed, device nor validation rows change the result."""
        from sklearn.linear_model import LogisticRegression

        check_trainable(train, valid)
        features = numbers_of(train.features, self.family)
        self._learned(train, _ranks_of(features, self.parameters["knots"]))
        solver = LogisticRegression(C=1e6).fit(
            self._rarity(features)[:, None], train.labels, sample_weight=train.weights
        )
        slope = np.maximum(solver.coef_[0], _LEAST_SLOPE)
        self._state |= {"slope": slope, "intercept": solver.intercept_}

    def predict(self, features: FeatureRows) -> Probabilities:
        """See `Model.predict`."""
        check_features(features, self.names)
        logit = self._state["slope"] * self._rarity(numbers_of(features, self.family)) + self._state["intercept"]
        result: Probabilities = 1 / (1 + np.exp(-logit))
        return result

    def _rarity(self, features: Float32s) -> Floats:
        """Shape (rows,): -log of the share of training rows that rank higher, at least `TIE`."""
        pieces = enumerate(zip(self._state["at"], self._state["rank"], strict=True))
        ranks = np.column_stack([np.interp(features[:, n], at, rank) for n, (at, rank) in pieces])
        rank = np.where(np.isnan(features), 0.0, ranks) @ _tie_breaks(len(self.names))
        rarity: Floats = -np.log(1 + TIE - rank)
        return rarity

    def to_onnx(self) -> onnx.ModelProto:
        """See `Model.to_onnx`."""
        from onnx import TensorProto

        names, state, graph = self.names, self._state, Graph()
        widths = np.diff(state["at"], axis=1)
        inverse = np.divide(1, widths, out=np.zeros_like(widths), where=widths > 0)
        wide = graph.node("Cast", INPUT, to=TensorProto.DOUBLE)
        missing = graph.node("IsNaN", wide)
        filled = graph.node("Where", missing, graph.constant("zero", 0.0), wide)
        column = graph.node("Unsqueeze", filled, graph.constant("last", [2], np.int64))
        above = graph.node("Sub", column, graph.constant("left", state["at"][:, :-1]))
        share = graph.node("Mul", above, graph.constant("inverse", inverse))
        clipped = graph.node("Clip", share, "zero", graph.constant("one", 1.0))
        risen = graph.node("Mul", clipped, graph.constant("rise", np.diff(state["rank"], axis=1)))
        summed = graph.node("ReduceSum", risen, graph.constant("axis", [2], np.int64), keepdims=0)
        known = graph.node("Add", summed, graph.constant("base", state["rank"][:, 0]))
        ranks = graph.node("Where", missing, "zero", known)
        rank = graph.node("MatMul", ranks, graph.constant("tie_breaks", _tie_breaks(len(names))))
        higher = graph.node("Sub", graph.constant("whole", 1 + TIE), rank)
        rarity = graph.node("Neg", graph.node("Log", higher))
        sloped = graph.node("Mul", rarity, graph.constant("slope", state["slope"]))
        logit = graph.node("Add", sloped, graph.constant("intercept", state["intercept"]))
        graph.node("Cast", graph.node("Sigmoid", logit), name=OUTPUT, to=TensorProto.FLOAT)
        return graph.model(names)

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        pieced = dict.fromkeys(("at", "rank"), (len(self.names), self.parameters["knots"]))
        return {**pieced, "slope": (1,), "intercept": (1,)}


def _tie_breaks(features: int) -> Floats:
    """What a rank of each feature counts: all together at most 1."""
    weights = np.power(TIE, np.arange(features, dtype=np.float64))
    shares: Floats = weights / weights.sum()
    return shares


def _ranks_of(features: Float32s, knots: int) -> dict[str, npt.NDArray[np.float64]]:
    """Values of each feature, ascending, and the rank of each; a feature with fewer values repeats its last."""
    at, rank = np.zeros((2, features.shape[1], knots))
    for position, column in enumerate(features.T):
        known = np.sort(column[~np.isnan(column)].astype(np.float64))
        if not len(known):
            continue
        chosen = np.unique(known[np.linspace(0, len(known) - 1, knots).astype(np.int64)])
        below = (np.searchsorted(known, chosen, "left") + np.searchsorted(known, chosen, "right")) / 2
        ranks = (len(column) - len(known) + below) / len(column)
        at[position] = np.pad(chosen, (0, knots - len(chosen)), "edge")
        rank[position] = np.pad(ranks, (0, knots - len(ranks)), "edge")
    return {"at": at, "rank": rank}
