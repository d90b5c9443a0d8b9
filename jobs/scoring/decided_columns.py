"""What is decided from scores, as columns of the prediction log, by task, and read from them again. It travels: numpy,
polars and pyarrow only.

yes or no:  score (probability), decision
classes:    score (probability of the likeliest class), prediction (that class), probabilities (of all, as JSON)
a number:   score (the prediction), lower and upper end of its interval (null without one)
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from jobs.arrays import Float32s, Floats
from jobs.tasks.intervals import Interval

SCORE, DECISION = "score", "decision"
PREDICTION, PROBABILITIES, LOWER, UPPER = "prediction", "probabilities", "lower", "upper"


@dataclass(frozen=True)
class DecidedColumns:
    """Makes the columns of one model."""

    task: str
    threshold: float
    """Of a positive decision."""
    classes: tuple[str, ...] = ()
    interval: Interval | None = None

    @property
    def fields(self) -> list[pa.Field]:
        return [pa.field(SCORE, pa.float32()), pa.field(DECISION, pa.bool_()), *further(self.task)]

    def of(self, scores: Float32s) -> list[pa.Array]:
        """The columns of `fields`, in their order, of rows with these scores."""
        if self.task == "multiclass":
            return self._of_classes(scores)
        if self.task == "regression":
            return self._of_number(scores)
        return [pa.array(scores, pa.float32()), pa.array(scores >= np.float32(self.threshold))]

    def _of_classes(self, scores: Float32s) -> list[pa.Array]:
        rows, names = len(scores), pa.array(list(self.classes), pa.string())
        likeliest = scores.argmax(axis=1) if rows else np.zeros(0, np.int64)
        by_class = pl.DataFrame({name: scores[:, n] for n, name in enumerate(self.classes)})
        # A text, as not every engine passes lists on: one row says what it means, wherever it is read.
        texts = by_class.select(pl.struct(pl.all()).struct.json_encode()).to_series()
        return [
            pa.array(scores.max(axis=1, initial=0.0), pa.float32()),
            pa.nulls(rows, pa.bool_()),
            names.take(pa.array(likeliest)),
            texts.to_arrow().cast(pa.string()),
        ]

    def _of_number(self, scores: Float32s) -> list[pa.Array]:
        rows = len(scores)
        ends = [pa.nulls(rows, pa.float32())] * 2
        if self.interval is not None:
            ends = [pa.array(end, pa.float32()) for end in self.interval.ends(scores.astype(np.float64))]
        return [pa.array(scores, pa.float32()), pa.nulls(rows, pa.bool_()), *ends]


def further(task: str) -> Sequence[pa.Field]:
    """Columns that only this task has."""
    if task == "multiclass":
        return (pa.field(PREDICTION, pa.string()), pa.field(PROBABILITIES, pa.string()))
    return (pa.field(LOWER, pa.float32()), pa.field(UPPER, pa.float32())) if task == "regression" else ()


def scores_of(rows: pa.Table, classes: Sequence[str]) -> Floats:
    """Scores of rows of the log as their task measures them; of `classes` with a column for each, in this order,
    whatever model they are of."""
    if not classes:
        numbers: Floats = rows[SCORE].cast(pa.float64()).to_numpy().astype(np.float64)
        return numbers
    kinds = pl.Struct(dict.fromkeys(classes, pl.Float64))
    by_class = pl.Series(PROBABILITIES, pl.from_arrow(rows[PROBABILITIES])).str.json_decode(kinds).struct.unnest()
    # A class that the model of a row did not know had no probability.
    return by_class.select(classes).fill_null(0.0).to_numpy()


def classes_of(rows: pa.Table) -> set[str]:
    """Classes that the models of these rows of the log know."""
    by_model = pl.DataFrame(rows.select(["model_version", PROBABILITIES])).unique("model_version").drop_nulls()
    return {name for text in by_model[PROBABILITIES] for name in json.loads(text)}
