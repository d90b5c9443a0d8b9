"""Linear regression with its preprocessing: the baseline that every candidate for a number has to beat."""

from __future__ import annotations

import numpy as np

from jobs.arrays import Float32s, Floats
from jobs.models.graphs import Graph
from jobs.models.logistic import Logistic
from jobs.models.protocol import Examples, Probabilities, weights_of
from jobs.stats.losses import weighted_quantile
from jobs.tasks.regression import Regression


class Linear(Logistic):
    """Ridge regression on standardised features, which are cut at the smallest and the largest of the training rows.

    Missing values are treated as in `Logistic`. The intercept moves to where the objective wants it: the median, or the
    declared quantile, of the errors on the training rows is zero.
    """

    family = "linear"

    def _solved(self, design: Floats, train: Examples) -> tuple[Floats, Floats]:
        from sklearn.linear_model import Ridge

        # An exact solver: the same rows give the same weights to the last digit.
        solver = Ridge(alpha=self.parameters["l2"], solver="cholesky")
        solver.fit(design, train.labels, sample_weight=train.weights)
        assert isinstance(train.task, Regression)
        errors = train.labels - solver.predict(design)
        shift = weighted_quantile(errors, train.task.quantile, weights_of(train))
        return solver.coef_, np.array([solver.intercept_ + shift])

    def _link(self, sums: Floats) -> Probabilities:
        return sums

    def _link_nodes(self, graph: Graph, sums: str) -> str:
        return sums

    def _transformed(self, features: Float32s) -> Floats:
        transformed: Floats = np.clip(features.astype(np.float64), self._state["low"], self._state["high"])
        return transformed

    def _transform_nodes(self, graph: Graph, wide: str) -> str:
        above = graph.node("Max", wide, graph.constant("low", self._state["low"]))
        return graph.node("Min", above, graph.constant("high", self._state["high"]))

    def _preprocessing(self, features: Float32s) -> dict[str, Floats]:
        known = np.where(np.isnan(features).all(axis=0), 0.0, features.astype(np.float64))
        self._state = {"low": np.nanmin(known, axis=0), "high": np.nanmax(known, axis=0)}
        return {**self._state, **super()._preprocessing(features)}

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {**super()._shapes(), **dict.fromkeys(("low", "high"), (len(self.names),))}
