"""What another threshold or model version would have been worth, estimated from the prediction log.

The value of a decision is known once the label is: an alert of a fraud saves its amount, and each alert costs a review.
What the log lacks are labels of blocked events; seen ones stand for them by their chances, or the model's probabilities
do (`jobs.stats.off_policy`). How people would behave under another policy is not in any log, and is not estimated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from jobs.arrays import Bools, Floats, Ints, codes
from jobs.errors import Invalid
from jobs.off_policy.policy_log import PolicyLog
from jobs.problem import Problem
from jobs.stats import paired_bootstrap
from jobs.stats.logged_decisions import LoggedDecisions, RewardModel
from jobs.stats.off_policy import NAMES, Estimate, estimates
from jobs.stats.studentised_bootstrap import ratio_interval
from jobs.tasks.catalog import task_of
from jobs.tasks.task import RowValues

RESAMPLES = 200
"""Of the objective."""


@dataclass(frozen=True)
class Policy:
    """Who is alerted about, and who is blocked: events whose score reaches a threshold."""

    threshold: float
    block: float | None = None
    """None: nothing is blocked."""


@dataclass(frozen=True)
class Measured:
    """One measure of the other policy, and what it gains on the policy of the log."""

    measure: str
    estimate: Estimate
    gain: Estimate | None
    """None: the measure is no mean, or what the log's policy came to is not told apart."""


@dataclass(frozen=True)
class PolicyValue:
    """What is estimated, and what makes it doubtful."""

    measured: tuple[Measured, ...]
    events: int
    days: int
    effective: float
    """Events of equal weight that would tell as much."""
    unseen: float
    """Share of the events whose label had no chance to be seen."""
    alerts_a_day: float
    """Of the other policy: known, as scores are."""
    alerts_a_day_logged: float
    warnings: tuple[str, ...]


def policy_value(log: PolicyLog, policy: Policy, problem: Problem) -> PolicyValue:
    """Money, frauds and false alarms a day by every estimator, precision, recall and the objective of the use case.

    Raises:
        Invalid: the use case declares no review, or the log has no event.
    """
    if problem.task != "binary" or problem.review is None:
        raise Invalid("whatif: expected a yes-or-no use case with a review, found none; declare Problem.review")
    alerts = log.scores >= policy.threshold
    told = LoggedDecisions.of(np.zeros(len(log)), log.weights, log.clusters, None, log.unseen)
    unseen_alerts = float((alerts & log.blocked).sum()) / max(1.0, float(alerts.sum()))
    doubts = [*log.notes, *told.warnings()]
    if unseen_alerts > 0:
        doubts.append(f"{unseen_alerts:.0%} of its alerts are about events that were blocked, of unknown outcome")
    return PolicyValue(
        (*_means(log, alerts, policy, problem.review.cost), *_ratios(log, alerts), *_objective(log, problem)),
        len(log), log.days, told.effective, log.unseen,
        float(alerts.sum() / log.days), float(log.alerted.sum() / log.days), tuple(doubts),
    )  # fmt: skip


def _means(log: PolicyLog, alerts: Bools, policy: Policy, cost: float) -> list[Measured]:
    """Sums a day: the mean of an event times the events of a day."""
    blocks = log.scores >= policy.block if policy.block is not None else None
    target, logged = _outcomes(log, alerts, blocks, cost), _outcomes(log, log.alerted, log.blocked, cost)
    measured, a_day = [], len(log) / log.days
    for measure, (of_negative, of_positive) in target.items():
        before = logged[measure]
        values = _estimates(log, of_negative, of_positive)
        gains = _estimates(log, of_negative - before[0], of_positive - before[1])
        measured += [
            Measured(f"{measure}_a_day", value.scaled(a_day), gain.scaled(a_day))
            for value, gain in zip(values, gains, strict=True)
        ]
    return measured


def _outcomes(log: PolicyLog, alerts: Bools, blocks: Bools | None, cost: float) -> Mapping[str, tuple[Floats, Floats]]:
    """Measure -> what each event counts if it is good, and if it is a fraud."""
    alerted, nothing = alerts.astype(np.float64), np.zeros(len(log))
    found = {
        "money_saved": (-cost * alerted, alerted * (log.amounts - cost)),
        "fraud_stopped": (nothing, alerted * log.amounts),
        "fraud_missed": (nothing, (1 - alerted) * log.amounts),
        "false_alarms": (alerted, nothing),
    }
    return found if blocks is None else {**found, "false_blocks": (blocks.astype(np.float64), nothing)}


def _estimates(log: PolicyLog, of_negative: Floats, of_positive: Floats) -> tuple[Estimate, ...]:
    """Of what an event counts, by every estimator; probabilities are those of the model of the other policy."""
    if not (of_negative.any() or of_positive.any()):
        # The same was decided about all events, or nothing: no label can change that.
        return tuple(Estimate(name, 0.0, 0.0, 0.0) for name in NAMES)
    chance = np.clip(log.scores, 0, 1)
    expected = of_negative + chance * (of_positive - of_negative)
    seen = np.where(log.weights > 0, np.where(log.labels, of_positive, of_negative), 0.0)
    model = RewardModel(expected, expected)
    return estimates(LoggedDecisions.of(seen, log.weights, log.clusters, model, log.unseen))


def _objective(log: PolicyLog, problem: Problem) -> list[Measured]:
    """What models are compared by, of the other policy's scores, with percentiles of resampled entities; nothing where
    labels do not differ, or where the objective asks who comes first on each day."""
    seen, task = log.weights > 0, task_of(problem)
    labels, scores, rows = log.labels[seen], log.scores[seen], RowValues(weights=log.weights[seen])
    if not task.varied(labels) or task.objective.name == "recall_at_capacity":
        return []
    blocks = codes("clusters", log.clusters, len(log))[1][seen]
    prepared = [task.resampled(labels, scores, blocks, [np.ones(len(labels), np.bool_)], rows)]
    count = int(blocks.max()) + 1
    value = float(paired_bootstrap.observed(prepared, count)[0])
    drawn = paired_bootstrap.resampled(prepared, count, RESAMPLES, 0)[:, 0]
    ends = paired_bootstrap.interval(np.append(value, drawn), 0.975)
    return [Measured(task.objective.name, Estimate(NAMES[1], value, *ends), None)]


def _ratios(log: PolicyLog, alerts: Bools) -> list[Measured]:
    """Precision and recall of alerts, which are ratios of weighted sums."""
    positives, alerted = log.weights * log.labels, log.weights * alerts
    of_rows: Ints = codes("clusters", log.clusters, len(log))[1]
    found = []
    for measure, below in (("precision", alerted), ("recall", positives)):
        above = positives * alerts
        value = float(above.sum() / below.sum()) if below.sum() else np.nan
        lower, upper = ratio_interval(above, below, of_rows)
        # A share, if its interval is known at all.
        ends = (max(lower, 0.0), min(upper, 1.0)) if np.isfinite(lower) else (lower, upper)
        found.append(Measured(measure, Estimate("self_normalised", value, *ends), None))
    return found
