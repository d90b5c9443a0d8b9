"""What every model is: labelled rows in, probabilities out, and one ONNX graph that computes the same.

A model owns its preprocessing. How rows are found, split by time or scored in bulk is not decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from jobs.arrays import Float32s, Floats
from jobs.errors import Invalid
from jobs.models.features import FeatureRows, texts_of, values_of
from jobs.models.texts import is_text
from jobs.tasks.binary import BINARY
from jobs.tasks.task import Labels, Task

if TYPE_CHECKING:
    import onnx

Probabilities = npt.NDArray[np.float64]
StepReport = Callable[[int, float], None]
"""Called after each step (boosting round, epoch) with the objective on the validation rows, or what stands for it, on a
scale where more is better; may raise to stop."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Labelled rows.

    Args:
        features: [n, f], float32 that is finite or NaN for missing, some of the columns perhaps categories.
        labels: [n], of the task's type: true for the class whose probability is predicted, numbers of classes, numbers.
        weights: float32 [n], finite and positive, or None for equal weights.
        names: of the f features, in the order of the columns; distinct.
        task: what is to be learned.

    Raises:
        ValueError: on anything else.
    """

    features: FeatureRows
    labels: Labels
    weights: Float32s | None
    names: tuple[str, ...]
    task: Task = BINARY

    def __post_init__(self) -> None:
        if len(set(self.names)) < len(self.names):
            raise Invalid(f"examples: expected distinct feature names, found {list(self.names)}; rename them")
        check_features(self.features, self.names)
        _check_column("labels", self.labels, np.dtype(self.task.dtype), len(self.features))
        if self.weights is not None:
            _check_column("weights", self.weights, np.dtype(np.float32), len(self.features))
            if not (np.isfinite(self.weights).all() and (self.weights > 0).all()):
                raise Invalid("examples: expected finite weights above zero, found others; leave those rows out")

    def __len__(self) -> int:
        return len(self.features)

    def rows(self, index: npt.NDArray[Any] | slice) -> Examples:
        """The rows of a mask, of positions or of a slice, in that order."""
        weights = None if self.weights is None else self.weights[index]
        return Examples(self.features[index], self.labels[index], weights, self.names, self.task)


def weights_of(examples: Examples) -> Floats | None:
    """Weights of the rows in float64; None: alike."""
    return None if examples.weights is None else examples.weights.astype(np.float64)


class Model(Protocol):
    """One family's model: made from parameters, then fitted or loaded."""

    @property
    def parameters(self) -> dict[str, Any]:
        """What made this model, defaults included: enough to make it again."""

    @property
    def names(self) -> tuple[str, ...]:
        """The features expected, in order. Raises ValueError before `fit` or `load`."""

    @property
    def categories(self) -> tuple[str, ...]:
        """Those of the features that are categories, in order."""

    @property
    def steps(self) -> int:
        """Boosting rounds or epochs that the model kept, or iterations that its solver took."""

    def fit(
        self, train: Examples, valid: Examples | None, *, seed: int, device: str, report: StepReport | None = None
    ) -> None:
        """Learn `train.task` from `train`; stop early by its objective on `valid`, where the family can.

        Args:
            seed: the same seed, data, machine and number of threads give the same model.
            device: "cpu" or "cuda"; families that know only one use that.
            report: called after each step if there is `valid`; what it raises ends the training.

        Raises:
            ValueError: if there are no rows, labels do not differ, or `valid` has other features.
        """

    def predict(self, features: FeatureRows) -> Probabilities:
        """Scores of the rows of `features`, [n, f]: probabilities, float64 [n] in [0, 1]; of a multiclass task
        [n, classes]; of a regression predictions, [n]. Raises as `Examples`, and if other columns are categories. A
        category may have values that were not there in training."""

    def to_onnx(self) -> onnx.ModelProto:
        """A graph with preprocessing inside, from the inputs of `jobs.models.runtime` to `score` float32 [batch], or of
        a multiclass task [batch, classes].

        The feature names are in its metadata (`jobs.models.graphs.feature_names`).
        """

    def save(self, folder: Path) -> None:
        """Write the fitted model into `folder`, which is made; nothing in it needs pickle."""

    def load(self, folder: Path) -> None:
        """Become the model that `save` wrote. Raises ValueError if it was another family's or is damaged."""


def check_features(rows: FeatureRows, names: tuple[str, ...]) -> None:
    """Raises ValueError unless `rows` are float32 [n, len(names)] without infinities."""
    features = values_of(rows)
    actual = f"{features.dtype} of shape {features.shape}"
    if features.dtype != np.float32 or features.ndim != 2 or features.shape[1] != len(names):
        raise Invalid(
            f"features: expected float32 of shape [n, {len(names)}], found {actual}; "
            f"hand over exactly these columns, in this order: {list(names)}"
        )
    # A sum is finite or NaN unless a value is infinite (or the sum overflows), and ten times faster than isinf.
    with np.errstate(over="ignore", invalid="ignore"):
        suspicious = ~np.isfinite(features.sum(axis=0, dtype=np.float64))
    for column in np.flatnonzero(suspicious):
        if np.isinf(features[:, column]).any():
            raise Invalid(
                f"features: expected finite values or NaN, found an infinity in {names[column]!r}; write NaN if missing"
            )


def check_trainable(train: Examples, valid: Examples | None) -> None:
    """Raises ValueError unless labels differ in `train` and `valid` has the same features and is not empty."""
    if texts := [train.names[column] for column in texts_of(train.features) if is_text(train.names[column])]:
        raise Invalid(f"training rows: expected no texts, found {texts}; make the model with the names of its features")
    train.task.check_trainable(train.labels)
    if valid is None:
        return
    if valid.names != train.names:
        raise Invalid(
            f"validation rows: expected the features of the training rows, {list(train.names)}, "
            f"found {list(valid.names)}; read both with the same names"
        )
    if texts_of(valid.features).keys() != texts_of(train.features).keys():
        raise Invalid("validation rows: expected the categories of the training rows; read both with the same types")
    if not valid.task.informative(valid.labels).any():
        raise Invalid(
            f"validation rows: expected {valid.task.evidence}, found none among {len(valid)} rows; "
            "validate on a longer window, or pass None and fix the number of steps"
        )


def fitted_names(family: str, names: tuple[str, ...] | None) -> tuple[str, ...]:
    """The features of a fitted model, in order. Raises ValueError if there are none yet."""
    if names is None:
        raise Invalid(f"{family}: expected a fitted model, found one that is not; call fit or load first")
    return names


def merged(family: str, defaults: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """`defaults` with the `chosen` values. Raises ValueError on a name that the family does not know."""
    if unknown := sorted(chosen.keys() - defaults.keys()):
        raise Invalid(f"{family}: expected parameters among {sorted(defaults)}, found {unknown}; remove them")
    return {**defaults, **chosen}


def _check_column(what: str, values: npt.NDArray[Any], dtype: np.dtype[Any], rows: int) -> None:
    if values.dtype != dtype or values.shape != (rows,):
        raise Invalid(
            f"examples: expected {what} of type {dtype} and shape ({rows},), one per row of the features, "
            f"found {values.dtype} of shape {values.shape}; convert them"
        )
