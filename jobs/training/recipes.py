"""What a retraining learns from: which labels it trusts, and how much it weighs recent rows.

Of a young event without a report it is not known yet whether it is good. A training that waits until all labels are
mature learns nothing of a new world for weeks. Here young rows count as what they look like, and a report of age `a`
stands for the `1 / F(a)` that will come of its day, F being the learned distribution of the delay: inverse-probability
weighting of what is seen (Horvitz & Thompson 1952; for delayed feedback Chapelle, KDD 2014, models the same share).
Fitting and comparing recipes: see `jobs.training.recipe_trainer`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from jobs.arrays import Bools, Floats
from jobs.datasets.history import History
from jobs.datasets.training_rows import TrainingRows
from jobs.errors import Invalid
from jobs.models.protocol import Examples
from jobs.times import ages, microseconds
from jobs.use_case import UseCase

LEAST_SHARE = 0.1
"""A report younger than this share of reports would stand for more than ten; it stands for ten."""
TRUSTED = 0.2
"""Before this share of the reports is in, an event without one shows nothing: where every report takes a week, no fraud
of the last week is known."""
_AGES = np.arange(0, 366, 0.25)
Share = Callable[[Floats], Floats]
"""F: of ages in days, the share of reports that is known by then."""


@dataclass(frozen=True)
class LabelKnowledge:
    """What is known of labels at a moment."""

    as_of: datetime
    share: Share
    """F, as it was learned by then."""


@dataclass(frozen=True)
class Recipe:
    """A way to choose and weigh rows."""

    name: str
    negative_after: timedelta
    """Age from which on a row without a report counts as negative."""
    half_life: timedelta | None = None
    """Age at which a row weighs half as much as a new one; None: all weigh the same."""
    corrected: bool = False
    """Reports stand for those that are still to come."""
    parts: tuple[Recipe, ...] = ()
    """Recipes whose models are averaged; the rest of this one is theirs then."""


def usual(use_case: UseCase) -> Recipe:
    """All rows with mature labels, weighed alike: what a schedule without further thought trains on."""
    return Recipe("all mature rows", use_case.label_maturity)


def recent(days: Sequence[int] = (7, 60), negative_after: timedelta = timedelta(days=2)) -> tuple[Recipe, ...]:
    """Recipes for a world that has changed: one that learns the change, one that forgets little."""
    return tuple(Recipe(f"half-life {n} days", negative_after, timedelta(days=n), corrected=True) for n in days)


def mean(parts: Sequence[Recipe]) -> Recipe:
    """Models of all of these as one: it errs less than each, and does not depend on which of them looked best."""
    return Recipe("mean of " + ", ".join(part.name for part in parts), parts[0].negative_after, parts=tuple(parts))


def recipe_named(use_case: UseCase, name: str) -> Recipe:
    """The recipe of that name. Raises ValueError if there is none."""
    # Half-lives of 21 days are of models that were made before there was a mean.
    recipes = {recipe.name: recipe for recipe in (usual(use_case), *recent((7, 21, 60)), mean(recent()))}
    if name not in recipes:
        raise Invalid(f"recipe: expected one of {list(recipes)}, found {name!r}; the model is of another version")
    return recipes[name]


def rows(
    history: History, use_case: UseCase, recipe: Recipe, knowledge: LabelKnowledge, without: Bools | None = None
) -> TrainingRows:
    """The rows that `recipe` learns from, with their weights; those `without` are held out."""
    plain = history.training_rows(knowledge.as_of, use_case, negative_after(recipe, knowledge.share), without)
    return weighed(plain, recipe, knowledge)


def negative_after(recipe: Recipe, share: Share) -> timedelta:
    """Age from which on `recipe` takes a row without a report for negative, reports taking as long as they do."""
    return max(recipe.negative_after, silent(share)) if recipe.corrected else recipe.negative_after


def silent(share: Share) -> timedelta:
    """Age at which `TRUSTED` of the reports are in."""
    reported = _AGES[share(_AGES) >= TRUSTED]
    return timedelta(days=float(reported[0] if len(reported) else _AGES[-1]))


def weighed(rows: TrainingRows, recipe: Recipe, knowledge: LabelKnowledge) -> TrainingRows:
    """`rows` with the weights that `recipe` has for them, whose mean is one."""
    age = ages(rows.times, microseconds(knowledge.as_of))
    weights = _weights(age, rows.examples, recipe, knowledge.share)
    return replace(rows, examples=replace(rows.examples, weights=weights))


def _weights(age: Floats, examples: Examples, recipe: Recipe, share: Share) -> Any:
    labels = examples.labels
    weights = np.ones(len(age)) if examples.weights is None else examples.weights.astype(np.float64)
    if recipe.half_life is not None:
        weights *= 0.5 ** (age / (recipe.half_life / timedelta(days=1)))
    if recipe.corrected and examples.task.name == "binary":
        weights[labels] /= np.maximum(share(age[labels]), LEAST_SHARE)
    return (weights / weights.mean()).astype(np.float32)
