"""From tuned parameters to a bundle: every family and baseline is measured on validation rows, the best is trained on.

Nothing is tracked or registered here. The same training set, declarations, parameters, seed and code give the same
bundle, byte for byte on one machine's CPU.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from jobs.arrays import Floats
from jobs.datasets.slices import mask
from jobs.datasets.time_split import WINDOWS, Split
from jobs.datasets.training_rows import TrainingRows, rule_scores, sampled
from jobs.errors import Invalid
from jobs.models.catalog import STEPS, new_model
from jobs.models.features import FeatureRows, Features, number_columns, values_of
from jobs.models.label_shares import with_label_shares
from jobs.models.protocol import Examples, Model
from jobs.models.runtime import score
from jobs.problem import Family, Problem, Slice
from jobs.registry import bundle
from jobs.registry.bundle import Bundle, Manifest
from jobs.settings import Settings
from jobs.stats import label_leak
from jobs.stats.entity_leak import encoded_labels
from jobs.tasks.intervals import Interval
from jobs.tasks.task import Labels, Task
from jobs.training import compute_cost as cost
from jobs.training.compute_cost import Cost
from jobs.training.tune import device, drawn_examples, one_thread
from jobs.use_case import UseCase, problem_of

Metrics = Mapping[str, float | None]

FEWEST_ERRORS = 40
"""Judged rows that an interval can be made from."""
COUNTED_ROWS = 20_000
"""Rows that are scored to measure what 1,000 predictions cost."""


@dataclass(frozen=True)
class ValidatedContender:
    """A family or baseline as it did on the validation rows."""

    name: str
    kind: str
    """family or baseline."""
    metrics: Metrics
    scores: Floats
    parameters: Mapping[str, Any]
    steps: int = 0
    cost: Cost | None = None
    error: str = ""
    """Why it could not take part."""
    model: Model | None = None
    """Of a family: as it was fitted on the rows before the validation rows."""


@dataclass(frozen=True)
class Trained:
    """A bundle and how its family came to be chosen."""

    bundle: Bundle
    contestants: tuple[ValidatedContender, ...]
    winner: ValidatedContender
    slices: Mapping[str, Metrics]
    """Metrics of the winner on validation rows, by guard slice."""
    labels: Labels
    """Of the validation rows."""
    rows: Mapping[str, int]
    """Rows per window."""
    cost: Cost
    """Of all of it, tuning not counted."""
    predictions: Mapping[str, float]
    """Cost of 1,000 predictions."""
    suspicion: str
    """What on the validation rows is too good to be true; empty if nothing is. The gate refuses it."""
    fitting: Cost = field(default_factory=Cost)
    """Of fitting the bundle's model alone, without the families that it was compared with."""

    @property
    def task(self) -> Task:
        """What was learned."""
        return self.bundle.manifest.learned


@dataclass(frozen=True, eq=False)
class TrainingInput:
    """What a training learns from."""

    rows: TrainingRows
    """The training set; `time_split.refusal` finds nothing against it."""
    parts: Split
    parameters: Mapping[str, Mapping[str, Any]]
    """What was tuned, by family; the others are trained as declared."""
    made_of: Mapping[str, Any]
    """What the manifest records of data, code and search."""

    def suspected(self, suspicion: str) -> TrainingInput:
        """The same, and the manifest records also what was too good to be true on validation rows."""
        return replace(self, made_of={**self.made_of, "suspicion": suspicion})


def train(
    settings: Settings,
    use_case: UseCase,
    data: TrainingInput,
    folder: Path,
    progress: Callable[[str], None] | None = None,
) -> Trained:
    """Measure all families and all baselines, train the best and write its bundle as `folder`.

    Args:
        folder: is replaced if it is there.
        progress: called with what is trained next.

    Raises:
        ValueError: no family could be trained, and why.
    """
    problem, rows, parts = problem_of(use_case), data.rows, data.parts
    report = progress or (lambda _: None)
    with cost.measured(settings, device()) as spent, one_thread():
        contestants = _compete(settings, problem, data, report)
        winner = _best(contestants, rows.examples.task)
        report(f"{winner.name}: all rows")
        with cost.measured(settings, device()) as fitting:
            model = fit_final(problem, problem.family(winner.name), winner, rows, parts)
        valid = rows.rows(parts.validation(rows.times))
        suspected = suspicion(problem, rows, valid, winner.scores)
        interval = interval_of(problem, model, winner, rows, parts)
        written = write_bundle(use_case, data.suspected(suspected), model, winner, folder, interval)
    first = valid.examples.features[:COUNTED_ROWS]
    session = written.session()
    return Trained(
        bundle=written,
        contestants=tuple(contestants),
        winner=winner,
        slices=_by_slice(problem, valid, winner.scores),
        labels=valid.examples.labels,
        rows={window: int(getattr(parts, window)(rows.times).sum()) for window in WINDOWS},
        cost=spent,
        predictions=cost.per_thousand(settings, lambda: score(session, first), len(first)),
        suspicion=suspected,
        fitting=fitting,
    )


def suspicion(problem: Problem, rows: TrainingRows, valid: TrainingRows, scores: Floats) -> str:
    """What is too good to be true, of all rows or of the valid ones with these scores; empty if nothing is."""
    examples = valid.examples
    features = with_label_shares(examples.features, examples.labels, examples.names)
    if examples.task.name != "binary":
        return examples.task.suspicion(examples.labels, features, examples.names, problem.telling)
    found = label_leak.suspicion(examples.labels, features, examples.names, scores, problem.telling)
    every, entities = rows.examples, rows.entities or {problem.cluster_key or "row": rows.blocks}
    encoded = encoded_labels(every.labels, *number_columns(every.features, every.names), entities, problem.telling)
    return replace(found or label_leak.Suspicion({}, {}, None), encoded=encoded).text


def fit_family(problem: Problem, family: Family, tuned: Mapping[str, Any], rows: TrainingRows, parts: Split) -> Model:
    """`family` trained on the training window, stopped early on the validation window."""
    model = new_model(family.name, {**family.fixed, **tuned}, rows.examples.names)
    drawn = drawn_examples(rows, parts, family.negative_rate, problem.seed)
    model.fit(*drawn, seed=problem.seed, device=device())
    return model


def fit_final(problem: Problem, family: Family, chosen: ValidatedContender, rows: TrainingRows, parts: Split) -> Model:
    """The chosen family trained on everything up to the judged window, for the steps that validation found."""
    steps = {STEPS[family.name]: max(1, chosen.steps)} if family.name in STEPS else {}
    model = new_model(family.name, {**chosen.parameters, **steps}, rows.examples.names)
    train = rows.examples.rows(parts.final(rows.times))
    model.fit(sampled(train, family.negative_rate, problem.seed), None, seed=problem.seed, device=device())
    return model


def baseline_scores(problem: Problem, rows: TrainingRows, train: Examples) -> dict[str, Floats]:
    """Scores of the baselines that need no model: the constants of the rows to train on, and each declared rule."""
    scores = train.task.constant_scores(train.labels, len(rows), train.weights)
    for rule in problem.rules:
        scores[rule.name] = rule_scores(rule, train, rows.examples)
    return scores


def validation_metrics(problem: Problem, rows: TrainingRows, scores: Floats) -> Metrics:
    """Every metric of the task on rows and their scores; rows count as a declared weight says."""
    values = rows.values if problem.weight else replace(rows.values, weights=None)
    return rows.examples.task.metrics(rows.examples.labels, scores, values, problem.review)


def _compete(
    settings: Settings, problem: Problem, data: TrainingInput, progress: Callable[[str], None]
) -> list[ValidatedContender]:
    rows, parts = data.rows, data.parts
    valid = rows.rows(parts.validation(rows.times))
    baselines = []
    train = rows.examples.rows(parts.training(rows.times))
    for name, scores in baseline_scores(problem, valid, train).items():
        baselines.append(ValidatedContender(name, "baseline", validation_metrics(problem, valid, scores), scores, {}))

    def compete(family: Family) -> ValidatedContender:
        progress(family.name)
        tuned = data.parameters.get(family.name, {})
        try:
            with cost.measured(settings, device(), thread=True) as spent:
                model = fit_family(problem, family, tuned, rows, parts)
            scores = model.predict(valid.examples.features)
            measured = validation_metrics(problem, valid, scores)
            return ValidatedContender(
                family.name, "family", measured, scores, model.parameters, model.steps, cost=spent, model=model
            )
        except (ValueError, ArithmeticError, RuntimeError) as error:
            # One family that cannot learn from these rows must not take the others with it; the card says so.
            return ValidatedContender(family.name, "family", {}, np.zeros(0), dict(tuned), error=str(error))

    # The slow ones first, each in one thread: a family's own threads would fight with the other's.
    with ThreadPoolExecutor(problem.parallel) as pool:
        return baselines + list(pool.map(compete, problem.families[::-1]))[::-1]


def _best(contestants: list[ValidatedContender], task: Task) -> ValidatedContender:
    name = task.objective.name
    able = [c for c in contestants if c.kind == "family" and c.metrics.get(name) is not None]
    if not able:
        reasons = {c.name: c.error for c in contestants if c.error}
        raise Invalid(f"training: expected a family that learns from these rows, found none: {reasons}")
    return max(able, key=lambda c: task.gain(c.metrics[name] or 0.0))


def interval_of(
    problem: Problem, model: Model, winner: ValidatedContender, rows: TrainingRows, parts: Split
) -> Interval | None:
    """Around the predictions of a regression: from its errors on the judged rows, which it did not learn from, or where
    those are too few on the validation rows."""
    if rows.examples.task.name != "regression":
        return None
    judged = rows.examples.rows(parts.judged(rows.times))
    labels, predictions = judged.labels, model.predict(judged.features) if len(judged) else np.zeros(0)
    if len(judged) < FEWEST_ERRORS:
        labels, predictions = rows.examples.labels[parts.validation(rows.times)], winner.scores
    return Interval.of(predictions, labels, problem.interval)


def write_bundle(
    use_case: UseCase,
    data: TrainingInput,
    model: Model,
    winner: ValidatedContender,
    folder: Path,
    interval: Interval | None = None,
) -> Bundle:
    """The bundle of a fitted model as `folder`, which is replaced if it is there."""
    problem, parts = problem_of(use_case), data.parts
    training = {
        **data.made_of,
        "parameters": dict(winner.parameters),
        "steps": winner.steps,
        "negative_rate": problem.family(winner.name).negative_rate,
        "seed": problem.seed,
        "device": device(),
        "windows": {
            "maturity_days": parts.maturity.total_seconds() / 86400,
            "validation_start": parts.validation_start.isoformat(),
            "judged_start": parts.judged_start.isoformat(),
            "judged_end": parts.judged_end.isoformat(),
        },
        "review": asdict(problem.review) if problem.review else None,
        "validation": dict(winner.metrics),
    }
    manifest = Manifest(
        use_case=use_case.name,
        family=winner.name,
        features=bundle.features_of(model),
        threshold=problem.threshold,
        block=problem.review.block if problem.review else None,
        as_of=data.made_of["as_of"],
        training=training,
        task=data.rows.examples.task.stored(),
        interval=interval.stored() if interval else {},
    )
    shutil.rmtree(folder, ignore_errors=True)
    return bundle.write(folder, model, manifest)


def _by_slice(problem: Problem, rows: TrainingRows, scores: Floats) -> dict[str, Metrics]:
    """Metrics on the guard slices that the features tell apart; those of profiles, and of values of what is a number as
    a feature, are the gate's."""
    metrics_by_slice: dict[str, Metrics] = {}
    for guard in problem.slices:
        if not isinstance(guard, Slice) or guard.source is not None or guard.column not in rows.examples.names:
            continue
        values = _values(rows.examples.features, rows.examples.names.index(guard.column))
        if guard.values and values.dtype != pl.String:
            continue
        inside = mask(guard, values)
        if inside.any():
            metrics_by_slice[guard.name] = {
                "rows": float(inside.sum()),
                **validation_metrics(problem, rows.rows(inside), scores[inside]),
            }
    return metrics_by_slice


def _values(features: FeatureRows, column: int) -> pl.Series:
    if isinstance(features, Features) and column in features.texts:
        return pl.Series(features.text(column))
    return pl.Series(values_of(features)[:, column], nan_to_null=True)
