"""Alerts about hours in which the decision service decides about other features, or with other scores, than usual."""

from __future__ import annotations

from datetime import datetime

from jobs.alerts import outbox
from jobs.alerts.outbox import Alert
from jobs.drift.online_log import OnlineDrift
from jobs.settings import Settings
from jobs.use_case import UseCase

ONLINE_DRIFT = "online_drift"
"""Kind of the alert; its subject is `hours`, as a fault mostly shows in several features."""
NAMED = 5
"""Features that the message names."""


def settle(settings: Settings, use_case: UseCase, found: OnlineDrift | None, now: datetime) -> None:
    """Send the alert while features are over the line, and resolve it afterwards."""
    holding = [_alert(use_case, found)] if found is not None and found.named else []
    outbox.settle(settings, use_case.name, ONLINE_DRIFT, holding, now)


def _alert(use_case: UseCase, found: OnlineDrift) -> Alert:
    hour, named = found.last, found.named
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    message = (
        f"Decisions of {use_case.name} were expected to be as at this time of other days, but up to "
        f"{hour.hour:%Y-%m-%d %H}:59 UTC {', '.join(named[:NAMED])}{more} were not: look at serving/online_drift, and "
        "at what clients send."
    )
    evidence = {"features": list(named), "decisions": hour.rows, "model_version": found.model_version}
    return Alert(use_case.name, ONLINE_DRIFT, "hours", message, "warning", hour.hour, evidence)
