"""Whether models on their way into production are worth it, and whether what is in production is the model that was
meant. The gate (`jobs.evaluation.gate`) decides about promotions; nothing is decided here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jobs.arrays import surest
from jobs.checks.check import Check, Outcome
from jobs.models.features import FeatureRows
from jobs.models.runtime import score
from jobs.settings import Settings
from jobs.stats.metrics import average_precision
from jobs.use_case import UseCase

if TYPE_CHECKING:
    from jobs.ledger.promotions import LedgerView, PromotionDecision
    from jobs.promotion.export_onnx import OnlineModel
    from jobs.promotion.promote import Registry
    from jobs.registry.bundle import Bundle
    from jobs.training.train import Trained
    from jobs.training.tune import Tuning

TOLERANCE = 1e-5
"""On a probability, as in `jobs.models.parity`."""
COMPARED_ROWS = 500

TRIALS_BEAT_CHANCE = Check(
    "trials_beat_chance",
    "Of every family that was searched a trial ended, and the best is better than the share of positives.",
    severity="warning",
)
BETTER_THAN_PREVALENCE = Check(
    "better_than_prevalence",
    "The candidate does better on its validation rows than a constant, such as the share of positives.",
)
NOT_TOO_GOOD = Check(
    "not_too_good_to_be_true", "Neither a feature nor the candidate tells validation labels too well to be true."
)
CHAMPION_LOADS = Check(
    "champion_loads", "The champion's bundle has the hash that the ledger names, loads and scores.", blocking=True
)
IN_PRODUCTION = Check("approved_is_in_production", "The version that was approved is the champion now.")
PARITY = Check("parity", "The exported graph gives the scores of the champion, and is the champion of the ledger.")


def trials_beat_chance(tuning: Tuning) -> Outcome:
    """TRIALS_BEAT_CHANCE of a search."""
    if not tuning.trials:
        return TRIALS_BEAT_CHANCE.not_judged(tuning.reason)
    best = {
        family: max((trial.value or 0.0 for trial in trials if trial.state == "complete"), default=None)
        for family, trials in tuning.trials.items()
    }
    found = ", ".join(f"{f}: {'no ended trial' if value is None else f'{value:.4f}'}" for f, value in best.items())
    chance = tuning.prevalence if tuning.chance is None else tuning.chance
    return TRIALS_BEAT_CHANCE.outcome(
        all(value is not None and value > chance for value in best.values()),
        f"an average precision above {chance:.4f}" if tuning.chance is None else f"a gain above {chance:.4g}",
        found,
        trials=sum(map(len, tuning.trials.values())),
    )


def of_training(trained: Trained) -> list[Outcome]:
    """BETTER_THAN_PREVALENCE and NOT_TOO_GOOD of what was trained."""
    labels, scores = trained.labels, trained.winner.scores
    numbers = {"rows": len(labels), "positives": int(trained.task.informative(labels).sum())}
    suspicious = NOT_TOO_GOOD.outcome(
        not trained.suspicion, "no sign of a leak", trained.suspicion or "none", **numbers
    )
    task = trained.task
    if not task.varied(labels):
        return [BETTER_THAN_PREVALENCE.not_judged("validation rows of one class"), suspicious]
    if task.objective.name != "average_precision":
        return [_better_than_constants(trained), suspicious]
    prevalence, reached = float(labels.mean()), average_precision(labels, scores)
    better = BETTER_THAN_PREVALENCE.outcome(
        reached > prevalence,
        f"an average precision above {prevalence:.4f}",
        f"{reached:.4f} of {trained.winner.name}",
        **numbers,
    )
    return [better, suspicious]


def _better_than_constants(trained: Trained) -> Outcome:
    """BETTER_THAN_PREVALENCE of another objective: of the constants among the contestants, the best."""
    task, name = trained.task, trained.task.objective.name
    constants = set(task.constants(trained.labels))
    values = {c.name: c.metrics.get(name) for c in trained.contestants if c.name in constants}
    best = max((value for value in values.values() if value is not None), key=task.gain, default=None)
    reached = trained.winner.metrics.get(name)
    if best is None or reached is None:
        return BETTER_THAN_PREVALENCE.not_judged(f"{task.words} is undefined on the validation rows")
    return BETTER_THAN_PREVALENCE.outcome(
        task.gain(reached) > task.gain(best),
        f"a {task.words} {'above' if task.greater_is_better else 'below'} {best:.4g}",
        f"{reached:.4g} of {trained.winner.name}",
        rows=len(trained.labels),
    )


def champion_loads(settings: Settings, use_case: UseCase, registry: Registry, ledger: LedgerView) -> Outcome:
    """CHAMPION_LOADS of the champion of now. Errors of a registry that does not answer are not caught."""
    champion = ledger.champion
    if champion is None:
        return CHAMPION_LOADS.not_judged("no champion yet")
    expected = f"version {champion.version} with the hash {champion.sha256[:16]}"
    try:
        bundle = registry.fetch(settings, use_case, champion.version, champion.sha256)
        value = float(surest(score(bundle.session(), bundle.manifest.blank_row()))[0])
    except ValueError as error:  # missing, damaged, another one, or a graph that does not run
        return CHAMPION_LOADS.outcome(False, expected, str(error), version=champion.version)
    return CHAMPION_LOADS.outcome(
        0 <= value <= 1 or (bundle.manifest.learned.name == "regression" and bool(np.isfinite(value))),
        expected,
        f"it, and a score of {value:.4f} for an event without features",
        version=champion.version,
    )


def in_production(decision: PromotionDecision, ledger: LedgerView) -> Outcome:
    """IN_PRODUCTION after a person's approval."""
    current = ledger.champion.version if ledger.champion else None
    return IN_PRODUCTION.outcome(
        current == decision.model_version,
        f"version {decision.model_version} in production",
        f"{'none' if current is None else f'version {current}'} ({decision.outcome}: {decision.reason})",
    )


def parity(exported: OnlineModel, version: int, champion: Bundle, rows: FeatureRows) -> Outcome:
    """PARITY of an exported model and the champion.

    Args:
        version: of the champion.
        rows: real rows, [n, f], n > 0.
    """
    compared = rows[-COMPARED_ROWS:]
    theirs, ours = score(champion.session(), compared), score(exported.session(), compared)
    scale = max(1.0, float(np.abs(theirs).max()))  # of predictions, a share of the largest
    largest = max(float(np.abs(theirs - ours).max()) / scale, *map(float, exported.manifest["parity"].values()))
    same = exported.version == version and exported.bundle.sha256 == champion.sha256
    return PARITY.outcome(
        same and largest <= TOLERANCE,
        f"version {version} with scores within {TOLERANCE:g}",
        f"version {exported.version}{'' if same else ', another model,'} with a largest difference of {largest:.2g}",
        rows=len(compared), largest_difference=largest,
    )  # fmt: skip
