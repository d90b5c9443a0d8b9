"""The rows of one fold: those whose labels were known when the test days begin, and those that are measured on.

The rule of the test rows is that of the Fraud Detection Handbook (Le Borgne et al., chapter 5, `get_train_test_set`).
Training and metrics belong in `jobs.backtesting.folds`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from jobs.backtesting.fold_days import BacktestError, Fold
from jobs.datasets.row_weights import counted
from jobs.datasets.training_rows import features_in
from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.models.protocol import Examples
from jobs.models.tables import examples_of, is_category, is_number
from jobs.models.vectors import columns_of
from jobs.problem import Problem
from jobs.tasks.catalog import task_of
from jobs.tasks.task import Labels, Task
from jobs.use_case import UseCase

DAY = timedelta(days=1)
DAY_COLUMN, KNOWN = "backtest_day", "backtest_known"


def rows_of(lakehouse: Lakehouse, use_case: UseCase, fold: Fold) -> pl.DataFrame:
    """The training set from the earliest row to train on to the last test day, with each row's UTC day.

    Raises:
        BacktestError: days of the fold are not in the file.
    """
    table, name = use_case.training_set, use_case.event_timestamp
    start, end = fold.moment - use_case.training_window, fold.moment + fold.test_days * DAY
    first, last = _extent(lakehouse, use_case)
    if fold.train_from < first or fold.test_until > last:
        raise BacktestError(
            f"fold {fold.train_from} to {fold.test_until}: expected days of the file, which holds {first} to {last}; "
            "choose --train-from and the numbers of days accordingly"
        )
    names = [
        *columns_of(feature_names(lakehouse, use_case)),
        use_case.event_id,
        name,
        use_case.label,
        use_case.cluster_key,
        *filter(None, [declared_problem(use_case).weight]),
        *(entity for entity in use_case.entities if entity in lakehouse.schema(table).names),
    ]
    found = lakehouse.to_arrow(
        table, columns=list(dict.fromkeys(names)), filters=[(name, ">=", start), (name, "<", end)]
    )
    rows: pl.DataFrame = pl.from_arrow(found)  # type: ignore[assignment]
    return rows.with_columns(pl.col(name).dt.convert_time_zone("UTC").dt.date().alias(DAY_COLUMN))


def _extent(lakehouse: Lakehouse, use_case: UseCase) -> tuple[date, date]:
    days = lakehouse.to_arrow(use_case.events, columns=[PARTITION])[PARTITION]
    if not len(days):
        raise BacktestError(f"{use_case.events}: expected events, found none; look at what ingestion refused")
    dates = pl.Series(days).cast(pl.Date)
    first, last = dates.min(), dates.max()
    assert isinstance(first, date) and isinstance(last, date)
    return first, last


def known_rows(lakehouse: Lakehouse, use_case: UseCase, rows: pl.DataFrame, fold: Fold) -> pl.DataFrame:
    """Rows whose label was known when the test days begin, with that label: the rule of
    `jobs.datasets.training_set`."""
    problem = declared_problem(use_case)
    name, moment = use_case.event_timestamp, fold.moment
    before = rows.filter(pl.col(name) < moment)
    labels: pl.DataFrame = pl.from_arrow(  # type: ignore[assignment]
        lakehouse.to_arrow(
            use_case.labels,
            columns=[use_case.event_id, use_case.label, "known_at", "superseded_at"],
            filters=[("known_at", "<=", moment)],
        )
    )
    current = labels.filter(pl.col("superseded_at").is_null() | (pl.col("superseded_at") > moment))
    # A class that is declared for what has no label makes texts of the others, as in the training set.
    known = pl.col(use_case.label).cast(rows.schema[use_case.label])
    labels = current.select(use_case.event_id, known.alias(KNOWN))
    joined = before.join(labels, on=use_case.event_id, how="left")
    silent = False if problem.task == "binary" else problem.unlabelled
    if silent is not None:
        mature = pl.when(pl.col(name) <= moment - use_case.label_maturity).then(pl.lit(silent))
        joined = joined.with_columns(pl.col(KNOWN).fill_null(mature))
    return joined.filter(pl.col(KNOWN).is_not_null())


def test_rows(rows: pl.DataFrame, use_case: UseCase, problem: Problem, fold: Fold) -> pl.DataFrame:
    """The rows to measure on: of a yes-or-no question by the handbook's rule, else all of the test days that count.

    Raises:
        BacktestError: their labels do not differ.
    """
    if problem.task == "binary":
        cards, days, frauds = (rows[name].to_numpy() for name in (use_case.cluster_key, DAY_COLUMN, use_case.label))
        test = rows.filter(pl.Series(in_test_set(cards, days, frauds, fold)))
    else:
        test = rows.filter(pl.col(DAY_COLUMN).is_between(fold.test_from, fold.test_until))
    test = counted_rows(test, problem)
    task, labels = labels_of(test, use_case.label, problem)
    if not task.varied(labels):
        raise BacktestError(
            f"{fold.test_from} to {fold.test_until}: expected {task.all_alike(labels)} in {len(test)} rows that the "
            "test-set rule keeps; take more test days or another week"
        )
    return test


def in_test_set(
    cards: npt.NDArray[Any], days: npt.NDArray[Any], frauds: npt.NDArray[np.bool_], fold: Fold
) -> npt.NDArray[np.bool_]:
    """Rows of the test days whose card had no fraud from `train_from` to the day before (test day - delay).

    As the handbook's `get_train_test_set`: the frauds of train day to train day, and for each test day those of the
    days whose labels are known by then. All arrays have one value per row; `days` are dates.
    """
    ordinals = days.astype("datetime64[D]").astype(np.int64)
    first, start = (int(np.datetime64(day).astype(np.int64)) for day in (fold.train_from, fold.test_from))
    _, card = np.unique(cards, return_inverse=True)
    first_days = np.full(int(card.max(initial=-1)) + 1, np.iinfo(np.int64).max)
    since = frauds & (ordinals >= first)
    np.minimum.at(first_days, card[since], ordinals[since])
    in_test_days = (ordinals >= start) & (ordinals < start + fold.test_days)
    return in_test_days & (first_days[card] >= ordinals - fold.delay_days)


def feature_names(lakehouse: Lakehouse, use_case: UseCase) -> tuple[str, ...]:
    """The problem's inputs, then every number, category and vector in the training set that features brought."""
    schema = lakehouse.schema(use_case.training_set)
    event = {*lakehouse.schema(use_case.events).names, use_case.label, "event_timestamp", PARTITION}
    brought = [f.name for f in schema if f.name not in event and (is_number(f.type) or is_category(f.type))]
    return features_in(use_case, use_case.training_set, schema, brought)


def examples(
    rows: pl.DataFrame, names: Sequence[str], label: str, problem: Problem, classes: Sequence[str] = ()
) -> Examples:
    columns = dict.fromkeys([*columns_of(names), label, *filter(None, [problem.weight])])
    table = rows.select(list(columns)).to_arrow()
    task = task_of(problem).of_labels(table[label], classes)
    return examples_of(table, names, label, problem.weight, task)


def labels_of(rows: pl.DataFrame, label: str, problem: Problem, classes: Sequence[str] = ()) -> tuple[Task, Labels]:
    """The task with the classes of a column of labels, and `classes`; and the labels."""
    column = rows.select(label).to_arrow()[label]
    task = task_of(problem).of_labels(column, classes)
    return task, task.encoded(column, label)


def counted_rows(rows: pl.DataFrame, problem: Problem) -> pl.DataFrame:
    """The rows that a declared weight counts."""
    if problem.weight is None:
        return rows
    kept: pl.DataFrame = pl.from_arrow(counted(rows.to_arrow(), problem))  # type: ignore[assignment]
    return kept


def declared_problem(use_case: UseCase) -> Problem:
    if use_case.problem is None:
        raise BacktestError(f"{use_case.name}: expected a use case with a problem, found one without; declare it")
    return use_case.problem
