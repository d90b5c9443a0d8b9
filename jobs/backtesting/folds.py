"""One fold of a backtest: train on what was known when the test days begin, score them, measure by the handbook's rule.

The protocol is that of the Fraud Detection Handbook (Le Borgne et al., chapter 5, "Prequential validation", and its
`get_train_test_set`). Features come from the tables of the lineage, built by `orchestration.commands.backtest`; how
models are made is in `jobs.models`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from jobs.arrays import Floats, codes
from jobs.backtesting.fold_search import FoldWindow, searched
from jobs.datasets.row_weights import counted
from jobs.datasets.training_rows import features_in, sampled
from jobs.errors import EvergreenError
from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.models.catalog import new_model
from jobs.models.features import number_columns
from jobs.models.label_shares import with_label_shares
from jobs.models.protocol import Examples, Model
from jobs.models.tables import examples_of, is_category, is_number
from jobs.models.vectors import columns_of
from jobs.problem import Family, Problem
from jobs.stats import label_leak
from jobs.stats.entity_leak import encoded_labels
from jobs.stats.metrics import auc_roc, average_precision, card_precision
from jobs.tasks.catalog import task_of
from jobs.tasks.task import Labels, RowValues, Scores, Task
from jobs.times import midnight
from jobs.use_case import UseCase

DAY = timedelta(days=1)
USUAL_FAMILY = "boosted"
"""The family that is trained if none is named; the first of the use case, if it has no such."""
DAY_COLUMN, KNOWN = "backtest_day", "backtest_known"


class BacktestError(EvergreenError, ValueError):
    """A fold that cannot be measured: the message says what was expected, what was found and what to do."""


@dataclass(frozen=True)
class Fold:
    """A train week, a delay in which labels arrive, and test days; dates in UTC."""

    train_from: date
    train_days: int = 7
    delay_days: int = 7
    test_days: int = 7

    def __post_init__(self) -> None:
        if min(self.train_days, self.test_days) < 1 or self.delay_days < 0:
            raise BacktestError(
                "fold: expected at least one train day and one test day and a delay of 0 or more, "
                f"found {self.train_days}, {self.test_days} and {self.delay_days}"
            )

    @property
    def test_from(self) -> date:
        return self.train_from + timedelta(days=self.train_days + self.delay_days)

    @property
    def test_until(self) -> date:
        """The last test day."""
        return self.test_from + timedelta(days=self.test_days - 1)

    @property
    def moment(self) -> datetime:
        """When the test days begin: what was known then may be trained on."""
        return midnight(self.test_from)


def run(
    lakehouse: Lakehouse, use_case: UseCase, fold: Fold, families: Sequence[str] = (), trials: int = 0, seed: int = 0
) -> dict[str, Any]:
    """Train and measure one fold; the training set must hold every row of the file, with its label in the end.

    Args:
        families: names of families; several are compared on the latest known rows, and the best is measured.
        trials: parameters that are tried per family; 0 takes the declared ones.

    Raises:
        BacktestError: days outside the file, an unknown family, labels that do not differ among the rows to learn from
            or to measure on.
    """
    began = time.perf_counter()
    problem = _problem(use_case)
    chosen = _families(problem, families)
    rows = rows_of(lakehouse, use_case, fold)
    test = test_rows(rows, use_case, problem, fold)
    names = feature_names(lakehouse, use_case)
    known = known_rows(lakehouse, use_case, rows, fold).sort(use_case.event_timestamp, use_case.event_id)
    known = _counted(known, problem)
    train = _examples(known, names, KNOWN, problem)
    _check_known(train, fold)
    times = known[use_case.event_timestamp].dt.epoch("us").to_numpy()
    window = FoldWindow(times, problem.validation_window, fold.delay_days * DAY)
    family, parameters = searched(chosen, train, window, trials, seed)
    model = fitted(family, parameters, train, seed)
    examples = _examples(test, names, use_case.label, problem, train.task.classes)
    scores = examples.task.aligned(model.predict(examples.features), train.task.classes)
    leak = _leak(use_case, problem, known, train, (examples, scores))
    return {
        **fold_metrics(test, scores, use_case, problem, train.task.classes),
        "train_rows": len(train),
        "test_rows": len(test),
        **({"test_frauds": int(test[use_case.label].sum())} if problem.task == "binary" else {}),
        "objective": examples.task.objective.name,
        "family": family.name,
        "parameters": model.parameters,
        "seconds": round(time.perf_counter() - began, 2),
        "use_case": use_case.name,
        "fold": {name: str(value) for name, value in asdict(fold).items()},
        "trained_on": [str(known[DAY_COLUMN].min()), str(known[DAY_COLUMN].max())],
        "negative_rate": family.negative_rate,
        "trials": trials,
        "seed": seed,
        **({"cards": problem.review.cards} if problem.review else {}),
        "features": list(names),
        "leak": leak,
    }


def _leak(
    use_case: UseCase, problem: Problem, known: pl.DataFrame, train: Examples, measured: tuple[Examples, Floats]
) -> str:
    """What tells labels too well to be true; empty if nothing does."""
    test, scores = measured
    features = with_label_shares(test.features, test.labels)
    if test.task.name != "binary":
        return test.task.suspicion(test.labels, features, test.names, problem.telling)
    found = label_leak.suspicion(test.labels, features, test.names, scores, problem.telling)
    held = [name for name in use_case.entities if name in known.columns]
    entities = {name: codes(name, known[name].to_numpy(), known.height)[1] for name in held}
    encoded = encoded_labels(train.labels, *number_columns(train.features, train.names), entities, problem.telling)
    return replace(found or label_leak.Suspicion({}, {}, None), encoded=encoded).text


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
    test = _counted(test, problem)
    task, labels = _labels(test, use_case.label, problem)
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


def fold_metrics(
    test: pl.DataFrame, scores: Scores, use_case: UseCase, problem: Problem, classes: Sequence[str] = ()
) -> dict[str, Any]:
    """Of a yes-or-no question the handbook's three metrics, as far as cards are reviewed, else those of the task; the
    objective is always among them.

    Args:
        classes: that the model knows; `scores` have a column for each of these and of those among the labels.
    """
    task, labels = _labels(test, use_case.label, problem, classes)
    days = test[DAY_COLUMN].to_numpy()
    weights = None if problem.weight is None else test[problem.weight].to_numpy().astype(np.float64)
    values = RowValues(days=days, weights=weights)
    if problem.task != "binary":
        return dict(task.metrics(labels, scores, values, None))
    measured = {"auc_roc": auc_roc(labels, scores), "average_precision": average_precision(labels, scores)}
    if problem.review is not None:
        cards, top = test[use_case.cluster_key].to_numpy(), problem.review.cards
        measured[f"card_precision_at_{top}"] = card_precision(labels, scores, cards, days, top)
    return {**measured, task.objective.name: task.value(labels, scores, values)}


def _labels(rows: pl.DataFrame, label: str, problem: Problem, classes: Sequence[str] = ()) -> tuple[Task, Labels]:
    """The task with the classes of a column of labels, and `classes`; and the labels."""
    column = rows.select(label).to_arrow()[label]
    task = task_of(problem).of_labels(column, classes)
    return task, task.encoded(column, label)


def _counted(rows: pl.DataFrame, problem: Problem) -> pl.DataFrame:
    """The rows that a declared weight counts."""
    if problem.weight is None:
        return rows
    kept: pl.DataFrame = pl.from_arrow(counted(rows.to_arrow(), problem))  # type: ignore[assignment]
    return kept


def fitted(family: Family, parameters: Mapping[str, Any], train: Examples, seed: int) -> Model:
    """A model of the family: on all positives, and the family's share of negatives, which stand for the others."""
    model = new_model(family.name, parameters)
    model.fit(sampled(train, family.negative_rate, seed), None, seed=seed, device="cpu")
    return model


def feature_names(lakehouse: Lakehouse, use_case: UseCase) -> tuple[str, ...]:
    """The problem's inputs, then every number, category and vector in the training set that features brought."""
    schema = lakehouse.schema(use_case.training_set)
    event = {*lakehouse.schema(use_case.events).names, use_case.label, "event_timestamp", PARTITION}
    brought = [f.name for f in schema if f.name not in event and (is_number(f.type) or is_category(f.type))]
    return features_in(use_case, use_case.training_set, schema, brought)


def _families(problem: Problem, names: Sequence[str]) -> tuple[Family, ...]:
    declared = {family.name: family for family in problem.families}
    if unknown := sorted(set(names) - declared.keys()):
        raise BacktestError(f"--families: expected some of {', '.join(declared)}, found {', '.join(unknown)}")
    usual = USUAL_FAMILY if USUAL_FAMILY in declared else next(iter(declared))
    return tuple(declared[name] for name in dict.fromkeys(names or (usual,)))


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
        *filter(None, [_problem(use_case).weight]),
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
    problem = _problem(use_case)
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


def _check_known(train: Examples, fold: Fold) -> None:
    if not train.task.varied(train.labels):
        raise BacktestError(
            f"before {fold.test_from}: expected known {train.task.all_alike(train.labels)} in {len(train)} rows to "
            "learn from; begin later, or load reports that cover these days"
        )


def _examples(
    rows: pl.DataFrame, names: Sequence[str], label: str, problem: Problem, classes: Sequence[str] = ()
) -> Examples:
    columns = dict.fromkeys([*columns_of(names), label, *filter(None, [problem.weight])])
    table = rows.select(list(columns)).to_arrow()
    task = task_of(problem).of_labels(table[label], classes)
    return examples_of(table, names, label, problem.weight, task)


def _problem(use_case: UseCase) -> Problem:
    if use_case.problem is None:
        raise BacktestError(f"{use_case.name}: expected a use case with a problem, found one without; declare it")
    return use_case.problem
