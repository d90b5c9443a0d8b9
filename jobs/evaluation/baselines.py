"""Baselines: what a model must beat to be of use. A constant, the rules that people wrote, a plain regression."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa

from jobs.arrays import Floats
from jobs.datasets.row_weights import counted
from jobs.datasets.training_rows import rule_scores, sampled
from jobs.errors import Invalid
from jobs.evaluation.evaluation_rows import between
from jobs.evaluation.paired_comparison import Contender
from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.models.features import FeatureRows
from jobs.models.protocol import Examples
from jobs.models.tables import examples_of
from jobs.models.vectors import column_of, columns_of, with_elements
from jobs.problem import Problem
from jobs.tasks.catalog import task_of
from jobs.use_case import UseCase, problem_of

TRAINING_ROWS = 200_000
"""Of the latest training days: a logistic regression is hardly better from more."""


@dataclass(frozen=True)
class Baselines:
    """What a model must beat, and what could not take part."""

    contenders: tuple[Contender, ...]
    left_out: tuple[str, ...]


def baselines(problem: Problem, train: Examples, rows: Examples, family: str) -> Baselines:
    """The task's constants (such as the prevalence), the declared rules, and a plain regression (logistic or linear)
    over the declared baseline features.

    Args:
        train: rows whose labels were known before the judged ones began, with the features of the candidate.
        rows: the judged rows, with the features of `columns` as far as there are any.
        family: of the candidate. A baseline of its own family and features would be the candidate trained again.
    """
    constants = train.task.constant_scores(train.labels, len(rows), train.weights)
    contenders = [Contender(name, _aligned(rows, train, scores)) for name, scores in constants.items()]
    left_out = []
    for rule in problem.rules:
        read = set(rows.names) & set(train.names) if rule.cases else set(rows.names)
        if missing := sorted(set(rule.features) - read):
            left_out.append(f"rule {rule.name}: no columns {missing} among the judged rows")
            continue
        try:
            contenders.append(Contender(f"rule {rule.name}", rule_scores(rule, train, rows)))
        except ValueError as error:
            left_out.append(f"rule {rule.name}: {error}")
    names = tuple(with_elements(problem.baseline_features, train.names)) or train.names
    plain = train.task.plain_family
    if family == plain and set(names) == set(train.names):
        return Baselines(tuple(contenders), tuple(left_out))
    try:
        contenders.append(Contender(f"{plain} regression", _plain(problem, train, rows, names)))
    except ValueError as error:
        left_out.append(f"{plain} regression: {error}")
    return Baselines(tuple(contenders), tuple(left_out))


def columns(problem: Problem, names: Sequence[str], present: Sequence[str]) -> list[str]:
    """What baselines read of judged rows, where the candidate has features `names`: the columns that are `present`."""
    needed = dict.fromkeys([*names, *(name for rule in problem.rules for name in rule.features)])
    return [name for name in needed if column_of(name) in set(present)]


def _aligned(rows: Examples, train: Examples, scores: Floats) -> Floats:
    """Scores with a column for each class of the judged rows."""
    aligned: Floats = rows.task.aligned(scores, train.task.classes)
    return aligned


def _plain(problem: Problem, train: Examples, rows: Examples, names: Sequence[str]) -> Floats:
    from jobs.models.catalog import new_model

    if missing := sorted(set(names) - set(train.names)):
        raise Invalid(f"expected the baseline features among those of the candidate, found no {missing}")
    picked = replace(train, features=_picked(train, names), names=tuple(names))
    family = train.task.plain_family
    model = new_model(family, names=names)
    model.fit(sampled(picked, problem.family(family).negative_rate, problem.seed), None, seed=0, device="cpu")
    return _aligned(rows, train, model.predict(_picked(rows, names)))


def _picked(rows: Examples, names: Sequence[str]) -> FeatureRows:
    return rows.features[:, [rows.names.index(name) for name in names]]


def training_rows(
    lakehouse: Lakehouse,
    use_case: UseCase,
    version: int,
    names: Sequence[str],
    end: datetime,
    most: int = TRAINING_ROWS,
) -> Examples:
    """The latest rows with event times until `end`: of whole days, the newest first, until there are `most`."""
    start = _before(end.date())
    for day, rows in _days_back(lakehouse, use_case, version, start):
        if most <= 0:
            break
        start, most = _before(day), most - rows
    problem = problem_of(use_case)
    read = list(dict.fromkeys([*columns_of(names), use_case.label, *([problem.weight] if problem.weight else [])]))
    table = counted(between(lakehouse, use_case, version, start, end, read), problem)
    return examples_of(table, names, use_case.label, problem.weight, task_of(problem))


def _days_back(lakehouse: Lakehouse, use_case: UseCase, version: int, end: datetime) -> Iterator[tuple[date, int]]:
    """Daily partitions until `end` with their rows, newest first."""
    actions = pa.table(lakehouse.snapshot(use_case.training_set, version).get_add_actions(flatten=True))
    rows: dict[date, int] = {}
    for action in actions.select([f"partition.{PARTITION}", "num_records"]).to_pylist():
        day, count = action.values()
        rows[day] = rows.get(day, 0) + (count or 0)
    yield from sorted(((day, count) for day, count in rows.items() if day <= end.date()), reverse=True)


def _before(day: date) -> datetime:
    """The last moment before a day."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(microseconds=1)
