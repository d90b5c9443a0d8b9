"""A rule for numbers as a model: the prediction is a feature itself, such as the last value that was known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jobs.arrays import Floats, first_known
from jobs.models.array_model import ArrayModel
from jobs.models.features import FeatureRows, numbers_of
from jobs.models.graphs import Graph
from jobs.models.protocol import Examples, Probabilities, StepReport, check_features, check_trainable, weights_of
from jobs.models.runtime import INPUT, OUTPUT
from jobs.stats.losses import weighted_quantile
from jobs.tasks.regression import Regression

if TYPE_CHECKING:
    import onnx


class ValueModel(ArrayModel):
    """The first feature that is not missing, else the median of the training labels, or the quantile asked for."""

    family = "value"

    def fit(
        self, train: Examples, valid: Examples | None, *, seed: int, device: str, report: StepReport | None = None
    ) -> None:
        """See `Model.fit`. Neither seed, device nor validation rows change the result."""
        check_trainable(train, valid)
        assert isinstance(train.task, Regression)
        numbers_of(train.features, self.family)
        usual = weighted_quantile(train.labels, train.task.quantile, weights_of(train))
        self._learned(train, {"usual": np.array([usual])})

    def predict(self, features: FeatureRows) -> Probabilities:
        """See `Model.predict`."""
        check_features(features, self.names)
        values = first_known(numbers_of(features, self.family))
        return np.where(np.isnan(values), self._state["usual"], values)

    def contributions(self, features: FeatureRows, background: FeatureRows) -> Floats:
        """What the feature that is taken adds to the usual value, float64 [n, f + 1]; the last column is that value."""
        added = np.zeros((len(features), len(self.names) + 1))
        taken = np.argmax(~np.isnan(numbers_of(features, self.family)), axis=1)
        added[np.arange(len(features)), taken] = self.predict(features) - self._state["usual"]
        added[:, -1] = self._state["usual"]
        return added

    def to_onnx(self) -> onnx.ModelProto:
        """See `Model.to_onnx`."""
        from onnx import TensorProto

        names, graph = self.names, Graph()
        wide = graph.node("Cast", INPUT, to=TensorProto.DOUBLE)
        value = graph.constant("usual", self._state["usual"])
        for place in range(len(names) - 1, -1, -1):
            column = graph.node("Gather", wide, graph.constant(f"place_{place}", place, np.int64), axis=1)
            value = graph.node("Where", graph.node("IsNaN", column), value, column)
        graph.node("Cast", value, name=OUTPUT, to=TensorProto.FLOAT)
        return graph.model(names)

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {"usual": (1,)}
