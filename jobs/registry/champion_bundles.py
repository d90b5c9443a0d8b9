"""The champion of a moment as a verified bundle: who it was says the ledger, what it is the registry."""

from __future__ import annotations

from datetime import datetime

from jobs.ledger import promotions
from jobs.registry import model_versions
from jobs.registry.bundle import Bundle
from jobs.settings import Settings
from jobs.use_case import UseCase


class Champions:
    """Champions of one home; a bundle is fetched and verified once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._bundles: dict[tuple[str, int, str], Bundle] = {}

    def at(self, use_case: UseCase, moment: datetime | None) -> tuple[int, Bundle] | None:
        """Version and bundle of who was in production at `moment`, or is (None); None if nobody was.

        Raises BundleError if the registry does not hold that bundle any more.
        """
        found = promotions.champion(self._settings, use_case, at=moment)
        return None if found is None else (found.version, self.bundle(use_case, found.version, found.sha256))

    def version(self, use_case: UseCase, version: int) -> tuple[int, Bundle]:
        """A version that somebody asks for, champion or not. Raises ValueError if there is none."""
        return version, self.bundle(use_case, version, model_versions.get(self._settings, use_case, version).sha256)

    def bundle(self, use_case: UseCase, version: int, sha256: str) -> Bundle:
        """The bundle that the ledger names. Raises BundleError if the registry does not hold it any more."""
        key = (use_case.name, version, sha256)
        if key not in self._bundles:
            self._bundles[key] = model_versions.fetch(self._settings, use_case, version, sha256)
        return self._bundles[key]
