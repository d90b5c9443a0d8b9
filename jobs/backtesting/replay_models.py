"""Models of a replay: fitted by a recipe, kept as bundles, promoted in a ledger at the moved clock."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import datetime
from typing import Any

from jobs.datasets.history import History
from jobs.ledger import promotions
from jobs.models.protocol import Model
from jobs.registry.bundle import Bundle, Manifest, features_of, open_bundle, write
from jobs.registry.model_versions import bundle_folder
from jobs.settings import Settings
from jobs.training import recipes
from jobs.training.recipe_trainer import ComparedChampion, CrossFit, RecipeTrainer
from jobs.training.recipes import LabelKnowledge, Recipe, Share
from jobs.use_case import UseCase, problem_of

FAMILY = "boosted"


def trainer(history: History, use_case: UseCase) -> RecipeTrainer:
    """What a replay trains with."""
    return RecipeTrainer(history, use_case, FAMILY, {})


class Models:
    """Models of one replay; the last two that were asked for stay loaded: the champion and its predecessor."""

    def __init__(self, settings: Settings, use_case: UseCase) -> None:
        self._settings, self._use_case = settings, use_case
        self._opened: dict[int, tuple[Bundle, Model]] = {}
        self._halves: dict[int, CrossFit] = {}
        """Of the version that was promoted last, what it was compared by."""

    def promote(self, history: History, recipe: Recipe, knowledge: LabelKnowledge, version: int, reason: str) -> None:
        """Fit `version` on what `recipe` learns from, and put it into production."""
        as_of = knowledge.as_of
        model = trainer(history, self._use_case).fit(recipe, knowledge)
        bundle = self._bundle(history, model, recipe, version, as_of)
        champion = promotions.champion(self._settings, self._use_case)
        if champion is None or champion.version < version:  # else of a run that was killed behind it
            against = champion.version if champion else None
            self._record("promotion", bundle, version, against, as_of, reason)

    def compared_by(self, version: int, halves: CrossFit) -> None:
        """Remember the models by which a version was compared; those of other versions are not needed any more."""
        self._halves = {version: halves}

    def restore(self, version: int, present: int, as_of: datetime, reason: str) -> None:
        """Put a former champion into production again."""
        champion = promotions.champion(self._settings, self._use_case)
        if champion is not None and champion.version == present:  # else of a run that was killed behind it
            self._record("rollback", self._open(version)[0], version, present, as_of, reason)

    def model(self, version: int) -> Model:
        return self._open(version)[1]

    def champion(self, version: int, share: Callable[[datetime], Share]) -> ComparedChampion:
        """A version as the one that others are compared with.

        Args:
            share: the delay's distribution as known at a moment.
        """
        bundle, model = self._open(version)
        recipe = recipes.recipe_named(self._use_case, bundle.manifest.training["recipe"])
        learned_until = bundle.manifest.learned_until
        learned = LabelKnowledge(learned_until, share(learned_until))
        return ComparedChampion(model, recipe, learned, self._halves.get(version))

    def _open(self, version: int) -> tuple[Bundle, Model]:
        if version not in self._opened:
            bundle = open_bundle(bundle_folder(self._settings, self._use_case, version))
            self._opened = dict([*self._opened.items()][-1:])
            self._opened[version] = (bundle, bundle.model())
        return self._opened[version]

    def _bundle(self, history: History, model: Model, recipe: Recipe, version: int, as_of: datetime) -> Bundle:
        problem = problem_of(self._use_case)
        training: dict[str, Any] = {"versions": history.versions, "recipe": recipe.name, "seed": problem.seed}
        features = features_of(model)
        threshold, task = problem.threshold, history.task.stored()
        manifest = Manifest(self._use_case.name, FAMILY, features, threshold, as_of.isoformat(), training, task=task)
        folder = bundle_folder(self._settings, self._use_case, version)
        if folder.exists():  # of a run that was killed behind it
            shutil.rmtree(folder)
        return write(folder, model, manifest)

    def _record(
        self,
        kind: promotions.DecisionKind,
        bundle: Bundle,
        version: int,
        against: int | None,
        as_of: datetime,
        reason: str,
    ) -> None:
        """A decision at the moved clock."""
        promotions.decide(
            self._settings,
            promotions.PromotionDecision(
                use_case=self._use_case.name,
                decided_at=as_of,
                as_of=as_of,
                kind=kind,
                outcome="promoted",
                reason=reason,
                by="replay",
                authenticated=True,
                model_version=version,
                sha256=bundle.sha256,
                champion_version=against,
                digest=f"replay {kind} {version}",
            ),
        )
