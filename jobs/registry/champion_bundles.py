"""The champion of a moment as a verified bundle: the ledger holds which version it was, the registry its bundle."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from jobs.display import listed
from jobs.errors import Invalid
from jobs.ledger import promotions
from jobs.models.protocol import Model
from jobs.registry import model_versions
from jobs.registry.bundle import Bundle
from jobs.settings import Settings
from jobs.tasks.task import Task
from jobs.use_case import UseCase


class Champions:
    """Champions of one home; a bundle is fetched and verified once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._bundles: dict[tuple[str, int, str], Bundle] = {}
        self._models: dict[tuple[Any, ...], Any] = {}

    def at(self, use_case: UseCase, moment: datetime | None) -> tuple[int, Bundle] | None:
        """Version and bundle of the champion at `moment`, or now (None); None if there was none.

        Raises BundleError if the registry does not hold that bundle any more.
        """
        champion = promotions.champion(self._settings, use_case, at=moment)
        return (
            None if champion is None else (champion.version, self.bundle(use_case, champion.version, champion.sha256))
        )

    def version(self, use_case: UseCase, version: int) -> tuple[int, Bundle]:
        """A version by its number, champion or not. Raises ValueError if there is none."""
        return version, self.bundle(use_case, version, model_versions.get(self._settings, use_case, version).sha256)

    def bundle(self, use_case: UseCase, version: int, sha256: str) -> Bundle:
        """The bundle that the ledger names. Raises BundleError if the registry does not hold it any more."""
        key = (use_case.name, version, sha256)
        if key not in self._bundles:
            self._bundles[key] = model_versions.fetch(self._settings, use_case, version, sha256)
        return self._bundles[key]

    def model(
        self, use_case: UseCase, version: int, sha256: str, names: Sequence[str], task: Task | None = None
    ) -> Model:
        """The model of a version, on features in the order of `names`; loaded once for each order.

        Args:
            task: whose classes the columns of scores are; None: those of the model.

        Raises:
            ValueError: `names` lack a feature of the model. BundleError: as `bundle`.
        """
        key = (sha256, tuple(names), task.classes if task else ())
        if key not in self._models:
            bundle = self.bundle(use_case, version, sha256)
            if missing := [name for name in bundle.manifest.names if name not in names]:
                raise Invalid(
                    f"version {version}: expected the features {listed(missing)} among {listed(names)}; retrain without"
                )
            self._models[key] = ChampionModel(bundle, names, task)
        model: Model = self._models[key]
        return model


class ChampionModel:
    """The model of a bundle, on features of which it picks its own; loaded when it first predicts."""

    def __init__(self, bundle: Bundle, names: Sequence[str], task: Task | None = None) -> None:
        self.identity = bundle.sha256
        """The same features, by the same names, get the same scores of a model of the same identity."""
        self._bundle, self._task = bundle, task
        positions = [list(names).index(name) for name in bundle.manifest.names]
        self._positions = None if positions == list(range(len(names))) else positions

    def predict(self, features: Any) -> Any:
        """See `Model.predict`."""
        scores = self._model.predict(features if self._positions is None else features[:, self._positions])
        return scores if self._task is None else self._task.aligned(scores, self._bundle.manifest.learned.classes)

    @cached_property
    def _model(self) -> Model:
        return self._bundle.model()
