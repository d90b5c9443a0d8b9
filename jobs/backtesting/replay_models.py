"""Models of a replay: fitted by a recipe, kept as bundles, promoted in a ledger at the moved clock."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import datetime
from typing import Any

from jobs.datasets.history import History
from jobs.ledger import promotions
from jobs.models.protocol import Model
from jobs.registry.bundle import Bundle, Manifest, open_bundle, write
from jobs.registry.model_versions import bundle_folder
from jobs.settings import Settings
from jobs.training import recipes
from jobs.training.recipes import Champion, CrossFit, Recipe, Share
from jobs.use_case import UseCase, problem_of

FAMILY = "boosted"


class Models:
    """Models of one replay; the last two that were asked for stay loaded: the champion and its predecessor."""

    def __init__(self, settings: Settings, use_case: UseCase) -> None:
        self._settings, self._use_case = settings, use_case
        self._opened: dict[int, tuple[Bundle, Model]] = {}
        self._halves: dict[int, CrossFit] = {}
        """Of the version that was promoted last, what it was compared by."""

    def promote(
        self, history: History, recipe: Recipe, share: Share, version: int, as_of: datetime, reason: str,
        halves: CrossFit | None = None,
    ) -> None:  # fmt: skip
        """Fit `version` on what `recipe` learns from, and put it into production.

        Args:
            halves: what it was compared by; None: nothing.
        """
        self._halves = {} if halves is None else {version: halves}
        model = recipes.fit(history, self._use_case, recipe, as_of, share, FAMILY, {})
        bundle = self._kept(history, model, recipe, version, as_of)
        champion = promotions.champion(self._settings, self._use_case)
        if champion is None or champion.version < version:  # else of a run that was killed behind it
            against = champion.version if champion else None
            self._record("promotion", bundle, version, against, as_of, reason)

    def restore(self, version: int, present: int, as_of: datetime, reason: str) -> None:
        """Put a former champion into production again."""
        champion = promotions.champion(self._settings, self._use_case)
        if champion is not None and champion.version == present:  # else of a run that was killed behind it
            self._record("rollback", self._open(version)[0], version, present, as_of, reason)

    def model(self, version: int) -> Model:
        return self._open(version)[1]

    def champion(self, version: int, share: Callable[[datetime], Share]) -> Champion:
        """A version as the one that others are compared with.

        Args:
            share: the delay's distribution as known at a moment.
        """
        bundle, model = self._open(version)
        recipe = recipes.named(self._use_case, bundle.manifest.training["recipe"])
        learned_until = bundle.manifest.learned_until
        return Champion(model, recipe, learned_until, share(learned_until), self._halves.get(version))

    def _open(self, version: int) -> tuple[Bundle, Model]:
        if version not in self._opened:
            bundle = open_bundle(bundle_folder(self._settings, self._use_case, version))
            self._opened = dict([*self._opened.items()][-1:])
            self._opened[version] = (bundle, bundle.model())
        return self._opened[version]

    def _kept(self, history: History, model: Model, recipe: Recipe, version: int, as_of: datetime) -> Bundle:
        problem = problem_of(self._use_case)
        training: dict[str, Any] = {"versions": history.versions, "recipe": recipe.name, "seed": problem.seed}
        features = tuple((name, "float32") for name in history.names)
        threshold = problem.review.threshold
        manifest = Manifest(self._use_case.name, FAMILY, features, threshold, as_of.isoformat(), training)
        folder = bundle_folder(self._settings, self._use_case, version)
        if folder.exists():  # of a run that was killed behind it
            shutil.rmtree(folder)
        return write(folder, model, manifest)

    def _record(
        self, kind: promotions.Kind, bundle: Bundle, version: int, against: int | None, as_of: datetime, reason: str
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
