"""The candidate of a world that has changed: the best recipe on the latest labels, registered like any other.

Its comparison with champion, baselines and slices (`jobs.retraining.comparison`) goes to the ledger; the gate reads it
there, and never from the model's own manifest.
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
    """What a challenge starts from."""

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
    """Challenge the champion for the change that `decision` is about, and register what came of it as `candidate`.

    Raises:
        ValueError: there is no history, no champion, or nothing to learn from.
        TrackingUnavailable: MLflow does not answer; nothing is registered then.
    """
    settings, problem = lakehouse.settings, problem_of(use_case)
    name, version = history.table(use_case), lakehouse.version(history.table(use_case))
    state = lakehouse.state(name)
    now = _setting(lakehouse, use_case, champions, decision.as_of)
    digest = provenance.digest(
        "challenge", state, provenance.plain(asdict(decision)), now.sha256, problem, provenance.code_sha256(), device()
    )
    # Asked before the work, so that nobody trains for minutes to find the server gone.
    if known := model_versions.find(settings, use_case, digest):
        model_versions.set_aliases(settings, use_case, {"candidate": known.version})
        return Candidate(known.version, "the same challenge was registered before", known.run_id)
    told = progress or (lambda _: None)
    with cost.measured(settings, device()) as spent, one_thread():
        told("recipes")
        found = challenge(
            now.history, use_case, now.champion, decision, now.share, now.family, now.parameters, problem.seed
        )
        if found.compared is None:
            return Candidate(None, found.said)
        told(f"{now.family}: {found.recipe.name}")
        model = fit(now.history, use_case, found.recipe, decision.as_of, now.share, now.family, now.parameters)
    assert version is not None
    pins.pin(settings, {**state["versions"], name: version}, by=f"{use_case.name} challenge {digest[:16]}")
    made_of = {
        **_made_from(use_case, state, version, decision, now, found),
        "digest": digest,
        "parameters": dict(now.parameters),
        "steps": model.steps,
    }
    written = _write(use_case, problem, now, model, made_of, settings.home / "training" / use_case.name / digest[:16])
    challenges.keep(settings, _record(use_case, decision, now, found, written))
    trained = _trained(settings, problem, now, found, written, spent, model)
    tuned = Tuning(state["as_of"], f"parameters of version {now.version}, which it challenges")
    return candidate.registered(settings, use_case, trained, tuned, digest, found.said)


def fit(
    seen: History, use_case: UseCase, recipe: Recipe, as_of: datetime, share: Share, family: str,
    parameters: Mapping[str, Any],
) -> Model:  # fmt: skip
    """The challenger itself."""
    return recipes.fit(seen, use_case, recipe, as_of, share, family, parameters, device=device())


def _setting(lakehouse: Lakehouse, use_case: UseCase, champions: Champions, as_of: datetime) -> _Setting:
    seen = history.read(lakehouse, use_case)
    standing = promotions.champion(lakehouse.settings, use_case)
    if standing is None:
        raise ValueError(f"{use_case.name}: expected a champion to challenge, found none; train the first one")
    bundle = champions.bundle(use_case, standing.version, standing.sha256)
    model = champions.model(use_case, standing.version, standing.sha256, seen.names)
    known, learned_until = MonitoredHistory.of(seen, use_case), bundle.manifest.learned_until
    champion = Champion(model, recipe_of(use_case, bundle), learned_until, known.delay(learned_until).share)
    family, parameters = _family(problem_of(use_case), bundle)
    share = known.delay(as_of).share
    return _Setting(seen, champion, standing.version, standing.sha256, family, parameters, share)


def recipe_of(use_case: UseCase, bundle: Bundle) -> Recipe:
    """How the rows of a model were chosen."""
    made = bundle.manifest.training
    return recipes.named(use_case, made["recipe"]) if "recipe" in made else recipes.usual(use_case)


def _family(problem: Problem, bundle: Bundle) -> tuple[str, dict[str, Any]]:
    """The champion's family with its parameters and number of steps; they hold in a new world as in the old one."""
    family, made = bundle.manifest.family, bundle.manifest.training
    if family not in {declared.name for declared in problem.families}:
        return problem.families[0].name, {}
    steps = {STEPS[family]: made["steps"]} if family in STEPS and made.get("steps") else {}
    return family, {**made.get("parameters", {}), **steps}


def _made_from(
    use_case: UseCase,
    state: Mapping[str, Any],
    version: int,
    decision: RetrainingDecision,
    now: _Setting,
    found: Challenge,
) -> dict[str, Any]:
    """What the manifest says about data and code."""
    problem = problem_of(use_case)
    since = found.numbers["since"]
    as_of = decision.as_of.isoformat()
    return {
        "as_of": as_of,
        "table": history.table(use_case),
        "table_version": version,
        "versions": dict(state["versions"]),
        "training_set": dict(state),
        "recipe": found.recipe.name,
        "retraining": {"trigger": decision.trigger, "reason": decision.reason, "episode": str(decision.episode)},
        "negative_rate": problem.family(now.family).negative_rate,
        "seed": problem.seed,
        "device": device(),
        "review": asdict(problem.review),
        "windows": {
            "maturity_days": found.recipe.negative_after / timedelta(days=1),
            "validation_start": since,
            "judged_start": as_of,
            "judged_end": as_of,
        },
        **provenance.of_code(),
    }


def _record(
    use_case: UseCase,
    decision: RetrainingDecision,
    now: _Setting,
    found: Challenge,
    written: Bundle,
) -> ChallengeRecord:
    """The evidence that the gate will decide by; its digest names bundle, champion, versions of rows, and rules."""
    made_of = written.manifest.training
    evidence = {
        **found.numbers,
        "said": found.said,
        "recipe": found.recipe.name,
        "checks": [asdict(check) for check in found.checks],
        "left_out": list(found.left_out),
        "metrics": {name: {"average_precision": value} for name, value in found.numbers["tried"].items()},
    }
    digest = provenance.digest("evidence of a challenge", made_of["digest"], written.sha256, now.version, now.sha256)
    return ChallengeRecord(
        digest, use_case.name, decision.as_of, written.sha256, now.version, now.sha256,
        provenance.plain(evidence), made_of["versions"],
    )  # fmt: skip


def _write(
    use_case: UseCase, problem: Problem, now: _Setting, model: Model, made_of: Mapping[str, Any], folder: Path
) -> Bundle:
    features = tuple((name, "float32") for name in now.history.names)
    threshold = problem.review.threshold
    manifest = Manifest(use_case.name, now.family, features, threshold, made_of["as_of"], made_of)
    shutil.rmtree(folder, ignore_errors=True)
    return bundles.write(folder, model, manifest)


def _trained(
    settings: Settings,
    problem: Problem,
    now: _Setting,
    found: Challenge,
    written: Bundle,
    spent: cost.Cost,
    model: Model,
) -> Trained:
    """The challenge as other trainings are shown: the contestants are the champion and the recipes."""
    assert found.compared is not None
    rows, labels = found.compared.rows, found.compared.labels
    contestants = {
        name: ValidatedContender(name, "recipe", evaluate(problem, rows, scores), scores, now.parameters)
        for name, scores in found.compared.scores.items()
    }
    best = contestants[found.recipe.name]
    winner = ValidatedContender(now.family, "family", best.metrics, best.scores, now.parameters, model.steps)
    session, first = written.session(), rows.examples.features[:COUNTED_ROWS]
    return Trained(
        bundle=written,
        contestants=tuple(contestants.values()),
        winner=winner,
        slices={},
        labels=labels,
        rows={"compared": len(labels)},
        cost=spent,
        predictions=cost.per_thousand(settings, lambda: score(session, first), len(first)),
    )
