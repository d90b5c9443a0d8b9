"""Alerts about rollouts that were taken back: they hold for a day, or until a model is brought in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from jobs.alerts.outbox import Alert
from jobs.ledger.rollouts import Rollout

ROLLED_BACK = "rolled_back"
HOLDS = timedelta(days=1)


def rolled_back(rollouts: Sequence[Rollout], now: datetime) -> list[Alert]:
    """Those that hold at a moment. rollouts: all of a use case, oldest first."""
    last = [each for each in rollouts[-1:] if each.state == "rolled back" and each.ended_at is not None]
    return [_alert(each, now) for each in last if each.ended_at is not None and now - each.ended_at < HOLDS]


def _alert(rollout: Rollout, now: datetime) -> Alert:
    versions = ", ".join(str(arm.version) for arm in rollout.arms)
    why = rollout.changes[-1]
    message = (
        f"rollout {rollout.name} of version {versions} was rolled back: {why.reason}; version "
        f"{rollout.champion_version} answers all; `evergreen rollout status --all` shows the evidence"
    )
    return Alert(rollout.use_case, ROLLED_BACK, rollout.name, message, "warning", now, dict(why.evidence))
