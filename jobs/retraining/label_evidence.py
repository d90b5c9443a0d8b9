"""The champion's decisions in the light of reports: whether what labels follow from changed, whether quality dropped.

The statistics are those of `jobs.ground_truth.concept_drift` and `jobs.ground_truth.performance_drop`, on arrays of a
history.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property

import numpy as np

from jobs.arrays import Bools, Floats, surest
from jobs.ground_truth import performance_drop
from jobs.ground_truth.concept_drift import concept_drift, loss_drift
from jobs.ground_truth.drift_windows import DriftTest
from jobs.ground_truth.label_delay import Delay
from jobs.ground_truth.label_maturity import MATURE
from jobs.ground_truth.labelled_scores import LabelledScores
from jobs.ground_truth.reports import reported_until
from jobs.retraining.input_drift import DailyScores
from jobs.retraining.monitored_history import MonitoredHistory
from jobs.tasks.task import Labels, RowValues, Scores, Task
from jobs.times import MICROSECONDS_A_DAY, NEVER, ages, microseconds, numbered_day
from jobs.use_case import UseCase, problem_of

REMEMBERED = timedelta(days=90)
"""How far back decisions are looked at through their labels, unless these mature slowly."""


def remembered(use_case: UseCase) -> timedelta:
    """How far back decisions are looked at: to the first day that a drop of performance is judged by."""
    judged = timedelta(days=performance_drop.RECENT_DAYS + performance_drop.NOISE_DAYS + 1)
    return max(REMEMBERED, use_case.label_maturity + judged)


@dataclass(frozen=True, eq=False)
class DecidedEvents:
    """Decisions, and what is known about them at a moment."""

    known: MonitoredHistory
    scores: DailyScores
    as_of: datetime

    @cached_property
    def moment(self) -> int:
        """`as_of` in microseconds since 1970."""
        return microseconds(self.as_of)

    @cached_property
    def delay(self) -> Delay:
        """How long reports take."""
        return self.known.delay(self.as_of)

    @cached_property
    def positive(self) -> Bools:
        """Whether each event of the history is known as positive."""
        return self.known.positive(self.moment)

    @property
    def since(self) -> date:
        """The day after which decisions are looked at."""
        return self.as_of.date() - remembered(self.known.use_case)


def concept(events: DecidedEvents) -> DriftTest | None:
    """Whether reported positives score lower than they used to, of the decisions of the last months; of numbers and
    classes, whether labels cost their predictions more.

    They are those of several champions; where a row lies among the scores of its day compares between them, as losses
    of like scores do.

    Returns None where no day was decided, or one between the first and the last was not.
    """
    monitored, history = events.known, events.known.history
    days = [day for day in sorted(events.scores) if day > events.since]
    if not days:
        return None
    rows = monitored.rows_between(days[0], days[-1])
    scores = np.concatenate([events.scores[day] for day in days])
    if len(scores) != rows.stop - rows.start:
        return None
    delivered = history.known_at[rows] <= events.moment
    reported_at = monitored.first_report_of(rows)
    reported_at[~events.positive[rows]] = NEVER
    reported_at = reported_at[delivered]
    labelled = LabelledScores(
        times=history.times[rows][delivered],
        scores=surest(scores[delivered]),
        known_at=reported_at,
        positive=reported_at < NEVER,
        delay=events.delay,
        as_of=events.as_of,
    )
    if history.task.name == "binary":
        return concept_drift(labelled)
    return loss_drift(labelled, _losses(events, rows, scores)[delivered])


def _losses(events: DecidedEvents, rows: slice, scores: Scores) -> Floats:
    """What the known label of each of these events costs its scores; 0 without one."""
    history = events.known.history
    labels = history.labels.at(events.moment, len(history))[rows]
    known, losses = history.task.is_known(labels), np.zeros(len(labels))
    losses[known] = history.task.losses(labels[known], scores[known])
    return losses


def performance(quality: Mapping[date, float], task: Task) -> float | None:
    """Score of a drop of quality (`jobs.ground_truth.performance_drop.drop`); None where too few days are mature."""
    judged = timedelta(days=performance_drop.RECENT_DAYS + performance_drop.NOISE_DAYS)
    values = [value for day, value in quality.items() if max(quality) - day < judged]
    return performance_drop.drop(values, smallest_drop(task))


def smallest_drop(task: Task) -> float | None:
    """Drop of the objective that is a reason to alarm; None: a share of what it was, as losses have no scale."""
    return performance_drop.SMALLEST_DROP if task.greater_is_better else None


def dropped_on(events: DecidedEvents) -> date:
    """First of the days that a drop of performance is judged on."""
    back = math.ceil(events.delay.bound(MATURE)) + performance_drop.RECENT_DAYS
    return events.as_of.date() - timedelta(days=back)


def daily_quality(events: DecidedEvents) -> dict[date, float]:
    """The objective, on a scale where more is better, of the latest mature days that were decided about, oldest first;
    average precision as of all their reports. NaN where there is none. While no reports come, no day ripens."""
    monitored, delay, moment = events.known, events.delay, events.moment
    until = reported_until(monitored.reports(moment)[1], events.as_of)
    last = numbered_day(until // MICROSECONDS_A_DAY) - timedelta(days=math.ceil(delay.bound(MATURE)) + 1)
    count = remembered(monitored.use_case).days
    days = [day for day in monitored.days_until(last, count, moment) if day in events.scores and day > events.since]
    if len(days) < performance_drop.RECENT_DAYS + performance_drop.FEWEST_DAYS:
        return {}
    if monitored.history.task.objective.name != "average_precision":
        labels = monitored.history.labels.at(moment, len(monitored.history))
        return {day: _gain(events, labels, day) for day in days}
    values = {}
    for day in days:
        delivered = monitored.known(day, moment)
        labels = events.positive[monitored.rows_of(day)][delivered]
        has_both_classes = labels.any() and not labels.all()
        share = float(delay.share(ages(monitored.times_of(day, moment), until)).mean()) if has_both_classes else 1.0
        scores = events.scores[day][delivered]
        values[day] = performance_drop.complete(labels, scores, share) if has_both_classes else float("nan")
    return values


def _gain(events: DecidedEvents, labels: Labels, day: date) -> float:
    """The objective of a day's decisions on what is known of its labels; NaN where it is undefined."""
    monitored, task = events.known, events.known.history.task
    rows = monitored.rows_of(day)
    held = monitored.known(day, events.moment)
    known = labels[rows][held]
    unlabelled = task.unlabelled(problem_of(monitored.use_case).unlabelled)
    judged = np.ones(len(known), np.bool_) if unlabelled is not None else task.is_known(known)
    settled, scores = task.settled(known[judged], unlabelled), events.scores[day][held][judged]
    undefined = not len(settled) or (task.name == "binary" and not task.varied(settled))
    return float("nan") if undefined else task.gain(task.value(settled, scores, RowValues()))
