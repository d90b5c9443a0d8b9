"""A registered model trained again from what its manifest records, and compared with what was recorded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from jobs import unfinished
from jobs.datasets import history
from jobs.datasets.time_split import Split
from jobs.datasets.training_rows import TrainingRows, read
from jobs.error_messages import in_words
from jobs.errors import Invalid
from jobs.lakehouse.tables import Lakehouse, VersionGone
from jobs.problem import Family, Problem, Review
from jobs.registry import model_versions
from jobs.registry.bundle import GRAPH, Bundle
from jobs.retraining.monitored_history import MonitoredHistory
from jobs.training import recipes, tune
from jobs.training.recipe_trainer import RecipeTrainer
from jobs.training.recipes import LabelKnowledge
from jobs.training.train import ValidatedContender, fit_family, fit_final, validation_metrics
from jobs.use_case import UseCase, problem_of

_ACROSS_DEVICES = 0.02
"""What a metric may differ by where a GPU took part: its sums are not the same twice, nor a CPU's."""


@dataclass(frozen=True)
class Compared:
    """One thing as it was recorded, and as it came out again."""

    name: str
    recorded: object
    found: object
    equal: bool


def reproduce(lakehouse: Lakehouse, use_case: UseCase, version: int, again: bool = False) -> list[Compared]:
    """Train model `version` again: on the pinned training set, with the recorded parameters, windows and seed.

    Args:
        again: search the parameters again too.

    Raises:
        ValueError: there is no such version, or its training set cannot be read any more.
        BundleError: the registry does not hold what was registered.
    """
    bundle = model_versions.fetch(lakehouse.settings, use_case, version)
    training = bundle.manifest.training
    if "recipe" in training:
        return list(_challenger_again(lakehouse, use_case, bundle))
    try:
        rows = read(lakehouse, use_case, training["table_version"], bundle.manifest.names)
    except (OSError, VersionGone) as error:
        raise Invalid(
            f"{training['table']}: expected version {training['table_version']}, which model {version} was trained on, "
            f"found {'none' if isinstance(error, VersionGone) else in_words(error)}; restore the warehouse: pinned "
            "versions are kept by `evergreen maintain`"
        ) from error
    compared = list(_trained_again(use_case, bundle, rows))
    if again:
        compared += _tuned_again(use_case, bundle, rows)
    return compared


def _trained_again(use_case: UseCase, bundle: Bundle, rows: TrainingRows) -> Iterator[Compared]:
    training, name = bundle.manifest.training, bundle.manifest.family
    family = Family(name, fixed=training["parameters"], negative_rate=training["negative_rate"])
    problem, parts = _as_recorded(use_case, training), _windows(training)
    with tune.one_thread():
        model = fit_family(problem, family, {}, rows, parts)
        valid = rows.rows(parts.validation(rows.times))
        scores = model.predict(valid.examples.features)
        metrics = validation_metrics(problem, valid, scores)
        yield Compared(
            "steps", training["steps"], model.steps, training["steps"] == model.steps or not _exact(training)
        )
        for metric, recorded in training["validation"].items():
            yield Compared(metric, recorded, metrics[metric], _same(recorded, metrics[metric], _exact(training)))
        chosen = ValidatedContender(name, "family", metrics, scores, training["parameters"], training["steps"])
        graph = fit_final(problem, family, chosen, rows, parts).to_onnx().SerializeToString(deterministic=True)
    yield from _same_graph(bundle, graph)


def _challenger_again(lakehouse: Lakehouse, use_case: UseCase, bundle: Bundle) -> Iterator[Compared]:
    """A challenger learned from all events with their features, by a recipe, as known at its moment."""
    training = bundle.manifest.training
    own = replace(use_case, problem=_as_recorded(use_case, training))
    events = history.read(lakehouse, use_case, training["table_version"], training["training_set"])
    as_of, recipe = datetime.fromisoformat(training["as_of"]), recipes.recipe_named(use_case, training["recipe"])
    share = MonitoredHistory.of(events, use_case).delay(as_of).share
    with tune.one_thread():
        trainer = RecipeTrainer(events, own, bundle.manifest.family, training["parameters"], tune.device())
        model = trainer.fit(recipe, LabelKnowledge(as_of, share))
    yield Compared("steps", training["steps"], model.steps, training["steps"] == model.steps)
    yield from _same_graph(bundle, model.to_onnx().SerializeToString(deterministic=True))


def _same_graph(bundle: Bundle, graph: bytes) -> Iterator[Compared]:
    if _exact(bundle.manifest.training):
        recorded, again = bundle.manifest.files[GRAPH], hashlib.sha256(graph).hexdigest()
        yield Compared(f"sha256 of {GRAPH}", recorded[:16], again[:16], recorded == again)


def _tuned_again(use_case: UseCase, bundle: Bundle, rows: TrainingRows) -> Iterator[Compared]:
    training, family = bundle.manifest.training, bundle.manifest.family
    if family not in training["tuning"]["studies"] or training["tuning"]["as_of"] != training["as_of"]:
        origin = f"taken over from the tuning as of {training['tuning']['as_of']}"
        yield Compared("tuning", origin, "not repeated", True)
        return
    with unfinished.scratch() as folder:
        tuned = tune.search(use_case, rows, training["training_set"], folder)
    for name, again in tuned.parameters[family].items():
        recorded = training["parameters"][name]
        yield Compared(f"tuned {name}", recorded, again, recorded == again)


def _as_recorded(use_case: UseCase, training: Mapping[str, Any]) -> Problem:
    problem = problem_of(use_case)
    recorded = training["review"]
    review = Review(**{name: _as_declared(value) for name, value in recorded.items()}) if recorded else None
    return replace(problem, seed=training["seed"], review=review)


def _as_declared(value: Any) -> Any:
    """A value as declarations have it: JSON knows no tuples."""
    return tuple(map(_as_declared, value)) if isinstance(value, list) else value


def _windows(training: Mapping[str, Any]) -> Split:
    windows = training["windows"]
    moments = (datetime.fromisoformat(windows[name]) for name in ("validation_start", "judged_start", "judged_end"))
    return Split(timedelta(days=windows["maturity_days"]), *moments)


def _exact(training: Mapping[str, Any]) -> bool:
    return bool(training["device"] == "cpu" == tune.device())


def _same(recorded: float | None, again: float | None, exactly: bool) -> bool:
    if recorded is None or again is None or exactly:
        return recorded == again
    return abs(recorded - again) <= _ACROSS_DEVICES * max(1.0, abs(recorded))
