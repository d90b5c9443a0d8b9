"""What a retraining learns from: which labels it trusts, how much it weighs recent rows; and which such recipe is best.

Of a young event without a report it is not known yet whether it is good. A training that waits until all labels are
mature learns nothing of a new world for weeks. Here young rows count as what they look like, and a report of age `a`
stands for the `1 / F(a)` that will come of its day, F being the learned distribution of the delay: inverse-probability
weighting of what is seen (Horvitz & Thompson 1952; for delayed feedback Chapelle, KDD 2014, models the same share).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from jobs.arrays import Bools, Floats
from jobs.datasets.history import UNKNOWN, History
from jobs.datasets.training_rows import TrainingRows, sampled
from jobs.errors import Invalid
from jobs.models.catalog import MEANS, new_model
from jobs.models.protocol import Examples, Model
from jobs.stats import off_policy
from jobs.times import ages, microseconds
from jobs.use_case import UseCase, problem_of

LEAST_SHARE = 0.1
"""A report younger than this share of reports would stand for more than ten; it stands for ten."""
TRUSTED = 0.2
"""Before this share of the reports is in, an event without one says nothing: where every report takes a week, no fraud
of the last week is known."""
_AGES = np.arange(0, 366, 0.25)
FOLDS = 2
Share = Callable[[Floats], Floats]
"""F: of ages in days, the share of reports that is known by then."""


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


def mean_of(chances: Sequence[Floats]) -> Floats:
    """Chances whose logit is the mean of theirs, as of a mean of models."""
    logits = np.mean([np.log(one) - np.log1p(-one) for one in chances], axis=0)
    probabilities: Floats = 1 / (1 + np.exp(-logits))
    return probabilities


def named(use_case: UseCase, name: str) -> Recipe:
    """The recipe of that name. Raises ValueError if there is none."""
    # Half-lives of 21 days are of models that were made before there was a mean.
    known = {recipe.name: recipe for recipe in (usual(use_case), *recent((7, 21, 60)), mean(recent()))}
    if name not in known:
        raise Invalid(f"recipe: expected one of {list(known)}, found {name!r}; the model is of another version")
    return known[name]


def rows(
    history: History, use_case: UseCase, recipe: Recipe, as_of: datetime, share: Share, without: Bools | None = None
) -> TrainingRows:
    """The rows that `recipe` learns from, as known at `as_of`, but for some that are held out."""
    return _weighed(
        history.training_rows(as_of, use_case, negative_after(recipe, share), without), recipe, as_of, share
    )


def negative_after(recipe: Recipe, share: Share) -> timedelta:
    """Age from which on `recipe` takes a row without a report for negative, reports taking as long as they do."""
    return max(recipe.negative_after, silent(share)) if recipe.corrected else recipe.negative_after


def silent(share: Share) -> timedelta:
    """Age at which `TRUSTED` of the reports are in."""
    reported = _AGES[share(_AGES) >= TRUSTED]
    return timedelta(days=float(reported[0] if len(reported) else _AGES[-1]))


def _weighed(found: TrainingRows, recipe: Recipe, as_of: datetime, share: Share) -> TrainingRows:
    weights = _weights(ages(found.times, microseconds(as_of)), found.examples, recipe, share)
    return replace(found, examples=replace(found.examples, weights=weights))


def _weights(age: Floats, examples: Examples, recipe: Recipe, share: Share) -> Any:
    labels = examples.labels
    weights = np.ones(len(age)) if examples.weights is None else examples.weights.astype(np.float64)
    if recipe.half_life is not None:
        weights *= 0.5 ** (age / (recipe.half_life / timedelta(days=1)))
    if recipe.corrected:
        weights[labels] /= np.maximum(share(age[labels]), LEAST_SHARE)
    return (weights / weights.mean()).astype(np.float32)


def fit(
    history: History, use_case: UseCase, recipe: Recipe, as_of: datetime, share: Share, family: str,
    tuned: Mapping[str, Any], without: Bools | None = None, device: str = "cpu",
) -> Model:  # fmt: skip
    """A model of `family` on what `recipe` learns from.

    Raises:
        ValueError: the rows hold one class only.
    """
    if recipe.parts:
        with ThreadPoolExecutor(len(recipe.parts)) as pool:
            fits = [
                pool.submit(fit, history, use_case, part, as_of, share, family, tuned, without, device)
                for part in recipe.parts
            ]
            return MEANS[family]([made.result() for made in fits])
    problem = problem_of(use_case)
    declared = problem.family(family)
    model = new_model(family, {**declared.fixed, **tuned})
    rows = history.training_rows(as_of, use_case, negative_after(recipe, share), without)
    # Of the few events that stand for many others none is left out.
    certain = None if rows.examples.weights is None else rows.examples.weights > 1
    examples = _weighed(rows, recipe, as_of, share).examples
    drawn = sampled(examples, declared.negative_rate, problem.seed, certain)
    model.fit(drawn, None, seed=problem.seed, device=device)
    return model


@dataclass(frozen=True)
class CrossFit:
    """Cross-fitted models: each has not seen the events since a moment of one half of the cards."""

    since: datetime
    models: tuple[Model, ...]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Recipes and the champion on the same rows, none of which the model that scored it learned from."""

    rows: TrainingRows
    scores: Mapping[str, Floats]
    halves: Mapping[str, CrossFit] = field(default_factory=dict)
    """Of those that were cross-fitted."""
    held: Bools | None = None
    """Which events of the history the rows are."""

    @property
    def weights(self) -> Floats | None:
        """How many events each row stands for; None: one."""
        own = self.rows.examples.weights
        return None if own is None else own.astype(np.float64)

    @property
    def labels(self) -> Bools:
        return self.rows.examples.labels

    @property
    def positives(self) -> int:
        return int(self.labels.sum())

    def average_precision(self, name: str) -> float:
        weights = np.ones(len(self.labels)) if self.weights is None else self.weights
        return off_policy.average_precision(self.labels, self.scores[name], weights)


@dataclass(frozen=True)
class Champion:
    """Who is in production."""

    model: Model
    recipe: Recipe
    learned_until: datetime
    share: Share
    """F as it was known at that moment."""
    halves: CrossFit | None = None
    """As they were fitted when it was a challenger; None: they are fitted again, to the same."""


def compare(
    history: History, use_case: UseCase, recipes: Sequence[Recipe], champion: Champion, as_of: datetime,
    since: datetime, share: Share, family: str, tuned: Mapping[str, Any],
) -> Comparison:  # fmt: skip
    """Score the events since a moment by the champion and, cross-fitted, by each recipe, with labels known at `as_of`.

    Cards are dealt into two halves, and each half is scored by a model that saw the other half's events of that time
    (and everything before): a held-out end of the time would leave out just the days that a change is learned from. A
    champion that learned from these events itself is compared by its own recipe of its own moment, cross-fitted alike.
    Labels of young rows are incomplete, but alike for all models that are compared: as long as how fast a fraud is
    reported does not depend on its score, the order of the average precisions is that of mature labels. Events without
    a report that are too young for one are left out.
    """
    labels = history.labels_at(as_of)
    reported = (labels != UNKNOWN) | (history.times <= microseconds(as_of - silent(share)))
    later: Bools = history.times > microseconds(since)
    held: Bools = reported & history.known(as_of) & history.let_through & later
    found = history.rows(held, labels[held] == 1)
    halves = [history.blocks % FOLDS == fold for fold in range(FOLDS)]

    def crossed(recipe: Recipe, moment: datetime, share: Share) -> CrossFit:
        with ThreadPoolExecutor(FOLDS) as pool:
            fits = pool.map(
                lambda half: fit(history, use_case, recipe, moment, share, family, tuned, without=later & half), halves
            )
            return CrossFit(since, tuple(fits))

    def scored(models: CrossFit) -> Floats:
        scores, mine = np.zeros(len(history)), [held & half for half in halves]
        with ThreadPoolExecutor(FOLDS) as pool:
            predictions = pool.map(lambda model, rows: model.predict(history.features[rows]), models.models, mine)
            for rows, values in zip(mine, predictions, strict=True):
                scores[rows] = values
        return scores[held]

    single = {part.name: part for recipe in recipes for part in recipe.parts or (recipe,)}
    crossfits = {name: crossed(recipe, as_of, share) for name, recipe in single.items()}
    values = {name: scored(models) for name, models in crossfits.items()}
    for recipe in recipes:
        if recipe.parts:
            models = zip(*(crossfits[part.name].models for part in recipe.parts), strict=True)
            crossfits[recipe.name] = CrossFit(since, tuple(MEANS[family](together) for together in models))
            values[recipe.name] = mean_of([values[part.name] for part in recipe.parts])
    if champion.learned_until <= since:
        scores = {"champion": champion.model.predict(found.examples.features)}
    else:
        kept = champion.halves if champion.halves and champion.halves.since == since else None
        scores = {"champion": scored(kept or crossed(champion.recipe, champion.learned_until, champion.share))}
    return Comparison(found, scores | {recipe.name: values[recipe.name] for recipe in recipes}, crossfits, held)
