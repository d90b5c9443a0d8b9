"""What features bring is measured by the objective of the task, and told from noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import pytest

from jobs.arrays import Float32s
from jobs.feature_search.search_rows import Period, SearchRows
from jobs.feature_search.trees import Judge
from jobs.objective import Objective
from jobs.tasks.binary import BINARY, Binary
from jobs.tasks.multiclass import Multiclass
from jobs.tasks.regression import Regression
from jobs.tasks.task import Task

ROWS = 4000
TASKS: Mapping[str, Task] = {
    "yes or no": BINARY,
    "area": Binary(Objective("auc_roc")),
    "capacity": Binary(Objective("recall_at_capacity", capacity=10)),
    "classes": Multiclass(Objective("log_loss"), ("a", "b", "c")),
    "number": Regression(Objective("mean_absolute_error")),
    "quantile": Regression(Objective("pinball", level=0.9)),
}


def judged(task: Task, categories: frozenset[str] = frozenset()) -> Judge:
    """Labels that follow from one feature, and features that say nothing."""
    generator = np.random.default_rng(0)
    columns: dict[str, Float32s] = {
        name: generator.normal(size=ROWS).astype(np.float32) for name in ("known", "telling", "noise", "other")
    }
    signal = columns["telling"] + columns["known"] + 0.3 * generator.normal(size=ROWS)
    if categories:
        columns["telling"] = generator.permutation(40)[np.digitize(columns["telling"], np.linspace(-2, 2, 39))].astype(
            np.float32
        )
    labels: Any = signal if task.name == "regression" else np.digitize(signal, [0.5, 1.5] if task.classes else [1.5])
    labels = labels.astype(task.dtype)
    quarter = np.arange(ROWS).reshape(4, -1)
    periods = [
        Period(train, labels[train], valid, labels[valid])
        for train, valid in ((quarter[:2].ravel(), quarter[2]), (quarter[:3].ravel(), quarter[3]))
    ]
    empty = pl.LazyFrame()
    rows = SearchRows(
        empty, empty, pl.Series(range(ROWS)), {}, categories, np.ones(ROWS), np.arange(ROWS) // 4, task, (),
        (periods[0], periods[1]),
    )  # fmt: skip
    return Judge(rows, columns)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_what_helps_is_beyond_noise_and_what_does_not_is_not(task: Task) -> None:
    judge = judged(task)
    helps = judge.difference(["known", "telling"], ["known"], 9)
    assert helps.is_beyond_noise and helps.mean > 0
    assert not judge.difference(["known", "noise"], ["known"], 9).is_beyond_noise
    worse = judge.difference(["known"], ["known", "telling"], 9)
    assert worse.mean == pytest.approx(-helps.mean) and not worse.is_beyond_noise
    better = (np.array(judge.quality(["known", "telling"])) > judge.quality(["known"])).all()
    assert better == judge.task.greater_is_better
    gains = judge.gains(["known", "telling", "noise"])
    assert gains["telling"] > gains["noise"] and sum(gains.values()) == pytest.approx(1)


def test_a_category_is_split_by_its_values_not_by_their_order() -> None:
    as_category = judged(BINARY, frozenset({"telling"}))
    helps = as_category.difference(["known", "telling"], ["known"], 9)
    assert helps.is_beyond_noise
