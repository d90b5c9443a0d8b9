"""A challenger after a change of the world: the recipe that does best on the latest labels, and whether it beats the
champion there.

The gate of every other training judges mature rows. Weeks pass until those are of the new world; here champion and
recipes are compared on the events since the change, cross-fitted (`jobs.training.recipes.compare`), as far as labels
are known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np

from jobs.datasets.history import History
from jobs.models.catalog import MEANS
from jobs.retraining.policy import RetrainingDecision
from jobs.stats.paired_bootstrap import interval, observed, rank, resampled
from jobs.times import midnight
from jobs.training import recipes
from jobs.training.recipes import Champion, Comparison, Recipe, Share
from jobs.use_case import UseCase

LEVEL, RESAMPLES = {"age": 0.95, "alarm": 0.75, "growth": 0.75}, 500
"""Confidence, one-sided, that a challenger is better than the champion, by what called for it. After an alarm the
champion is in doubt, what replaces it has seen more of the new world, and is judged again within days."""
CHOSEN = 0.95
"""Confidence, one-sided, that a single recipe is better than the mean of several."""
COMPARED_ON = timedelta(days=28)
"""Of a refresh without an alarm, the latest events that recipes are compared on; after an alarm, those since it."""


@dataclass(frozen=True)
class Challenge:
    """What a comparison came to."""

    recipe: Recipe
    """The best of those tried."""
    better: bool
    """Whether it beats the champion beyond noise, or, if that was trained for the same change, is not beaten by it."""
    said: str
    numbers: Mapping[str, Any] = field(default_factory=dict)
    compared: Comparison | None = None
    """None: there was nothing to compare on."""


def challenge(
    history: History, use_case: UseCase, champion: Champion, decision: RetrainingDecision, share: Share,
    family: str, tuned: Mapping[str, Any], seed: int,
) -> Challenge:  # fmt: skip
    """Compare the recipes that suit the decision with the champion, as known at the decision's moment.

    Args:
        share, family, tuned: as `jobs.training.recipes.fit`.
    """
    as_of, choices = decision.as_of, choices_of(use_case, decision, family)
    since = midnight(decision.episode) if decision.episode else as_of - COMPARED_ON
    found = recipes.compare(history, use_case, choices, champion, as_of, since, share, family, tuned)
    if not found.positives:
        return Challenge(choices[0], False, "no positives are known to compare on")
    values = {name: found.average_precision(name) for name in found.scores}
    best = chosen(found, choices, values, seed)
    low, high = difference(found, best.name, "champion", LEVEL.get(decision.trigger, LEVEL["age"]), seed)
    # A champion that was trained for this very change knows less of it by now than whoever learns from it today: it
    # stays only if it is better. Labels are too young to prove each step, and not to take it costs more.
    follows = decision.episode is not None and champion.learned_until > since
    mine, theirs = values[best.name], values["champion"]
    said = (
        f"{best.name} {mine:.3f} against {theirs:.3f} on {found.positives} positives "
        f"since {since:%Y-%m-%d} ({low:+.3f} to {high:+.3f})"
    )
    numbers = {
        "candidate": mine, "rival": theirs, "lower": low, "upper": high, "positives": found.positives,
        "rows": len(found.labels), "since": since.isoformat(), "tried": values,
    }  # fmt: skip
    return Challenge(best, (high if follows else low) > 0, said, numbers, found)


def choices_of(use_case: UseCase, decision: RetrainingDecision, family: str) -> tuple[Recipe, ...]:
    """Recipes to try: after a change those for a changed world and their mean, where the family has one; otherwise the
    usual one too."""
    usual, recent = recipes.usual(use_case), recipes.recent()
    together = (recipes.mean(recent),) if family in MEANS else ()
    return (*((usual,) if decision.episode is None else ()), *recent, *together)


def chosen(found: Comparison, choices: Sequence[Recipe], values: Mapping[str, float], seed: int) -> Recipe:
    """The best, but the mean of several unless a single one is better beyond noise.

    The days that are compared on are those that were learned from, of other cards: frauds of one campaign make short
    memories look better there than they turn out to be.
    """
    best = max(choices, key=lambda recipe: values[recipe.name])
    together = next((recipe for recipe in choices if recipe.parts), best)
    if best is together or difference(found, best.name, together.name, CHOSEN, seed)[0] > 0:
        return best
    return together


def difference(found: Comparison, name: str, rival: str, level: float, seed: int) -> tuple[float, float]:
    """Where the average precision of `name` less that of `rival` lies, by a paired bootstrap of blocks."""
    _, blocks = np.unique(found.rows.blocks, return_inverse=True)
    pair = [rank(found.labels, found.scores[who], blocks, _everything(blocks), found.weights) for who in (name, rival)]
    count = int(blocks.max()) + 1
    drawn = np.concatenate([observed(pair, count)[None], resampled(pair, count, RESAMPLES, seed)])
    return interval(drawn[:, 0] - drawn[:, 1], level, 0.0)


def _everything(blocks: Any) -> Sequence[Any]:
    return [np.ones(len(blocks), dtype=np.bool_)]
