"""Recipes fitted on a history, and compared with each other and with the champion on events that none learned from.

Which rows a recipe learns from: see `jobs.training.recipes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from jobs.arrays import Bools, Floats
from jobs.datasets.history import History
from jobs.datasets.training_rows import TrainingRows, sampled
from jobs.models.catalog import MEANS, new_model
from jobs.models.protocol import Model
from jobs.stats import weighted_metrics
from jobs.tasks.task import Labels, RowValues, Task
from jobs.times import microseconds
from jobs.training.recipes import LabelKnowledge, Recipe, negative_after, silent, weighed
from jobs.use_case import UseCase, problem_of

FOLDS = 2


@dataclass(frozen=True)
class RecipeTrainer:
    """Fits recipes with models of one family on one history."""

    history: History
    use_case: UseCase
    family: str
    parameters: Mapping[str, Any]
    """Of the models, over the declared ones."""
    device: str = "cpu"

    def fit(self, recipe: Recipe, knowledge: LabelKnowledge, without: Bools | None = None) -> Model:
        """A model of what `recipe` learns from; events `without` are held out.

        Raises:
            ValueError: the rows hold one class only.
        """
        if recipe.parts:
            with ThreadPoolExecutor(len(recipe.parts)) as pool:
                return MEANS[self.family](list(pool.map(lambda part: self.fit(part, knowledge, without), recipe.parts)))
        problem = problem_of(self.use_case)
        declared = problem.family(self.family)
        model = new_model(self.family, {**declared.fixed, **self.parameters}, self.history.names)
        age = negative_after(recipe, knowledge.share)
        rows = self.history.training_rows(knowledge.as_of, self.use_case, age, without)
        # Of the few events that stand for many others none is left out.
        certain = None if rows.examples.weights is None else rows.examples.weights > 1
        examples = weighed(rows, recipe, knowledge).examples
        drawn = sampled(examples, declared.negative_rate, problem.seed, certain)
        model.fit(drawn, None, seed=problem.seed, device=self.device)
        return model


@dataclass(frozen=True)
class CrossFit:
    """Cross-fitted models: each has not seen the events since a moment of one half of the cards."""

    since: datetime
    models: tuple[Model, ...]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Scores of recipes and champion on the same rows; no model scored a row that it learned from."""

    rows: TrainingRows
    scores: Mapping[str, Floats]
    halves: Mapping[str, CrossFit] = field(default_factory=dict)
    """By recipe: the models that its scores come from."""
    held: Bools | None = None
    """Which events of the history the rows are."""

    @property
    def weights(self) -> Floats | None:
        """How many events each row stands for; None: one."""
        own = self.rows.examples.weights
        return None if own is None else own.astype(np.float64)

    @property
    def task(self) -> Task:
        return self.rows.examples.task

    @property
    def labels(self) -> Labels:
        return self.rows.examples.labels

    @property
    def positives(self) -> int:
        """Rows that are evidence: the positives, of a binary task."""
        return int(self.task.informative(self.labels).sum())

    @property
    def values(self) -> RowValues:
        """What the objective asks of the rows, besides labels and scores."""
        return RowValues(days=self.rows.days, weights=self.weights)

    def value(self, name: str) -> float:
        """The objective of these scores; average precision for one."""
        if self.task.objective.name == "average_precision":
            weights = np.ones(len(self.labels)) if self.weights is None else self.weights
            return weighted_metrics.average_precision(self.labels, self.scores[name], weights)
        return self.task.value(self.labels, self.scores[name], self.values)


@dataclass(frozen=True)
class ComparedChampion:
    """The model in production, as others are compared with it."""

    model: Model
    recipe: Recipe
    learned: LabelKnowledge
    """What was known when it was trained."""
    halves: CrossFit | None = None
    """As they were fitted when it was a challenger; None: they are fitted again, to the same."""


def compare_recipes(
    trainer: RecipeTrainer,
    recipes: Sequence[Recipe],
    champion: ComparedChampion,
    knowledge: LabelKnowledge,
    since: datetime,
) -> Comparison:
    """Score the events since a moment by the champion and, cross-fitted, by each recipe, with labels known by now.

    Cards are dealt into two halves, and each half is scored by a model that saw the other half's events of that time
    (and everything before): a held-out end of the time would leave out just the days that a change is learned from. A
    champion that learned from these events itself is compared by its own recipe of its own moment, cross-fitted alike.
    Labels of young rows are incomplete, but alike for all models that are compared: as long as how fast a fraud is
    reported does not depend on its score, the order of the average precisions is that of mature labels. Events without
    a report that are too young for one are left out.
    """
    events = _HalvedEvents(trainer, knowledge, since)
    single = {part.name: part for recipe in recipes for part in recipe.parts or (recipe,)}
    crossfits = {name: events.cross_fit(recipe, knowledge) for name, recipe in single.items()}
    scores = {name: events.scores(models) for name, models in crossfits.items()}
    for recipe in recipes:
        if recipe.parts:
            models = zip(*(crossfits[part.name].models for part in recipe.parts), strict=True)
            crossfits[recipe.name] = CrossFit(since, tuple(MEANS[trainer.family](together) for together in models))
            scores[recipe.name] = trainer.history.task.mean([scores[part.name] for part in recipe.parts])
    if champion.learned.as_of <= since:
        champion_scores = champion.model.predict(events.rows.examples.features)
    else:
        recorded = champion.halves if champion.halves and champion.halves.since == since else None
        champion_scores = events.scores(recorded or events.cross_fit(champion.recipe, champion.learned))
    own = {recipe.name: scores[recipe.name] for recipe in recipes}
    return Comparison(events.rows, {"champion": champion_scores, **own}, crossfits, events.held)


class _HalvedEvents:
    """The events since a moment whose labels can be judged, with their cards dealt into two halves."""

    def __init__(self, trainer: RecipeTrainer, knowledge: LabelKnowledge, since: datetime) -> None:
        self._trainer, self._history, self._since = trainer, trainer.history, since
        labels = self._history.labels_at(knowledge.as_of)
        answered = self._history.times <= microseconds(knowledge.as_of - silent(knowledge.share))
        self._later: Bools = self._history.times > microseconds(since)
        task = self._history.task
        unlabelled = task.unlabelled(problem_of(trainer.use_case).unlabelled)
        judged = task.is_known(labels) if unlabelled is None else task.is_known(labels) | answered
        self.held: Bools = judged & self._history.known(knowledge.as_of) & self._history.let_through & self._later
        self.rows = self._history.rows(self.held, task.settled(labels[self.held], unlabelled))
        self._halves = [self._history.blocks % FOLDS == fold for fold in range(FOLDS)]

    def cross_fit(self, recipe: Recipe, knowledge: LabelKnowledge) -> CrossFit:
        with ThreadPoolExecutor(FOLDS) as pool:
            fits = pool.map(lambda half: self._trainer.fit(recipe, knowledge, without=self._later & half), self._halves)
            return CrossFit(self._since, tuple(fits))

    def scores(self, models: CrossFit) -> Floats:
        own, classes = [self.held & half for half in self._halves], self._history.task.classes
        scores = np.zeros((len(self._history), len(classes)) if classes else len(self._history))
        with ThreadPoolExecutor(FOLDS) as pool:
            predictions = pool.map(lambda model, rows: model.predict(self._history.features[rows]), models.models, own)
            for rows, values in zip(own, predictions, strict=True):
                scores[rows] = values
        return scores[self.held]
