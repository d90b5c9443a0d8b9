"""Events of a rollout whose outcome is known, and what an arm gains on the champion by them.

An event counts once its label can hardly change any more: when it is older than the use case's label maturity. One that
was blocked never gets a label. Where only one of the two models would have blocked it, the events that the other one
answered stand for all of these, each for 1 / chance of them (Horvitz & Thompson, JASA 47, 1952); what both would have
blocked is left out, as their decisions differ by nothing there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jobs.arrays import Bools, Floats, Ints
from jobs.stats.confidence_sequences import ConfidenceSequence, Looking, of_weighted_mean
from jobs.stats.precision_parts import paired_parts
from jobs.times import MICROSECONDS_A_DAY

if TYPE_CHECKING:
    from jobs.problem import Review
    from jobs.rollouts.paired_scores import PairedScores

MEASURE = "average precision of a day"


@dataclass(frozen=True, eq=False)
class LabelledPairs:
    """Events of a binary task that both models scored and whose label is mature; in the order of decisions."""

    labels: Bools
    days: Ints
    clusters: Any
    """The entity of each event."""
    champion: Floats
    arm: Floats
    """Scores."""
    champion_alerts: Bools
    arm_alerts: Bools
    amounts: Floats
    weights: Floats
    """How many events each one stands for."""
    cost: float
    """Of looking at an alert, in the money of amounts."""
    measure: str = MEASURE

    @property
    def sides(self) -> tuple[tuple[Bools, Floats], tuple[Bools, Floats]]:
        """Alerts and weights of the champion, and of the arm."""
        return (self.champion_alerts, self.weights), (self.arm_alerts, self.weights)

    def money(self, looking: Looking) -> ConfidenceSequence:
        """Around what the arm earns an event more."""
        return of_weighted_mean(self.money_gains(), self.weights, looking, self.clusters)

    def gain(self) -> tuple[float, float]:
        """Mean gain of an event over the champion, and its standard error."""
        gains = self.money_gains() * self.weights
        if len(gains) < 2:
            return 0.0, 1.0  # nothing is known: any arm may be best
        return float(gains.mean()), float(gains.std(ddof=1) / len(gains) ** 0.5)

    def quality_gains(self) -> Floats:
        """What each positive adds to the arm's average precision of its day more than to the champion's."""
        return paired_parts(self.labels, self.arm, self.champion, self.days)

    def money_gains(self) -> Floats:
        """What the arm's decision about each event earns more: the amount of a fraud that is stopped, less the cost."""
        differs = self.arm_alerts.astype(float) - self.champion_alerts
        gains: Floats = differs * (np.where(self.labels, self.amounts, 0.0) - self.cost)
        return gains


def labelled_pairs(pairs: PairedScores, known: KnownOutcomes, review: Review) -> LabelledPairs:
    """known: of the same events, in the same order."""
    weights = _weights(pairs)
    take = pairs.both & known.is_mature & (weights > 0)
    return LabelledPairs(
        known.labels[take], pairs.stamps[take] // MICROSECONDS_A_DAY, known.clusters[take],
        pairs.champion.scores[take], pairs.arm.scores[take],
        pairs.champion.alerts[take], pairs.arm.alerts[take], known.amounts[take], weights[take],
        review.cost,
    )  # fmt: skip


def _weights(pairs: PairedScores) -> Floats:
    """How many events each one stands for, by the chance that its outcome is seen; 0: it is not seen."""
    seen = pairs.propensities * ~pairs.arm.blocks + (1 - pairs.propensities) * ~pairs.champion.blocks
    blocked = np.where(pairs.answered, pairs.arm.blocks, pairs.champion.blocks)
    return np.divide(1.0, seen, out=np.zeros(len(seen)), where=(seen > 0) & ~blocked)


@dataclass(frozen=True, eq=False)
class KnownOutcomes:
    """What is known by now of some events; every array holds a value per event."""

    labels: Bools
    is_mature: Bools
    clusters: Any
    amounts: Floats
