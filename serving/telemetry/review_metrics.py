"""What a worker counts of reviews: cases that wait for a verdict, and verdicts by kind."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

from serving.telemetry.registry import OWN

OPEN = Gauge(
    "evergreen_reviews_open", "Cases that wait for a reviewer's verdict.", ["use_case"],
    registry=OWN, multiprocess_mode="mostrecent",
)  # fmt: skip
VERDICTS = Counter(
    "evergreen_verdicts_total", "Verdicts of reviewers, each once.", ["use_case", "verdict"], registry=OWN
)
