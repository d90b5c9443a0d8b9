"""One of several classes: labels are numbers of classes, scores a probability for each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as types

from jobs.arrays import Bools, Floats
from jobs.errors import Invalid
from jobs.objective import TaskName
from jobs.problem import Review
from jobs.stats import losses, metrics
from jobs.tasks.costs import cost_of, matrix
from jobs.tasks.task import Labels, RowValues, Scores, Task, leaks, rows_of

UNKNOWN = -1
"""Of labels that are not known yet."""
FEWEST_TOLD, TELLING = 500, 0.98
"""Rows that a feature is looked at on, and the share of changes it explains from which on it is too good to be true."""
MOST_CLASSES = 100
"""Labels of more values are not classes but an identifier."""


@dataclass(frozen=True)
class Multiclass(Task):
    """Labels are int64 [n], places among `known`; scores float64 [n, classes], probabilities."""

    name: ClassVar[TaskName] = "multiclass"
    dtype: ClassVar[type] = np.int64
    evidence: ClassVar[str] = "labels other than the commonest class"
    known: tuple[str, ...] = field(default=())
    """Names of the classes, sorted; none before labels were seen."""

    @property
    def classes(self) -> tuple[str, ...]:
        return self.known

    def of_labels(self, column: pa.ChunkedArray, more: Sequence[str] = ()) -> Self:
        _check_type(column, "labels")
        names = sorted({*(str(value) for value in pc.unique(column).to_pylist() if value is not None), *more})
        if len(names) > MOST_CLASSES:
            raise Invalid(
                f"labels: expected at most {MOST_CLASSES} classes, found {len(names)}, such as {names[0]!r} and "
                f"{names[-1]!r}; group them in SQL, or declare a regression if they are numbers"
            )
        return replace(self, known=tuple(names))

    def unknown(self, rows: int) -> Labels:
        return np.full(rows, UNKNOWN, np.int64)

    def is_known(self, labels: Labels) -> Bools:
        known: Bools = labels != UNKNOWN
        return known

    def unlabelled(self, declared: float | str | None) -> Any:
        return None if declared is None else self.known.index(str(declared))

    def mean(self, scores: Sequence[Scores]) -> Scores:
        logits = np.mean([np.log(np.maximum(each, losses.SMALLEST_CHANCE)) for each in scores], axis=0)
        powers = np.exp(logits)
        shares: Scores = powers / powers.sum(axis=1, keepdims=True)
        return shares

    def encoded(self, column: pa.ChunkedArray, name: str) -> Labels:
        _check_type(column, name)
        rows_of(column, name)
        places = pc.index_in(column.cast(pa.string()), value_set=pa.array(self.known, pa.string()))
        if places.null_count:
            other = column.filter(pc.is_null(places))[0].as_py()
            raise Invalid(f"column {name!r}: expected classes among {list(self.known)}, found {other!r}; read it again")
        labels: Labels = places.to_numpy().astype(np.int64)
        return labels

    def all_alike(self, labels: Labels) -> str:
        only = repr(self.known[labels[0]]) if len(labels) and self.known else "none"
        return f"labels of two classes or more, found only {only}"

    def suspicion(self, labels: Labels, features: Any, names: Sequence[str], accepted: Sequence[str]) -> str:
        """Features along whose order the class hardly ever changes."""
        told = {}
        for place, name in enumerate(names):
            known = ~np.isnan(features[:, place])
            if name in accepted or known.sum() < FEWEST_TOLD:
                continue
            shares = np.bincount(labels[known]) / known.sum()
            by_chance = 1 - float(shares @ shares)
            # Rows of one value are in no order that knows the class.
            shuffled = np.random.default_rng(0).permutation(np.flatnonzero(known))
            ordered = labels[shuffled[np.argsort(features[shuffled, place], kind="stable")]]
            told[name] = 1 - float((ordered[1:] != ordered[:-1]).mean()) / by_chance if by_chance else 0.0
        return leaks({name: value for name, value in told.items() if value >= TELLING}, "share of classes told apart")

    def check_trainable(self, labels: Labels) -> None:
        if not self.varied(labels):
            raise Invalid(
                f"training rows: expected {self.all_alike(labels)} among {len(labels)} rows; train on a longer window, "
                "or wait for labels"
            )

    def constants(self, labels: Labels, weights: Floats | None = None) -> Mapping[str, Floats]:
        counts = np.bincount(labels, weights, len(self.known)).astype(np.float64)
        return {"prior": counts / max(counts.sum(), 1e-300)}

    def level(self, labels: Labels) -> float:
        """The share of rows of other classes than the commonest."""
        return max(float(self.informative(labels).mean()), 1e-300) if len(labels) else 1e-300

    def checked(self, labels: Labels, scores: Scores, name: str = "scores") -> tuple[Labels, Scores]:
        truth, values = np.asarray(labels), np.asarray(scores, dtype=np.float64)
        if values.shape != (len(truth), len(self.known)) or not np.isfinite(values).all():
            raise Invalid(
                f"{name}: expected finite probabilities of shape {(len(truth), len(self.known))}, found shape "
                f"{values.shape} and {np.count_nonzero(~np.isfinite(values))} that are NaN or infinite"
            )
        return truth.astype(np.int64), values

    def metrics(
        self, labels: Labels, scores: Scores, rows: RowValues, review: Review | None
    ) -> Mapping[str, float | None]:
        truth, values = self.checked(labels, scores)
        if not len(truth):
            return {}
        chosen, surest = values.argmax(axis=1), np.clip(values.max(axis=1), 0, 1)
        hit = chosen == truth
        recalls = [float(hit[truth == one].mean()) for one in np.unique(truth)]
        measured = {
            "log_loss": float(np.average(losses.logarithmic(truth, values), weights=rows.weights)),
            "accuracy": float(np.average(hit, weights=rows.weights)),
            "balanced_accuracy": float(np.mean(recalls)),
            "calibration_error": metrics.calibration_error(hit, surest),
        }
        return {**measured, self.objective.name: self.value(labels, scores, rows)}

    def doubts(self, scores: Scores, ends: tuple[Floats, Floats] | None) -> Floats:
        """The loss that the probabilities say to expect: their entropy, or what the cheapest decision costs."""
        if self.objective.name == "cost":
            cheapest: Floats = (scores @ matrix(self.objective, self.known)).min(axis=1)
            return cheapest
        return self.uncertainty(scores, ends)

    def uncertainty(self, scores: Scores, ends: tuple[Floats, Floats] | None) -> Floats:
        """Entropy of the probabilities."""
        entropy: Floats = -(scores * np.log(np.maximum(scores, losses.SMALLEST_CHANCE))).sum(axis=1)
        return entropy

    def losses(self, labels: Labels, scores: Scores) -> Floats:
        if self.objective.name == "cost":
            return cost_of(self.objective, self.known, labels, scores)
        return losses.logarithmic(labels, scores)

    def aligned(self, scores: Scores, classes: Sequence[str]) -> Scores:
        """A class that the model never saw has probability 0."""
        if tuple(classes) == self.known:
            return scores
        out = np.zeros((len(scores), len(self.known)), dtype=scores.dtype)
        place = {name: n for n, name in enumerate(classes)}
        for n, name in enumerate(self.known):
            if name in place:
                out[:, n] = scores[:, place[name]]
        return out


def _check_type(column: pa.ChunkedArray, name: str) -> None:
    kind = column.type.value_type if types.is_dictionary(column.type) else column.type
    texts = (types.is_string, types.is_large_string, types.is_string_view, types.is_integer)
    if not any(is_(kind) for is_ in texts):
        raise Invalid(f"column {name!r}: expected classes as text or integers, found {column.type}; cast it")
