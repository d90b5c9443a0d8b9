"""What the decisions of champion and arm come to, in the terms of the business: as both decided the same events.

Live figures count every event that both scored; matured ones those whose outcome is known, each for as many as it
stands for (`jobs.rollouts.labelled_pairs`).
"""

from __future__ import annotations

from typing import NamedTuple

from jobs.arrays import Bools, Floats
from jobs.rollouts.labelled_arms import LabelledArms
from jobs.rollouts.labelled_losses import LabelledLosses
from jobs.rollouts.labelled_pairs import LabelledPairs
from jobs.rollouts.paired_scores import PairedScores
from jobs.times import MICROSECONDS_A_DAY

SHORTEST_DAYS = 1 / 24
"""A rate by the day is told of an hour at least."""


class BusinessMetric(NamedTuple):
    """One figure of both models."""

    name: str
    champion: float
    arm: float
    is_matured: bool


def live(pairs: PairedScores) -> list[BusinessMetric]:
    """Load of review, and blocks, by the day."""
    both = pairs.both
    if not both.any():
        return []
    stamps, sides = pairs.stamps[both], (pairs.champion, pairs.arm)
    days = max((int(stamps.max()) - int(stamps.min())) / MICROSECONDS_A_DAY, SHORTEST_DAYS)
    reviewed = [float((side.alerts & ~side.blocks)[both].sum() / days) for side in sides]
    blocked = [float(side.blocks[both].sum() / days) for side in sides]
    return [
        BusinessMetric("to review a day", reviewed[0], reviewed[1], is_matured=False),
        BusinessMetric("blocked a day", blocked[0], blocked[1], is_matured=False),
    ]


def matured(labelled: LabelledPairs | LabelledArms | LabelledLosses) -> list[BusinessMetric]:
    """Money of the positives that were stopped and missed, false alarms, and what remains after the cost of looking."""
    if isinstance(labelled, LabelledLosses):
        means = [float(side.mean()) if len(side) else 0.0 for side in (labelled.champion, labelled.arm)]
        return [BusinessMetric(labelled.measure, means[0], means[1], is_matured=True)] if len(labelled.gains) else []
    if not len(labelled.labels):
        return []
    sides = [_of_side(labelled, *side) for side in labelled.sides]
    return [BusinessMetric(name, sides[0][name], sides[1][name], is_matured=True) for name in sides[0]]


def _of_side(labelled: LabelledPairs | LabelledArms, alerts: Bools, weights: Floats) -> dict[str, float]:
    positive = labelled.labels
    money: Floats = labelled.amounts * weights
    stopped = float(money[alerts & positive].sum())
    return {
        "stopped, money": stopped,
        "missed, money": float(money[~alerts & positive].sum()),
        "false alarms": float(weights[alerts & ~positive].sum()),
        "earned, money": stopped - labelled.cost * float(weights[alerts].sum()),
    }
