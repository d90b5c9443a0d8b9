"""The rollouts of a use case as a worker carries them out: what is published, and the models of all arms."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jobs.error_messages import in_words
from jobs.errors import EvergreenError
from jobs.promotion import export_onnx
from jobs.rollouts import published
from jobs.rollouts.assignment import PublishedArm, PublishedRollout
from jobs.settings import Settings
from jobs.state_files import Identity, identity
from jobs.use_case import UseCase
from serving.live_models.live_model import LiveModel

LOG = logging.getLogger("evergreen.serve")


@dataclass(frozen=True, eq=False)
class Arms:
    """What is published, at one moment; a new value takes its place when it changes."""

    rollouts: Sequence[PublishedRollout] = ()
    models: Mapping[str, LiveModel] = field(default_factory=dict)
    """Sha256 of an export -> its model, of the arms whose model could be loaded."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """The same -> why it could not."""


class LiveRollouts:
    """Follows the file; read by many threads, brought up to date by one."""

    def __init__(self, settings: Settings, use_case: UseCase) -> None:
        self._root, self._name = export_onnx.root(settings, use_case), use_case.name
        self._file = published.path(settings, use_case)
        self._seen: Identity | None = None
        self.arms = Arms()

    def look(self) -> None:
        """Take what is published now; what cannot be read changes nothing, and is told."""
        seen = identity(self._file)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self.arms = self._taken(published.read(self._file))
        except EvergreenError as error:
            LOG.error("%s: %s; the assignment stays as it was", self._name, error)

    def _taken(self, rollouts: Sequence[PublishedRollout]) -> Arms:
        before = self.arms.models
        self.arms = self._without_new_models(rollouts)
        models, refused = {}, {}
        for arm in (arm for rollout in rollouts for arm in rollout.arms):
            known = before.get(arm.sha256)
            try:
                models[arm.sha256] = known or self._loaded(arm)
            except Exception as error:  # whatever is wrong with a new model, the champion answers in its place
                refused[arm.sha256] = str(error) if isinstance(error, EvergreenError) else in_words(error)
                LOG.error("%s: version %s: %s", self._name, arm.version, refused[arm.sha256])
        LOG.info("%s: %d rollouts are in service", self._name, len(rollouts))
        return Arms(rollouts, models, refused)

    def _without_new_models(self, rollouts: Sequence[PublishedRollout]) -> Arms:
        """The rollouts of which all models are there: what was taken back waits for no other model to be loaded."""
        known = self.arms.models
        there = [each for each in rollouts if all(arm.sha256 in known for arm in each.arms)]
        used = {arm.sha256 for rollout in there for arm in rollout.arms}
        return Arms(there, {sha256: known[sha256] for sha256 in used})

    def _loaded(self, arm: PublishedArm) -> LiveModel:
        return LiveModel.load(self._name, export_onnx.open_export(self._root / str(arm.version), arm.sha256))
