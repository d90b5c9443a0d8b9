"""Yes or no: labels are booleans, scores are probabilities of yes, and yes is the rare one that is looked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.types as types

from jobs.arrays import Bools, Floats, Ints
from jobs.errors import Invalid
from jobs.objective import AVERAGE_PRECISION, TaskName
from jobs.problem import Review
from jobs.stats import losses, metrics, paired_bootstrap, weighted_metrics
from jobs.stats.paired_bootstrap import Resampled
from jobs.stats.resampled_statistics import Area, BlockRatio
from jobs.tasks.costs import cost_of
from jobs.tasks.task import FEWEST, NO_VALUES, Labels, RowValues, Scores, Task, rows_of

UNKNOWN = -1
"""Of labels that are not known yet, next to 0 and 1."""


@dataclass(frozen=True)
class Binary(Task):
    """Labels are bool [n], scores float [n]."""

    name: ClassVar[TaskName] = "binary"
    dtype: ClassVar[type] = np.bool_
    evidence: ClassVar[str] = "positives"
    of_them: ClassVar[str] = "of them positive"

    def unknown(self, rows: int) -> Labels:
        return np.full(rows, UNKNOWN, np.int8)

    def is_known(self, labels: Labels) -> Bools:
        known: Bools = labels != UNKNOWN
        return known

    def unlabelled(self, declared: float | str | None) -> Any:
        return False

    def settled(self, labels: Labels, unlabelled: Any) -> Labels:
        positives: Labels = labels == 1
        return positives

    def mean(self, scores: Sequence[Scores]) -> Scores:
        logits = np.mean([np.log(chance) - np.log1p(-chance) for chance in scores], axis=0)
        probabilities: Scores = 1 / (1 + np.exp(-logits))
        return probabilities

    def encoded(self, column: pa.ChunkedArray, name: str) -> Labels:
        values = rows_of(column, name)
        if not (types.is_boolean(column.type) or types.is_integer(column.type)):
            raise Invalid(f"column {name!r}: expected booleans or 0 and 1, found {column.type}; convert it")
        if not np.isin(values, (0, 1)).all():
            raise Invalid(f"column {name!r}: expected 0 and 1, found {sorted(set(values.tolist()))[:5]}; convert it")
        labels: Labels = values.astype(np.bool_)
        return labels

    def informative(self, labels: Labels) -> Bools:
        positives: Bools = labels
        return positives

    def lacking(self, labels: Labels) -> str | None:
        positives = int(labels.sum())
        if FEWEST <= positives < len(labels):
            return None
        found = f"holds {positives} positives in {len(labels)} rows"
        return f"{found}; expected at least {FEWEST} positives, and negatives too"

    def all_alike(self, labels: Labels) -> str:
        return f"labels of both classes, found {int(labels.sum())} positives"

    def check_trainable(self, labels: Labels) -> None:
        positives = int(labels.sum())
        if not 0 < positives < len(labels):
            raise Invalid(
                f"training rows: expected both classes, found {positives} positives among {len(labels)} rows; "
                "train on a longer window, or wait for labels"
            )

    def constants(self, labels: Labels, weights: Floats | None = None) -> Mapping[str, Floats]:
        share = float(np.average(labels, weights=weights)) if weights is not None else float(labels.mean())
        return {"prevalence": np.asarray(share if len(labels) else 0.0)}

    def level(self, labels: Labels) -> float:
        return float(labels.mean())

    def checked(self, labels: Labels, scores: Scores, name: str = "scores") -> tuple[Labels, Scores]:
        return metrics.checked(labels, scores, name)

    def metrics(
        self, labels: Labels, scores: Scores, rows: RowValues, review: Review | None
    ) -> Mapping[str, float | None]:
        if review is not None:
            assert rows.entities is not None and rows.days is not None
            amounts = np.zeros(len(labels)) if rows.amounts is None else rows.amounts
            measured = metrics.evaluate(labels, scores, rows.entities, rows.days, amounts, review)
            if rows.amounts is None:
                measured = {name: value for name, value in measured.items() if name != "money_saved"}
        else:
            measured = metrics.of_ranking(labels, scores)
        if self.objective.name in measured and rows.weights is None:
            return measured
        mixed = self.varied(np.asarray(labels, dtype=bool))
        return {**measured, self.objective.name: self.value(labels, scores, rows) if mixed else None}

    def value(self, labels: Labels, scores: Scores, rows: RowValues = NO_VALUES) -> float:
        if self.objective.name == "average_precision":
            if rows.weights is None:
                return metrics.average_precision(labels, scores)
            return weighted_metrics.average_precision(labels, scores, rows.weights)
        if self.objective.name == "auc_roc" and rows.weights is None:
            return metrics.auc_roc(labels, scores)
        return super().value(labels, scores, rows)

    def resampled(
        self, labels: Labels, scores: Scores, blocks: Ints, groups: Sequence[Bools], rows: RowValues
    ) -> Resampled:
        name, weights = self.objective.name, rows.weights
        if name == "average_precision":
            return paired_bootstrap.rank(labels, scores, blocks, groups, weights)
        if name == "auc_roc":
            return Area.of(labels, scores, blocks, groups, weights)
        stands_for = np.ones(len(labels)) if weights is None else weights
        if name == "recall_at_capacity":
            days = np.zeros(len(labels)) if rows.days is None else rows.days
            # Who is looked at stays as the rows are; a resample counts how many of them were positive.
            looked_at = metrics.reviewed(labels, scores, days, self.objective.capacity)
            positives = labels * stands_for
            return BlockRatio.of(looked_at * positives, positives, blocks, groups)
        return super().resampled(labels, scores, blocks, groups, rows)

    def losses(self, labels: Labels, scores: Scores) -> Floats:
        probabilities, truth = np.stack([1 - scores, scores], axis=1), labels.astype(np.int64)
        if self.objective.name == "cost":
            return cost_of(self.objective, ("false", "true"), truth, probabilities)
        return losses.logarithmic(truth, probabilities)

    def stored(self) -> dict[str, Any]:
        return {} if self == BINARY else super().stored()


BINARY = Binary(AVERAGE_PRECISION)
"""The task of every use case that declares no other."""
