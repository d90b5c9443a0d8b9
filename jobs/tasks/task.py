"""What a kind of label decides: how labels are read, which of them are evidence, how scores of them are measured.

One value per task, `jobs.tasks.catalog.task_of`; whoever needs to know asks it. Models, gates and tables are not known
here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.arrays import Bools, Floats, Ints
from jobs.errors import Invalid
from jobs.objective import Objective, TaskName
from jobs.problem import Review
from jobs.stats import paired_bootstrap
from jobs.stats.paired_bootstrap import Resampled
from jobs.stats.resampled_statistics import BlockRatio

Labels = NDArray[Any]
"""Shape (rows,): booleans of a binary task, numbers of classes of a multiclass one, float64 of a regression."""
Scores = NDArray[Any]
"""Probabilities or predictions, shape (rows,); of a multiclass task (rows, classes)."""
FEWEST = 10
"""With fewer rows that are evidence, a window says nothing about which model is better."""
LOSSES = ("log_loss", "cost", "mean_absolute_error", "pinball")
"""Objectives of which less is better."""


@dataclass(frozen=True, eq=False)
class RowValues:
    """What metrics ask of rows besides labels and scores; every array has one value per row, and any may be missing."""

    entities: NDArray[Any] | None = None
    days: NDArray[Any] | None = None
    amounts: Floats | None = None
    weights: Floats | None = None
    """How much each row counts; None: alike."""
    intervals: tuple[Floats, Floats] | None = None
    """Lower and upper ends around the predictions of a regression."""

    def of(self, rows: Any) -> RowValues:
        """Those of the rows of a mask, or of places."""
        single = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "intervals"}
        chosen = {name: None if array is None else array[rows] for name, array in single.items()}
        ends = None if self.intervals is None else (self.intervals[0][rows], self.intervals[1][rows])
        return RowValues(**chosen, intervals=ends)


NO_VALUES = RowValues()


@dataclass(frozen=True)
class Task(ABC):
    """What is to be learned, and what models of it are compared by."""

    objective: Objective
    name: ClassVar[TaskName]
    dtype: ClassVar[type]
    """Of labels."""
    evidence: ClassVar[str]
    """Words for the rows that are evidence: see `informative`."""
    of_them: ClassVar[str] = "of them with such labels"
    """The same after a number of all rows."""
    plain_family: ClassVar[str] = "logistic"
    """The family that an analyst would have tried first."""
    rule_family: ClassVar[str] = "rule"
    """The family that a declared rule is."""

    def of_labels(self, column: pa.ChunkedArray, more: Sequence[str] = ()) -> Self:
        """The task with the classes that a column of labels has, and `more`; itself where there are none."""
        return self

    @abstractmethod
    def unknown(self, rows: int) -> Labels:
        """Labels of so many rows of which nothing is known, in a type that can say so."""

    @abstractmethod
    def is_known(self, labels: Labels) -> Bools:
        """Which of the labels that began as `unknown` are known."""

    def unlabelled(self, declared: float | str | None) -> Any:
        """The label of a mature event without one (`Problem.unlabelled`); None: it is left out."""
        return declared

    def settled(self, labels: Labels, unlabelled: Any) -> Labels:
        """Labels that began as `unknown` as models take them; what is not known has the label `unlabelled`."""
        known = self.is_known(labels)
        return labels if unlabelled is None or known.all() else np.where(known, labels, unlabelled).astype(self.dtype)

    @abstractmethod
    def mean(self, scores: Sequence[Scores]) -> Scores:
        """Scores of the mean of several models, as `jobs.models.catalog.MEANS` makes it."""

    @abstractmethod
    def encoded(self, column: pa.ChunkedArray, name: str) -> Labels:
        """The labels of a column. Raises ValueError on another type, nulls, or values that cannot be learned."""

    def informative(self, labels: Labels) -> Bools:
        """Rows that are evidence: those whose label is not the usual one. All rows or none are never told apart."""
        values, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
        rare: Bools = place != np.argmax(counts) if len(values) else np.zeros(0, dtype=bool)
        return rare

    def varied(self, labels: Labels) -> bool:
        """Whether labels differ, so that something can be learned and measured."""
        return bool(0 < self.informative(labels).sum() < len(labels))

    def lacking(self, labels: Labels) -> str | None:
        """What a window of these labels lacks, in words; None if it is enough to learn from."""
        rows, informative = len(labels), int(self.informative(labels).sum())
        if FEWEST <= informative < rows:
            return None
        return f"holds {informative} {self.evidence} in {rows} rows; expected at least {FEWEST}"

    @abstractmethod
    def all_alike(self, labels: Labels) -> str:
        """Words about labels that do not differ: what is expected, and what was found."""

    def suspicion(self, labels: Labels, features: Any, names: Sequence[str], accepted: Sequence[str]) -> str:
        """What tells the labels of rows too well to be true; empty if nothing does."""
        return ""

    @abstractmethod
    def check_trainable(self, labels: Labels) -> None:
        """Raises ValueError unless labels of training rows differ."""

    @abstractmethod
    def constants(self, labels: Labels, weights: Floats | None = None) -> Mapping[str, Floats]:
        """What a model is without features: name -> its one prediction, from the labels of earlier rows."""

    def constant_scores(self, labels: Labels, rows: int, weights: NDArray[Any] | None = None) -> dict[str, Floats]:
        """`constants` as scores of so many rows."""
        wide = None if weights is None else weights.astype(np.float64)
        constants = self.constants(labels, wide)
        return {name: np.repeat(np.asarray(value)[None], rows, axis=0) for name, value in constants.items()}

    @abstractmethod
    def level(self, labels: Labels) -> float:
        """A number above 0 that moves when the labels of a training set do: tuned parameters are found anew then."""

    @abstractmethod
    def checked(self, labels: Labels, scores: Scores, name: str = "scores") -> tuple[Labels, Scores]:
        """Labels and scores as arrays of their types. Raises ValueError on other shapes, NaN or infinity."""

    @abstractmethod
    def metrics(
        self, labels: Labels, scores: Scores, rows: RowValues, review: Review | None
    ) -> Mapping[str, float | None]:
        """Every metric by name, the objective among them; None where one is undefined."""

    @abstractmethod
    def losses(self, labels: Labels, scores: Scores) -> Floats:
        """What each row costs by the objective, where it is a mean over rows; shape (rows,). Less is better."""

    def doubts(self, scores: Scores, ends: tuple[Floats, Floats] | None) -> Floats:
        """How unsure a model is about each row, by its own word: a number that grows with the loss it expects, 0 where
        it does not say; shape (rows,).

        Args:
            ends: of the intervals around predictions, NaN without one.
        """
        return np.zeros(len(scores))

    def uncertainty(self, scores: Scores, ends: tuple[Floats, Floats] | None) -> Floats:
        """How unsure a model is about each row, whatever errors cost; shape (rows,)."""
        return self.doubts(scores, ends)

    def resampled(
        self, labels: Labels, scores: Scores, blocks: Ints, groups: Sequence[Bools], rows: RowValues
    ) -> Resampled:
        """The objective, prepared for resamples of blocks; of each group, a mask over the rows."""
        stands_for = np.ones(len(labels)) if rows.weights is None else rows.weights
        losses = self.losses(labels, np.asarray(scores, dtype=np.float64))
        return BlockRatio.of(losses * stands_for, stands_for, blocks, groups)

    def value(self, labels: Labels, scores: Scores, rows: RowValues = NO_VALUES) -> float:
        """The objective of scores on labelled rows.

        Raises:
            ValueError: labels or scores are unusable, or labels do not differ where the objective needs that.
        """
        labels, scores = self.checked(labels, scores)
        if not len(labels):
            raise Invalid(f"{self.words}: expected rows, found none; take a longer period")
        everything = [np.ones(len(labels), dtype=bool)]
        prepared = self.resampled(labels, scores, np.zeros(len(labels), dtype=np.int64), everything, rows)
        return float(paired_bootstrap.observed([prepared], 1)[0])

    def gain(self, value: float) -> float:
        """The objective's value on a scale where more is better."""
        return value if self.greater_is_better else -value

    @property
    def greater_is_better(self) -> bool:
        return self.objective.name not in LOSSES

    @property
    def words(self) -> str:
        """The objective in words."""
        named = {
            "auc_roc": "area under the ROC curve",
            "recall_at_capacity": f"recall at {self.objective.capacity} rows a day",
            "cost": "mean cost",
            "pinball": f"pinball loss of the quantile {self.objective.level:g}",
        }
        return named.get(self.objective.name, self.objective.name.replace("_", " "))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the columns of scores; none where there are no classes."""
        return ()

    def no_scores(self) -> Scores:
        """Scores of no rows."""
        return np.zeros((0, len(self.classes)) if self.classes else 0)

    def aligned(self, scores: Scores, classes: Sequence[str]) -> Scores:
        """Scores of a model that knows these `classes`, with the columns of this task's classes."""
        return scores

    def stored(self) -> dict[str, Any]:
        """As a model's header and a manifest hold it; empty for what they always held."""
        return {"name": self.name, "objective": vars(self.objective), "classes": list(self.classes)}


def rows_of(column: pa.ChunkedArray, name: str) -> Any:
    """The values of a column of labels. Raises ValueError on nulls."""
    if column.null_count:
        raise Invalid(f"column {name!r}: expected known labels, found {column.null_count} nulls; leave those out")
    return column.to_numpy()


def leaks(told: Mapping[str, float], measure: str) -> str:
    """What is suspected of features that tell the label, and what to do; empty without any."""
    if not told:
        return ""
    found = "; ".join(f"{name} alone has a {measure} of {value:.4f}" for name, value in told.items())
    return (
        f"too good to be true, most likely a leak of the label: {found}; look at where these values come from and at "
        "when labels are known, or declare the features in Problem.telling"
    )
