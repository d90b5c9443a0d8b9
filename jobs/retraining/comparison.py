"""A challenger after a change of the world: the best recipe on the latest labels, and whether it beats the champion.

The gate of every other training judges mature rows, but weeks pass until rows of the new world are mature. Here the
champion and the recipes are compared on the events since the change whose labels are known, with cross-fitting
(`jobs.training.recipe_trainer.compare_recipes`). Training the challenger is in `jobs.retraining.challenger`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from jobs.arrays import Floats
from jobs.datasets.history import History
from jobs.evaluation.baselines import TRAINING_ROWS, Baselines, baselines
from jobs.evaluation.challenger_gate import challenger_checks
from jobs.evaluation.gate import TakeLook, first_look
from jobs.evaluation.paired_comparison import ComparedRows, Contender
from jobs.evaluation.verdict import GateCheck
from jobs.models.catalog import MEANS
from jobs.retraining.policy import RetrainingDecision
from jobs.stats.paired_bootstrap import interval, observed, resampled
from jobs.times import midnight
from jobs.training import recipes
from jobs.training.recipe_trainer import ComparedChampion, Comparison, RecipeTrainer, compare_recipes
from jobs.training.recipes import LabelKnowledge, Recipe, Share
from jobs.use_case import UseCase, problem_of

DOUBTED = ("alarm", "growth")
"""Triggers of a training after an alarm, when the champion is in doubt: its looks spend more of what is left."""
RESAMPLES = 500
CHOICE_LEVEL = 0.95
"""One-sided confidence that a single recipe is better than the mean of several."""
COMPARED_ON = timedelta(days=28)
"""Without an alarm recipes are compared on the events of this time; after an alarm, on the events since the alarm."""


@dataclass(frozen=True)
class Challenge:
    """The result of comparing recipes with the champion."""

    recipe: Recipe
    """The best recipe of those tried."""
    message: str
    checks: tuple[GateCheck, ...] = ()
    """Checks of the gate, the comparison with the champion first; empty if no positive was known to compare on."""
    numbers: Mapping[str, Any] = field(default_factory=dict)
    compared: Comparison | None = None
    """The scores that were compared; None if no positive was known to compare on."""
    left_out: tuple[str, ...] = ()
    """Baselines and guard slices that could not be judged, and why."""

    @property
    def better(self) -> bool:
        """Whether no check failed."""
        return bool(self.checks) and not self.reasons

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the challenger is refused, in plain words."""
        return tuple(check.message for check in self.checks if check.outcome == "failed")


def challenge(
    trainer: RecipeTrainer,
    champion: ComparedChampion,
    decision: RetrainingDecision,
    share: Share,
    seed: int,
    take_look: TakeLook = first_look,
) -> Challenge:
    """Compare the recipes that suit the decision with champion and baselines, overall and by slice, as known at its
    moment.

    Args:
        share: F of `jobs.training.recipes`, as known at that moment.
        seed: of the bootstrap.
        take_look: as `jobs.evaluation.gate.judge` takes it.
    """
    history, use_case = trainer.history, trainer.use_case
    choices = choices_of(use_case, decision, trainer.family)
    since = midnight(decision.episode) if decision.episode else decision.as_of - COMPARED_ON
    compared = compare_recipes(trainer, choices, champion, LabelKnowledge(decision.as_of, share), since)
    task = compared.task
    if not compared.positives:
        return Challenge(choices[0], f"no {task.evidence} are known to compare on")
    values = {name: compared.value(name) for name in compared.scores}
    best = chosen(compared, choices, {name: task.gain(value) for name, value in values.items()}, seed)
    rivals = _baselines(trainer, compared, since)
    follows = decision.episode is not None and champion.learned.as_of > since
    limits = replace(problem_of(use_case).limits, training_noise=0.0, resamples=RESAMPLES, seed=seed)
    look = take_look(limits)
    checks = challenger_checks(
        Contender(best.name, compared.scores[best.name]), Contender("the champion", compared.scores["champion"]),
        rivals.contenders, _rows(history, compared), limits, look.level, follows,
    )  # fmt: skip
    numbers = {
        **{name: checks[0].numbers[name] for name in ("candidate", "rival", "lower", "upper")},
        "positives": compared.positives, "rows": len(compared.labels), "since": since.isoformat(), "tried": values,
        "look": look.evidence,
    }  # fmt: skip
    message = (
        f"{best.name} {numbers['candidate']:.3f} against {numbers['rival']:.3f} on {compared.positives} "
        f"{task.evidence} since {since:%Y-%m-%d} ({numbers['lower']:+.3f} to {numbers['upper']:+.3f})"
    )
    better = replace(checks[0], message=f"{checks[0].message} since the change: {message}")
    left_out = (*rivals.left_out, *history.slices_left_out)
    return Challenge(best, message, (better, *checks[1:]), numbers, compared, left_out)


def _baselines(trainer: RecipeTrainer, compared: Comparison, since: datetime) -> Baselines:
    """Baselines trained on the rows that were mature when the change began, scored on the compared rows."""
    use_case = trainer.use_case
    train = trainer.history.training_rows(since, use_case).examples
    latest = np.arange(max(0, len(train) - TRAINING_ROWS), len(train))
    return baselines(problem_of(use_case), train.rows(latest), compared.rows.examples, trainer.family)


def _rows(history: History, compared: Comparison) -> ComparedRows:
    slices = {name: mask[compared.held] for name, mask in history.slices.items()}
    return ComparedRows(
        compared.labels, compared.rows.blocks, slices, compared.weights, compared.rows.days, compared.task
    )


def choices_of(use_case: UseCase, decision: RetrainingDecision, family: str) -> tuple[Recipe, ...]:
    """Recipes to try: those of recent rows and, if the family has one, their mean; without a change, also the usual
    one. Models that read texts have no mean: each learned weights of words of its own."""
    usual, recent = recipes.usual(use_case), recipes.recent()
    together = (recipes.mean(recent),) if family in MEANS and not use_case.texts & set(use_case.inputs) else ()
    return (*((usual,) if decision.episode is None else ()), *recent, *together)


def chosen(compared: Comparison, choices: Sequence[Recipe], values: Mapping[str, float], seed: int) -> Recipe:
    """The best recipe; the mean of several is preferred unless a single recipe is better beyond noise.

    Recipes learn from the days that they are compared on (of other cards). Frauds of one campaign make recipes with a
    short memory look better on these days than they are later.
    """
    best = max(choices, key=lambda recipe: values[recipe.name])
    together = next((recipe for recipe in choices if recipe.parts), best)
    if best is together or interval(gains(compared, best.name, together.name, seed), CHOICE_LEVEL)[0] > 0:
        return best
    return together


def gains(compared: Comparison, name: str, rival: str, seed: int) -> Floats:
    """What the objective of `name` gains on that of `rival`, of the rows and of resampled blocks of them, shape (1 +
    resamples,)."""
    _, blocks = np.unique(compared.rows.blocks, return_inverse=True)
    task = compared.task
    pair = [
        task.resampled(compared.labels, compared.scores[who], blocks, _everything(blocks), compared.values)
        for who in (name, rival)
    ]
    count = int(blocks.max()) + 1
    drawn = np.concatenate([observed(pair, count)[None], resampled(pair, count, RESAMPLES, seed)])
    gained: Floats = drawn[:, 0] - drawn[:, 1] if task.greater_is_better else drawn[:, 1] - drawn[:, 0]
    return gained


def _everything(blocks: Any) -> Sequence[Any]:
    return [np.ones(len(blocks), dtype=np.bool_)]
