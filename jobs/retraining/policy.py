"""Whether to train again: one pure function from the evidence of a moment and the decisions before it.

Two things call for a training. An *alarm* (drift of inputs or scores, drift seen through labels, a drop of performance)
opens an episode: the world may have changed. A second evening that alarms confirms it; one odd day alone is forgotten.
What is known of the new world grows by the day. Within an episode the first training waits for enough positives of
after the change, and each later one until they are three times as many, or until a week has passed and there are some
more: the error of a model falls about with the square root of its examples (Mukherjee et al., Journal of Computational
Biology 10, 2003, fit such learning curves), so that trainings help most at
first. Without an alarm, age alone calls for one. A cooldown and a budget bound both; an expected gain has to be worth a
training.

What is measured is in `jobs.retraining.monitor`, what a decision sets off in `jobs.retraining.challenger`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any, Literal

Trigger = Literal["none", "first", "alarm", "growth", "age", "asked"]
"""What calls for a training; `asked`: a person did."""
ALARM = 1.0
"""Every score of the evidence is scaled so that its alarm line is here."""


@dataclass(frozen=True)
class Rules:
    """What is asked of a training before it is worth it."""

    positives: int = 20
    """Known positives of after a change, before anything is learned from it."""
    growth_factor: float = 3.0
    """Factor by which they must have grown since the last training of the episode."""
    late_after: timedelta = timedelta(days=7)
    """Age of the last training of an episode from which on less growth is enough."""
    late_growth: float = 1.2
    """Growth that is enough from `late_after` on."""
    cooldown: timedelta = timedelta(days=2)
    budget: int = 6
    """Trainings within `budget_period`."""
    budget_period: timedelta = timedelta(days=42)
    refresh: timedelta = timedelta(days=42)
    """Age of a champion's training at which it is due without any alarm."""
    confirming_evenings: int = 2
    """Evenings that must alarm before anything is trained for a change."""
    confirm_within: timedelta = timedelta(days=7)
    """Alarms must be confirmed within this time."""
    episode: timedelta = timedelta(days=42)
    """An episode is over when its change is this old: by then it is what the model knows best."""
    loss: float = 0.3
    """Objective that a change is taken to cost before anything was learned from it."""
    gain: float = 0.004
    """Least objective that a training must be expected to bring: what one costs, in the objective's terms."""


@dataclass(frozen=True)
class Evidence:
    """What is known at a moment."""

    as_of: datetime
    scores: Mapping[str, float]
    """Test -> score, 1 is its alarm line: `drift`, `concept`, `performance`."""
    changed_on: date
    """If a score alarms, the first day of the change: of the window that alarms."""
    positives: Mapping[date, int]
    """Positives known by now, by the day of their event."""
    named: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """What each test names: features, slices."""
    versions: Mapping[str, Any] = field(default_factory=dict)
    """Versions of the tables that it was measured on."""
    in_production: bool = True
    """Whether there is a champion."""

    @property
    def alarms(self) -> tuple[str, ...]:
        return tuple(name for name, score in self.scores.items() if score >= ALARM)

    def positives_since(self, day: date) -> int:
        return sum(count for event_day, count in self.positives.items() if event_day >= day)


@dataclass(frozen=True)
class RetrainingDecision:
    """Yes or no, and why. What later decisions need to know of this one is in it."""

    as_of: datetime
    retrain: bool
    trigger: Trigger
    reason: str
    episode: date | None
    """First day of the change that is being learned, if there is one."""
    positives: int
    """Known positives of the episode."""
    alarms: tuple[str, ...] = ()
    expected_gain: float = 0.0


def retrain_policy(
    evidence: Evidence, history: Sequence[RetrainingDecision], rules: Rules = Rules()
) -> RetrainingDecision:
    """Decide.

    Args:
        history: the decisions before, oldest first; those of `evidence.as_of` or later are not looked at, so that a
            clock that went backwards decides as it did.
    """
    past = [decision for decision in history if decision.as_of < evidence.as_of]
    trained = [decision for decision in past if decision.retrain]
    episode = _episode(evidence, past, rules)
    positives = evidence.positives_since(episode) if episode else 0

    def decide(retrain: bool, trigger: Trigger, reason: str, gain: float = 0.0) -> RetrainingDecision:
        return RetrainingDecision(evidence.as_of, retrain, trigger, reason, episode, positives, evidence.alarms, gain)

    if not trained:
        return decide(True, "first", "nothing was trained yet")
    if not evidence.in_production:
        return _bounded(decide(True, "first", "no model is in production yet"), trained, rules)
    age = evidence.as_of - trained[-1].as_of
    if episode is None:
        if age >= rules.refresh:
            return _bounded(decide(True, "age", f"the last training is {age.days} days old"), trained, rules)
        return decide(False, "none", f"no alarm; the last training is {age.days} of {rules.refresh.days} days old")
    return _bounded(_in_episode(evidence, past, episode, positives, decide, rules), trained, rules)


def _episode(evidence: Evidence, past: Sequence[RetrainingDecision], rules: Rules) -> date | None:
    """First day of the change that is being learned: of an open episode, or of one that an alarm opens."""
    today = evidence.as_of.date()
    open_one = past[-1].episode if past else None
    if open_one is not None and today - open_one < rules.episode:
        alarmed = _alarmed(evidence, past, open_one)
        if len(alarmed) >= rules.confirming_evenings or today - min(alarmed, default=open_one) < rules.confirm_within:
            return open_one
    return evidence.changed_on if evidence.alarms else None


def _alarmed(evidence: Evidence, past: Sequence[RetrainingDecision], episode: date) -> set[date]:
    """Evenings that alarmed since an episode was opened, this one included."""
    before = {decision.as_of.date() for decision in past if decision.episode == episode and decision.alarms}
    return before | ({evidence.as_of.date()} if evidence.alarms else set())


def _in_episode(
    evidence: Evidence,
    past: Sequence[RetrainingDecision],
    episode: date,
    positives: int,
    decide: Callable[..., RetrainingDecision],
    rules: Rules,
) -> RetrainingDecision:
    trained = [decision for decision in past if decision.retrain]
    had = max((decision.positives for decision in trained if decision.episode == episode), default=0)
    settled = evidence.as_of - trained[-1].as_of >= rules.late_after
    positives_needed = max(rules.positives, int((rules.late_growth if settled else rules.growth_factor) * had))
    named = sorted({name for alarm in evidence.alarms for name in evidence.named.get(alarm, ())})
    why = f"change of {episode}" + (f" ({', '.join(named[:5])})" if named else "")
    progress = f"{positives} positives of after it are known, {had} at the last training"
    alarmed = len(_alarmed(evidence, past, episode))
    if alarmed < rules.confirming_evenings:
        return decide(False, "none", f"{why}: {progress}; {alarmed} of {rules.confirming_evenings} evenings alarmed")
    if positives < positives_needed:
        return decide(False, "none", f"{why}: {progress}, waits for {positives_needed}")
    gain = expected_gain(had, positives, rules)
    if gain < rules.gain:
        worth = f"worth {gain:.3f} of the objective, wanted {rules.gain}"
        return decide(False, "none", f"{why}: {progress}, {worth}", gain)
    return decide(True, "growth" if had else "alarm", f"{why}: {progress}", gain)


def expected_gain(had: int, have: int, rules: Rules) -> float:
    """Objective that a training on `have` positives of a new world is expected to add to one on `had`.

    What is left of the loss falls with the square root of the positives, once they are more than `rules.positives`.
    """

    def left(count: int) -> float:
        return rules.loss * math.sqrt(rules.positives / (rules.positives + count))

    return left(had) - left(have)


def _bounded(decision: RetrainingDecision, trained: Sequence[RetrainingDecision], rules: Rules) -> RetrainingDecision:
    """The decision, unless cooldown or budget speak against it."""
    if not decision.retrain:
        return decision
    since = decision.as_of - trained[-1].as_of
    recent = sum(decision.as_of - past.as_of < rules.budget_period for past in trained)
    refused = ""
    if since < rules.cooldown:
        refused = f"but the last training is {since} old, cooldown {rules.cooldown}"
    elif recent >= rules.budget:
        refused = f"but {recent} trainings in {rules.budget_period.days} days are the budget"
    if not refused:
        return decision
    return replace(decision, retrain=False, trigger="none", reason=f"{decision.reason}; {refused}")
