"""One fold of a backtest: train on what was known when the test days begin, score them, measure by the handbook's rule.

The protocol is that of the Fraud Detection Handbook (Le Borgne et al., chapter 5, "Prequential validation"). Features
come from the tables of the lineage, built by `orchestration.commands.backtest`; which rows a fold has is in
`jobs.backtesting.fold_rows`, and how models are made in `jobs.models`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import polars as pl

from jobs.arrays import Floats, codes
from jobs.backtesting import fold_rows
from jobs.backtesting.fold_days import BacktestError, Fold
from jobs.backtesting.fold_rows import DAY, DAY_COLUMN, KNOWN
from jobs.backtesting.fold_search import FoldWindow, searched
from jobs.datasets.training_rows import sampled
from jobs.lakehouse.tables import Lakehouse
from jobs.models.catalog import new_model
from jobs.models.features import number_columns
from jobs.models.label_shares import with_label_shares
from jobs.models.protocol import Examples, Model
from jobs.problem import Family, Problem
from jobs.stats import label_leak
from jobs.stats.entity_leak import encoded_labels
from jobs.stats.metrics import auc_roc, average_precision, card_precision
from jobs.tasks.task import RowValues, Scores
from jobs.use_case import UseCase

USUAL_FAMILY = "boosted"
"""The family that is trained if none is named; the first of the use case, if it has no such."""


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
    problem = fold_rows.declared_problem(use_case)
    chosen = _families(problem, families)
    rows = fold_rows.rows_of(lakehouse, use_case, fold)
    test = fold_rows.test_rows(rows, use_case, problem, fold)
    names = fold_rows.feature_names(lakehouse, use_case)
    known = fold_rows.known_rows(lakehouse, use_case, rows, fold).sort(use_case.event_timestamp, use_case.event_id)
    known = fold_rows.counted_rows(known, problem)
    train = fold_rows.examples(known, names, KNOWN, problem)
    _check_known(train, fold)
    times = known[use_case.event_timestamp].dt.epoch("us").to_numpy()
    window = FoldWindow(times, problem.validation_window, fold.delay_days * DAY)
    family, parameters = searched(chosen, train, window, trials, seed)
    model = fitted(family, parameters, train, seed)
    examples = fold_rows.examples(test, names, use_case.label, problem, train.task.classes)
    scores = examples.task.aligned(model.predict(examples.features), train.task.classes)
    return {
        **fold_metrics(test, scores, use_case, problem, train.task.classes),
        **_measured_on(test, train, use_case, problem),
        "family": family.name,
        "parameters": model.parameters,
        "seconds": round(time.perf_counter() - began, 2),
        "fold": {name: str(value) for name, value in asdict(fold).items()},
        "trained_on": [str(known[DAY_COLUMN].min()), str(known[DAY_COLUMN].max())],
        "negative_rate": family.negative_rate,
        "trials": trials,
        "seed": seed,
        "features": list(names),
        "leak": _leak(use_case, problem, known, train, (examples, scores)),
    }


def _measured_on(test: pl.DataFrame, train: Examples, use_case: UseCase, problem: Problem) -> dict[str, Any]:
    """The rows that a result is about, and by what they were measured."""
    frauds = {"test_frauds": int(test[use_case.label].sum())} if problem.task == "binary" else {}
    cards = {"cards": problem.review.cards} if problem.review else {}
    sizes = {"train_rows": len(train), "test_rows": len(test)}
    return {"use_case": use_case.name, "objective": train.task.objective.name, **sizes, **frauds, **cards}


def _leak(
    use_case: UseCase, problem: Problem, known: pl.DataFrame, train: Examples, measured: tuple[Examples, Floats]
) -> str:
    """What tells labels too well to be true; empty if nothing does."""
    test, scores = measured
    features = with_label_shares(test.features, test.labels, test.names)
    if test.task.name != "binary":
        return test.task.suspicion(test.labels, features, test.names, problem.telling)
    found = label_leak.suspicion(test.labels, features, test.names, scores, problem.telling)
    held = [name for name in use_case.entities if name in known.columns]
    entities = {name: codes(name, known[name].to_numpy(), known.height)[1] for name in held}
    encoded = encoded_labels(train.labels, *number_columns(train.features, train.names), entities, problem.telling)
    return replace(found or label_leak.Suspicion({}, {}, None), encoded=encoded).text


def fold_metrics(
    test: pl.DataFrame, scores: Scores, use_case: UseCase, problem: Problem, classes: Sequence[str] = ()
) -> dict[str, Any]:
    """Of a yes-or-no question the handbook's three metrics, as far as cards are reviewed, else those of the task; the
    objective is always among them.

    Args:
        classes: that the model knows; `scores` have a column for each of these and of those among the labels.
    """
    task, labels = fold_rows.labels_of(test, use_case.label, problem, classes)
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


def fitted(family: Family, parameters: Mapping[str, Any], train: Examples, seed: int) -> Model:
    """A model of the family: on all positives, and the family's share of negatives, which stand for the others."""
    model = new_model(family.name, parameters, train.names)
    model.fit(sampled(train, family.negative_rate, seed), None, seed=seed, device="cpu")
    return model


def _families(problem: Problem, names: Sequence[str]) -> tuple[Family, ...]:
    declared = {family.name: family for family in problem.families}
    if unknown := sorted(set(names) - declared.keys()):
        raise BacktestError(f"--families: expected some of {', '.join(declared)}, found {', '.join(unknown)}")
    usual = USUAL_FAMILY if USUAL_FAMILY in declared else next(iter(declared))
    return tuple(declared[name] for name in dict.fromkeys(names or (usual,)))


def _check_known(train: Examples, fold: Fold) -> None:
    if not train.task.varied(train.labels):
        raise BacktestError(
            f"before {fold.test_from}: expected known {train.task.all_alike(train.labels)} in {len(train)} rows to "
            "learn from; begin later, or load reports that cover these days"
        )
