"""Train and register a challenger after a change of the world: a candidate of the best recipe on the latest labels.

The comparison with champion and baselines is made by `jobs.retraining.comparison` and recorded in the ledger, where the
gate reads it; the gate never reads it from the model's own manifest.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from jobs.datasets import history
from jobs.errors import Invalid
from jobs.lakehouse.tables import Lakehouse
from jobs.ledger import challenges, looks, pins, promotions
from jobs.ledger.challenges import ChallengeRecord
from jobs.ledger.promotions import Champion
from jobs.limits import Limits
from jobs.models.catalog import STEPS
from jobs.models.protocol import Model
from jobs.models.runtime import score
from jobs.problem import Problem
from jobs.registry import bundle as bundles
from jobs.registry import model_versions, provenance
from jobs.registry.bundle import Bundle, Manifest
from jobs.registry.champion_bundles import Champions
from jobs.retraining.comparison import DOUBTED, Challenge, challenge
from jobs.retraining.monitored_history import MonitoredHistory
from jobs.retraining.policy import RetrainingDecision
from jobs.settings import Settings
from jobs.stats.alpha_spending import Look
from jobs.tasks.intervals import Interval
from jobs.training import candidate, recipes
from jobs.training import compute_cost as cost
from jobs.training.candidate import Candidate
from jobs.training.recipe_trainer import ComparedChampion, RecipeTrainer
from jobs.training.recipes import LabelKnowledge, Recipe
from jobs.training.train import COUNTED_ROWS, Trained, ValidatedContender, suspicion, validation_metrics
from jobs.training.tune import Tuning, device, one_thread
from jobs.use_case import UseCase, problem_of


@dataclass(frozen=True)
class _Start:
    """What a challenge starts from: the history, the champion, and the decision that asks for it."""

    decision: RetrainingDecision
    trainer: RecipeTrainer
    champion: ComparedChampion
    incumbent: Champion
    knowledge: LabelKnowledge
    """At the moment of the decision."""
    table_version: int
    state: Mapping[str, Any]
    """Of the table of the history."""

    @property
    def problem(self) -> Problem:
        return problem_of(self.trainer.use_case)

    @property
    def digest(self) -> str:
        """Identifies the challenge."""
        decision = provenance.plain(asdict(self.decision))
        made_of = (self.incumbent.sha256, self.problem, provenance.code_sha256(), device())
        return provenance.digest("challenge", self.state, decision, *made_of)

    def take_look(self, settings: Settings, limits: Limits) -> Look:
        """The look at the champion that this challenge is."""
        name, as_of = self.trainer.use_case.name, self.decision.as_of
        doubted = self.decision.trigger in DOUBTED
        return looks.take(settings, looks.Question(self.digest, name, self.incumbent, as_of, 1 - limits.level, doubted))


def make(
    lakehouse: Lakehouse,
    use_case: UseCase,
    champions: Champions,
    decision: RetrainingDecision,
    progress: Callable[[str], None] | None = None,
) -> Candidate:
    """Train a challenger for the change that `decision` is about, and register it as `candidate`.

    Raises:
        ValueError: there is no history, no champion, or nothing to learn from.
        TrackingUnavailable: MLflow does not answer; nothing was registered.
    """
    settings = lakehouse.settings
    start = _start(lakehouse, use_case, champions, decision)
    digest = start.digest
    # Looked up before the training, which would take minutes only to fail if the server is down.
    if registered := model_versions.find(settings, use_case, digest):
        model_versions.set_aliases(settings, use_case, {"candidate": registered.version})
        return Candidate(registered.version, "the same challenge was registered before", registered.run_id)
    report = progress or (lambda _: None)
    with cost.measured(settings, device()) as spent, one_thread():
        report("recipes")
        result = challenge(
            start.trainer, start.champion, decision, start.knowledge.share, start.problem.seed,
            partial(start.take_look, settings),
        )  # fmt: skip
        if result.compared is None:
            return Candidate(None, result.message)
        report(f"{start.trainer.family}: {result.recipe.name}")
        with cost.measured(settings, device()) as fitting:
            model = replace(start.trainer, device=device()).fit(result.recipe, start.knowledge)
    versions = {**start.state["versions"], history.table(use_case): start.table_version}
    pins.pin(settings, versions, by=f"{use_case.name} challenge {digest[:16]}")
    folder = candidate.folder_of(settings, use_case, digest)
    bundle = _write(start, model, _made_from(start, result, model), folder, _interval(start, result))
    challenges.record(settings, _record(start, result, bundle))
    trained = _trained(settings, start, result, model, bundle)
    tuned = Tuning(start.state["as_of"], f"parameters of version {start.incumbent.version}, which it challenges")
    return candidate.registered(
        settings, use_case, replace(trained, cost=spent, fitting=fitting), tuned, digest, result.message
    )


def _start(lakehouse: Lakehouse, use_case: UseCase, champions: Champions, decision: RetrainingDecision) -> _Start:
    name = history.table(use_case)
    version = lakehouse.version(name)
    events = history.read(lakehouse, use_case)
    current = promotions.champion(lakehouse.settings, use_case)
    if current is None:
        raise Invalid(f"{use_case.name}: expected a champion to challenge, found none; train the first one")
    assert version is not None
    bundle = champions.bundle(use_case, current.version, current.sha256)
    model = champions.model(use_case, current.version, current.sha256, events.names, events.task)
    monitored, learned_until = MonitoredHistory.of(events, use_case), bundle.manifest.learned_until
    learned, knowledge = (
        LabelKnowledge(moment, monitored.delay(moment).share) for moment in (learned_until, decision.as_of)
    )
    return _Start(
        decision=decision,
        trainer=RecipeTrainer(events, use_case, *_family(problem_of(use_case), bundle)),
        champion=ComparedChampion(model, recipe_of(use_case, bundle), learned),
        incumbent=current,
        knowledge=knowledge,
        table_version=version,
        state=lakehouse.state(name),
    )


def recipe_of(use_case: UseCase, bundle: Bundle) -> Recipe:
    """The recipe by which the training rows of a model were chosen."""
    training = bundle.manifest.training
    return recipes.recipe_named(use_case, training["recipe"]) if "recipe" in training else recipes.usual(use_case)


def _family(problem: Problem, bundle: Bundle) -> tuple[str, dict[str, Any]]:
    """The champion's family with its parameters and number of steps, which stay the same in a new world."""
    family, training = bundle.manifest.family, bundle.manifest.training
    if family not in {declared.name for declared in problem.families}:
        return problem.families[0].name, {}
    steps = {STEPS[family]: training["steps"]} if family in STEPS and training.get("steps") else {}
    return family, {**training.get("parameters", {}), **steps}


def _made_from(start: _Start, result: Challenge, model: Model) -> dict[str, Any]:
    """Data, code and parameters of a challenger, as its manifest records them."""
    problem, decision, trainer = start.problem, start.decision, start.trainer
    as_of = decision.as_of.isoformat()
    return {
        "as_of": as_of,
        "table": history.table(trainer.use_case),
        "table_version": start.table_version,
        "versions": dict(start.state["versions"]),
        "training_set": dict(start.state),
        "recipe": result.recipe.name,
        "retraining": {"trigger": decision.trigger, "reason": decision.reason, "episode": str(decision.episode)},
        "negative_rate": problem.family(trainer.family).negative_rate,
        "seed": problem.seed,
        "device": device(),
        "review": asdict(problem.review) if problem.review else None,
        "windows": {
            "maturity_days": result.recipe.negative_after / timedelta(days=1),
            "validation_start": result.numbers["since"],
            "judged_start": as_of,
            "judged_end": as_of,
        },
        **provenance.of_code(),
        "digest": start.digest,
        "parameters": dict(trainer.parameters),
        "steps": model.steps,
    }


def _record(start: _Start, result: Challenge, bundle: Bundle) -> ChallengeRecord:
    """The evidence for the gate; its digest depends on bundle, champion, versions of rows, and rules."""
    training = bundle.manifest.training
    evidence = {
        **result.numbers,
        "said": result.message,
        "recipe": result.recipe.name,
        "checks": [check.stored() for check in result.checks],
        "left_out": list(result.left_out),
        "metrics": {name: {"average_precision": value} for name, value in result.numbers["tried"].items()},
    }
    champion = (start.incumbent.version, start.incumbent.sha256)
    digest = provenance.digest("evidence of a challenge", training["digest"], bundle.sha256, *champion)
    return ChallengeRecord(
        digest, start.trainer.use_case.name, start.decision.as_of, bundle.sha256, *champion,
        provenance.plain(evidence), training["versions"],
    )  # fmt: skip


def _interval(start: _Start, result: Challenge) -> Mapping[str, Any]:
    """Around the predictions of a regression, from its cross-fitted errors; empty: none."""
    compared = result.compared
    if compared is None or compared.task.name != "regression":
        return {}
    interval = Interval.of(compared.scores[result.recipe.name], compared.labels, start.problem.interval)
    return interval.stored() if interval else {}


def _write(
    start: _Start, model: Model, training: Mapping[str, Any], folder: Path, interval: Mapping[str, Any]
) -> Bundle:
    trainer, threshold = start.trainer, start.problem.threshold
    features = bundles.features_of(model)
    name, family, task = trainer.use_case.name, trainer.family, trainer.history.task.stored()
    manifest = Manifest(name, family, features, threshold, training["as_of"], training, task=task, interval=interval)
    shutil.rmtree(folder, ignore_errors=True)
    return bundles.write(folder, model, manifest)


def _trained(settings: Settings, start: _Start, result: Challenge, model: Model, bundle: Bundle) -> Trained:
    """The challenge in the form of a usual training, without its cost: champion and recipes are the contestants."""
    assert result.compared is not None
    rows, labels = result.compared.rows, result.compared.labels
    parameters = start.trainer.parameters
    contestants = {
        name: ValidatedContender(name, "recipe", validation_metrics(start.problem, rows, scores), scores, parameters)
        for name, scores in result.compared.scores.items()
    }
    best = contestants[result.recipe.name]
    winner = ValidatedContender(start.trainer.family, "family", best.metrics, best.scores, parameters, model.steps)
    session, first = bundle.session(), rows.examples.features[:COUNTED_ROWS]
    return Trained(
        bundle=bundle,
        contestants=tuple(contestants.values()),
        winner=winner,
        slices={},
        labels=labels,
        rows={"compared": len(labels)},
        cost=cost.Cost(),
        predictions=cost.per_thousand(settings, lambda: score(session, first), len(first)),
        suspicion=suspicion(start.problem, rows, rows, best.scores),
    )
