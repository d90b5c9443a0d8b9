"""What models of a use case are compared by, as its `Problem` declares it. How it is measured: see `jobs.tasks`."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Literal

from jobs.errors import Invalid

TaskName = Literal["binary", "multiclass", "regression"]
TASKS: tuple[TaskName, ...] = ("binary", "multiclass", "regression")
ObjectiveName = Literal[
    "average_precision", "auc_roc", "log_loss", "recall_at_capacity", "cost", "mean_absolute_error", "pinball"
]
Costs = tuple[tuple[str, str, float], ...]
"""What a decision costs: class that is true, class that was decided, cost."""


@dataclass(frozen=True)
class Objective:
    """A number that says how good scores are, over all rows."""

    name: ObjectiveName
    level: float = 0.5
    """The quantile that `pinball` asks for."""
    capacity: int = 0
    """Rows a day that `recall_at_capacity` allows to look at."""
    costs: Costs = ()
    """Of `cost`; what is not named costs nothing. The classes of a binary task are `false` and `true`."""

    def __post_init__(self) -> None:
        if self.name == "pinball" and not 0 < self.level < 1:
            raise Invalid(f"pinball: expected a quantile between 0 and 1, found {self.level}; correct it")
        if self.name == "recall_at_capacity" and self.capacity < 1:
            raise Invalid(f"recall at a capacity: expected at least 1 row a day, found {self.capacity}; correct it")
        if self.name == "cost" and not (self.costs and all(isfinite(cost) and cost >= 0 for *_, cost in self.costs)):
            raise Invalid(f"cost: expected finite costs of 0 or more, found {self.costs}; correct them")


AVERAGE_PRECISION = Objective("average_precision")
AUC = Objective("auc_roc")
LOG_LOSS = Objective("log_loss")
MEAN_ABSOLUTE_ERROR = Objective("mean_absolute_error")


def recall_at(capacity: int) -> Objective:
    """The share of positives among the `capacity` highest scores of each day."""
    return Objective("recall_at_capacity", capacity=capacity)


def pinball(level: float) -> Objective:
    """The mean loss of a quantile: `level` for what lies above the prediction, `1 - level` for what lies below."""
    return Objective("pinball", level=level)


def cost_matrix(costs: Mapping[str, Mapping[str, float]]) -> Objective:
    """The mean cost of the decisions that cost least by the model's probabilities.

    Args:
        costs: class that is true -> class that is decided -> cost; what is not named costs nothing.
    """
    return Objective("cost", costs=tuple((true, chosen, c) for true, row in costs.items() for chosen, c in row.items()))


OBJECTIVES: Mapping[TaskName, tuple[ObjectiveName, ...]] = {
    "binary": ("average_precision", "auc_roc", "log_loss", "recall_at_capacity", "cost"),
    "multiclass": ("log_loss", "cost"),
    "regression": ("mean_absolute_error", "pinball"),
}
"""Objectives of each task, the usual one first."""
LABEL_KINDS: Mapping[TaskName, tuple[str, ...]] = {
    "binary": ("boolean",),
    "multiclass": ("string", "category", "integer", "identifier"),
    "regression": ("number", "integer"),
}
"""Kinds of columns (`jobs.use_case.Column.kind`) that the label of each task can be."""
FAMILIES: Mapping[TaskName, tuple[str, ...]] = {
    "binary": ("logistic", "boosted", "tabular_mlp", "rule"),
    "multiclass": ("logistic", "boosted", "tabular_mlp"),
    "regression": ("linear", "boosted", "tabular_mlp", "value"),
}
"""Families of models (`jobs.models.catalog`) that learn each task."""
