"""How labels of each task are read from columns, what differs among them, and which are refused in one line."""

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jobs.errors import Invalid
from jobs.objective import LOG_LOSS, MEAN_ABSOLUTE_ERROR, pinball
from jobs.tasks.binary import BINARY
from jobs.tasks.catalog import of_stored
from jobs.tasks.multiclass import MOST_CLASSES, Multiclass
from jobs.tasks.regression import Regression
from jobs.tasks.task import Task

CLASSES, NUMBERS = Multiclass(LOG_LOSS), Regression(MEAN_ABSOLUTE_ERROR)


def column(values: list[Any], kind: pa.DataType | None = None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, kind)])


def test_classes_are_those_of_the_column_and_labels_places_among_them() -> None:
    read = column(["b", "a", "b", "c"])
    task = CLASSES.of_labels(read, more=["z"])
    assert task.classes == ("a", "b", "c", "z")
    assert task.encoded(read, "kind").tolist() == [1, 0, 1, 2]
    numbered = CLASSES.of_labels(column([10, 2, 10]))
    assert numbered.classes == ("10", "2") and numbered.encoded(column([2, 10]), "kind").tolist() == [1, 0]


def test_a_model_that_never_saw_a_class_gives_it_no_probability() -> None:
    task = Multiclass(LOG_LOSS, ("a", "b", "c"))
    assert task.aligned(np.array([[0.25, 0.75]]), ("c", "a")).tolist() == [[0.75, 0.0, 0.25]]
    # Its label is not impossible for ever: the loss is large, and finite.
    assert 10 < task.value(np.array([1]), np.array([[0.5, 0.0, 0.5]])) < 20


@pytest.mark.parametrize(
    ("task", "read", "said"),
    [
        (NUMBERS, column([1.0, math.inf, math.nan]), "expected finite numbers as labels, found inf and 1 more of 3"),
        (NUMBERS, column([1.0, None]), "found 1 nulls"),
        (NUMBERS, column(["1", "2"]), "expected numbers as labels of a regression, found string"),
        (NUMBERS, column([True, False]), "expected numbers as labels of a regression, found bool"),
        (CLASSES, column([0.5, 1.5]), "expected classes as text or integers, found double"),
        (CLASSES, column(["a", None]), "found 1 nulls"),
        (BINARY, column(["yes", "no"]), "expected booleans or 0 and 1, found string"),
        (BINARY, column([0, 2]), r"expected 0 and 1, found \[0, 2\]"),
    ],
)
def test_columns_that_are_no_labels_of_the_task_are_refused(task: Task, read: pa.ChunkedArray, said: str) -> None:
    with pytest.raises(Invalid, match=said) as refused:
        task.of_labels(read).encoded(read, "target")
    assert "\n" not in str(refused.value)


def test_an_identifier_is_no_class() -> None:
    with pytest.raises(Invalid, match=f"at most {MOST_CLASSES} classes, found 200"):
        CLASSES.of_labels(column([f"id {n}" for n in range(200)]))


@pytest.mark.parametrize(
    ("task", "alike", "different"),
    [
        (BINARY, np.zeros(20, bool), np.arange(20) < 3),
        (Multiclass(LOG_LOSS, ("a", "b")), np.ones(20, int), np.arange(20) % 2),
        (NUMBERS, np.full(20, 5.0), np.arange(20.0)),
    ],
)
def test_labels_that_are_all_alike_teach_nothing(task: Task, alike: Any, different: Any) -> None:
    assert not task.varied(alike) and task.varied(different)
    assert task.lacking(alike) is not None
    with pytest.raises(Invalid, match="training rows: expected"):
        task.check_trainable(alike)
    task.check_trainable(different)


def test_constants_are_the_best_without_features() -> None:
    labels = np.array([1.0, 2.0, 3.0, 4.0, 100.0])
    assert {name: float(v) for name, v in NUMBERS.constants(labels).items()} == {"mean": 22.0, "median": 3.0}
    assert float(Regression(pinball(0.25)).constants(labels)["quantile 0.25"]) == 2.0
    weights = np.array([10.0, 1.0, 1.0, 1.0, 1.0])
    assert float(NUMBERS.constants(labels, weights)["median"]) == 1.0
    assert Multiclass(LOG_LOSS, ("a", "b")).constants(np.array([0, 0, 0, 1]))["prior"].tolist() == [0.75, 0.25]
    assert float(BINARY.constants(np.array([True, False, False, False]))["prevalence"]) == 0.25


@pytest.mark.parametrize("task", [BINARY, NUMBERS, Multiclass(LOG_LOSS, ("a", "b")), Regression(pinball(0.9))])
def test_a_task_comes_back_from_what_was_stored(task: Task) -> None:
    assert of_stored(task.stored()) == task
    assert (task.stored() == {}) == (task == BINARY)
