"""Baselines: what a model must beat to be of use. Prevalence, the rules that people wrote, a logistic regression."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa

from jobs.arrays import Floats, ranks
from jobs.datasets.training_rows import sampled
from jobs.evaluation.evaluation_rows import JudgedRows, between
from jobs.evaluation.gate import Contender
from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.models.protocol import Examples
from jobs.models.tables import examples_of, features_of
from jobs.problem import Problem, Rule
from jobs.use_case import UseCase

ROWS = 200_000
"""Of the latest training days: a logistic regression is hardly better from more."""


@dataclass(frozen=True)
class Baselines:
    """What a model must beat, and what could not take part."""

    contenders: tuple[Contender, ...]
    left_out: tuple[str, ...]


def baselines(problem: Problem, train: Examples, rows: JudgedRows) -> Baselines:
    """Prevalence, the declared rules, and a logistic regression over the declared baseline features.

    Args:
        train: rows that labels were known of before the judged ones began.
    """
    share = float(train.labels.mean()) if len(train) else 0.0
    found, left_out = [Contender("prevalence", np.full(len(rows), share))], []
    for rule in problem.rules:
        if missing := sorted(set(rule.features) - set(rows.table.column_names)):
            left_out.append(f"rule {rule.name}: no columns {missing} in the training set")
        else:
            found.append(Contender(f"rule {rule.name}", _ranks(rule, rows.table)))
    try:
        found.append(Contender("logistic regression", _logistic(problem, train, rows)))
    except ValueError as error:
        left_out.append(f"logistic regression: {error}")
    return Baselines(tuple(found), tuple(left_out))


def _logistic(problem: Problem, train: Examples, rows: JudgedRows) -> Floats:
    from jobs.models.catalog import new_model

    names = problem.baseline_features or train.names
    if missing := sorted(set(names) - set(train.names)):
        raise ValueError(f"expected the baseline features among those of the candidate, found no {missing}")
    columns = [train.names.index(name) for name in names]
    seen = replace(train, features=train.features[:, columns], names=tuple(names))
    model = new_model("logistic")
    model.fit(sampled(seen, problem.family("logistic").negative_rate, problem.seed), None, seed=0, device="cpu")
    return model.predict(features_of(rows.table, names))


def _ranks(rule: Rule, table: pa.Table) -> Floats:
    """The rule as scores: place of each row when sorted by the features, the first before all; equal rows equal."""
    return 1 + ranks(features_of(table, rule.features))


def training_rows(
    lakehouse: Lakehouse, use_case: UseCase, version: int, names: Sequence[str], end: datetime, most: int = ROWS
) -> Examples:
    """The latest rows with event times until `end`: of whole days, the newest first, until there are `most`."""
    start = _before(end.date())
    for day, rows in _days_back(lakehouse, use_case, version, start):
        if most <= 0:
            break
        start, most = _before(day), most - rows
    columns = list(dict.fromkeys([*names, use_case.label]))
    return examples_of(between(lakehouse, use_case, version, start, end, columns), names, use_case.label)


def _days_back(lakehouse: Lakehouse, use_case: UseCase, version: int, end: datetime) -> Iterator[tuple[date, int]]:
    """Daily partitions until `end` with their rows, newest first."""
    actions = pa.table(lakehouse.delta(use_case.training_set, version).get_add_actions(flatten=True))
    rows: dict[date, int] = {}
    for action in actions.select([f"partition.{PARTITION}", "num_records"]).to_pylist():
        day, count = action.values()
        rows[day] = rows.get(day, 0) + (count or 0)
    yield from sorted(((day, count) for day, count in rows.items() if day <= end.date()), reverse=True)


def _before(day: date) -> datetime:
    """The last moment before a day."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(microseconds=1)
