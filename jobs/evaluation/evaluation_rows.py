"""The rows that a candidate is judged on: the latest whose labels are mature, with clusters, money and guard slices.

They are read from one version of the training set, without an engine. Who is judged: see `jobs.evaluation.evaluate`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.arrays import Bools, Floats
from jobs.datasets import time_split
from jobs.datasets.row_weights import counted
from jobs.datasets.slices import masks
from jobs.datasets.training_rows import amounts_of, blocks_of
from jobs.evaluation.paired_comparison import ComparedRows
from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.problem import Problem
from jobs.tasks.binary import BINARY
from jobs.tasks.catalog import task_of
from jobs.tasks.task import Labels, RowValues, Task
from jobs.use_case import UseCase


@dataclass(frozen=True, eq=False)
class EvaluationRows:
    """Rows of the window (start, end], as a table with the training set's columns."""

    table: pa.Table
    version: int
    """Delta version of the training set."""
    start: datetime
    end: datetime
    labels: Labels
    slices: Mapping[str, Bools] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    """Declared slices that these rows do not have, and why."""
    task: Task = BINARY
    """With the classes of these rows and of the models that are judged."""

    def __len__(self) -> int:
        return len(self.labels)

    def column(self, name: str) -> Any:
        """Values of a column, shape (rows,)."""
        return self.table.column(name).to_numpy()

    def after(self, moment: datetime, time: str) -> EvaluationRows:
        """The rows with event times after a moment, by the column `time`."""
        kept = pc.greater(self.table[time], pa.scalar(moment, self.table.schema.field(time).type))
        mask = kept.to_numpy()
        slices = {name: each[mask] for name, each in self.slices.items()}
        return replace(self, table=self.table.filter(kept), start=moment, labels=self.labels[mask], slices=slices)

    def for_gate(self, problem: Problem) -> ComparedRows:
        """Labels, blocks and slices, as the gate takes them."""
        weights = self.weights(problem)
        stands_for = None if weights is None else weights / weights.min()
        blocks, days = blocks_of(self.table, problem), self.column(PARTITION)
        return ComparedRows(self.labels, blocks, self.slices, stands_for, days, self.task)

    def weights(self, problem: Problem) -> Floats | None:
        """How much each row counts; None: alike."""
        return None if problem.weight is None else self.column(problem.weight)

    def values(self, problem: Problem) -> RowValues:
        """What metrics ask of these rows, besides labels and scores."""
        amounts = amounts_of(self.table, problem)
        return RowValues(
            blocks_of(self.table, problem),
            self.column(PARTITION),
            None if amounts is None else np.nan_to_num(amounts),
            self.weights(problem),
        )

    def evidence(self) -> int:
        """Number of rows that are evidence: the positives, of a binary task."""
        return int(self.task.informative(self.labels).sum())


def read(
    lakehouse: Lakehouse,
    use_case: UseCase,
    problem: Problem,
    version: int,
    as_of: datetime,
    unseen_from: datetime | None = None,
    classes: Sequence[str] = (),
) -> EvaluationRows:
    """The judged rows of `as_of`, from this version of the training set.

    Args:
        unseen_from: no model that is judged learned from events after it. The window begins there if the usual one
            begins later, so that a candidate that is judged again is judged on all rows since its training, but is no
            longer than the longest declared. None: the usual window.
        classes: that models know, next to those of the rows.

    Raises:
        ValueError: a slice is declared over a column that neither the training set nor a loaded profile has, or a label
            or weight cannot be used.
    """
    parts = time_split.split(as_of, use_case.label_maturity, problem.validation_window, problem.evaluation_window)
    usual, end = parts.judged_start, parts.judged_end
    earliest = max(unseen_from, end - problem.longest_evaluation_window) if unseen_from else usual
    start = min(earliest, usual)
    table = counted(between(lakehouse, use_case, version, start, end), problem)
    column = table.column(use_case.label)
    task = task_of(problem).of_labels(column, classes)
    slices, left_out = masks(lakehouse, use_case, problem.slices, table, as_of)
    return EvaluationRows(table, version, start, end, task.encoded(column, use_case.label), slices, left_out, task)


def between(
    lakehouse: Lakehouse,
    use_case: UseCase,
    version: int,
    start: datetime,
    end: datetime,
    columns: Sequence[str] | None = None,
) -> pa.Table:
    """Rows of the training set with event times in (start, end]."""
    time = use_case.event_timestamp
    # The partition's days prune files, the time cuts the first and the last of them.
    days = [(PARTITION, ">=", start.date()), (PARTITION, "<=", end.date())]
    return lakehouse.to_arrow(
        use_case.training_set, version, columns, [*days, (time, ">", start), (time, "<=", end)]
    )  # fmt: skip
