"""The decision services of all use cases of a worker: opened when it starts, closed when it ends."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from starlette.routing import Route

from jobs.decisions import opened
from jobs.error_messages import in_words
from jobs.errors import EvergreenError
from jobs.settings import Settings
from jobs.use_case import UseCase
from serving.decisions.routes import DecisionRoutes
from serving.decisions.service import DecisionService
from serving.live_models.live_model import LiveModel
from serving.live_models.watch import LiveModels
from serving.web.body import BodyLimits

LOG = logging.getLogger("evergreen.serve")


class DecisionServices:
    """Use case -> its service, or why there is none: its model is served all the same."""

    def __init__(self, settings: Settings, models: LiveModels, clock: opened.Clock) -> None:
        self._settings, self._models, self._clock = settings, models, clock
        self.open_services: dict[str, DecisionService] = {}
        self.unopened: dict[str, str] = {}

    def routes(self, limits: BodyLimits) -> list[Route]:
        """All paths below `/v1`."""
        return DecisionRoutes(self.open_services, self.unopened, limits).routes()

    def open(self, use_cases: Sequence[UseCase]) -> None:
        """Read tables and logs; from then on models have to read what these can compute."""
        for use_case in use_cases:
            try:
                service = DecisionService(self._settings, use_case, self._models, self._clock)
            except Exception as error:
                self.unopened[use_case.name] = str(error) if isinstance(error, EvergreenError) else in_words(error)
                LOG.error("%s: no decisions: %s", use_case.name, self.unopened[use_case.name])
                continue
            self.open_services[use_case.name] = service
            service.start()
        self._models.accepts = self._accepts

    def stop(self) -> None:
        for service in self.open_services.values():
            service.stop()

    def states(self) -> dict[str, Any]:
        """What `/readyz` says of them."""
        return {"decisions": sorted(self.open_services), "no_decisions": dict(self.unopened)}

    def _accepts(self, model: LiveModel) -> None:
        service = self.open_services.get(model.use_case)
        if service is not None:
            service.accepts(model)
