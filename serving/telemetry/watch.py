"""The look at a worker every half second: what was seen is counted, and states are told to the other workers."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping

from jobs.decisions.opened import Clock
from jobs.settings import Settings
from serving.decisions.service import LOG, DecisionService
from serving.live_models.watch import LiveModels
from serving.telemetry import slos, states
from serving.telemetry.tally import flush_all

LOOK_SECONDS = 0.5


class Watch:
    """Of one worker."""

    def __init__(
        self, settings: Settings, models: LiveModels, services: Mapping[str, DecisionService], clock: Clock
    ) -> None:
        self._settings, self._models, self._services, self._clock = settings, models, services, clock
        self.running: Callable[[], int] = lambda: 0
        """How many requests run."""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="telemetry", daemon=True)

    def start(self) -> None:
        slos.announce()
        self._thread.start()

    def stop(self) -> None:
        """End after a last look, so that the other workers know all that this one counted."""
        self._ended.set()
        self._thread.join()
        flush_all()

    def look(self) -> None:
        """Count what was seen, and tell states; waits for nobody."""
        flush_all()
        states.RUNNING.labels("http").set(self.running())
        states.look_at_assignment(self._models)
        for service in list(self._services.values()):
            states.look_at_worker(service)

    def look_closely(self) -> None:
        """The same, with ages of tables and logs, which may wait for a store."""
        self.look()
        states.look_at_models(self._models)
        for service in list(self._services.values()):
            with contextlib.suppress(OSError):  # what a store does not tell stays as it was; its breaker says so
                states.look_at_ages(self._settings, service, self._clock)

    def _go_on(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            try:
                self.look()
            except Exception:  # what is counted must not end with one look
                LOG.exception("telemetry")
