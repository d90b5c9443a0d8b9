"""Train and register a challenger after a change of the world: a candidate of the best recipe on the latest labels.

The comparison with champion and baselines is made by `jobs.retraining.comparison` and recorded in the ledger, where the
gate reads it; the gate never reads it from the model's own manifest.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from jobs.datasets import history
from jobs.datasets.history import History
from jobs.errors import Invalid
from jobs.lakehouse.tables import Lakehouse
from jobs.ledger import challenges, pins, promotions
from jobs.ledger.challenges import ChallengeRecord
from jobs.models.catalog import STEPS
from jobs.models.protocol import Model
from jobs.models.runtime import score
from jobs.problem import Problem
from jobs.registry import bundle as bundles
from jobs.registry import model_versions, provenance
from jobs.registry.bundle import Bundle, Manifest
from jobs.registry.champion_bundles import Champions
from jobs.retraining.comparison import Challenge, challenge
from jobs.retraining.monitored_history import MonitoredHistory
from jobs.retraining.policy import RetrainingDecision
from jobs.settings import Settings
from jobs.training import candidate, recipes
from jobs.training import compute_cost as cost
from jobs.training.candidate import Candidate
from jobs.training.recipes import Champion, Recipe, Share
from jobs.training.train import COUNTED_ROWS, Trained, ValidatedContender, evaluate
from jobs.training.tune import Tuning, device, one_thread
from jobs.use_case import UseCase, problem_of


@dataclass(frozen=True)
class _Setting:
    """The history and the champion that a challenge starts from."""

    history: History
    champion: Champion
    version: int
    sha256: str
    family: str
    parameters: Mapping[str, Any]
    share: Share


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
    settings, problem = lakehouse.settings, problem_of(use_case)
    name, version = history.table(use_case), lakehouse.version(history.table(use_case))
    state = lakehouse.state(name)
    setting = _setting(lakehouse, use_case, champions, decision.as_of)
    digest = provenance.digest(
        "challenge",
        state,
        provenance.plain(asdict(decision)),
        setting.sha256,
        problem,
        provenance.code_sha256(),
        device(),
    )
    # Asked before the training, which would take minutes only to fail if the server is down.
    if registered := model_versions.find(settings, use_case, digest):
        model_versions.set_aliases(settings, use_case, {"candidate": registered.version})
        return Candidate(registered.version, "the same challenge was registered before", registered.run_id)
    report = progress or (lambda _: None)
    with cost.measured(settings, device()) as spent, one_thread():
        report("recipes")
        result = challenge(
            setting.history,
            use_case,
            setting.champion,
            decision,
            setting.share,
            setting.family,
            setting.parameters,
            problem.seed,
        )
        if result.compared is None:
            return Candidate(None, result.message)
        report(f"{setting.family}: {result.recipe.name}")
        model = fit(
            setting.history,
            use_case,
            result.recipe,
            decision.as_of,
            setting.share,
            setting.family,
            setting.parameters,
        )
    assert version is not None
    pins.pin(settings, {**state["versions"], name: version}, by=f"{use_case.name} challenge {digest[:16]}")
    training = {
        **_made_from(use_case, state, version, decision, setting, result),
        "digest": digest,
        "parameters": dict(setting.parameters),
        "steps": model.steps,
    }
    bundle = _write(
        use_case, problem, setting, model, training, settings.home / "training" / use_case.name / digest[:16]
    )
    challenges.record(settings, _record(use_case, decision, setting, result, bundle))
    trained = _trained(settings, problem, setting, result, bundle, spent, model)
    tuned = Tuning(state["as_of"], f"parameters of version {setting.version}, which it challenges")
    return candidate.registered(settings, use_case, trained, tuned, digest, result.message)


def fit(
    rows: History, use_case: UseCase, recipe: Recipe, as_of: datetime, share: Share, family: str,
    parameters: Mapping[str, Any],
) -> Model:  # fmt: skip
    """The challenger's model, trained on this machine's device."""
    return recipes.fit(rows, use_case, recipe, as_of, share, family, parameters, device=device())


def _setting(lakehouse: Lakehouse, use_case: UseCase, champions: Champions, as_of: datetime) -> _Setting:
    rows = history.read(lakehouse, use_case)
    current = promotions.champion(lakehouse.settings, use_case)
    if current is None:
        raise Invalid(f"{use_case.name}: expected a champion to challenge, found none; train the first one")
    bundle = champions.bundle(use_case, current.version, current.sha256)
    model = champions.model(use_case, current.version, current.sha256, rows.names)
    monitored, learned_until = MonitoredHistory.of(rows, use_case), bundle.manifest.learned_until
    champion = Champion(model, recipe_of(use_case, bundle), learned_until, monitored.delay(learned_until).share)
    family, parameters = _family(problem_of(use_case), bundle)
    share = monitored.delay(as_of).share
    return _Setting(rows, champion, current.version, current.sha256, family, parameters, share)


def recipe_of(use_case: UseCase, bundle: Bundle) -> Recipe:
    """The recipe by which the training rows of a model were chosen."""
    training = bundle.manifest.training
    return recipes.named(use_case, training["recipe"]) if "recipe" in training else recipes.usual(use_case)


def _family(problem: Problem, bundle: Bundle) -> tuple[str, dict[str, Any]]:
    """The champion's family with its parameters and number of steps, which stay the same in a new world."""
    family, training = bundle.manifest.family, bundle.manifest.training
    if family not in {declared.name for declared in problem.families}:
        return problem.families[0].name, {}
    steps = {STEPS[family]: training["steps"]} if family in STEPS and training.get("steps") else {}
    return family, {**training.get("parameters", {}), **steps}


def _made_from(
    use_case: UseCase,
    state: Mapping[str, Any],
    version: int,
    decision: RetrainingDecision,
    setting: _Setting,
    result: Challenge,
) -> dict[str, Any]:
    """Data and code of a challenger, as its manifest records them."""
    problem = problem_of(use_case)
    since = result.numbers["since"]
    as_of = decision.as_of.isoformat()
    return {
        "as_of": as_of,
        "table": history.table(use_case),
        "table_version": version,
        "versions": dict(state["versions"]),
        "training_set": dict(state),
        "recipe": result.recipe.name,
        "retraining": {"trigger": decision.trigger, "reason": decision.reason, "episode": str(decision.episode)},
        "negative_rate": problem.family(setting.family).negative_rate,
        "seed": problem.seed,
        "device": device(),
        "review": asdict(problem.review),
        "windows": {
            "maturity_days": result.recipe.negative_after / timedelta(days=1),
            "validation_start": since,
            "judged_start": as_of,
            "judged_end": as_of,
        },
        **provenance.of_code(),
    }


def _record(
    use_case: UseCase,
    decision: RetrainingDecision,
    setting: _Setting,
    result: Challenge,
    bundle: Bundle,
) -> ChallengeRecord:
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
    digest = provenance.digest(
        "evidence of a challenge", training["digest"], bundle.sha256, setting.version, setting.sha256
    )
    return ChallengeRecord(
        digest, use_case.name, decision.as_of, bundle.sha256, setting.version, setting.sha256,
        provenance.plain(evidence), training["versions"],
    )  # fmt: skip


def _write(
    use_case: UseCase, problem: Problem, setting: _Setting, model: Model, training: Mapping[str, Any], folder: Path
) -> Bundle:
    features = tuple((name, "float32") for name in setting.history.names)
    threshold = problem.review.threshold
    manifest = Manifest(use_case.name, setting.family, features, threshold, training["as_of"], training)
    shutil.rmtree(folder, ignore_errors=True)
    return bundles.write(folder, model, manifest)


def _trained(
    settings: Settings,
    problem: Problem,
    setting: _Setting,
    result: Challenge,
    bundle: Bundle,
    spent: cost.Cost,
    model: Model,
) -> Trained:
    """The challenge in the form of a usual training: champion and recipes are the contestants."""
    assert result.compared is not None
    rows, labels = result.compared.rows, result.compared.labels
    contestants = {
        name: ValidatedContender(name, "recipe", evaluate(problem, rows, scores), scores, setting.parameters)
        for name, scores in result.compared.scores.items()
    }
    best = contestants[result.recipe.name]
    winner = ValidatedContender(setting.family, "family", best.metrics, best.scores, setting.parameters, model.steps)
    session, first = bundle.session(), rows.examples.features[:COUNTED_ROWS]
    return Trained(
        bundle=bundle,
        contestants=tuple(contestants.values()),
        winner=winner,
        slices={},
        labels=labels,
        rows={"compared": len(labels)},
        cost=spent,
        predictions=cost.per_thousand(settings, lambda: score(session, first), len(first)),
    )
