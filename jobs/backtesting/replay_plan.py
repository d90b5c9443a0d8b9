"""What is replayed, and by which policy trainings come about: by the calendar, by `jobs.retraining.policy`, or never.

What a day leads to: see `jobs.backtesting.replay_world`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Literal

from jobs.actions.exploration import Acting
from jobs.retraining.monitor import DailyEvidence
from jobs.retraining.policy import RetrainingDecision, Rules, retrain_policy
from jobs.times import midnight

Policy = Literal["never", "weekly", "daily", "auto"]
DAYS_BETWEEN_TRAININGS = {"weekly": 7, "daily": 1}
FIRST_TRAINING = timedelta(days=60)
"""Days of history before the first training, unless a plan has another start."""


@dataclass(frozen=True)
class Plan:
    """What is replayed."""

    policy: Policy
    first: date
    last: date
    trained_on: date
    """The first training is at the midnight that begins this day; days before it are only collected."""
    instant: bool = False
    """Every label is known with its event: what no real world offers, as a yardstick."""
    seed: int = 0
    rules: Rules = field(default_factory=Rules)
    acting: Acting | None = None
    """What is done about the scores; None: nothing, and every label comes."""

    def first_decision(self) -> RetrainingDecision:
        """The decision for the first training."""
        return RetrainingDecision(midnight(self.trained_on), True, "first", "nothing was trained yet", None, 0)

    def decision(
        self, evening: datetime, daily: DailyEvidence, decisions: Sequence[RetrainingDecision]
    ) -> RetrainingDecision:
        """What the policy decides on an evening, after earlier `decisions`."""
        evidence = daily.evidence(evening)
        if self.policy == "auto":
            return retrain_policy(evidence, decisions, self.rules)
        number, interval = (evening.date() - self.trained_on).days, DAYS_BETWEEN_TRAININGS.get(self.policy)
        due = interval is not None and number % interval == 0
        reason = f"{self.policy}: {'due' if due else 'not due'}"
        return RetrainingDecision(evening, due, "age" if due else "none", reason, None, 0, evidence.alarms)
