"""What a server counts of its requests, for Prometheus: how many, how long, and how many run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from prometheus_client import Counter

from serving.telemetry.distribution import Distribution
from serving.telemetry.registry import OWN
from serving.telemetry.slos import AVAILABILITY
from serving.telemetry.tally import Tally

SECONDS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
DECIDING = frozenset({"/v1/{use_case}/decisions", "/evergreen.DecisionService/Decide"})
"""Routes whose requests count for the objective of availability."""
OWN_FAULT = "500"
"""From this status on an error is the server's."""
Answered = tuple[str, str, str, float]
"""Protocol, route, status and seconds of a request."""

REQUESTS = Counter("evergreen_requests_total", "Requests answered.", ["protocol", "route", "status"], registry=OWN)
DURATION = Distribution(
    "evergreen_request_seconds", "Seconds from a request's head to its answer.", ["protocol", "route"],
    buckets=SECONDS, registry=OWN,
)  # fmt: skip


def _count(answered: Sequence[Answered]) -> None:
    seconds: defaultdict[tuple[str, str, str], list[float]] = defaultdict(list)
    for protocol, route, status, took in answered:
        seconds[protocol, route, status].append(took)
    for (protocol, route, status), found in seconds.items():
        REQUESTS.labels(protocol, route, status).inc(len(found))
        DURATION.labels(protocol, route).observe_all(found)
        if route in DECIDING:
            AVAILABILITY.count(len(found), len(found) if status >= OWN_FAULT else 0)


_ANSWERED: Tally[Answered] = Tally(_count)


def count(protocol: str, route: str, status: str, seconds: float) -> None:
    """Count a request that was answered."""
    _ANSWERED.add((protocol, route, status, seconds))
