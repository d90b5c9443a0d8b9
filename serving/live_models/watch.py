"""Which models are in service: each use case's exported champion, changed within a second of a promotion or rollback.

A new model is verified and loaded before it replaces the one in service; one that cannot be verified changes nothing,
and is told. Requests that run on the former model end on it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from jobs.error_messages import in_words
from jobs.errors import EvergreenError
from jobs.promotion import export_onnx
from jobs.settings import Settings
from jobs.state_files import Identity, identity
from jobs.use_case import UseCase
from serving.live_models.live_model import LiveModel
from serving.live_models.live_rollouts import LiveRollouts

POLL_SECONDS = 0.2
"""How often the pointer of each use case is looked at: one call of the operating system."""
TRY_AGAIN_SECONDS = 5.0
"""A model that was refused is looked at again after this time, since it may have been mended where it lies."""
LOG = logging.getLogger("evergreen.serve")


class NothingToServe(EvergreenError, RuntimeError):
    """No use case has an exported model that could be verified."""


@dataclass
class _Watched:
    use_case: UseCase
    model: LiveModel | None = None
    refused: str | None = None
    seen: Identity | None = None
    looked: float = field(default=-TRY_AGAIN_SECONDS)


class LiveModels:
    """The models of some use cases in service; safe to be read by many threads."""

    def __init__(self, settings: Settings, use_cases: Sequence[UseCase]) -> None:
        self._settings = settings
        self.accepts: Callable[[LiveModel], None] = lambda model: None
        """Raises an EvergreenError for a model that must not take the place of the one in service."""
        self._watched = {use_case.name: _Watched(use_case) for use_case in use_cases}
        self.rollouts = {use_case.name: LiveRollouts(settings, use_case) for use_case in use_cases}
        """What is beside the champion of each use case."""
        self.looked_at = time.monotonic()
        """When all of it was last looked at, in seconds of a clock that only goes on."""
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Load what is current, and go on looking in a thread. Raises NothingToServe as `require` does."""
        self.require()
        self._thread = threading.Thread(target=self._go_on, name="models in service", daemon=True)
        self._thread.start()

    def require(self) -> None:
        """Load what is current.

        Raises:
            NothingToServe: no use case has a model that could be verified and loaded.
        """
        self.look(time.monotonic())
        if not self.models:
            raise NothingToServe(f"expected an exported model, found none: {self._reasons()}")

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    @property
    def models(self) -> Mapping[str, LiveModel]:
        """Use case -> its model, of those that have one."""
        return {name: watched.model for name, watched in self._watched.items() if watched.model is not None}

    def get(self, use_case: str) -> LiveModel | None:
        """The model in service; None if there is none, or no such use case."""
        watched = self._watched.get(use_case)
        return watched.model if watched else None

    @property
    def refused(self) -> Mapping[str, str]:
        """Use case -> why the model that is current by its pointer is not in service."""
        return {name: watched.refused for name, watched in self._watched.items() if watched.refused is not None}

    def look(self, now: float) -> None:
        """Bring every model up to date whose pointer moved, or that was refused a while ago.

        Args:
            now: seconds of a clock that only goes on.
        """
        for rollouts in self.rollouts.values():
            rollouts.look()
        for watched in self._watched.values():
            pointer = identity(export_onnx.root(self._settings, watched.use_case) / export_onnx.POINTER)
            again = watched.refused is not None and now - watched.looked >= TRY_AGAIN_SECONDS
            if pointer != watched.seen or again:
                watched.seen, watched.looked = pointer, now
                self._bring_up_to_date(watched)
        self.looked_at = time.monotonic()

    def _bring_up_to_date(self, watched: _Watched) -> None:
        name = watched.use_case.name
        try:
            exported = export_onnx.current(self._settings, watched.use_case)
            if exported is None:
                watched.refused = None if watched.model is None else "its pointer is gone; run `evergreen run`"
                return
            if watched.model is None or watched.model.sha256 != exported.sha256:
                loaded = LiveModel.load(name, exported)
                if watched.model is not None:
                    self.accepts(loaded)
                watched.model = loaded
                LOG.info("%s: version %s is in service", name, watched.model.version)
            watched.refused = None
        except Exception as error:  # whatever is wrong with a new model, the one in service goes on
            watched.refused = str(error) if isinstance(error, EvergreenError) else in_words(error)
            kept = f"version {watched.model.version} stays in service" if watched.model else "it has no model"
            LOG.error("%s: %s; %s", name, watched.refused, kept)

    def _go_on(self) -> None:
        while not self._ended.wait(POLL_SECONDS):
            try:
                self.look(time.monotonic())
            except Exception:  # a disk that is away for a moment must not end the looking
                LOG.exception("models and rollouts stay as they were")

    def _reasons(self) -> str:
        nothing = "nothing was exported yet; run `evergreen run`"
        return "; ".join(f"{name}: {watched.refused or nothing}" for name, watched in self._watched.items())
