"""How a server is at a moment, for Prometheus: models, what waits, what is left alone after failures, how old it is."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import Gauge

from jobs.decisions import unshipped
from jobs.settings import Settings
from serving.decisions.service import DecisionService
from serving.live_models.watch import LiveModels
from serving.telemetry import review_metrics
from serving.telemetry.registry import OWN


def _gauge(name: str, says: str, labels: list[str], mode: str) -> Gauge:
    """mode: how the values of several workers become one. One without labels would be written at this import."""
    return Gauge(name, says, labels, registry=OWN, multiprocess_mode=mode)  # type: ignore[arg-type]


MODEL = _gauge("evergreen_model_version", "Version of the model in service.", ["use_case"], "mostrecent")
REFUSED = _gauge(
    "evergreen_model_refused", "1 while a newer model could not be verified or loaded.", ["use_case"], "mostrecent"
)
LOOKED = _gauge(
    "evergreen_assignment_age_seconds", "Time since a worker last looked for new models and rollouts; of the slowest.",
    ["of"], "livemax",
)  # fmt: skip
RUNNING = _gauge("evergreen_requests_running", "Requests begun and not yet answered.", ["protocol"], "livesum")
WAITING = _gauge("evergreen_waiting", "Events that wait or are worked on, by queue.", ["use_case", "queue"], "livesum")
BREAKER = _gauge(
    "evergreen_breaker", "What fails is left alone: 0 closed (it is asked), 1 half open (tried once), 2 open.",
    ["use_case", "of"], "livemax",
)  # fmt: skip
TABLES_AGE = _gauge("evergreen_tables_age_seconds", "Age of the tables that decisions stand on.", ["use_case"],
                    "mostrecent")  # fmt: skip
LOG_AGE = _gauge("evergreen_log_age_seconds", "Time since the last record of the log.", ["use_case"], "mostrecent")
UNSHIPPED = _gauge(
    "evergreen_log_unshipped_seconds", "Age of the oldest record that is not in the prediction log; 0: none.",
    ["use_case"], "mostrecent",
)  # fmt: skip
_BREAKER_STATES = {"closed": 0, "half-open": 1, "open": 2}


def look_at_assignment(models: LiveModels) -> None:
    """How old what this worker knows of models and rollouts may be."""
    LOOKED.labels("models").set(time.monotonic() - models.looked_at)


def look_at_models(models: LiveModels) -> None:
    """Which models are in service."""
    for name, model in models.models.items():
        MODEL.labels(name).set(int(model.version))
        REFUSED.labels(name).set(name in models.refused)


def look_at_worker(service: DecisionService) -> None:
    """What waits in this worker, and what it leaves alone."""
    name = service.use_case.name
    for queue, depth in service.waiting().items():
        WAITING.labels(name, queue).set(depth)
    for of, state in service.breakers().items():
        BREAKER.labels(name, of).set(_BREAKER_STATES[state])


def look_at_ages(settings: Settings, service: DecisionService, clock: Callable[[], int]) -> None:
    """How old tables and log are. Raises OSError if the store does not answer, for which it may wait."""
    name, now, decider = service.use_case.name, clock(), service.decider
    TABLES_AGE.labels(name).set((now - decider.states.base.moment) / 1e6)
    LOG_AGE.labels(name).set(max(0, now - decider.log.last_stamp()) / 1e6)
    behind = unshipped.first(settings, service.use_case, decider.log)
    UNSHIPPED.labels(name).set(0 if behind is None else max(0, now - behind.stamp) / 1e6)
    if service.is_asked_for_reviews:  # nobody else reads the log for cases
        review_metrics.OPEN.labels(name).set(len(service.reviews.open_cases()))
