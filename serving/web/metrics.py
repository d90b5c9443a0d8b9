"""What a server counts of its requests, for Prometheus: how many, how long, and which models are in service."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.responses import Response

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Where the workers of one server leave their counts for each other; set before this module is imported."""
SECONDS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)

_REGISTRY = CollectorRegistry()
REQUESTS = Counter(
    "evergreen_requests_total", "Requests answered.", ["protocol", "route", "status"], registry=_REGISTRY
)
DURATION = Histogram(
    "evergreen_request_seconds", "Seconds from a request's head to its answer.", ["protocol", "route"],
    buckets=SECONDS, registry=_REGISTRY,
)  # fmt: skip
MODEL = Gauge(
    "evergreen_model_version", "Version of the model in service.", ["use_case"],
    registry=_REGISTRY, multiprocess_mode="mostrecent",
)  # fmt: skip
REFUSED = Gauge(
    "evergreen_model_refused", "1 while a newer model could not be verified or loaded.", ["use_case"],
    registry=_REGISTRY, multiprocess_mode="mostrecent",
)  # fmt: skip
DECISIONS = Counter(
    "evergreen_decisions_total", "Decisions made, fallbacks among them.", ["use_case", "decision", "model"],
    registry=_REGISTRY,
)  # fmt: skip
FALLBACKS = Counter(
    "evergreen_fallbacks_total", "Decisions that a fallback made.", ["use_case", "fallback"], registry=_REGISTRY
)
UNDECIDED = Gauge(
    "evergreen_undecided", "Events in the log that nobody has decided yet.", ["use_case"],
    registry=_REGISTRY, multiprocess_mode="mostrecent",
)  # fmt: skip


def registry(several_workers: bool) -> CollectorRegistry:
    """The counts of this worker, or of all of them if there are several."""
    if not several_workers:
        return _REGISTRY
    found = CollectorRegistry()
    MultiProcessCollector(found)  # type: ignore[no-untyped-call]
    return found


@lru_cache(4096)
def _of_route(protocol: str, route: str, status: str) -> tuple[Any, Any]:
    return REQUESTS.labels(protocol, route, status), DURATION.labels(protocol, route)


def count(protocol: str, route: str, status: str, seconds: float) -> None:
    """Count a request that was answered."""
    requests, duration = _of_route(protocol, route, status)
    requests.inc()
    duration.observe(seconds)


@lru_cache(4096)
def _of_decision(use_case: str, verdict: str, model: str) -> Any:
    return DECISIONS.labels(use_case, verdict, model)


def count_decision(use_case: str, verdict: str, model: str | None, fallback: str | None) -> None:
    """Count a decision. model: version of the one that made it; fallback: what made it in the model's place."""
    _of_decision(use_case, verdict, model or "none").inc()
    if fallback is not None:
        FALLBACKS.labels(use_case, fallback).inc()


def response(several_workers: bool) -> Response:
    """All counts of the server, in the text format of Prometheus; of all workers if there are several."""
    return Response(generate_latest(registry(several_workers)), media_type=CONTENT_TYPE_LATEST)
