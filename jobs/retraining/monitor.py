"""The evidence of an evening, as a fold over what happened: models that were adopted, days that were decided.

A replay hands on what happened since the evening before, nightly evidence all that is remembered: what is seen of an
evening does not depend on how often one looked before. What is done about it is decided in `jobs.retraining.policy`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

from jobs.arrays import Floats
from jobs.drift.detector import FEWEST_DAYS, Drift
from jobs.ground_truth.drift_windows import DriftTest
from jobs.models.protocol import Model
from jobs.retraining import input_drift, label_evidence
from jobs.retraining.input_drift import Adoption, Measured
from jobs.retraining.label_evidence import DecidedEvents
from jobs.retraining.monitored_history import MonitoredHistory
from jobs.retraining.policy import ALARM, Evidence
from jobs.times import microseconds

DAY = timedelta(days=1)
TOO_FEW_DAYS = f"expected at least {FEWEST_DAYS} days with events before the champion, found fewer"


@dataclass(frozen=True, eq=False)
class Adopted:
    """A model decides from the day `since` on."""

    model: Model
    since: date
    changed_on: date | None = None
    """First day of the change that the model was trained for, or restored in; None: there was none."""


@dataclass(frozen=True, eq=False)
class Decided:
    """A day is over."""

    day: date
    scores: Floats
    """Of all events of the day, by the champion of that day."""
    settled: date | None = None
    """First day of the change whose world has become the usual one with this day; None: there is none."""


Happened = Iterable[Adopted | Decided]
"""What happened, oldest first; every day from the first decided one on is decided once."""


@dataclass(frozen=True, eq=False)
class MonitorState:
    """What the past left behind."""

    scores: Mapping[date, Floats] = field(default_factory=dict)
    """Day -> its decisions."""
    model: Model | None = None
    """The model that decides."""
    adoption: Adoption | None = None
    """Of the model that decides; None: too few days lay before it to be compared with."""
    measured: Measured | None = None
    """A cache of the last evening: what follows from the other fields and the history."""


@dataclass(frozen=True)
class DailyEvidence:
    """What one evening showed."""

    scores: Mapping[str, float]
    """Test -> score, 1 is its alarm line; a test that could not be made is left out."""
    named: Mapping[str, Sequence[str]]
    changed_on: date
    reports: int
    """Labels known by now."""
    maturity: float
    """Share of the day's reports that is expected to be in."""
    positives: Mapping[date, int]
    versions: Mapping[str, Any] = field(default_factory=dict)
    drift: Drift | None = None
    """Of the day, feature by feature; None: it was not judged."""
    concept: DriftTest | None = None
    quality: Mapping[date, float] = field(default_factory=dict)
    """The objective of mature days, where it is defined, on a scale where more is better."""
    reference: tuple[date, date] | None = None
    """First and last day of what drift is judged against; None: there is no reference."""
    note: str = ""
    """Why there is none."""

    def evidence(self, as_of: datetime) -> Evidence:
        """The part of it that the policy decides by."""
        return Evidence(as_of, self.scores, self.changed_on, self.positives, self.named, self.versions)


def evening(
    state: MonitorState, monitored: MonitoredHistory, happened: Happened, as_of: datetime
) -> tuple[MonitorState, DailyEvidence]:
    """The state after what happened since the evening of `state`, and the evidence of the evening that ends at `as_of`.

    Args:
        monitored: the history; its events are the same on every evening, of its labels fewer may be known.
    """
    for event in happened:
        state = _adopted(state, monitored, event) if isinstance(event, Adopted) else _decided(state, monitored, event)
    if state.adoption is not None:
        latest = input_drift.measured(monitored, state.adoption, state.scores, microseconds(as_of), state.measured)
        state = replace(state, measured=latest)
    return state, _evidence(state, monitored, as_of)


def _adopted(state: MonitorState, monitored: MonitoredHistory, event: Adopted) -> MonitorState:
    adoption = input_drift.adopted(monitored, event.model, event.since - DAY, event.changed_on)
    return replace(state, model=event.model, adoption=adoption or state.adoption)


def _decided(state: MonitorState, monitored: MonitoredHistory, event: Decided) -> MonitorState:
    """Once a change is old enough, the days since are what the next ones are compared with."""
    state = replace(state, scores={**state.scores, event.day: event.scores})
    if event.settled is None or state.model is None:
        return state
    adoption = input_drift.adopted(monitored, state.model, event.day, settled_since=event.settled)
    return replace(state, adoption=adoption or state.adoption)


def _evidence(state: MonitorState, monitored: MonitoredHistory, as_of: datetime) -> DailyEvidence:
    today, events = as_of.date() - DAY, DecidedEvents(monitored, state.scores, as_of)
    drift = state.measured.drift(monitored.use_case.label_features) if state.measured is not None else None
    quality = label_evidence.daily_quality(events)
    concept, lost = label_evidence.concept(events), label_evidence.performance(quality, monitored.history.task)
    scores = {
        **({"drift": drift.score} if drift is not None else {}),
        **({"concept": concept.score} if concept is not None else {}),
        **({"performance": lost} if lost is not None else {}),
    }
    changed_on = today
    if drift is not None and drift.votes:
        changed_on = today - (min(drift.votes) - 1) * DAY
    elif concept is not None and concept.alarm:
        changed_on = today - (min(concept.windows, key=concept.windows.__getitem__) - 1) * DAY
    elif lost is not None and lost >= ALARM:
        changed_on = label_evidence.dropped_on(events)
    return DailyEvidence(
        scores,
        {"drift": drift.named} if drift is not None else {},
        changed_on,
        int(monitored.known_labels(events.moment).sum()),
        monitored.maturity(today, events.delay, events.moment),
        monitored.positives(events.positive),
        drift=drift,
        concept=concept,
        quality={day: value for day, value in quality.items() if not math.isnan(value)},
        reference=state.measured.reference_days if state.measured is not None else None,
        note=state.measured.note if state.measured is not None else TOO_FEW_DAYS,
    )
