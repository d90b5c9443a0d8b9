"""Counts of all workers since the start of the server, as numbers with labels: who asks twice has the rates."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry

COUNTED = {
    "evergreen_requests": "requests", "evergreen_decisions": "decisions", "evergreen_fallbacks": "fallbacks",
}  # fmt: skip
"""Names of counters in Prometheus -> here."""
TIMED = "evergreen_request_seconds"


def totals(registry: CollectorRegistry) -> dict[str, list[dict[str, Any]]]:
    """Counts of requests, decisions and fallbacks, each with its labels, and how long requests took.

    In `seconds`, `bounds` are upper ends in seconds and `counts` how many requests took at most so long; the last bound
    is null, for all.
    """
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in (*COUNTED.values(), "seconds")}
    for family in registry.collect():
        if family.name in COUNTED:
            counted = [each for each in family.samples if each.name == f"{family.name}_total"]
            found[COUNTED[family.name]] = [{**each.labels, "count": int(each.value)} for each in counted]
        if family.name == TIMED:
            found["seconds"] = _histograms(family.samples)
    return found


def _histograms(samples: list[Any]) -> list[dict[str, Any]]:
    found: dict[tuple[str, str], dict[float, int]] = {}
    for each in samples:
        if each.name == f"{TIMED}_bucket":
            key = each.labels["protocol"], each.labels["route"]
            found.setdefault(key, {})[float(each.labels["le"])] = int(each.value)
    return [
        {
            "protocol": protocol, "route": route, "bounds": [*sorted(counts)[:-1], None],
            "counts": [counts[bound] for bound in sorted(counts)],
        }
        for (protocol, route), counts in found.items()
    ]  # fmt: skip
