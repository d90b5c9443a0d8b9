"""The decision services of all use cases of a worker: opened when it starts, closed when it ends."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Sequence
from typing import Any

from starlette.routing import Route

from jobs.decisions import opened
from jobs.error_messages import in_words
from jobs.errors import EvergreenError
from jobs.settings import Settings
from jobs.use_case import UseCase
from serving.decisions.review_routes import ReviewRoutes
from serving.decisions.routes import DecisionRoutes
from serving.decisions.service import DecisionService
from serving.live_models.live_model import LiveModel
from serving.live_models.watch import LiveModels
from serving.web.body import BodyLimits

AGAIN_SECONDS = 2.0
"""How often a use case is tried again that could not be opened."""
LOG = logging.getLogger("evergreen.serve")


class DecisionServices:
    """Use case -> its service, or why there is none: its model is served all the same."""

    def __init__(self, settings: Settings, models: LiveModels, clock: opened.Clock) -> None:
        self._settings, self._models, self._clock = settings, models, clock
        self.open_services: dict[str, DecisionService] = {}
        self.unopened: dict[str, str] = {}
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def routes(self, limits: BodyLimits) -> list[Route]:
        """All paths below `/v1`."""
        decisions = DecisionRoutes(self.open_services, self.unopened, limits)
        return [*decisions.routes(), *ReviewRoutes(decisions.service, limits).routes()]

    def open(self, use_cases: Sequence[UseCase]) -> None:
        """Read tables and logs; from then on models have to read what these can compute."""
        for use_case in use_cases:
            self._open(use_case)
        self._models.accepts = self._accepts
        if self.unopened:
            self._thread = threading.Thread(target=self._try_again, args=(use_cases,), name="decisions", daemon=True)
            self._thread.start()

    def _open(self, use_case: UseCase) -> None:
        try:
            service = DecisionService(self._settings, use_case, self._models, self._clock)
        except Exception as error:
            told = str(error) if isinstance(error, EvergreenError) else in_words(error)
            if self.unopened.get(use_case.name) != told:
                LOG.error("%s: no decisions: %s", use_case.name, told)
            self.unopened[use_case.name] = told
            return
        self.open_services[use_case.name] = service
        self.unopened.pop(use_case.name, None)
        service.start()

    def _try_again(self, use_cases: Sequence[UseCase]) -> None:
        """Open later what could not be opened: tables come to be, and stores come back."""
        while self.unopened and not self._ended.wait(AGAIN_SECONDS):
            for use_case in (each for each in use_cases if each.name in self.unopened):
                with contextlib.suppress(EvergreenError, OSError):
                    opened.take_base(self._settings, use_case, self._clock)
                self._open(use_case)

    def stop(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        for service in self.open_services.values():
            service.stop()

    def states(self) -> dict[str, Any]:
        """What `/readyz` says of them."""
        return {"decisions": sorted(self.open_services), "no_decisions": dict(self.unopened)}

    def _accepts(self, model: LiveModel) -> None:
        service = self.open_services.get(model.use_case)
        if service is not None:
            service.accepts(model)
