"""Baselines as models: the declared rules and a logistic regression, trained and written as bundles like any family.

They compete for the first place in production (`jobs.promotion.first_champion`); as yardsticks of the gate they are
measured in `jobs.evaluation.baselines`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from jobs.datasets.training_rows import TrainingRows
from jobs.models.cases import CaseModel, parameters_of
from jobs.models.protocol import Examples
from jobs.models.vectors import with_elements
from jobs.problem import Family, Problem
from jobs.registry import provenance
from jobs.registry.bundle import Bundle
from jobs.settings import Settings
from jobs.training import compute_cost
from jobs.training.compute_cost import Cost
from jobs.training.train import (
    TrainingInput,
    ValidatedContender,
    fit_family,
    fit_final,
    interval_of,
    suspicion,
    validation_metrics,
    write_bundle,
)
from jobs.training.tune import one_thread
from jobs.use_case import UseCase, problem_of


@dataclass(frozen=True)
class BaselineModels:
    """Bundles of baselines by name, and why others could not be made."""

    bundles: Mapping[str, Bundle]
    left_out: tuple[str, ...]
    costs: Mapping[str, Cost] = field(default_factory=dict)
    """Of fitting each."""


def make(
    settings: Settings, use_case: UseCase, data: TrainingInput, apart_from: tuple[str, Sequence[str]], folder: Path
) -> BaselineModels:
    """Train every baseline on the windows of `data` and write its bundle below `folder`.

    Args:
        apart_from: family and features of the candidate; a baseline of the same is the candidate itself.
    """
    problem, bundles, costs, left_out = problem_of(use_case), {}, {}, []
    for name, family, features in _declared(problem, data.rows.examples):
        if missing := sorted(set(features) - set(data.rows.examples.names)):
            left_out.append(f"{name}: its features {missing} are not served")
            continue
        if (family.name, frozenset(features)) == (apart_from[0], frozenset(apart_from[1])):
            continue
        try:
            declared = (name, family, features)
            bundles[name], costs[name] = _made(settings, use_case, data, declared, folder / name.replace(" ", "_"))
        except (ValueError, ArithmeticError) as error:
            left_out.append(f"{name}: {error}")
    return BaselineModels(bundles, tuple(left_out), costs)


def _declared(problem: Problem, examples: Examples) -> Iterator[tuple[str, Family, tuple[str, ...]]]:
    task = examples.task
    for rule in problem.rules:
        family = Family(CaseModel.family, fixed=parameters_of(rule)) if rule.cases else Family(task.rule_family)
        yield f"rule {rule.name}", family, rule.features
    rate = problem.family(task.plain_family).negative_rate
    features = tuple(with_elements(problem.baseline_features, examples.names)) or tuple(examples.names)
    yield f"{task.plain_family} regression", Family(task.plain_family, negative_rate=rate), features


def _made(
    settings: Settings,
    use_case: UseCase,
    data: TrainingInput,
    declared: tuple[str, Family, tuple[str, ...]],
    folder: Path,
) -> tuple[Bundle, Cost]:
    name, family, features = declared
    problem, parts, rows = problem_of(use_case), data.parts, _with_features(data.rows, features)
    with one_thread():
        model = fit_family(problem, family, {}, rows, parts)
        valid = rows.rows(parts.validation(rows.times))
        scores = model.predict(valid.examples.features)
        measured = validation_metrics(problem, valid, scores)
        own = ValidatedContender(family.name, "baseline", measured, scores, model.parameters, model.steps)
        with compute_cost.measured(settings) as fitting:
            final = fit_final(problem, family, own, rows, parts)
    made_of = {**data.made_of, "baseline": name, "digest": provenance.digest(data.made_of["digest"], name)}
    own_data = replace(data, rows=rows, made_of=made_of).suspected(suspicion(problem, rows, valid, scores))
    bundle = write_bundle(use_case, own_data, final, own, folder, interval_of(problem, final, own, rows, parts))
    return bundle, fitting


def _with_features(rows: TrainingRows, names: Sequence[str]) -> TrainingRows:
    examples = rows.examples
    picked = examples.features[:, [examples.names.index(name) for name in names]]
    return replace(rows, examples=replace(examples, features=picked, names=tuple(names)))
