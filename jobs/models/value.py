"""A rule for numbers as a model: the prediction is a feature itself, such as the last value that was known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jobs.arrays import Floats, first_known
from jobs.errors import Invalid
from jobs.models.features import FeatureRows, numbers_of
from jobs.models.folders import packed, read_model, unpacked, write_model
from jobs.models.graphs import Graph
from jobs.models.protocol import Examples, Probabilities, StepReport, check_features, check_trainable, merged
from jobs.models.runtime import INPUT, OUTPUT
from jobs.stats.losses import weighted_quantile
from jobs.tasks.catalog import of_stored
from jobs.tasks.regression import Regression
from jobs.tasks.task import Task

if TYPE_CHECKING:
    import onnx

_ARRAYS = "arrays.npz"


class ValueModel:
    """The first feature that is not missing, else the median of the training labels, or the quantile asked for."""

    family = "value"

    def __init__(self, parameters: Mapping[str, Any] | None = None) -> None:
        self.parameters = merged(self.family, {}, parameters or {})
        self.steps = 0
        self._names: tuple[str, ...] | None = None
        self._task: Task | None = None
        self._usual = np.zeros(1)

    @property
    def names(self) -> tuple[str, ...]:
        """The features expected, in order. Raises ValueError before `fit` or `load`."""
        if self._names is None:
            raise Invalid("value: expected a fitted model, found one without a usual value; call fit or load first")
        return self._names

    @property
    def categories(self) -> tuple[str, ...]:
        """None: a value is a number."""
        return ()

    def fit(
        self, train: Examples, valid: Examples | None, *, seed: int, device: str, report: StepReport | None = None
    ) -> None:
        """See `Model.fit`. Neither seed, device nor validation rows change the result."""
        check_trainable(train, valid)
        assert isinstance(train.task, Regression)
        numbers_of(train.features, self.family)
        weights = None if train.weights is None else train.weights.astype(np.float64)
        self._usual = np.array([weighted_quantile(train.labels, train.task.quantile, weights)])
        self._names, self._task = train.names, train.task

    def predict(self, features: FeatureRows) -> Probabilities:
        """See `Model.predict`."""
        check_features(features, self.names)
        values = first_known(numbers_of(features, self.family))
        return np.where(np.isnan(values), self._usual, values)

    def contributions(self, features: FeatureRows, background: FeatureRows) -> Floats:
        """What the feature that is taken adds to the usual value, float64 [n, f + 1]; the last column is that value."""
        added = np.zeros((len(features), len(self.names) + 1))
        taken = np.argmax(~np.isnan(numbers_of(features, self.family)), axis=1)
        added[np.arange(len(features)), taken] = self.predict(features) - self._usual
        added[:, -1] = self._usual
        return added

    def to_onnx(self) -> onnx.ModelProto:
        """See `Model.to_onnx`."""
        from onnx import TensorProto

        names, graph = self.names, Graph()
        wide = graph.node("Cast", INPUT, to=TensorProto.DOUBLE)
        value = graph.constant("usual", self._usual)
        for place in range(len(names) - 1, -1, -1):
            column = graph.node("Gather", wide, graph.constant(f"place_{place}", place, np.int64), axis=1)
            value = graph.node("Where", graph.node("IsNaN", column), value, column)
        graph.node("Cast", value, name=OUTPUT, to=TensorProto.FLOAT)
        return graph.model(names)

    def save(self, folder: Path) -> None:
        """See `Model.save`."""
        assert self._task is not None
        header = {"family": self.family, "parameters": self.parameters, "names": self.names, "steps": self.steps}
        write_model(folder, {**header, "task": self._task.stored()}, _ARRAYS, packed({"usual": self._usual}))

    def load(self, folder: Path) -> None:
        """See `Model.load`."""
        header, content = read_model(folder, self.family, _ARRAYS)
        arrays = unpacked(content)
        if (found := {name: array.shape for name, array in arrays.items()}) != {"usual": (1,)}:
            raise Invalid(f"{folder}: expected one usual value, found {found}; save the model again")
        self._names, self._task, self._usual = header["names"], of_stored(header["task"]), arrays["usual"]
