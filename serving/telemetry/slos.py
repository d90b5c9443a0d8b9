"""The objectives that a server is held to, declared here once: rules, dashboards and alerts read them from `/metrics`.

Each is a share of events that must be good. What is counted as an event is said where it is counted.
"""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import Counter, Gauge

from serving.telemetry.registry import OWN

LATENCY_SECONDS = 0.05
"""A decision that takes longer, from the request to the record of it in the log, is a bad one by LATENCY."""
EVENTS = Counter("evergreen_slo_events", "Events that an objective counts.", ["slo"], registry=OWN)
BAD = Counter("evergreen_slo_bad", "Events among them that were not as they should be.", ["slo"], registry=OWN)
OBJECTIVE = Gauge(
    "evergreen_slo_objective", "Share of events that must be good.", ["slo"], registry=OWN,
    multiprocess_mode="mostrecent",
)  # fmt: skip


@dataclass(frozen=True)
class Slo:
    """One objective."""

    name: str
    objective: float

    def count(self, events: int, bad: int) -> None:
        """Count events, and how many of them were bad."""
        EVENTS.labels(self.name).inc(events)
        BAD.labels(self.name).inc(bad)


AVAILABILITY = Slo("availability", 0.999)
"""Requests for decisions that are answered with anything but an error of the server (status 500 and above)."""
LATENCY = Slo("latency", 0.99)
"""Decisions that are made within LATENCY_SECONDS."""
USUAL_WAY = Slo("usual_way", 0.99)
"""Decisions that the model makes by what is known now: no fallback makes them."""
SLOS = (AVAILABILITY, LATENCY, USUAL_WAY)


def announce() -> None:
    """Let the objectives and their counts be seen from the start, before anything happens."""
    for slo in SLOS:
        OBJECTIVE.labels(slo.name).set(slo.objective)
        slo.count(0, 0)
