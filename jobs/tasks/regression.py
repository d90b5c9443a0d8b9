"""A number: labels and predictions are float64, and every row is evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.types as types

from jobs.arrays import Bools, Floats
from jobs.errors import Invalid
from jobs.objective import TaskName
from jobs.problem import Review
from jobs.stats import losses
from jobs.tasks.task import Labels, RowValues, Scores, Task, leaks, rows_of

FEWEST_TOLD, TELLING = 100, 0.9995
"""Rows that a feature is looked at on, and its correlation from which on it is too good to be true."""


@dataclass(frozen=True)
class Regression(Task):
    """Labels and scores are float64 [n]."""

    name: ClassVar[TaskName] = "regression"
    dtype: ClassVar[type] = np.float64
    evidence: ClassVar[str] = "labels other than the commonest one"
    plain_family: ClassVar[str] = "linear"
    rule_family: ClassVar[str] = "value"

    @property
    def quantile(self) -> float:
        """What a prediction is of the label's distribution: its median, unless another quantile is asked for."""
        return self.objective.level if self.objective.name == "pinball" else 0.5

    def unknown(self, rows: int) -> Labels:
        return np.full(rows, np.nan)

    def is_known(self, labels: Labels) -> Bools:
        return ~np.isnan(labels)

    def mean(self, scores: Sequence[Scores]) -> Scores:
        together: Scores = np.mean(scores, axis=0)
        return together

    def encoded(self, column: pa.ChunkedArray, name: str) -> Labels:
        numeric = (types.is_integer, types.is_floating, types.is_decimal)
        if not any(is_(column.type) for is_ in numeric):
            raise Invalid(f"column {name!r}: expected numbers as labels of a regression, found {column.type}; cast it")
        wide = column.cast(pa.float64(), safe=False)
        labels: Labels = rows_of(wide, name).astype(np.float64)
        if bad := int(np.count_nonzero(~np.isfinite(labels))):
            found = labels[~np.isfinite(labels)][0]
            raise Invalid(
                f"column {name!r}: expected finite numbers as labels, found {found} and {bad - 1} more of "
                f"{len(labels)}; correct them, or make them null so that they are left out"
            )
        return labels

    def all_alike(self, labels: Labels) -> str:
        return f"labels that differ, found {_only(labels)} for all"

    def suspicion(self, labels: Labels, features: Any, names: Sequence[str], accepted: Sequence[str]) -> str:
        """Features whose order is that of the labels, in either direction."""
        told = {}
        for place, name in enumerate(names):
            known = ~np.isnan(features[:, place])
            if name not in accepted and known.sum() >= FEWEST_TOLD and self.varied(labels[known]):
                told[name] = _order_told(labels[known], features[known, place])
        return leaks(
            {name: value for name, value in told.items() if value >= TELLING}, "rank correlation with the label"
        )

    def check_trainable(self, labels: Labels) -> None:
        if not self.varied(labels):
            raise Invalid(
                f"training rows: expected labels that differ, found {_only(labels)} for all {len(labels)} rows; train "
                "on a longer window, or look at where the labels come from"
            )

    def constants(self, labels: Labels, weights: Floats | None = None) -> Mapping[str, Floats]:
        if not len(labels):
            return {"mean": np.asarray(0.0)}
        name = "median" if self.quantile == 0.5 else f"quantile {self.quantile:g}"
        asked = np.asarray(losses.weighted_quantile(labels, self.quantile, weights))
        return {"mean": np.asarray(np.average(labels, weights=weights)), name: asked}

    def level(self, labels: Labels) -> float:
        """The mean distance from zero."""
        return max(float(np.abs(labels).mean()), 1e-300) if len(labels) else 1e-300

    def checked(self, labels: Labels, scores: Scores, name: str = "scores") -> tuple[Labels, Scores]:
        truth, values = (np.asarray(each, dtype=np.float64) for each in (labels, scores))
        for what, array in (("labels", truth), (name, values)):
            if array.shape != truth.shape or array.ndim != 1 or not np.isfinite(array).all():
                raise Invalid(
                    f"{what}: expected {len(truth)} finite numbers, one per row, found shape {array.shape} and "
                    f"{np.count_nonzero(~np.isfinite(array))} that are NaN or infinite; look at these rows"
                )
        return truth, values

    def metrics(
        self, labels: Labels, scores: Scores, rows: RowValues, review: Review | None
    ) -> Mapping[str, float | None]:
        truth, values = self.checked(labels, scores)
        if not len(truth):
            return {}
        error = values - truth
        measured: dict[str, float | None] = {
            "mean_absolute_error": float(np.average(np.abs(error), weights=rows.weights)),
            "root_mean_squared_error": float(np.sqrt(np.average(error**2, weights=rows.weights))),
            "bias": float(np.average(error, weights=rows.weights)),
        }
        if rows.intervals is not None:
            lower, upper = rows.intervals
            measured["interval_coverage"] = float(((truth >= lower) & (truth <= upper)).mean())
            measured["interval_width"] = float((upper - lower).mean())
        return {**measured, self.objective.name: self.value(labels, scores, rows)}

    def doubts(self, scores: Scores, ends: tuple[Floats, Floats] | None) -> Floats:
        """The width of the interval."""
        return super().doubts(scores, ends) if ends is None else np.nan_to_num(ends[1] - ends[0])

    def losses(self, labels: Labels, scores: Scores) -> Floats:
        # The absolute error is twice the pinball loss of the median.
        scale = 2.0 if self.objective.name == "mean_absolute_error" else 1.0
        return scale * losses.pinball(labels, scores, self.quantile)


def _order_told(labels: Labels, values: Any) -> float:
    """How well the order of values is that of the labels: Spearman's correlation, or Somers' d where that is larger. Of
    labels that many rows share it leaves out the pairs of one label, whose order means nothing (Somers, American
    Sociological Review 27, 1962)."""
    from scipy.stats import kendalltau

    told = abs(_rank_correlation(labels, values))
    apart = _pairs_apart(labels)
    if not told or apart == len(labels) * (len(labels) - 1) / 2:
        return told
    # Kendall's tau-b is the same difference of pairs, over the geometric mean of those apart in either.
    somers = float(kendalltau(labels, values).statistic) * float(np.sqrt(_pairs_apart(values) / apart))
    return max(told, abs(somers))


def _pairs_apart(values: Any) -> float:
    """Pairs of rows that differ."""
    counts = np.unique(values, return_counts=True)[1].astype(np.float64)
    return float(len(values) * (len(values) - 1) - (counts * (counts - 1)).sum()) / 2


def _rank_correlation(labels: Labels, values: Any) -> float:
    from scipy.stats import rankdata

    ranks = [rankdata(each) for each in (labels, values)]
    if min(float(np.ptp(each)) for each in ranks) == 0:
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])


def _only(labels: Labels) -> Any:
    return f"{labels[0]:g}" if len(labels) else "none"
